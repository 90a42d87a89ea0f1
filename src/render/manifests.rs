//! The objects of a bundle, in the order they are applied.
//!
//! One function lists the phases; the numbers are those of the original's standup.

use super::engine::{self, to_template};
use super::{Half, Object, Removal};
use crate::error::{Diagnostic, Errors};
use crate::plan::llmd::{Llmd, PoolChart, gateway_service};
use crate::plan::run::{Access, BY_HAND, RUN_ANNOTATION, Runs, Target};
use crate::plan::server::{Parts, SCRIPTS, Server};
use crate::plan::{Plan, Stack, names};
use crate::settings::resolve::Resolved;
use crate::settings::sections::Settings;
use crate::settings::types::Platform;
use crate::tree::{Map, Value};
use minijinja::value::Value as JinjaValue;

const KEEP_SCRIPTS: &str = "servers of other bundles may mount it";
const KEEP_DATA: &str = "it holds data";
const KEEP_NAMESPACE: &str = "it may hold what this bundle did not make";
const KEEP_CLUSTER: &str = "it belongs to the whole cluster";

/// Namespaces that every cluster has.
const BUILT_IN: &[&str] = &["default", "kube-system", "kube-public", "kube-node-lease"];

/// Renders all objects.
///
/// # Errors
/// Defects of templates.
pub fn objects(resolved: &Resolved, plan: &Plan, runs: &Runs) -> Result<Vec<Object>, Errors> {
    let mut r = Renderer {
        resolved,
        settings: engine::nested(&resolved.flat()),
        objects: Vec::new(),
        errors: Errors::default(),
    };
    r.monitoring();
    r.model_namespace(plan);
    r.harness_namespace(plan);
    r.server_reader(runs.access);
    for stack in &plan.stacks {
        r.standalone(stack);
    }
    if let Some(llmd) = &plan.llmd {
        r.llmd(llmd);
    }
    for target in &runs.targets {
        r.run(target, runs, plan);
    }
    r.errors.into_result()?;
    // Stable: inside a half and a step the order above stays.
    r.objects.sort_by_key(|o| (o.half, o.step));
    Ok(r.objects)
}

struct Renderer<'a> {
    resolved: &'a Resolved,
    settings: Value,
    objects: Vec<Object>,
    errors: Errors,
}

/// Who an object is: the values of its labels.
struct Identity<'a> {
    component: &'a str,
    owner: Owner<'a>,
}

/// Whose an object is.
enum Owner<'a> {
    /// One stack of the bundle.
    Stack(&'a str),
    /// The bundle.
    Release,
    /// Every bundle that names it: namespaces and volumes. Nothing of such an object tells which bundle made it, so that
    /// two bundles agree on it.
    Everyone(&'a str),
}

const fn shared(component: &str) -> Identity<'_> {
    Identity { component, owner: Owner::Release }
}

const fn common<'a>(component: &'a str, name: &'a str) -> Identity<'a> {
    Identity { component, owner: Owner::Everyone(name) }
}

