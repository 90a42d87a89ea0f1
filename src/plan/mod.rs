//! The plan: which stacks a bundle holds, what they are called, what their containers run.
//!
//! Everything that a template prints is decided here, so that templates hold text and no decisions.

pub mod llmd;
pub mod names;
mod overrides;
pub mod picker;
pub mod prerequisites;
pub mod profiles;
pub mod run;
pub mod script;
pub mod server;

use crate::charts::catalogue;
use crate::error::{Diagnostic, Errors, Problem};
use crate::settings::resolve::Resolved;
use crate::settings::sections::{Image, Role, Settings, reference_text};
use crate::settings::template::{Command, EnvSource, EnvVar, MODEL_NAMES, Referent, Scope, Script, Template};
use crate::settings::types::{Harness, LabelSelector, Method, Model, Platform, UriProtocol};
use crate::tree::{Map, Value};
use server::{Demand, Environment, RoleScope, Server, probes};

/// Everything that the bundle holds, before it is text.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Standalone stacks, one a model.
    pub stacks: Vec<Stack>,
    /// The llm-d method, where it is asked for.
    pub llmd: Option<llmd::Llmd>,
    /// Models to download, each once.
    pub downloads: Vec<Download>,
    /// Image that downloads models into the volume, where one is used.
    pub download_image: Option<String>,
    /// Image of the data-access Pod and of the load generator.
    pub benchmark_image: String,
    /// Image of the job that fmperf starts by itself, where that runs.
    pub evaluation_image: Option<String>,
    /// Whether the load generator lives in another namespace than the stacks.
    pub harness_apart: bool,
    /// What the user should know.
    pub notes: Vec<Diagnostic>,
}

impl Plan {
    /// All model servers that have pods.
    pub fn servers(&self) -> impl Iterator<Item = &Server> {
        let roles = self.llmd.iter().flat_map(|l| &l.stacks).flat_map(|s| &s.roles);
        let roles = roles.filter(|(_, r)| r.replicas > 0).map(|(_, r)| &r.server);
        self.stacks.iter().map(|s| &s.server).chain(roles)
    }
}

/// One model by one method.
#[derive(Debug, Clone)]
pub struct Stack {
    /// The model.
    pub model: Model,
    /// The method.
    pub method: Method,
    /// Short name of the model, unique in the bundle.
    pub label: String,
    /// Name of the objects of the stack.
    pub name: String,
    /// The server.
    pub server: Server,
    /// Its launcher, where there is one.
    pub launcher: Option<Server>,
    /// Folder of the model in the volume.
    pub model_dir: String,
    /// Host name of the stack's HTTPRoute.
    pub hostname: Option<String>,
}

/// A model to download.
#[derive(Debug, Clone)]
pub struct Download {
    /// The model.
    pub model: String,
    /// Short name of the model.
    pub label: String,
    /// Folder in the volume.
    pub dir: String,
}

/// Folder of the models in the volume; the server works in it, so that a model's name is the path of its files.
const MODELS_DIR: &str = "models";

