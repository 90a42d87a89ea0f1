//! One model server, whichever method renders it: what its container runs, and what its pod holds besides.

use super::Planner;
use crate::charts::catalogue;
use crate::check::fields::{POD_SECURITY, Place, place};
use crate::error::{Diagnostic, Problem};
use crate::settings::payload::{Fragment, Objects, Pair, Tree};
use crate::settings::sections::{Extras, Probes};
use crate::settings::template::{EnvList, EnvSource, Referent, Scope};
use crate::settings::types::{AcceleratorResource, Annotations, Count, CpuQuantity, Quantity, ResourceName};
use crate::source::Span;
use crate::tree::{Map, Value};

/// A model server.
#[derive(Debug, Clone, Default)]
pub struct Server {
    /// Its image.
    pub image: String,
    /// `command` of its container.
    pub command: Vec<String>,
    /// `args` of its container.
    pub args: Vec<String>,
    /// Environment of its container, in order, as Kubernetes writes it.
    pub env: Vec<Value>,
    /// Port that it answers on.
    pub port: u16,
    /// Requests and limits of its container.
    pub resources: Map,
    /// Its probes by their names in a container.
    pub probes: Map,
    /// Annotations of its pod.
    pub annotations: Map,
    /// What the scenario writes itself.
    pub parts: Parts,
}

/// The ConfigMap by whose name scenarios mount the preprocess scripts.
pub const SCRIPTS: &str = "llm-d-benchmark-preprocesses";

impl Server {
    /// The name that the scenario gives the port that the server answers on.
    pub fn named_port(&self) -> Option<&str> {
        let ports = self.parts.container.get("ports")?.items();
        let ours = Value::from(self.port);
        ports.iter().find(|p| p.get("containerPort") == Some(&ours))?.get("name")?.as_str()
    }

    /// Whether a container of its pod asks for more than a common account may have: a user or group of its own, more
    /// capabilities, or the host's own network or processes.
    pub fn is_privileged(&self) -> bool {
        let zero = |v: &Value| *v == Value::from(0u32);
        let asks = |container: &Value| {
            let at = |path: &[&str]| container.at(path);
            at(&[SECURITY, "privileged"]) == Some(&Value::Bool(true))
                || [&[SECURITY, "runAsUser"], &[SECURITY, "runAsGroup"]].iter().any(|p| at(*p).is_some_and(zero))
                || at(&[SECURITY, "capabilities", "add"]).is_some_and(|c| !c.items().is_empty())
        };
        let host = |key: &&str| self.parts.pod.get(*key) == Some(&Value::Bool(true));
        asks(&Value::Map(self.parts.container.clone()))
            || asks(&Value::Map(self.parts.pod.clone()))
            || self.parts.init_containers.iter().any(asks)
            || ["hostNetwork", "hostIPC", "hostPID"].iter().any(host)
    }

    /// Whether the scenario mounts something of its own at a path.
    pub fn mounts_at(&self, path: &str) -> bool {
        let at = |m: &Value| m.get("mountPath").and_then(Value::as_str).map(str::to_owned);
        let same = |p: String| p.trim_end_matches('/') == path.trim_end_matches('/');
        self.parts.mounts.iter().filter_map(at).any(same)
    }

    /// Whether the scenario mounts a volume of this name.
    pub fn mounts_volume(&self, name: &str) -> bool {
        self.parts.mounts.iter().any(|m| m.get("name").and_then(Value::as_str) == Some(name))
    }

    /// Whether the scenario mounts the preprocess scripts into it.
    pub fn mounts_scripts(&self) -> bool {
        self.parts.volumes.iter().any(|v| v.at(&["configMap", "name"]).and_then(Value::as_str) == Some(SCRIPTS))
    }

    /// What the scenario's own volumes name, as `Kind name`: it need not be in the bundle.
    pub fn names_in_volumes(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.parts.volumes.iter().filter_map(|v| {
            let text = |path: &[&str]| v.at(path).and_then(Value::as_str);
            text(&["configMap", "name"])
                .map(|n| ("ConfigMap", n))
                .or_else(|| text(&["persistentVolumeClaim", "claimName"]).map(|n| ("PersistentVolumeClaim", n)))
        })
    }