impl Renderer<'_> {
    fn context(&self, extra: Value) -> JinjaValue {
        let mut context = Map::new();
        context.insert("s".into(), self.settings.clone());
        if let Value::Map(extra) = extra {
            context.extend(extra);
        }
        to_template(&Value::Map(context))
    }

    /// Adds one object made from a template.
    fn add(&mut self, template: &str, step: u8, half: Half, removal: Removal, identity: &Identity<'_>, extra: Value) {
        let labels = self.labels(identity);
        let mut extra = extra;
        extra.map_mut().insert("labels".into(), Value::Map(labels.clone()));
        match engine::object(template, &self.context(extra)) {
            Ok(mut value) => {
                let metadata = value.map_mut().entry("metadata".into()).or_insert(Value::Null).map_mut();
                let own = match metadata.shift_remove("labels") {
                    Some(Value::Map(own)) => own,
                    _ => Map::new(),
                };
                let mut all = labels;
                all.extend(own);
                if !matches!(removal, Removal::Never(_)) {
                    metadata.insert("labels".into(), Value::Map(all));
                }
                self.objects.push(Object { step, half, removal, value: ordered(value) });
            }
            Err(d) => self.errors.push(d),
        }
    }

    /// Labels that say whose an object is; none of them changes when a value does.
    fn labels(&self, identity: &Identity<'_>) -> Map {
        let release = self.resolved.settings.release.0.clone();
        let (part_of, instance) = match identity.owner {
            Owner::Stack(label) => (release, label.to_owned()),
            Owner::Release => (release.clone(), release),
            Owner::Everyone(name) => ("llmdbench".to_owned(), names::fit(name, 63)),
        };
        let pairs = [
            ("app.kubernetes.io/managed-by", "llmdbench".to_owned()),
            ("app.kubernetes.io/part-of", part_of),
            ("app.kubernetes.io/instance", instance),
            ("app.kubernetes.io/component", identity.component.to_owned()),
        ];
        pairs.into_iter().map(|(k, v)| (k.to_owned(), Value::from(v))).collect()
    }

    /// Step 03: monitoring of user workloads, a switch of the whole cluster.
    fn monitoring(&mut self) {
        let s = &self.resolved.settings;
        if s.platform == Platform::OpenShift && s.openshift.user_workload_monitoring.0 {
            let never = Removal::Never(KEEP_CLUSTER);
            self.add(
                "openshift/user-workload-monitoring.yaml.j2",
                3,
                Half::Admin,
                never,
                &shared("monitoring"),
                Value::Null,
            );
        }
    }

    fn namespace(&mut self, name: &str, step: u8) {
        if !BUILT_IN.contains(&name) {
            let deep = Removal::Deep(KEEP_NAMESPACE);
            let extra = Value::from([("name", name)]);
            self.add("common/namespace.yaml.j2", step, Half::Admin, deep, &common("namespace", name), extra);
        }
    }

    /// Step 04: the namespace of the stacks, rights, volume, preprocess scripts and downloads.
    fn model_namespace(&mut self, plan: &Plan) {
        let s = self.resolved.settings.clone();
        let release = s.release.0.as_str();
        self.namespace(&s.namespace.0, 4);
        let of_harness = !plan.harness_apart && Some(&s.service_account) == s.harness.service_account.as_ref();
        if s.service_account.0 != "default" && !of_harness {
            let extra = Value::from([("name", s.service_account.0.as_str()), ("namespace", s.namespace.0.as_str())]);
            self.add(
                "common/service-account.yaml.j2",
                4,
                Half::Namespace,
                Removal::Always,
                &shared("model-server"),
                extra,
            );
        }
        if s.platform == Platform::OpenShift {
            let extra = |account: &str| {
                Value::from([
                    ("name", Value::from(format!("{release}-scc"))),
                    ("namespace", Value::from(s.namespace.0.as_str())),
                    ("account", Value::from(account)),
                ])
            };
            let account = s.service_account.0.as_str();
            let server = shared("model-server");
            self.add("openshift/scc-role.yaml.j2", 4, Half::Admin, Removal::Always, &server, extra(account));
            self.add("openshift/scc-role-binding.yaml.j2", 4, Half::Admin, Removal::Always, &server, extra(account));
            self.privileges_of_charts(plan);
        }
        if let Some(name) = &s.storage.extra.claim_name {
            let claim = Value::from([
                ("name", name.0.as_str()),
                ("namespace", s.namespace.0.as_str()),
                ("size", s.storage.extra.size.0.as_str()),
            ]);
            let who = common("extra-storage", &name.0);
            self.add("common/claim.yaml.j2", 4, Half::Namespace, Removal::Deep(KEEP_DATA), &who, claim);
        }
        if plan.servers().any(|server| server.mounts_scripts()) {
            // Scenarios mount the scripts by the name that the original's ConfigMap had.
            let shared = Removal::Deep(KEEP_SCRIPTS);
            self.preprocess_scripts(SCRIPTS, shared, &common("preprocess", SCRIPTS));
        }
        let Some(download_image) = &plan.download_image else { return };
        let claim = Value::from([
            ("name", s.storage.model.claim_name.0.as_str()),
            ("namespace", s.namespace.0.as_str()),
            ("size", s.storage.model.size.0.as_str()),
        ]);
        self.add(
            "common/claim.yaml.j2",
            4,
            Half::Namespace,
            Removal::Deep(KEEP_DATA),
            &common("model-storage", &s.storage.model.claim_name.0),
            claim,
        );
        if !plan.stacks.is_empty() {
            self.preprocess_scripts(&preprocess_name(release), Removal::Always, &shared("model-server"));
        }
        let script = match engine::file("standalone/download.py") {
            Ok(text) => text,
            Err(d) => return self.errors.push(d),
        };
        for download in &plan.downloads {
            let extra = Value::from([
                ("model", Value::from(download.model.as_str())),
                ("dir", Value::from(download.dir.as_str())),
                ("image", Value::from(download_image.as_str())),
                ("script", Value::from(script)),
            ]);
            let identity = Identity { component: "model-download", owner: Owner::Stack(&download.label) };
            self.add("standalone/download-job.yaml.j2", 4, Half::Namespace, Removal::Always, &identity, extra);
            if let Some(job) = self.objects.last_mut() {
                // A Job cannot be changed: another one takes its place, and finds the model there.
                let spec = job.value.get("spec").map_or_else(String::new, Value::to_yaml);
                let name = names::fit(&format!("{release}-download-{}", download.label), 54);
                let name = format!("{name}-{}", &names::hash(&spec)[..6]);
                job.value
                    .map_mut()
                    .entry("metadata".into())
                    .or_insert(Value::Null)
                    .map_mut()
                    .insert("name".into(), name.into());
            }
        }
    }

    /// Step 04, on OpenShift: the rights of pods that run under the account of their chart, where they need them.
    fn privileges_of_charts(&mut self, plan: &Plan) {
        let namespace = self.resolved.settings.namespace.0.clone();
        for stack in plan.llmd.iter().flat_map(|l| &l.stacks) {
            if !stack.roles.iter().any(|(_, r)| r.replicas > 0 && r.server.is_privileged()) {
                continue;
            }
            let extra = Value::from([
                ("name", Value::from(format!("{}-scc", stack.name))),
                ("namespace", Value::from(namespace.as_str())),
                ("account", Value::from(stack.name.as_str())),
            ]);
            let who = Identity { component: "model-server", owner: Owner::Stack(&stack.label) };
            self.add("openshift/scc-role.yaml.j2", 4, Half::Admin, Removal::Always, &who, extra.clone());
            self.add("openshift/scc-role-binding.yaml.j2", 4, Half::Admin, Removal::Always, &who, extra);
        }
    }

    /// A ConfigMap with the preprocess scripts.
    fn preprocess_scripts(&mut self, name: &str, removal: Removal, who: &Identity<'_>) {
        match preprocess_files() {
            Ok(files) => {
                let extra = Value::from([("name", Value::from(name)), ("files", files)]);
                self.add("standalone/preprocess.yaml.j2", 4, Half::Namespace, removal, who, extra);
            }
            Err(d) => self.errors.push(d),
        }
    }

    /// Step 05: the namespace of the load generator, its rights, its results and the way to them.
    fn harness_namespace(&mut self, plan: &Plan) {
        let s = self.resolved.settings.clone();
        let release = s.release.0.as_str();
        let harness = s.harness.name.word();
        let namespace = s.harness.namespace.clone().unwrap_or_else(|| s.namespace.clone()).0;
        let account = s.harness.service_account.clone().map(|a| a.0).unwrap_or_default();
        let who = shared("harness");
        if plan.harness_apart {
            self.namespace(&namespace, 5);
        }
        let extra = |name: &str| {
            Value::from([
                ("name", Value::from(name)),
                ("namespace", Value::from(namespace.as_str())),
                ("account", Value::from(account.as_str())),
                ("account_namespace", Value::from(namespace.as_str())),
            ])
        };
        if account != "default" {
            self.add("common/service-account.yaml.j2", 5, Half::Namespace, Removal::Always, &who, extra(&account));
        }
        let role = names::fit(&format!("{release}-{harness}-job-creator"), 63);
        self.add("harness/role.yaml.j2", 5, Half::Namespace, Removal::Always, &who, extra(&role));
        self.add("harness/role-binding.yaml.j2", 5, Half::Namespace, Removal::Always, &who, extra(&role));
        if s.platform == Platform::OpenShift {
            let name = names::fit(&format!("{release}-{harness}-restricted-scc"), 63);
            self.add("openshift/restricted-scc-binding.yaml.j2", 5, Half::Admin, Removal::Always, &who, extra(&name));
            let name = names::fit(&format!("{release}-{harness}-scc"), 63);
            self.add("openshift/scc-role.yaml.j2", 5, Half::Admin, Removal::Always, &who, extra(&name));
            self.add("openshift/scc-role-binding.yaml.j2", 5, Half::Admin, Removal::Always, &who, extra(&name));
        }
        let claim = Value::from([
            ("name", s.harness.claim_name.0.as_str()),
            ("namespace", namespace.as_str()),
            ("size", s.harness.size.0.as_str()),
        ]);
        let results = common("results", &s.harness.claim_name.0);
        self.add("common/claim.yaml.j2", 5, Half::Namespace, Removal::Deep(KEEP_DATA), &results, claim);
        let name = names::data_access(release);
        let access = shared("data-access");
        let pod = Value::from([
            ("selector", selector(&self.labels(&access))),
            ("name", Value::from(name.as_str())),
            ("namespace", Value::from(namespace.as_str())),
            ("account", Value::from(account.as_str())),
            ("image", Value::from(plan.benchmark_image.as_str())),
            ("with_models", Value::Bool(!plan.harness_apart && plan.download_image.is_some())),
        ]);
        let mut service = extra(&name);
        service.map_mut().insert("selector".into(), selector(&self.labels(&access)));
        self.add("harness/data-access-deployment.yaml.j2", 5, Half::Namespace, Removal::Always, &access, pod);
        self.add("harness/data-access-service.yaml.j2", 5, Half::Namespace, Removal::Always, &access, service);
    }

    /// Step 05: what the load generator may see of the model servers, where it looks at them.
    fn server_reader(&mut self, access: Access) {
        if matches!(access, Access::None | Access::Own) {
            return;
        }
        let s = self.resolved.settings.clone();
        let name = names::fit(&format!("{}-{}-server-reader", s.release, s.harness.name.word()), 63);
        let home = s.harness.namespace.as_ref().unwrap_or(&s.namespace).0.as_str();
        let account = s.harness.service_account.as_ref().map_or("default", |a| a.0.as_str());
        let extra = Value::from([
            ("name", Value::from(name)),
            ("namespace", Value::from(s.namespace.0.as_str())),
            ("account", Value::from(account)),
            ("account_namespace", Value::from(home)),
            ("exec", Value::Bool(access == Access::Exec)),
        ]);
        let who = shared("harness");
        self.add("harness/server-reader.yaml.j2", 5, Half::Namespace, Removal::Always, &who, extra.clone());
        self.add("harness/role-binding.yaml.j2", 5, Half::Namespace, Removal::Always, &who, extra);
    }

    /// One run: its profile, and the Job that generates the load.
    fn run(&mut self, target: &Target, runs: &Runs, plan: &Plan) {
        let s = self.resolved.settings.clone();
        let identity = Identity { component: "load-generator", owner: Owner::Stack(&target.label) };
        let mut pod_labels = self.labels(&identity);
        if !s.harness.pod_label.0.is_empty() {
            pod_labels.insert("app".into(), s.harness.pod_label.0.as_str().into());
        }
        let resources = Value::from([("cpu", s.harness.cpu.0.as_str()), ("memory", s.harness.memory.0.as_str())]);
        let view = Value::from([
            ("name", Value::from(target.name.as_str())),
            ("profile", Value::from(target.profile.as_str())),
            ("executable", Value::from(target.executable.as_str())),
            ("env", Value::List(target.env.clone())),
        ]);
        let namespace = s.harness.namespace.as_ref().unwrap_or(&s.namespace).0.as_str();
        let extra = Value::from([
            ("target", view),
            ("namespace", Value::from(namespace)),
            ("profile_file", Value::from(runs.profile_file.as_str())),
            ("pod_labels", Value::Map(pod_labels)),
            ("annotations", Value::from([(RUN_ANNOTATION, BY_HAND)])),
            ("account", Value::from(s.harness.service_account.as_ref().map_or("default", |a| a.0.as_str()))),
            ("token", Value::Bool(runs.access != Access::None)),
            ("image", Value::from(plan.benchmark_image.as_str())),
            ("resources", resources),
        ]);
        self.add("run/profile.yaml.j2", 11, Half::Run, Removal::Always, &identity, extra.clone());
        self.add("run/job.yaml.j2", 11, Half::Run, Removal::Always, &identity, extra);
    }

    /// Step 06: one standalone server.
    fn standalone(&mut self, stack: &Stack) {
        let s = self.resolved.settings.clone();
        let identity = Identity { component: "model-server", owner: Owner::Stack(&stack.label) };
        let strings = |list: &[String]| Value::from(list.to_vec());
        let view = Value::from([
            ("name", Value::from(stack.name.as_str())),
            ("image", Value::from(stack.server.image.as_str())),
            ("command", strings(&stack.server.command)),
            ("args", strings(&stack.server.args)),
            ("env", Value::List(stack.server.env.clone())),
            ("port", Value::from(stack.server.port)),
            ("launcher", stack.launcher.as_ref().map_or(Value::Null, launcher)),
            ("mounts", mounts(&s, stack)),
            ("volumes", volumes(&s, stack)),
            ("annotations", Value::Map(stack.server.annotations.clone())),
            ("model", Value::from(stack.model.name.as_str())),
            ("model_dir", Value::from(stack.model_dir.as_str())),
            ("models_dir", Value::from(format!("{}/models", s.storage.model.mount_path.0.trim_end_matches('/')))),
            ("resources", Value::Map(stack.server.resources.clone())),
            ("probes", Value::Map(stack.server.probes.clone())),
            ("deadline", Value::from(s.storage.model.download_timeout.0.saturating_add(s.timeouts.ready.0))),
            ("selector", selector(&self.labels(&identity))),
            ("preprocess", Value::from(preprocess_name(&s.release.0))),
            ("hostnames", stack.hostname.as_ref().map_or(Value::Null, |h| Value::from(vec![h.as_str()]))),
        ]);
        let extra = Value::from([("stack", view)]);
        self.add("standalone/deployment.yaml.j2", 6, Half::Namespace, Removal::Always, &identity, extra.clone());
        if let Some(deployment) = self.objects.last_mut() {
            add_parts(&mut deployment.value, &stack.server.parts);
        }
        self.add("standalone/service.yaml.j2", 6, Half::Namespace, Removal::Always, &identity, extra.clone());
        if s.standalone.http_route.enabled.0 {
            self.add("standalone/http-route.yaml.j2", 6, Half::Namespace, Removal::Always, &identity, extra.clone());
        }
        if s.monitoring.pod_monitor.0 {
            let template = "standalone/pod-monitor.yaml.j2";
            self.add(template, 6, Half::Namespace, Removal::Always, &identity, extra.clone());
        }
        if s.platform == Platform::OpenShift && s.standalone.route.0 {
            self.add("openshift/route.yaml.j2", 6, Half::Namespace, Removal::Always, &identity, extra);
        }
    }
}