/// References of one stack.
struct StackScope<'a> {
    flat: &'a Map,
    names: [(&'static str, String); 4],
    scripts: Vec<(&'static str, Template)>,
}

impl<'a> StackScope<'a> {
    fn new(flat: &'a Map, settings: &Settings, model: &Model, label: &str) -> Self {
        let s = settings;
        let nothing = Script(Template::word("true"));
        let scripts = [
            ("vllm.preprocess", &s.vllm.preprocess),
            ("standalone.preprocess", &s.standalone.preprocess),
            ("decode.preprocess", s.decode.preprocess.as_ref().unwrap_or(&nothing)),
            ("prefill.preprocess", s.prefill.preprocess.as_ref().unwrap_or(&nothing)),
        ];
        let script = |s: &Script| if s.does_nothing() { nothing.0.clone() } else { s.0.clone() };
        Self {
            flat,
            names: [
                ("model.name", model.name.clone()),
                ("model.id", model.served_name().to_lowercase()),
                ("model.label", label.to_owned()),
                ("model.servedName", model.served_name().to_owned()),
            ],
            scripts: scripts.map(|(path, s)| (path, script(s))).to_vec(),
        }
    }
}

impl Scope for StackScope<'_> {
    fn resolve(&self, path: &str) -> Option<Referent> {
        if let Some((_, text)) = self.names.iter().find(|(n, _)| *n == path) {
            return Some(Referent::Data(text.clone()));
        }
        if let Some((_, script)) = self.scripts.iter().find(|(p, _)| *p == path) {
            return Some(Referent::Script(script.clone()));
        }
        self.flat.get(path).map(|v| Referent::Data(reference_text(v)))
    }
    fn paths(&self) -> Vec<String> {
        self.flat.keys().cloned().chain(MODEL_NAMES.iter().map(|(n, _)| (*n).to_owned())).collect()
    }
}

/// Plans a bundle.
///
/// # Errors
/// Methods that this version does not render, images without a version, references without a value, arguments that
/// contradict the settings.
pub fn plan(resolved: &Resolved) -> Result<Plan, Errors> {
    let s = &resolved.settings;
    let mut p = Planner { resolved, flat: resolved.flat(), errors: Errors::default(), notes: Vec::new() };
    if s.harness.claim_name == s.storage.model.claim_name && s.harness.namespace.as_ref() == Some(&s.namespace) {
        let message = format!("results and models would share the claim `{}`", s.harness.claim_name);
        let d = Diagnostic::error(Problem::Conflict { message }, resolved.span("harness.claimName"));
        p.errors.push(d.with_hint("give `harness.claimName` and `storage.model.claimName` two names"));
    }
    p.use_words();
    p.report_exported();
    p.report_unreferenced();
    p.report_by_reference();
    p.report_unused();
    let benchmark_image = p.image(&s.images.benchmark, "images.benchmark");
    p.flat.insert("images.benchmark".into(), benchmark_image.as_str().into());
    let evaluation_image =
        (s.harness.name == Harness::Fmperf).then(|| p.image(&s.images.evaluation, "images.evaluation"));
    let standalone = p.standalone_too();
    let from_volume = standalone || s.modelservice.uri_protocol == UriProtocol::Pvc;
    let image = if standalone { p.image(&s.standalone.image, "standalone.image") } else { String::new() };
    let download_image = from_volume.then(|| p.image(&s.storage.model.download_image, "storage.model.downloadImage"));
    let mut stacks = Vec::new();
    let mut downloads: Vec<Download> = Vec::new();
    for model in &s.models.0 {
        let dir = format!("{}/{MODELS_DIR}/{}", s.storage.model.mount_path.0.trim_end_matches('/'), model.name);
        if from_volume && !downloads.iter().any(|d| d.model == model.name) {
            downloads.push(Download {
                model: model.name.clone(),
                label: names::label(&model.name),
                dir: format!("{MODELS_DIR}/{}", model.name),
            });
        }
        if standalone {
            stacks.extend(p.stack(model, &image, dir));
        }
    }
    let llmd = if s.methods.0.contains(&Method::Modelservice) { p.llmd() } else { None };
    let route_domain = s.cluster.url.as_ref().and_then(|u| names::apps_domain(&u.0));
    p.hostnames(&mut stacks, route_domain.as_deref());
    p.errors.into_result()?;
    Ok(Plan {
        stacks,
        downloads,
        download_image,
        benchmark_image,
        evaluation_image,
        llmd,
        harness_apart: s.harness.namespace.as_ref() != Some(&s.namespace),
        notes: p.notes,
    })
}

struct Planner<'a> {
    resolved: &'a Resolved,
    flat: Map,
    errors: Errors,
    notes: Vec<Diagnostic>,
}