    /// Its image and those of the init containers that the scenario writes.
    pub fn images(&self) -> Vec<String> {
        let image = |c: &Value| c.get("image").and_then(Value::as_str).map(str::to_owned);
        std::iter::once(self.image.clone()).chain(self.parts.init_containers.iter().filter_map(image)).collect()
    }
}

/// Parts of a pod that the scenario writes itself, put together from all settings that say something of it.
#[derive(Debug, Clone, Default)]
pub struct Parts {
    /// Volumes.
    pub volumes: Vec<Value>,
    /// Mounts of the server's container.
    pub mounts: Vec<Value>,
    /// Further fields of the server's container.
    pub container: Map,
    /// Further fields of the pod.
    pub pod: Map,
    /// Init containers.
    pub init_containers: Vec<Value>,
}

/// A field of a container or pod that the tool writes.
struct Written {
    key: &'static str,
    /// Settings that say what it holds, by their paths in the role; the first is the one to use instead.
    by: &'static [&'static str],
    /// Whether the scenario's own text takes its place while none of these settings is set.
    gives_way: bool,
}

const fn written(key: &'static str, by: &'static [&'static str], gives_way: bool) -> Written {
    Written { key, by, gives_way }
}

/// Fields of the container. `@` stands for the role.
static CONTAINER: &[Written] = &[
    written("name", &[], false),
    written("image", &["@.image"], false),
    written("command", &["@.args"], false),
    written("args", &["@.args"], false),
    written("env", &["@.env", "vllm.env"], false),
    written("envFrom", &["@.env", "vllm.env"], false),
    written(
        "resources",
        &["@.cpu", "@.memory", "@.accelerators", "resources.cpu", "resources.memory", "accelerator.count"],
        false,
    ),
    written(
        "startupProbe",
        &[
            "@.probes.path",
            "@.probes.startup.initialDelay",
            "@.probes.startup.path",
            "@.probes.startup.period",
            "@.probes.startup.timeout",
            "@.probes.startup.failureThreshold",
            "probes.startupInitialDelay",
            "probes.startupFailureThreshold",
            "probes.startupPath",
        ],
        true,
    ),
    written(
        "livenessProbe",
        &["@.probes.liveness.period", "@.probes.liveness.timeout", "@.probes.liveness.failureThreshold"],
        true,
    ),
    written(
        "readinessProbe",
        &[
            "@.probes.path",
            "@.probes.readiness.path",
            "@.probes.readiness.period",
            "@.probes.readiness.timeout",
            "@.probes.readiness.failureThreshold",
            "probes.readinessPath",
        ],
        true,
    ),
];

/// Fields of the pod.
static POD: &[Written] = &[
    written("containers", &["@.extra.container"], false),
    written("serviceAccountName", &["serviceAccount"], false),
    written("schedulerName", &["pod.schedulerName"], true),
    written("affinity", &["pod.nodeLabels"], true),
    written("imagePullSecrets", &["pod.pullSecret"], true),
    written("priorityClassName", &["pod.priorityClassName"], true),
];

/// The volume with the model, as the chart calls it.
pub const MODEL_STORAGE: &str = "model-storage";
/// Volumes of the tool that a scenario may mount elsewhere too.
const STANDALONE_VOLUMES: &[&str] = &["models", "shm", "preprocess"];
const ROLE_VOLUMES: &[&str] = &["metrics-volume", "shm", "torch-compile-cache"];

const SECURITY: &str = "securityContext";

/// One setting that gives parts, and where.
struct Source<'a> {
    path: String,
    extras: &'a Extras,
}

/// An entry of a list and the setting that gives it.
struct Entry {
    value: Value,
    path: String,
    span: Span,
}