impl Renderer<'_> {
    /// Step 09: what the charts of the llm-d method do not make, or not in every version.
    fn llmd(&mut self, llmd: &Llmd) {
        let s = self.resolved.settings.clone();
        let only = llmd.stacks.len() == 1;
        let pool = llmd.charts.pool.0;
        for stack in &llmd.stacks {
            let identity = Identity { component: "model-route", owner: Owner::Stack(&stack.label) };
            let mut backend = vec![
                ("group", Value::from(llmd.pool_group())),
                ("kind", Value::from("InferencePool")),
                ("name", Value::from(stack.pool.as_str())),
            ];
            if llmd.experimental_pool {
                backend.push(("port", Value::from(stack.pool_port)));
            }
            backend.push(("weight", Value::from(1_u32)));
            let backend = Value::Map(backend.into_iter().map(|(k, v)| (k.to_owned(), v)).collect());
            let view = Value::from([
                ("name", stack.name.as_str()),
                ("path", &stack.model.served_name().to_lowercase()),
                ("served_name", stack.model.served_name()),
                ("pool", stack.pool.as_str()),
            ]);
            let objective_group =
                if matches!(pool, PoolChart::Router) { "llm-d.ai" } else { "inference.networking.x-k8s.io" };
            let extra = Value::from([
                ("stack", view),
                ("gateway", Value::from(llmd.gateway.as_str())),
                ("backends", Value::List(vec![backend])),
                ("only", Value::Bool(only)),
                ("group", Value::from(objective_group)),
                ("pool_group", Value::from(llmd.pool_group())),
            ]);
            if s.modelservice.http_route.is_some_and(|h| h.0) {
                self.add(
                    "modelservice/http-route.yaml.j2",
                    9,
                    Half::Namespace,
                    Removal::Always,
                    &identity,
                    extra.clone(),
                );
            }
            if s.modelservice.inference_model.0 {
                let old = matches!(pool, PoolChart::Gaie(p) if p.has_one_port());
                let kind = if old { "inference-model" } else { "inference-objective" };
                let template = format!("modelservice/{kind}.yaml.j2");
                self.add(&template, 9, Half::Namespace, Removal::Always, &identity, extra);
            }
            if let Some(spec) = &stack.picker.traffic.whole {
                let extra = Value::from([
                    ("name", Value::from(format!("{}-epp", stack.pool))),
                    ("spec", Value::Map(spec.clone())),
                ]);
                let template = "modelservice/destination-rule.yaml.j2";
                self.add(template, 9, Half::Namespace, Removal::Always, &identity, extra);
            }
            if let (Some(port), false) = (stack.kv_events_port, pool.opens_events()) {
                // This chart gives the picker's Service no further port: a second Service leads there.
                let extra = Value::from([
                    ("name", Value::from(stack.events_service.as_str())),
                    ("namespace", Value::from(s.namespace.0.as_str())),
                    ("pool", Value::from(stack.pool.as_str())),
                    ("port", Value::from(port)),
                ]);
                self.add(
                    "modelservice/kv-events-service.yaml.j2",
                    9,
                    Half::Namespace,
                    Removal::Always,
                    &identity,
                    extra,
                );
            }
        }
        let service = gateway_service(&llmd.gateway, &s.gateway.class_name.0);
        if let (Platform::OpenShift, true, Some(service)) = (s.platform, s.modelservice.route.0, service) {
            let extra = Value::from([
                ("name", Value::from(format!("{}-inference-gateway-route", s.release))),
                ("service", Value::from(service)),
            ]);
            let who = shared("model-route");
            self.add("modelservice/route.yaml.j2", 9, Half::Namespace, Removal::Always, &who, extra);
        }
    }
}