impl Planner<'_> {
    /// Whether a setting is used by what is rendered, and if not, why.
    fn unused_because(&self, path: &str, used_by: crate::settings::Use) -> Option<&'static str> {
        use crate::settings::Use;
        let s = &self.resolved.settings;
        match used_by {
            Use::All | Use::Env | Use::Run | Use::Scripts => None,
            Use::Standalone if self.standalone_too() => None,
            Use::Standalone => Some("it belongs to the method `standalone`"),
            Use::Modelservice if self.llmd_too() => None,
            Use::Modelservice => Some("it belongs to the method `modelservice`"),
            Use::Reference => None,
            Use::Probe | Use::Server => self.unused_because(
                path,
                match path.split('.').next() {
                    Some("pod") => Use::All,
                    Some("standalone") => Use::Standalone,
                    _ => Use::Modelservice,
                },
            ),
            Use::Launcher if s.standalone.launcher.enabled.0 => self.unused_because(path, Use::Standalone),
            Use::Launcher => Some("`standalone.launcher.enabled` is off"),
            Use::Capacity => Some("it is for a check against a cluster, which rendering does not make"),
            Use::HttpRoute if !self.standalone_too() => Some("it belongs to the method `standalone`"),
            Use::HttpRoute if s.standalone.http_route.enabled.0 => None,
            Use::HttpRoute => Some("`standalone.httpRoute.enabled` is off"),
            Use::OpenShift if s.platform == Platform::OpenShift => None,
            Use::OpenShift => Some("the platform is not `openshift`"),
            Use::Sidecar if !self.llmd_too() => Some("it belongs to the method `modelservice`"),
            Use::Sidecar if s.endpoint_picker.sidecar.enabled.0 => None,
            Use::Sidecar => Some("`endpointPicker.sidecar.enabled` is off"),
            Use::Monitor if s.monitoring.pod_monitor.0 => None,
            Use::Monitor => Some("`monitoring.podMonitor` is off"),
            Use::Prerequisite if !self.llmd_too() => Some("it belongs to the method `modelservice`"),
            Use::Prerequisite => llmd::prerequisite_unused(path, s),
            Use::Experiment => Some("it belongs to experiments, which this version does not render"),
            Use::Image => {
                let used = match path {
                    p if p.starts_with("images.evaluation.") => {
                        let fmperf = s.harness.name == Harness::Fmperf;
                        return (!fmperf).then_some("only the load generator fmperf starts a job with it");
                    }
                    p if p.starts_with("images.benchmark.") || p.starts_with("storage.model.downloadImage.") => {
                        Use::All
                    }
                    p if p.starts_with("standalone.") => Use::Standalone,
                    p if p.starts_with("images.tokenizer.") => Use::Sidecar,
                    _ => Use::Modelservice,
                };
                self.unused_because(path, used)
            }
        }
    }

    /// Adds a note that several stacks or roles share once.
    fn note(&mut self, note: Diagnostic) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Adds an error that several stacks or roles share once.
    fn once(&mut self, error: Diagnostic) {
        if !self.errors.0.contains(&error) {
            self.errors.push(error);
        }
    }

    fn standalone_too(&self) -> bool {
        self.resolved.settings.methods.0.contains(&Method::Standalone)
    }

    fn llmd_too(&self) -> bool {
        self.resolved.settings.methods.0.contains(&Method::Modelservice)
    }

    /// Reports what the scenario sets and nothing here uses.
    fn report_unused(&mut self) {
        for field in crate::settings::fields() {
            if !self.resolved.is_set(&field.path) {
                continue;
            }
            if let Some(why) = self.unused_because(&field.path, field.used_by) {
                let setting = self.resolved.origins.get(&field.path).and_then(|o| o.variable).unwrap_or(&field.path);
                let problem = Problem::Unused { setting: setting.to_owned(), used_by: why.to_owned() };
                self.notes.push(Diagnostic::note(problem, self.resolved.span(&field.path)));
            }
        }
    }

    /// Reports settings of the server that its arguments leave out: vLLM does not read them by itself.
    fn report_exported(&mut self) {
        if !self.standalone_too() {
            return;
        }
        let referred = self.resolved.settings.standalone.args.references();
        for (path, name) in EXPORTED {
            let reads_itself = !ARGUMENTS.contains(path);
            let mentioned = mentions(&self.resolved.settings.standalone.args, name);
            if self.resolved.is_set(path) && !referred.contains(path) && !mentioned && !reads_itself {
                let message = format!(
                    "`{path}` is in no argument of the server; it only reaches the pod as the variable `{name}`"
                );
                self.notes.push(Diagnostic::note(Problem::Noted { message }, self.resolved.span(path)));
            }
        }
        if let Command::Words(words) = &self.resolved.settings.standalone.args
            && words.iter().any(|w| w.notation().contains("${") && w.references().next().is_none())
        {
            let message = "no shell reads a list of arguments: `${NAME}` stays as it is, `$(NAME)` is a variable of the container";
            self.notes.push(Diagnostic::note(Problem::Noted { message: message.into() }, self.resolved.span(ARGS)));
        }
    }

    /// Reports settings of the server that the arguments of no role refer to: the chart passes on nothing else.
    fn report_unreferenced(&mut self) {
        let s = &self.resolved.settings;
        if !self.llmd_too() {
            return;
        }
        let roles = [("decode", &s.decode), ("prefill", &s.prefill)];
        let mut unreferenced: Vec<String> = Vec::new();
        for (name, role) in roles {
            let path = format!("{name}.gpuMemoryUtilization");
            let mentioned = self.variables_of(role, "vllm.gpuMemoryUtilization").any(|v| mentions(&role.args, v));
            if self.resolved.is_set(&path) && !role.args.references().contains(&path.as_str()) && !mentioned {
                unreferenced.push(path);
            }
        }
        if !self.standalone_too() {
            for (path, _) in EXPORTED {
                let own = path.strip_prefix("vllm.").unwrap_or(path);
                let referred = roles.iter().any(|(name, role)| {
                    let all = role.args.references();
                    all.contains(path)
                        || all.contains(&format!("{name}.{own}").as_str())
                        || self.variables_of(role, path).any(|v| mentions(&role.args, v))
                });
                if ARGUMENTS.contains(path) && path.starts_with("vllm.") && self.resolved.is_set(path) && !referred {
                    unreferenced.push((*path).to_owned());
                }
            }
        }
        for path in unreferenced {
            let message = format!("no argument of decode or prefill refers to `{path}`; it does not reach vLLM");
            self.notes.push(Diagnostic::note(Problem::Noted { message }, self.resolved.span(&path)));
        }
    }

    /// The variables of a role's container that hold a setting.
    fn variables_of<'s>(&'s self, role: &'s Role, path: &'s str) -> impl Iterator<Item = &'s str> {
        let vllm = &self.resolved.settings.vllm;
        let holds = move |v: &&EnvVar| match &v.source {
            EnvSource::Value(template) => template.references().any(|r| r == path),
            EnvSource::From(_) => false,
        };
        [&vllm.standard_env, &vllm.env, &role.env].into_iter().flat_map(|l| &l.0).filter(holds).map(|v| v.name.as_str())
    }

    /// Reports settings that only texts of the scenario could use, where none refers to them.
    fn report_by_reference(&mut self) {
        use crate::settings::Use;
        let s = &self.resolved.settings;
        let lists = [&s.vllm.standard_env, &s.vllm.env, &s.standalone.env, &s.decode.env, &s.prefill.env];
        let in_env = lists.into_iter().flat_map(|l| &l.0).filter_map(|v| match &v.source {
            EnvSource::Value(template) => Some(template),
            EnvSource::From(_) => None,
        });
        let scripts = [
            Some(&s.vllm.preprocess),
            Some(&s.standalone.preprocess),
            s.decode.preprocess.as_ref(),
            s.prefill.preprocess.as_ref(),
        ];
        let extras = [&s.pod.extra, &s.modelservice.extra, &s.standalone.extra, &s.decode.extra, &s.prefill.extra];
        let commands = [&s.standalone.args, &s.standalone.launcher.args, &s.decode.args, &s.prefill.args];
        let mut used: std::collections::HashSet<&str> = in_env.flat_map(Template::references).collect();
        used.extend(scripts.into_iter().flatten().flat_map(|s| s.0.references()));
        used.extend(extras.into_iter().flat_map(|e| e.references()));
        used.extend(commands.into_iter().flat_map(Command::references));
        for field in crate::settings::fields() {
            let path = field.path.as_str();
            let by_reference = match field.used_by {
                Use::Reference => true,
                Use::Env => !self.standalone_too(),
                _ => false,
            };
            if by_reference && self.resolved.is_set(path) && !used.contains(path) {
                let message = format!("no text of the scenario refers to `{path}`; it has no effect");
                self.notes.push(Diagnostic::note(Problem::Noted { message }, self.resolved.span(path)));
            }
        }
    }

    /// Reports words such as `auto` that something else stands for.
    fn use_words(&mut self) {
        for (path, word, meaning) in &self.resolved.words {
            let Some(index) = crate::settings::field_index(path) else { continue };
            let field = &crate::settings::fields()[index];
            // Images and charts say which version they use themselves.
            if meaning.is_empty()
                || field.used_by == crate::settings::Use::Image
                || path.starts_with("charts.")
                || self.unused_because(path, field.used_by).is_some()
            {
                continue;
            }
            let problem = Problem::Fallback { setting: path.clone(), word: word.clone(), used: (*meaning).to_owned() };
            self.notes.push(Diagnostic::note(problem, None));
        }
    }

    /// The reference of an image, pinned.
    fn image(&mut self, image: &Image, path: &str) -> String {
        let parts = [Some(&image.registry.0), image.repository.as_ref().map(|r| &r.0), Some(&image.name.0)];
        let name = parts.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join("/");
        let tag_path = format!("{path}.tag");
        let floating = match &image.tag {
            Some(tag) => match tag.0.split_once('@') {
                // The digest says which image it is; a tag that floats beside it says nothing.
                Some((t, digest)) if t.is_empty() || catalogue::is_floating(t) => return format!("{name}@{digest}"),
                Some(_) => return format!("{name}:{tag}"),
                None if !catalogue::is_floating(&tag.0) => return format!("{name}:{tag}"),
                None => tag.0.clone(),
            },
            None => self
                .resolved
                .words
                .iter()
                .find(|(p, ..)| *p == tag_path)
                .map_or_else(|| "auto".to_owned(), |(_, word, _)| word.clone()),
        };
        let pinned = catalogue::image_tag(&name, &self.resolved.settings.edition.0)
            .filter(|_| matches!(floating.as_str(), "auto" | "latest"));
        match pinned {
            Some(tag) => {
                let problem = Problem::Fallback {
                    setting: tag_path,
                    word: floating,
                    used: format!("the version catalogue has `{name}:{tag}`"),
                };
                self.note(Diagnostic::note(problem, None));
                format!("{name}:{tag}")
            }
            None => {
                let problem = Problem::FloatingVersion { what: format!("image `{name}`"), found: floating };
                let d = Diagnostic::error(problem, self.resolved.span(&tag_path));
                self.errors.push(d.with_hint(format!("set `{tag_path}` to a version")));
                String::new()
            }
        }
    }

    fn stack(&mut self, model: &Model, image: &str, model_dir: String) -> Option<Stack> {
        let s = &self.resolved.settings;
        let label = names::label(&model.alias.as_ref().map_or(model.name.clone(), |a| format!("{}:{a}", model.name)));
        let flat = std::mem::take(&mut self.flat);
        let scope = StackScope::new(&flat, s, model, &label);
        let mut notes = Vec::new();
        let result = self.server(model, image, &scope, &mut notes);
        drop(scope);
        self.flat = flat;
        notes.into_iter().for_each(|n| self.note(n));
        match result {
            Ok((server, launcher)) => Some(Stack {
                model: model.clone(),
                method: Method::Standalone,
                name: names::fit(&format!("{}-{label}", s.release), 52),
                label,
                server,
                launcher,
                model_dir,
                hostname: None,
            }),
            Err(d) => {
                self.once(d);
                None
            }
        }
    }

    /// The standalone server and its launcher.
    fn server(
        &self,
        model: &Model,
        image: &str,
        scope: &StackScope<'_>,
        notes: &mut Vec<Diagnostic>,
    ) -> Result<(Server, Option<Server>), Diagnostic> {
        let s = &self.resolved.settings;
        let known = self.env_names("standalone");
        let env = self.server_env(model, scope, &known)?;
        let (command, args) = self.server_command(model, image, scope, &env)?;
        let is_vllm = starts_vllm(command.iter().chain(&args));
        let args = self.with_sleep_mode(args, is_vllm);
        let parts = self.parts("standalone", scope, notes)?;
        let resources = Demand {
            cpu: Some(&s.resources.cpu),
            memory: Some(&s.resources.memory),
            scratch: (&s.resources.ephemeral_storage_resource.0, s.standalone.ephemeral_storage.as_ref()),
            accelerator: (s.accelerator.resource.as_ref(), s.accelerator.count),
            network: (s.network.resource.as_ref(), s.network.count),
        };
        let server = Server {
            image: image.to_owned(),
            command,
            args,
            env,
            port: self.standalone_port(),
            resources: resources.resources(),
            probes: probes(&s.standalone.probes, &Value::from("http")),
            annotations: self.annotations(None),
            parts,
        };
        let launcher = if s.standalone.launcher.enabled.0 { Some(self.launcher(&server, scope)?) } else { None };
        Ok((server, launcher))
    }

    /// The port of the standalone server.
    fn standalone_port(&self) -> u16 {
        let s = &self.resolved.settings;
        s.standalone.port.map_or(s.vllm.port.0, |p| p.0)
    }

    /// The environment of the server: what the tool sets, with what the scenario sets in its place and after it.
    fn server_env(&self, model: &Model, scope: &dyn Scope, known: &script::Env) -> Result<Vec<Value>, Diagnostic> {
        let s = &self.resolved.settings;
        let literal = |text: &str| script::kubelet_literal(text, known);
        let fail = |path: &'static str| move |p: Problem| Diagnostic::error(p, self.resolved.span(path));
        let mut env = Environment::default();
        let secret = |name: &str, key: &str| {
            let reference = [("name", Value::from(name)), ("key", Value::from(key)), ("optional", Value::Bool(true))];
            Value::from([("secretKeyRef", Value::from(reference))])
        };
        let v = &s.vllm;
        env.set("LLMDBENCH_VLLM_STANDALONE_MODEL", &model.name);
        env.set("LLMDBENCH_VLLM_STANDALONE_VLLM_LOAD_FORMAT", v.load_format.word());
        env.set("LLMDBENCH_VLLM_STANDALONE_MODEL_LOADER_EXTRA_CONFIG", &literal(&v.model_loader_extra_config.0));
        let count = s.accelerator.count.map_or(0, |c| c.0);
        env.set("LLMDBENCH_VLLM_COMMON_ACCELERATOR_NR", &count.to_string());
        env.set("VLLM_LOGGING_LEVEL", v.logging_level.word());
        env.set("HF_HOME", &s.storage.model.mount_path.0);
        for name in ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"] {
            env.set_from(name, secret(&s.hugging_face.secret_name.0, &s.hugging_face.secret_key.0));
        }
        let own = RoleScope { stack: scope, role: "standalone" };
        env.extend(&v.standard_env, &own, &literal).map_err(fail("vllm.standardEnv"))?;
        self.peers(&mut env, s.standalone.peer_labels.as_ref());
        // A setting that the arguments leave out still reaches the pod where the scenario sets it.
        let referred = s.standalone.args.references();
        for (path, name) in EXPORTED {
            if self.resolved.is_set(path) && !referred.contains(path) {
                let text = scope.resolve(path).map_or(String::new(), |r| literal(&r.text()));
                env.set(name, &text);
            }
        }
        env.extend(&v.env, scope, &literal).map_err(fail("vllm.env"))?;
        env.extend(&s.standalone.env, scope, &literal).map_err(fail("standalone.env"))?;
        Ok(env.into_entries())
    }

    /// What a preprocess script needs to find the peers of a pod.
    fn peers(&self, env: &mut Environment, labels: Option<&LabelSelector>) {
        if let Some(labels) = labels {
            env.set("LLMDBENCH_POD_LABELS", &labels.0);
            env.set("LLMDBENCH_POD_NS", &self.resolved.settings.namespace.0);
        }
    }

    /// The names of the variables that a server's container can have.
    fn env_names(&self, role: &str) -> script::Env {
        let s = &self.resolved.settings;
        let own = match role {
            "decode" => &s.decode.env,
            "prefill" => &s.prefill.env,
            _ => &s.standalone.env,
        };
        let listed = [&s.vllm.standard_env, &s.vllm.env, own].into_iter().flat_map(|l| &l.0).map(|v| v.name.as_str());
        let exported = EXPORTED.iter().map(|(_, name)| *name);
        TOOL_VARIABLES.iter().copied().chain(exported).chain(listed).map(|n| (n.to_owned(), None)).collect()
    }

    /// The launcher beside a standalone server: the same image, environment and devices, a program of its own.
    fn launcher(&self, server: &Server, scope: &StackScope<'_>) -> Result<Server, Diagnostic> {
        let s = &self.resolved.settings;
        let launcher = &s.standalone.launcher;
        let fail = |p: Problem| Diagnostic::error(p, self.resolved.span("standalone.launcher.args"));
        let known = known_values(&server.env);
        let (command, args) = match &launcher.args {
            Command::Words(words) => {
                let literal = |text: &str| script::kubelet_literal(text, &known);
                let words = words.iter().map(|t| t.expand_with(scope, &literal)).collect::<Result<Vec<_>, _>>();
                let mut words = words.map_err(fail)?;
                let before = scope.scripts.iter().find(|(p, _)| *p == "standalone.preprocess").map(|(_, t)| t);
                match before.filter(|_| !s.standalone.preprocess.does_nothing()) {
                    None if words.is_empty() => {
                        return Err(fail(Problem::EmptyValue { setting: "standalone.launcher.args".into() }));
                    }
                    None => {
                        let args = words.split_off(1);
                        (words, args)
                    }
                    Some(before) => {
                        let before = script::lower(before, scope, &known).map_err(fail)?.script;
                        let line: Vec<String> = words.iter().map(|w| script::quote_with_variables(w, &known)).collect();
                        shell(format!("set -e\n{before}\nexec {}", line.join(" ")))
                    }
                }
            }
            Command::Script(template) => shell(script::lower(template, scope, &known).map_err(fail)?.script),
        };
        let port = Value::from(launcher.port.0);
        let mut probes = probes(&s.standalone.probes, &port);
        // The launcher starts at once; what it starts is probed by whoever asked for it.
        probes.shift_remove("startupProbe");
        Ok(Server { command, args, port: launcher.port.0, probes, ..server.clone() })
    }

    /// `command` and `args` of the server's container.
    fn server_command(
        &self,
        model: &Model,
        image: &str,
        scope: &StackScope<'_>,
        env: &[Value],
    ) -> Result<(Vec<String>, Vec<String>), Diagnostic> {
        let s = &self.resolved.settings;
        let fail = |problem: Problem| Diagnostic::error(problem, self.resolved.span(ARGS));
        let known = known_values(env);
        let before = if s.standalone.preprocess.does_nothing() {
            None
        } else {
            let lowered = script::lower(&s.standalone.preprocess.0, scope, &known);
            Some(lowered.map_err(|p| Diagnostic::error(p, self.resolved.span("standalone.preprocess")))?.script)
        };
        let tag = catalogue::vllm_version(image);
        match &s.standalone.args {
            Command::Words(templates) => {
                let literal = |text: &str| script::kubelet_literal(text, &known);
                let words = templates.iter().map(|t| t.expand_with(scope, &literal)).collect::<Result<Vec<_>, _>>();
                let words: Vec<String> =
                    words.map_err(fail)?.into_iter().map(|w| catalogue::vllm_option(&w, tag)).collect();
                let mut line = Vec::new();
                if words.first().is_none_or(|w| w.starts_with('-')) {
                    line.extend(["vllm", "serve", &model.name].map(str::to_owned));
                    let named = words.iter().any(|w| w == SERVED_NAME || w.starts_with("--served-model-name="));
                    line.extend(words);
                    if let (Some(alias), false) = (&model.alias, named) {
                        line.extend([SERVED_NAME.to_owned(), alias.clone()]);
                    }
                } else {
                    line = words;
                }
                self.check_server(model, &line.iter().cloned().map(Some).collect::<Vec<_>>())?;
                let Some(before) = before else {
                    let args = line.split_off(1);
                    return Ok((line, args));
                };
                let mut text = format!("set -e\n{before}\nexec");
                for word in &line {
                    text.push_str(if word.starts_with("--") { " \\\n  " } else { " " });
                    text.push_str(&script::quote_with_variables(word, &known));
                }
                Ok(shell(text))
            }
            Command::Script(template) => {
                let lowered = script::lower(template, scope, &known).map_err(fail)?;
                if lowered.script.is_empty() {
                    return Err(fail(Problem::EmptyValue { setting: ARGS.into() }));
                }
                self.check_server(model, &lowered.server)?;
                let script = catalogue::vllm_options_in(&lowered.script, tag);
                // A preprocess script that the arguments do not mention runs all the same.
                match before.filter(|_| !template.references().any(|r| r == "standalone.preprocess")) {
                    Some(before) => Ok(shell(format!("{before}\n{script}"))),
                    None => match lowered.words {
                        Some(words) => {
                            let mut words: Vec<String> = words.iter().map(|w| catalogue::vllm_option(w, tag)).collect();
                            let args = words.split_off(1);
                            Ok((words, args))
                        }
                        None => Ok(shell(script)),
                    },
                }
            }
        }
    }

    /// Arguments with the option that lets the server sleep, where the scenario wants it and they do not say so.
    fn with_sleep_mode(&self, mut args: Vec<String>, is_vllm: bool) -> Vec<String> {
        const OPTION: &str = "--enable-sleep-mode";
        let said = args.iter().any(|a| a.contains(OPTION));
        if !self.resolved.settings.vllm.sleep_mode.0 || said || !is_vllm {
            return args;
        }
        let script = args.len() == 1 && args[0].contains(char::is_whitespace);
        match args.first_mut().filter(|_| script) {
            Some(script) => script.push_str(&format!(" \\\n  {OPTION}")),
            None => args.push(OPTION.to_owned()),
        }
        args
    }

    /// Checks the words of the server's command against the settings that probes, Service and clients go by.
    fn check_server(&self, model: &Model, words: &[Option<String>]) -> Result<(), Diagnostic> {
        let port = self.standalone_port();
        let setting = if self.resolved.is_set("standalone.port") { "standalone.port" } else { "vllm.port" };
        let conflict = |message: String| Diagnostic::error(Problem::Conflict { message }, self.resolved.span(ARGS));
        if words.is_empty() {
            return Ok(());
        }
        // What only the pod knows is left to it.
        let known = |word: &Option<String>| word.clone().filter(|w| !w.starts_with("$("));
        match option_value(words, "--port") {
            None if port != VLLM_PORT => {
                return Err(conflict(format!("the arguments give no `--port`, and `{setting}` is {port}"))
                    .with_hint(format!("probes and the Service use `{setting}`; write `--port ${{{setting}}}`")));
            }
            Some(given) if known(&given).is_some_and(|g| g != port.to_string()) => {
                let given = given.unwrap_or_default();
                return Err(conflict(format!("the arguments say `--port {given}`, and `{setting}` is {port}"))
                    .with_hint(format!("probes and the Service use `{setting}`; write `--port ${{{setting}}}`")));
            }
            _ => {}
        }
        let served = option_value(words, SERVED_NAME);
        if let Some(alias) = &model.alias {
            match &served {
                None => {
                    return Err(conflict(format!("the arguments do not serve `{}` as `{alias}`", model.name))
                        .with_hint(format!("add `{SERVED_NAME} {alias}`, or leave the name after `:` out")));
                }
                Some(given) if known(given).is_some_and(|g| g != *alias) => {
                    let given = given.clone().unwrap_or_default();
                    return Err(conflict(format!("the arguments serve `{given}`, and the served name is `{alias}`")));
                }
                Some(_) => {}
            }
        }
        let serve = words.iter().position(|w| w.as_deref() == Some("serve"));
        let given = serve.and_then(|i| words.get(i + 1)).cloned().flatten();
        if let (None, Some(given)) = (served, given.filter(|g| !g.starts_with(['-', '$'])))
            && given != model.name
            && !given.ends_with(&format!("/{}", model.name))
        {
            return Err(conflict(format!(
                "the arguments serve `{given}`, and the model of this stack is `{}`",
                model.name
            ))
            .with_hint("write `${model.name}`, or name the model in `models`"));
        }
        Ok(())
    }

    /// Host names of HTTP routes: given, or made from the cluster's domain; one each.
    fn hostnames(&mut self, stacks: &mut [Stack], domain: Option<&str>) {
        let s = &self.resolved.settings;
        let route = &s.standalone.http_route;
        if !route.enabled.0 {
            return;
        }
        let several = stacks.len() > 1;
        for stack in stacks.iter_mut() {
            let label = names::fit(&format!("{}-{}", stack.label, s.namespace), 63);
            stack.hostname = match (&route.hostname, domain) {
                (Some(h), _) => Some(match h.0.strip_prefix("*.") {
                    Some(domain) => format!("{label}.{domain}"),
                    None => h.0.clone(),
                }),
                (None, Some(domain)) => Some(format!("{label}.{domain}")),
                (None, None) => None,
            };
        }
        let distinct: std::collections::HashSet<_> = stacks.iter().map(|s| s.hostname.clone()).collect();
        if several && distinct.len() < stacks.len() {
            let message = "the HTTP routes of several models would answer for one host".to_owned();
            let d =
                Diagnostic::error(Problem::Conflict { message }, self.resolved.span("standalone.httpRoute.hostname"));
            self.errors.push(
                d.with_hint("set `standalone.httpRoute.hostname` to a domain with `*.` before it, or `cluster.url`"),
            );
        }
        if !several && distinct.contains(&None) {
            let problem = Problem::Fallback {
                setting: "standalone.httpRoute.hostname".into(),
                word: "not set".into(),
                used: "the route answers for every host of its Gateway".into(),
            };
            self.notes.push(Diagnostic::note(problem, None));
        }
    }
}