/// A list of a pod that settings and fields of the scenario's own both add to.
struct List {
    /// Its key in the pod or container, and in the settings.
    key: &'static str,
    /// What tells its entries apart.
    id: &'static str,
    get: fn(&Extras) -> &Objects,
    /// The fields that can hold it too, and their key in the settings.
    within: (&'static str, fn(&Extras) -> &Fragment),
}

const VOLUMES: List = List { key: "volumes", id: "name", get: |e| &e.volumes, within: ("pod", |e| &e.pod) };
const MOUNTS: List =
    List { key: "volumeMounts", id: "mountPath", get: |e| &e.mounts, within: ("container", |e| &e.container) };
const INIT_CONTAINERS: List =
    List { key: "initContainers", id: "name", get: |e| &e.init_containers, within: ("pod", |e| &e.pod) };

/// Whether a field is one of these lists, and not one of the other fields.
fn is_list(pair: &Pair) -> bool {
    matches!(pair.value, Tree::List(_)) && [VOLUMES, MOUNTS, INIT_CONTAINERS].iter().any(|l| l.key == pair.key)
}

impl List {
    /// The entries that one source gives: setting, place, content.
    fn entries<'a>(&self, source: &Source<'a>) -> Vec<(String, Span, &'a Tree)> {
        let own = format!("{}.{}", source.path, self.key);
        let within = format!("{}.{}", source.path, self.within.0);
        let listed = (self.get)(source.extras).0.iter().map(|(span, tree)| (own.clone(), *span, tree));
        let fields = (self.within.1)(source.extras).0.iter().filter(|p| p.key == self.key);
        let held = fields.flat_map(|pair| match &pair.value {
            Tree::List(items) => items.iter().map(|t| (within.clone(), pair.span, t)).collect(),
            _ => Vec::new(),
        });
        listed.chain(held).collect()
    }
}