/// What templates print of a launcher.
fn launcher(server: &Server) -> Value {
    Value::from([
        ("command", Value::from(server.command.clone())),
        ("args", Value::from(server.args.clone())),
        ("probes", Value::Map(server.probes.clone())),
    ])
}

/// Mounts of a standalone server: those of the tool where the scenario mounts nothing, and those of the scenario.
fn mounts(s: &Settings, stack: &Stack) -> Value {
    let theirs = &stack.server.parts.mounts;
    let ours = [
        ("models", s.storage.model.mount_path.0.as_str()),
        ("shm", "/dev/shm"),
        (PREPROCESS_VOLUME, "/setup/preprocess"),
    ];
    let taken = |path: &str| stack.server.mounts_at(path);
    let ours = ours
        .into_iter()
        .filter(|(_, path)| !taken(path))
        .map(|(name, path)| Value::from([("name", Value::from(name)), ("mountPath", Value::from(path))]));
    Value::List(ours.chain(theirs.iter().cloned()).collect())
}

/// The volume with the preprocess scripts.
const PREPROCESS_VOLUME: &str = "preprocess";

/// Volumes of a standalone server: those of the tool that no volume of the scenario takes the place of, and those.
fn volumes(s: &Settings, stack: &Stack) -> Value {
    let theirs = &stack.server.parts.volumes;
    let mounted = |name: &str, path: &str| stack.server.mounts_at(path) && !stack.server.mounts_volume(name);
    let size = s.standalone.shared_memory.as_ref().map_or(Value::Null, |q| Value::from(q.0.as_str()));
    let memory = Value::from([("medium", Value::from("Memory")), ("sizeLimit", size)]);
    let claim = Value::from([("claimName", Value::from(s.storage.model.claim_name.0.as_str()))]);
    let scripts = Value::from([
        ("name", Value::from(preprocess_name(&s.release.0))),
        // Everybody may read and run them.
        ("defaultMode", Value::from(0o555u32)),
    ]);
    let ours = [
        ("models", "persistentVolumeClaim", claim, false),
        ("shm", "emptyDir", memory, mounted("shm", "/dev/shm")),
        (PREPROCESS_VOLUME, "configMap", scripts, mounted(PREPROCESS_VOLUME, "/setup/preprocess")),
    ];
    let named = |name: &str| theirs.iter().any(|v| v.get("name").and_then(Value::as_str) == Some(name));
    let ours = ours
        .into_iter()
        .filter(|(name, .., taken)| !taken && !named(name))
        .map(|(name, kind, source, _)| Value::from([("name", Value::from(name)), (kind, source)]));
    Value::List(ours.chain(theirs.iter().cloned()).collect())
}