const SERVED_NAME: &str = "--served-model-name";

/// The setting of the server's command.
const ARGS: &str = "standalone.args";

/// The port of a vLLM server that is told none.
const VLLM_PORT: u16 = 8000;

/// A container's variables with their values where those are known.
fn known_values(env: &[Value]) -> script::Env {
    let text = |e: &Value, key: &str| e.get(key).and_then(Value::as_str).map(str::to_owned);
    env.iter().filter_map(|e| Some((text(e, "name")?, text(e, "value")))).collect()
}

/// Whether a command starts vLLM.
fn starts_vllm<'a>(words: impl Iterator<Item = &'a String>) -> bool {
    words.into_iter().any(|w| w == "vllm" || w.contains("vllm serve") || w.contains(script::SERVER_MODULE))
}

/// `command` and `args` that run a script.
fn shell(script: String) -> (Vec<String>, Vec<String>) {
    (vec!["/bin/bash".to_owned(), "-c".to_owned()], vec![script])
}

/// Variables that the tool sets in the server's container.
const TOOL_VARIABLES: &[&str] = &[
    "LLMDBENCH_VLLM_STANDALONE_MODEL",
    "LLMDBENCH_VLLM_STANDALONE_VLLM_LOAD_FORMAT",
    "LLMDBENCH_VLLM_STANDALONE_MODEL_LOADER_EXTRA_CONFIG",
    "LLMDBENCH_VLLM_COMMON_ACCELERATOR_NR",
    "VLLM_LOGGING_LEVEL",
    "HF_HOME",
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "LLMDBENCH_POD_LABELS",
    "LLMDBENCH_POD_NS",
];