impl Planner<'_> {
    /// The parts that the scenario writes for one server: those of all servers, of the method and of the role.
    pub(super) fn parts(
        &self,
        role: &str,
        scope: &dyn Scope,
        notes: &mut Vec<Diagnostic>,
    ) -> Result<Parts, Diagnostic> {
        let s = &self.resolved.settings;
        let source = |path: &str, extras| Source { path: format!("{path}.extra"), extras };
        let sources = match role {
            "standalone" => vec![source("pod", &s.pod.extra), source("standalone", &s.standalone.extra)],
            "decode" => vec![
                source("pod", &s.pod.extra),
                source("modelservice", &s.modelservice.extra),
                source("decode", &s.decode.extra),
            ],
            _ => vec![
                source("pod", &s.pod.extra),
                source("modelservice", &s.modelservice.extra),
                source("prefill", &s.prefill.extra),
            ],
        };
        let values = |list: &List| -> Result<Vec<Value>, Diagnostic> {
            Ok(self.list(&sources, list, scope, &|_| false)?.into_iter().map(|e| e.value).collect())
        };
        let mut init_containers = self.list(&sources, &INIT_CONTAINERS, scope, &|_| false)?;
        for entry in &mut init_containers {
            notes.extend(self.pin(entry)?);
        }
        let (container, pod) = self.fields(&sources, role, scope, notes)?;
        let volumes = values(&VOLUMES)?;
        let mounts = self.mounts(&sources, role, &volumes, scope, notes)?;
        Ok(Parts {
            volumes,
            mounts,
            init_containers: init_containers.into_iter().map(|e| e.value).collect(),
            container,
            pod,
        })
    }

    /// The mounts of a server. That of the tool's own volume with the model is left to the tool.
    fn mounts(
        &self,
        sources: &[Source<'_>],
        role: &str,
        volumes: &[Value],
        scope: &dyn Scope,
        notes: &mut Vec<Diagnostic>,
    ) -> Result<Vec<Value>, Diagnostic> {
        let name = |v: &Value| v.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let own: Vec<String> = volumes.iter().map(name).collect();
        let of_tool = |mount: &Value| name(mount) == MODEL_STORAGE && !own.iter().any(|n| n == MODEL_STORAGE);
        let mut all = Vec::new();
        for entry in self.list(sources, &MOUNTS, scope, &of_tool)? {
            let volume = name(&entry.value);
            if of_tool(&entry.value) {
                let message = format!("the mount of `{MODEL_STORAGE}` is left out: the tool mounts the model itself");
                notes.push(Diagnostic::note(Problem::Noted { message }, entry.span));
                continue;
            }
            let known = if role == "standalone" { STANDALONE_VOLUMES } else { ROLE_VOLUMES };
            if !own.contains(&volume) && !known.contains(&volume.as_str()) {
                let message =
                    format!("`{}` mounts `{volume}`, and the pod has no such volume", self.called(&entry.path));
                return Err(Diagnostic::error(Problem::Conflict { message }, entry.span)
                    .with_hint(format!("name it in `{}`", entry.path.replace("volumeMounts", "volumes"))));
            }
            all.push(entry.value);
        }
        Ok(all)
    }

    /// Several lists as one; an entry that stands in two of them with the same content stands once.
    fn list(
        &self,
        sources: &[Source<'_>],
        list: &List,
        scope: &dyn Scope,
        passes: &dyn Fn(&Value) -> bool,
    ) -> Result<Vec<Entry>, Diagnostic> {
        let mut all: Vec<Entry> = Vec::new();
        for (path, span, tree) in sources.iter().flat_map(|s| list.entries(s)) {
            let value = tree.expand(scope).map_err(|p| Diagnostic::error(p, span))?;
            let id = |v: &Value| v.get(list.id).and_then(Value::as_str).map(str::to_owned);
            let Some(name) = id(&value) else {
                let message = format!("an entry of `{}` has no `{}`", self.called(&path), list.id);
                return Err(Diagnostic::error(Problem::Conflict { message }, span));
            };
            match all.iter().find(|e| id(&e.value).as_deref() == Some(&name)) {
                None => all.push(Entry { value, path, span }),
                Some(first) if first.value == value || passes(&value) => {}
                Some(first) => {
                    let (a, b) = (self.called(&first.path), self.called(&path));
                    let message = format!("`{a}` and `{b}` give `{name}` two contents");
                    return Err(Diagnostic::error(Problem::Conflict { message }, span)
                        .with_place(Some(first.span), "the other one"));
                }
            }
        }
        Ok(all)
    }

    /// Gives the image of an init container a version that stays, and tells of it.
    fn pin(&self, entry: &mut Entry) -> Result<Option<Diagnostic>, Diagnostic> {
        let Some(Value::String(image)) = entry.value.map_mut().get_mut("image") else { return Ok(None) };
        let with_tag = if has_tag(image) { image.clone() } else { format!("{image}:latest") };
        let parts = crate::check::names::split_image(&with_tag).map_err(|why| {
            let message = format!("an init container of `{}` has the image `{image}`", entry.path);
            Diagnostic::error(Problem::Conflict { message }, entry.span).with_hint(why)
        })?;
        let part = |key: &str| parts.iter().find(|(k, _)| *k == key).map_or("", |(_, v)| v.as_str());
        if !catalogue::is_floating(part("tag")) {
            return Ok(None);
        }
        let path = [part("registry"), part("repository"), part("name")];
        let name = path.into_iter().filter(|p| !p.is_empty()).collect::<Vec<_>>().join("/");
        let Some(tag) = catalogue::image_tag(&name, &self.resolved.settings.edition.0) else {
            let problem = Problem::FloatingVersion { what: format!("image `{name}`"), found: part("tag").to_owned() };
            return Err(Diagnostic::error(problem, entry.span).with_hint("name a version of it"));
        };
        let problem = Problem::Fallback {
            setting: self.called(&entry.path),
            word: part("tag").to_owned(),
            used: format!("the version catalogue has `{name}:{tag}`"),
        };
        *image = format!("{name}:{tag}");
        Ok(Some(Diagnostic::note(problem, entry.span)))
    }

    /// The fields of the container and of the pod, the later over the earlier. A field that the tool writes from a
    /// setting is an error; one that stands in the container and that only pods have goes to the pod.
    fn fields(
        &self,
        sources: &[Source<'_>],
        role: &str,
        scope: &dyn Scope,
        notes: &mut Vec<Diagnostic>,
    ) -> Result<(Map, Map), Diagnostic> {
        let (mut container, mut pod) = (Value::Map(Map::new()), Value::Map(Map::new()));
        let mut moved = |field: &str, path: &str, span: Span| {
            let message = format!("`{field}` of `{}` is a field of pods; it goes there", self.called(path));
            notes.push(Diagnostic::note(Problem::Noted { message }, span));
        };
        for (source, key, wanted) in
            sources.iter().flat_map(|s| [(s, "container", Place::Container), (s, "pod", Place::Pod)])
        {
            let path = format!("{}.{key}", source.path);
            let pairs = if wanted == Place::Pod { &source.extras.pod } else { &source.extras.container };
            for pair in pairs.0.iter().filter(|p| !is_list(p)) {
                let fail = |p: Problem| Diagnostic::error(p, pair.span);
                let mut value = pair.value.expand(scope).map_err(fail)?;
                let place = place(&pair.key, wanted).map_err(fail)?;
                let written = if place == Place::Pod { POD } else { CONTAINER };
                if let Some(known) = written.iter().find(|w| w.key == pair.key) {
                    self.refuse_written(known, role, &path, pair.span)?;
                }
                if place != wanted {
                    moved(&pair.key, &path, pair.span);
                }
                if place == Place::Container && pair.key == SECURITY {
                    for field in POD_SECURITY {
                        if let Some(of_pod) = value.map_mut().shift_remove(*field) {
                            moved(field, &path, pair.span);
                            pod.overlay(&Value::from([(SECURITY, Value::from([(*field, of_pod)]))]));
                        }
                    }
                }
                let fields = if place == Place::Pod { &mut pod } else { &mut container };
                fields.overlay(&Value::from([(pair.key.as_str(), value)]));
            }
        }
        Ok((std::mem::take(container.map_mut()), std::mem::take(pod.map_mut())))
    }

    /// Refuses a field of the scenario's own text that another setting says too.
    fn refuse_written(&self, field: &Written, role: &str, path: &str, span: Span) -> Result<(), Diagnostic> {
        let paths: Vec<String> = field.by.iter().map(|p| p.replace('@', role)).collect();
        let set = paths.iter().find(|p| self.resolved.is_set(p));
        if field.gives_way && set.is_none() {
            return Ok(());
        }
        let known = |p: &&String| crate::settings::field_index(p).is_some();
        let instead = set.or_else(|| paths.iter().find(known));
        let setting = self.called(path);
        let message = match instead {
            Some(p) => format!("`{setting}` gives `{}`, which `{}` gives too", field.key, self.called(p)),
            None => format!("`{setting}` gives `{}`, which the tool writes itself", field.key),
        };
        let d = Diagnostic::error(Problem::Conflict { message }, span);
        Err(match instead {
            Some(p) => d.with_place(self.resolved.span(p), "said here too").with_hint(format!("use `{p}` for it")),
            None => d,
        })
    }

    /// A setting by the name that the scenario has for it.
    pub(super) fn called(&self, path: &str) -> String {
        self.resolved.origins.get(path).and_then(|o| o.variable).unwrap_or(path).to_owned()
    }

    /// Annotations of a pod: of all servers, and of this one.
    pub(super) fn annotations(&self, own: Option<&Annotations>) -> Map {
        let pod = &self.resolved.settings.pod;
        [Some(&pod.annotations), Some(&pod.extra_annotations), own]
            .into_iter()
            .flatten()
            .flat_map(|a| a.0.iter().map(|(k, v)| (k.clone(), Value::from(v.as_str()))))
            .collect()
    }
}

/// Whether an image reference says which version is meant.
fn has_tag(image: &str) -> bool {
    image.contains('@') || image.rsplit('/').next().is_some_and(|last| last.contains(':'))
}

/// The environment of a container, each name once; a name that is set again takes the later value at its first place.
#[derive(Debug, Default)]
pub(super) struct Environment(Vec<(String, Value)>);

impl Environment {
    /// Sets a variable to a text.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.put(name, "value", Value::from(value));
    }

    /// Sets a variable from a field of the pod or a key of a Secret.
    pub(super) fn set_from(&mut self, name: &str, source: Value) {
        self.put(name, "valueFrom", source);
    }

    fn put(&mut self, name: &str, key: &str, value: Value) {
        let entry = Value::from([("name", Value::from(name)), (key, value)]);
        match self.0.iter_mut().find(|(n, _)| n == name) {
            Some((_, e)) => *e = entry,
            None => self.0.push((name.to_owned(), entry)),
        }
    }

    /// Sets what a list says; `literal` makes data of references safe for the kubelet.
    pub(super) fn extend(
        &mut self,
        list: &EnvList,
        scope: &dyn Scope,
        literal: &dyn Fn(&str) -> String,
    ) -> Result<(), Problem> {
        for var in &list.0 {
            match &var.source {
                EnvSource::Value(template) => self.set(&var.name, &template.expand_with(scope, literal)?),
                EnvSource::From(from) => self.set_from(&var.name, from.clone()),
            }
        }
        Ok(())
    }

    /// The entry of a name.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, e)| e)
    }

    /// Takes a name out.
    pub(super) fn remove(&mut self, name: &str) {
        self.0.retain(|(n, _)| n != name);
    }

    /// The entries in order.
    pub(super) fn into_entries(self) -> Vec<Value> {
        self.0.into_iter().map(|(_, e)| e).collect()
    }
}