/// Adds to a Deployment what the scenario writes itself of its pod and of its server's container.
fn add_parts(deployment: &mut Value, parts: &Parts) {
    let pod = ["spec", "template", "spec"]
        .iter()
        .fold(deployment, |value, key| value.map_mut().entry((*key).to_owned()).or_insert(Value::Null));
    let pod = pod.map_mut();
    pod.extend(parts.pod.iter().map(|(k, v)| (k.clone(), v.clone())));
    if let Some(Value::List(init)) = pod.get_mut("initContainers") {
        init.extend(parts.init_containers.iter().cloned());
    }
    if let Some(Value::List(containers)) = pod.get_mut("containers")
        && let Some(server) = containers.first_mut()
    {
        for (key, value) in &parts.container {
            add_field(server.map_mut(), key, value);
        }
    }
}

/// Adds a field of the scenario's own to a container; ports come beside the server's own.
fn add_field(container: &mut Map, key: &str, value: &Value) {
    match (container.get_mut(key), value) {
        (Some(Value::List(ours)), Value::List(theirs)) if key == "ports" => {
            let number = |p: &Value| p.get("containerPort").cloned();
            for port in theirs {
                if !ours.iter().any(|o| number(o) == number(port)) {
                    ours.push(port.clone());
                }
            }
        }
        _ => {
            container.insert(key.to_owned(), value.clone());
        }
    }
}