/// Settings of the server that reach the pod by name where its arguments leave them out.
const EXPORTED: &[(&str, &str)] = &[
    ("vllm.maxModelLen", "VLLM_MAX_MODEL_LEN"),
    ("vllm.blockSize", "VLLM_BLOCK_SIZE"),
    ("vllm.maxNumBatchedTokens", "VLLM_MAX_NUM_BATCHED_TOKENS"),
    ("vllm.gpuMemoryUtilization", "VLLM_ACCELERATOR_MEM_UTIL"),
    ("parallelism.tensor", "VLLM_TENSOR_PARALLELISM"),
    ("vllm.maxNumSeqs", "VLLM_MAX_NUM_SEQ"),
    ("vllm.metricsPort", "VLLM_METRICS_PORT"),
    ("vllm.nixlSideChannelPort", "VLLM_NIXL_SIDE_CHANNEL_PORT"),
    ("vllm.cacheRoot", "VLLM_CACHE_ROOT"),
    ("vllm.workerMultiprocMethod", "VLLM_WORKER_MULTIPROC_METHOD"),
    ("vllm.ucxTls", "UCX_TLS"),
    ("vllm.ucxSockaddrTlsPriority", "UCX_SOCKADDR_TLS_PRIORITY"),
];

/// Those of them that mean something to the server only as arguments.
const ARGUMENTS: &[&str] = &[
    "vllm.maxModelLen",
    "vllm.blockSize",
    "vllm.maxNumBatchedTokens",
    "vllm.gpuMemoryUtilization",
    "vllm.maxNumSeqs",
    "parallelism.tensor",
];