/// The settings of one role in place of those of all servers, for variables that every server has.
pub(super) struct RoleScope<'a> {
    /// The scope of the stack.
    pub(super) stack: &'a dyn Scope,
    /// The role.
    pub(super) role: &'static str,
}

/// Settings that a server has its own of: of all servers, of this one.
const OWN: &[(&str, &str)] =
    &[("parallelism.tensor", "parallelism.tensor"), ("vllm.gpuMemoryUtilization", "gpuMemoryUtilization")];

impl Scope for RoleScope<'_> {
    fn resolve(&self, path: &str) -> Option<Referent> {
        let own = match (self.role, path) {
            ("standalone", "vllm.port") => Some("port"),
            ("standalone", _) => None,
            _ => OWN.iter().find(|(all, _)| *all == path).map(|(_, own)| *own),
        };
        match own {
            Some(own) => self.stack.resolve(&format!("{}.{own}", self.role)),
            None => self.stack.resolve(path),
        }
    }
    fn paths(&self) -> Vec<String> {
        self.stack.paths()
    }
}

/// What a server asks for.
pub(super) struct Demand<'a> {
    pub(super) cpu: Option<&'a CpuQuantity>,
    pub(super) memory: Option<&'a Quantity>,
    pub(super) scratch: (&'a str, Option<&'a Quantity>),
    pub(super) accelerator: (Option<&'a AcceleratorResource>, Option<Count>),
    pub(super) network: (Option<&'a ResourceName>, Option<Count>),
}

impl Demand<'_> {
    /// Requests and limits; a device of which there are none is left out.
    pub(super) fn resources(&self) -> Map {
        let mut all = Map::new();
        let mut ask = |name: &str, amount: Option<String>| {
            if let Some(amount) = amount {
                all.insert(name.to_owned(), Value::from(amount));
            }
        };
        let some = |count: Option<Count>| count.filter(|c| c.0 > 0).map(|c| c.to_string());
        ask("cpu", self.cpu.map(|q| q.0.clone()));
        ask("memory", self.memory.map(|q| q.0.clone()));
        ask(self.scratch.0, self.scratch.1.map(|q| q.0.clone()));
        if let (Some(device), count) = (self.accelerator.0.and_then(AcceleratorResource::device), self.accelerator.1) {
            ask(device, some(count));
        }
        if let (Some(name), count) = self.network {
            ask(&name.0, some(count));
        }
        all
    }
}