/// Name of the ConfigMap with the preprocess scripts.
fn preprocess_name(release: &str) -> String {
    names::fit(&format!("{release}-preprocess"), 63)
}

/// The preprocess scripts by file name.
fn preprocess_files() -> Result<Value, Diagnostic> {
    let mut files = Map::new();
    for name in ["set_llmdbench_environment.py", "standalone-preprocess.py", "standalone-preprocess.sh"] {
        files.insert(name.to_owned(), Value::from(engine::file(&format!("preprocess/{name}"))?));
    }
    Ok(Value::Map(files))
}

/// The labels that a selector goes by.
fn selector(labels: &Map) -> Value {
    let keys = ["app.kubernetes.io/part-of", "app.kubernetes.io/instance", "app.kubernetes.io/component"];
    Value::Map(keys.iter().filter_map(|k| Some(((*k).to_owned(), labels.get(*k)?.clone()))).collect())
}

/// The keys of an object in the usual order.
fn ordered(mut value: Value) -> Value {
    let map = value.map_mut();
    if let Some(Value::Map(metadata)) = map.get_mut("metadata") {
        let first = ["name", "namespace", "labels", "annotations"];
        metadata.sort_by_key(|k, _| first.iter().position(|f| f == k).unwrap_or(first.len()));
    }
    value
}