/// Whether a command reads a variable of its container.
fn mentions(command: &Command, name: &str) -> bool {
    let reads = |text: &str, sign: &str| {
        text.match_indices(sign).any(|(i, _)| {
            let rest = &text[i + sign.len()..];
            rest.strip_prefix(name)
                .is_some_and(|after| !after.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_'))
        })
    };
    match command {
        Command::Words(words) => words.iter().any(|w| reads(&w.notation(), "$(")),
        Command::Script(script) => ["$", "${", "$("].iter().any(|sign| reads(&script.notation(), sign)),
    }
}

/// The word after an option, or after its `=`; `None` inside where only a shell can tell.
fn option_value(words: &[Option<String>], option: &str) -> Option<Option<String>> {
    let with_equals = format!("{option}=");
    words.iter().enumerate().find_map(|(i, w)| {
        let w = w.as_ref()?;
        if w == option {
            return Some(words.get(i + 1).cloned().flatten());
        }
        w.strip_prefix(&with_equals).map(|v| Some(v.to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_found_in_both_notations() {
        let words = |l: &[&str]| l.iter().map(|w| Some((*w).to_owned())).collect::<Vec<_>>();
        assert_eq!(option_value(&words(&["vllm", "--port", "1"]), "--port"), Some(Some("1".into())));
        assert_eq!(option_value(&words(&["vllm", "--port=2"]), "--port"), Some(Some("2".into())));
        assert_eq!(option_value(&words(&["vllm"]), "--port"), None);
    }
}