/// The three probes of a container that answers on a port, given as Kubernetes takes it: a number or a name.
pub(super) fn probes(settings: &Probes, port: &Value) -> Map {
    let map = |pairs: Vec<(&str, Value)>| {
        Value::Map(pairs.into_iter().filter(|(_, v)| *v != Value::Null).map(|(k, v)| (k.to_owned(), v)).collect())
    };
    let get = |path: Option<&str>| {
        let path = path.unwrap_or(&settings.path.0);
        ("httpGet", map(vec![("path", Value::from(path)), ("port", port.clone())]))
    };
    let times = |action: (&'static str, Value), delay: Option<u32>, [period, timeout, failures]: [u32; 3]| {
        map(vec![
            action,
            ("initialDelaySeconds", delay.map_or(Value::Null, Value::from)),
            ("periodSeconds", Value::from(period)),
            ("timeoutSeconds", Value::from(timeout)),
            ("failureThreshold", Value::from(failures)),
        ])
    };
    let (startup, liveness, readiness) = (&settings.startup, &settings.liveness, &settings.readiness);
    let open = ("tcpSocket", map(vec![("port", port.clone())]));
    let all = [
        (
            "startupProbe",
            times(
                get(startup.path.as_ref().map(|p| p.0.as_str())),
                startup.initial_delay.map(|d| d.0),
                [startup.period.0, startup.timeout.0, startup.failure_threshold.0],
            ),
        ),
        ("livenessProbe", times(open, None, [liveness.period.0, liveness.timeout.0, liveness.failure_threshold.0])),
        (
            "readinessProbe",
            times(
                get(readiness.path.as_ref().map(|p| p.0.as_str())),
                None,
                [readiness.period.0, readiness.timeout.0, readiness.failure_threshold.0],
            ),
        ),
    ];
    all.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
}
