//! Runs of a load generator: against which servers, with which profile, in which environment.

use super::profiles::{self, Profile};
use super::{Plan, llmd, names, script};
use crate::error::{Diagnostic, Errors, Problem};
use crate::scenario::World;
use crate::settings::resolve::Resolved;
use crate::settings::sections::reference_text;
use crate::settings::template::{MODEL_NAMES, RUN_NAMES, Referent, Scope};
use crate::settings::types::{Harness, Method, Model};
use crate::settings::variables::{self, Effect};
use crate::source::Sources;
use crate::tree::{Map, Value};

/// All runs of a bundle.
#[derive(Debug, Clone)]
pub struct Runs {
    /// One for each stack.
    pub targets: Vec<Target>,
    /// Name of the profile's file.
    pub profile_file: String,
    /// What the load generator's pod may ask the API server for.
    pub access: Access,
    /// What the user should know.
    pub notes: Vec<Diagnostic>,
}

/// What the load generator's pod may ask the API server for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing: it has no token.
    None,
    /// Jobs and pods of its own namespace.
    Own,
    /// Besides, pods and logs of the model servers.
    Servers,
    /// Besides, commands in the pods of the model servers.
    Exec,
}

/// What load is sent to.
#[derive(Debug, Clone)]
pub struct Target {
    /// Name of its Job and ConfigMap.
    pub name: String,
    /// Its name in records and folders of results.
    pub stack: String,
    /// The model's short name.
    pub label: String,
    /// The name that clients ask for.
    pub served_name: String,
    /// The model.
    pub model: Model,
    /// Base URL of the requests, the path of the API left out.
    pub endpoint: String,
    /// The pods of its servers; empty for a server that exists already.
    pub servers: String,
    /// Environment of the load generator.
    pub env: Vec<Value>,
    /// What its shell runs.
    pub executable: String,
    /// The profile, ready to run.
    pub profile: String,
    /// The profile in pieces, between which endpoint or model stand, for a run that gives others.
    pub pieces: Vec<Piece>,
}

/// A piece of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Text as it is.
    Text(String),
    /// The endpoint stands here.
    Endpoint,
    /// The model stands here, by whatever name.
    Model,
}

/// Annotation of a launcher's pod: which run it is.
pub const RUN_ANNOTATION: &str = "llmdbench.io/run";
/// Annotation of a launcher's pod: the bundle that it belongs to.
pub const BUNDLE_ANNOTATION: &str = "llmdbench.io/bundle";

/// The run's name where nothing but `kubectl apply` started it.
pub const BY_HAND: &str = "by-hand";

/// Stand-ins for endpoint and model; YAML needs no quotes around them.
const ENDPOINT_MARK: &str = "llmdbench-endpoint-mark";
const MODEL_MARK: &str = "llmdbench-model-mark";

/// Plans the runs.
///
/// # Errors
/// A profile that does not exist, that cannot be read, or whose references or parameters fail.
pub fn runs(resolved: &Resolved, plan: &Plan, world: &dyn World, sources: &mut Sources) -> Result<Runs, Errors> {
    let profile = profiles::find(resolved, world, sources)?;
    let planner = Planner { resolved, plan, flat: resolved.flat(), profile: &profile };
    let mut errors = Errors::default();
    let mut notes = Vec::new();
    let mut targets = Vec::new();
    for server in servers(resolved, plan, &mut notes) {
        match planner.target(server, sources) {
            Ok(target) => targets.push(target),
            // What is wrong with the profile is wrong for every model.
            Err(e) => e.0.into_iter().for_each(|d| {
                if !errors.0.contains(&d) {
                    errors.push(d);
                }
            }),
        }
    }
    errors.into_result()?;
    planner.tell_of_no_use(&mut notes);
    Ok(Runs { targets, profile_file: profile.file.clone(), access: access(resolved), notes })
}

fn access(resolved: &Resolved) -> Access {
    let h = &resolved.settings.harness;
    match h.name {
        _ if h.scrape_metrics.0 => Access::Exec,
        Harness::Nop => Access::Servers,
        Harness::Fmperf => Access::Own,
        _ => Access::None,
    }
}

/// A server to send load to.
struct Server<'a> {
    method: Option<Method>,
    model: &'a Model,
    label: &'a str,
    endpoint: String,
    pods: String,
}

fn servers<'a>(resolved: &'a Resolved, plan: &'a Plan, notes: &mut Vec<Diagnostic>) -> Vec<Server<'a>> {
    let s = &resolved.settings;
    let service = |name: &str| format!("http://{name}.{}{}:80", s.namespace, s.cluster.domain);
    if let Some(url) = &s.harness.endpoint {
        let mut all: Vec<Server<'_>> = Vec::new();
        let models = plan.stacks.iter().map(|p| (&p.model, &p.label));
        let pools = plan.llmd.iter().flat_map(|l| &l.stacks).map(|p| (&p.model, &p.label));
        for (model, label) in models.chain(pools) {
            if all.iter().all(|s| s.label != label) {
                let endpoint = url.0.trim_end_matches('/').to_owned();
                all.push(Server { method: None, model, label, endpoint, pods: String::new() });
            }
        }
        return all;
    }
    let mut all: Vec<Server<'_>> = plan
        .stacks
        .iter()
        .map(|stack| Server {
            method: Some(Method::Standalone),
            model: &stack.model,
            label: &stack.label,
            endpoint: service(&stack.name),
            pods: format!(
                "app.kubernetes.io/part-of={},app.kubernetes.io/instance={},app.kubernetes.io/component=model-server",
                s.release, stack.label
            ),
        })
        .collect();
    let Some(llmd) = &plan.llmd else { return all };
    match llmd::gateway_service(&llmd.gateway, &s.gateway.class_name.0) {
        Some(gateway) => all.extend(llmd.stacks.iter().map(|stack| Server {
            method: Some(Method::Modelservice),
            model: &stack.model,
            label: &stack.label,
            endpoint: format!("{}/{}", service(&gateway), stack.model.served_name().to_lowercase()),
            pods: format!("llm-d.ai/model={}", stack.name),
        })),
        None => {
            let message = format!(
                "a gateway of class `{}` has no Service in the cluster, so there is no run against it; `harness.endpoint` says where it answers",
                s.gateway.class_name
            );
            notes.push(Diagnostic::note(Problem::Noted { message }, resolved.span("gateway.className")));
        }
    }
    all
}

struct Planner<'a> {
    resolved: &'a Resolved,
    plan: &'a Plan,
    flat: Map,
    profile: &'a Profile,
}

/// References of a profile.
struct ProfileScope<'a> {
    flat: &'a Map,
    names: Vec<(&'static str, String)>,
}

impl Scope for ProfileScope<'_> {
    fn resolve(&self, path: &str) -> Option<Referent> {
        let named = self.names.iter().find(|(n, _)| *n == path).map(|(_, text)| text.clone());
        named.or_else(|| self.flat.get(path).map(reference_text)).map(Referent::Data)
    }
    fn paths(&self) -> Vec<String> {
        let names = MODEL_NAMES.iter().chain(RUN_NAMES).map(|(n, _)| (*n).to_owned());
        self.flat.keys().cloned().chain(names).collect()
    }
}

impl Planner<'_> {
    fn target(&self, server: Server<'_>, sources: &Sources) -> Result<Target, Errors> {
        let s = &self.resolved.settings;
        let word = match server.method {
            Some(Method::Standalone) => "standalone",
            Some(Method::Modelservice) => "llm-d",
            None => "endpoint",
        };
        let stack = format!("{word}-{}", server.label);
        let value = self.fill(&self.scope(&server, None), sources)?;
        let env = self.env(&server, &stack);
        let marked = self.fill(&self.scope(&server, Some((ENDPOINT_MARK, MODEL_MARK))), sources)?;
        Ok(Target {
            name: names::fit(&format!("{}-run-{stack}", s.release), 52),
            label: server.label.to_owned(),
            served_name: server.model.served_name().to_owned(),
            model: server.model.clone(),
            executable: script::kubelet_literal(&s.harness.executable.0, &names_in(&env)),
            env,
            endpoint: server.endpoint,
            servers: server.pods,
            stack,
            profile: value.to_yaml(),
            pieces: pieces(&marked.to_yaml()),
        })
    }

    fn scope<'s>(&'s self, server: &Server<'_>, marks: Option<(&str, &str)>) -> ProfileScope<'s> {
        let s = &self.resolved.settings;
        let model = server.model;
        let (endpoint, name, served) = match marks {
            Some((endpoint, model)) => (endpoint.to_owned(), model.to_owned(), model.to_owned()),
            None => (server.endpoint.clone(), model.name.clone(), model.served_name().to_owned()),
        };
        let file = s.harness.dataset_url.as_ref().map_or("", |u| u.0.rsplit('/').next().unwrap_or_default());
        let names = vec![
            ("endpoint.url", endpoint),
            ("model.name", name),
            ("model.servedName", served),
            ("model.id", model.served_name().to_lowercase()),
            ("model.label", server.label.to_owned()),
            ("dataset.file", file.to_owned()),
            ("images.benchmark", self.plan.benchmark_image.clone()),
            ("images.evaluation", self.plan.evaluation_image.clone().unwrap_or_default()),
        ];
        ProfileScope { flat: &self.flat, names }
    }

    fn fill(&self, scope: &ProfileScope<'_>, sources: &Sources) -> Result<Value, Errors> {
        let parameters = &self.resolved.settings.harness.profile_overrides;
        let span = self.resolved.span("harness.profileOverrides");
        profiles::fill(self.profile, scope, &self.flat, (parameters, span), sources)
    }

    /// The environment that the entry program of the benchmark image goes by, under its own names.
    fn env(&self, server: &Server<'_>, stack: &str) -> Vec<Value> {
        let s = &self.resolved.settings;
        let mut env = Environment::default();
        self.env_of_run(&mut env, stack);
        self.env_of_server(&mut env, server, stack);
        self.env_of_harness(&mut env, server, stack);
        if s.harness.scrape_metrics.0 {
            self.env_of_metrics(&mut env, server);
        }
        for variable in variables::all() {
            if let Effect::Sets(path) = variable.effect
                && s.harness.variables.0.iter().any(|p| variable.name.starts_with(p))
                && let Some(value) = self.flat.get(path)
            {
                env.literal_if_new(variable.name, &reference_text(value));
            }
        }
        for name in ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"] {
            env.secret(name, &s.hugging_face.secret_name.0, &s.hugging_face.secret_key.0);
        }
        env.literal("HF_TOKEN_SECRET", &s.hugging_face.secret_name.0);
        env.0
    }

    /// Which run it is, and where its results and inputs are.
    fn env_of_run(&self, env: &mut Environment, stack: &str) {
        let h = &self.resolved.settings.harness;
        env.field("LLMDBENCH_RUN_EXPERIMENT_ID", &format!("metadata.annotations['{RUN_ANNOTATION}']"));
        env.field("LLMDBENCH_BUNDLE_ID", &format!("metadata.annotations['{BUNDLE_ANNOTATION}']"));
        env.field("POD_NAME", "metadata.name");
        let several = h.parallelism.0 > 1;
        if several {
            env.field("JOB_COMPLETION_INDEX", "metadata.annotations['batch.kubernetes.io/job-completion-index']");
        }
        let index = if several { "_$(JOB_COMPLETION_INDEX)" } else { "" };
        let suffix = format!("{}_$(LLMDBENCH_RUN_EXPERIMENT_ID)_{stack}{index}", h.name.word());
        let results = format!("{}/{suffix}", h.results_dir.0.trim_end_matches('/'));
        env.expanded("LLMDBENCH_RUN_EXPERIMENT_RESULTS_DIR_SUFFIX", &suffix);
        env.expanded("LLMDBENCH_RUN_EXPERIMENT_RESULTS_DIR", &results);
        env.expanded("LLMDBENCH_CONTROL_WORK_DIR", &results);
        env.literal("LLMDBENCH_RUN_EXPERIMENT_RESULTS_DIR_PREFIX", &h.results_dir.0);
        env.literal("LLMDBENCH_RUN_EXPERIMENT_LAUNCHER", "1");
        env.literal("LLMDBENCH_RUN_EXPERIMENT_ANALYZE_LOCALLY", "0");
        env.literal("LLMDBENCH_RUN_EXPERIMENT_HARNESS_WORKLOAD_NAME", &self.profile.file);
        env.literal("LLMDBENCH_RUN_WORKSPACE_DIR", &h.workspace_dir.0);
        if let Some(url) = &h.dataset_url {
            env.literal("LLMDBENCH_RUN_DATASET_URL", &url.0);
            env.literal("LLMDBENCH_RUN_DATASET_FILE", url.0.rsplit('/').next().unwrap_or_default());
            env.literal("LLMDBENCH_RUN_DATASET_DIR", h.dataset_dir.as_ref().map_or("", |d| &d.0));
        }
    }

    /// What load is sent to.
    fn env_of_server(&self, env: &mut Environment, server: &Server<'_>, stack: &str) {
        let s = &self.resolved.settings;
        let kind = if server.method == Some(Method::Modelservice) { "llm-d" } else { "vllm-prod" };
        let home = s.harness.namespace.as_ref().unwrap_or(&s.namespace);
        let facts = [
            ("LLMDBENCH_HARNESS_NAMESPACE", home.0.as_str()),
            ("LLMDBENCH_HARNESS_STACK_NAME", stack),
            ("LLMDBENCH_HARNESS_STACK_TYPE", kind),
            ("LLMDBENCH_HARNESS_STACK_ENDPOINT_URL", &server.endpoint),
            ("LLMDBENCH_DEPLOY_METHODS", server.method.map_or("", Method::word)),
            ("LLMDBENCH_DEPLOY_CURRENT_MODEL", &server.model.name),
            ("LLMDBENCH_VLLM_COMMON_NAMESPACE", &s.namespace.0),
            ("LLMDBENCH_MAGIC_ENVAR", "harness_pod"),
        ];
        for (name, text) in facts {
            env.literal(name, text);
        }
    }

    /// What generates the load, and what only one load generator knows.
    fn env_of_harness(&self, env: &mut Environment, server: &Server<'_>, stack: &str) {
        let s = &self.resolved.settings;
        let h = &s.harness;
        let language = if matches!(h.name, Harness::Fmperf | Harness::Nop) { "py" } else { "sh" };
        let program = |kind: &str| format!("{}-{kind}.{language}", h.name.word());
        env.literal("LLMDBENCH_HARNESS_NAME", h.name.word());
        env.literal("LLMDBENCH_RUN_EXPERIMENT_HARNESS", &program("llm-d-benchmark"));
        env.literal("LLMDBENCH_RUN_EXPERIMENT_ANALYZER", &program("analyze_results"));
        env.literal("LLMDBENCH_HARNESS_LOAD_PARALLELISM", &h.parallelism.to_string());
        env.literal("LLMDBENCH_COLLECT_METRICS", if h.scrape_metrics.0 { "1" } else { "0" });
        env.literal("LLMDBENCH_VLLM_COMMON_METRICS_SCRAPE_ENABLED", word(h.scrape_metrics.0));
        match (h.name, h.tokenizer_threads) {
            (Harness::InferencePerf, Some(threads)) => env.literal("RAYON_NUM_THREADS", &threads.to_string()),
            (Harness::Fmperf, _) => {
                env.literal("LLMDBENCH_HARNESS_WORKLOAD_FILE", &format!("profiles/fmperf/{}", self.profile.file));
                let index = if h.parallelism.0 > 1 { "-$(JOB_COMPLETION_INDEX)" } else { "" };
                let job = format!("{}-$(LLMDBENCH_RUN_EXPERIMENT_ID){index}", evaluation(stack));
                env.expanded("LLMDBENCH_FMPERF_JOB_ID", &job);
            }
            (Harness::Nop, _) => self.env_of_nop(env, server),
            _ => {}
        }
    }

    /// nop measures how a standalone server starts, or its launcher starts one.
    fn env_of_nop(&self, env: &mut Environment, server: &Server<'_>) {
        let s = &self.resolved.settings;
        let standalone = server.method == Some(Method::Standalone);
        let launcher = standalone && s.standalone.launcher.enabled.0;
        env.literal("LLMDBENCH_STANDALONE_ENABLED", word(standalone));
        env.literal("LLMDBENCH_STANDALONE_LAUNCHER_ENABLED", word(launcher));
        env.literal("LLMDBENCH_FMA_ENABLED", "false");
        env.literal("LLMDBENCH_VLLM_COMMON_VLLM_LOAD_FORMAT", s.vllm.load_format.word());
        env.literal("LLMDBENCH_VLLM_STANDALONE_VLLM_LOAD_FORMAT", s.vllm.load_format.word());
        if launcher {
            let at = |port: u16| format!("{}:{port}", server.endpoint.trim_end_matches(":80"));
            let [launcher, vllm] = LAUNCHER_SERVICE_PORTS;
            env.literal("LLMDBENCH_VLLM_STANDALONE_LAUNCHER_PORT", &launcher.to_string());
            env.literal("LLMDBENCH_VLLM_STANDALONE_LAUNCHER_VLLM_PORT", &vllm.to_string());
            env.literal("LLMDBENCH_HARNESS_STACK_ENDPOINT_LAUNCHER_PORT", &launcher.to_string());
            env.literal("LLMDBENCH_HARNESS_STACK_ENDPOINT_LAUNCHER_VLLM_PORT", &vllm.to_string());
            env.literal("LLMDBENCH_HARNESS_STACK_ENDPOINT_LAUNCHER_URL", &at(launcher));
            env.literal("LLMDBENCH_HARNESS_STACK_ENDPOINT_LAUNCHER_VLLM_URL", &at(vllm));
        }
    }

    /// Where the servers tell their metrics.
    fn env_of_metrics(&self, env: &mut Environment, server: &Server<'_>) {
        let s = &self.resolved.settings;
        let behind_sidecar = s.decode.port.filter(|_| server.method == Some(Method::Modelservice));
        let port = behind_sidecar.unwrap_or(s.vllm.port);
        env.literal("LLMDBENCH_VLLM_COMMON_METRICS_PORT", &port.to_string());
        env.literal("LLMDBENCH_VLLM_MONITORING_METRICS_PATH", &s.monitoring.path.0);
        env.literal("LLMDBENCH_METRICS_POD_PATTERN", &self.server_pods(server));
    }

    /// A regular expression that the names of the server's pods match, and those of no other pod.
    fn server_pods(&self, server: &Server<'_>) -> String {
        match (server.method, &self.plan.llmd) {
            (Some(Method::Standalone), _) => {
                let stack = self.plan.stacks.iter().find(|p| p.label == server.label);
                stack.map_or(String::new(), |p| p.name.clone())
            }
            // Decode and prefill, and not the endpoint picker.
            (Some(Method::Modelservice), Some(llmd)) => {
                let stack = llmd.stacks.iter().find(|p| p.label == server.label);
                stack.map_or(String::new(), |p| format!("{}-[dp]", p.name))
            }
            _ => String::new(),
        }
    }

    /// Settings that this load generator does not know.
    fn tell_of_no_use(&self, notes: &mut Vec<Diagnostic>) {
        let h = &self.resolved.settings.harness;
        let mut tell = |path: &str, why: &str| {
            if self.resolved.is_set(path) {
                let problem = Problem::Unused { setting: path.to_owned(), used_by: why.to_owned() };
                notes.push(Diagnostic::note(problem, self.resolved.span(path)));
            }
        };
        if h.name != Harness::InferencePerf {
            tell("harness.tokenizerThreads", "only inference-perf has such threads");
        }
        if h.dataset_url.is_none() {
            tell("harness.datasetDir", "`harness.datasetUrl` names no recorded requests");
        }
    }
}

/// Ports of the Service of a standalone server that lead to its launcher, and to the server that the launcher starts.
const LAUNCHER_SERVICE_PORTS: [u16; 2] = [81, 82];

/// What the name of a job that fmperf starts by itself says of the stack: short, so that the whole name stays valid.
pub fn evaluation(stack: &str) -> String {
    names::hash(stack)[..6].to_owned()
}

/// A switch as the entry program reads it.
fn word(on: bool) -> &'static str {
    if on { "true" } else { "false" }
}

/// The environment of a container, in order.
#[derive(Default)]
struct Environment(Vec<Value>);

impl Environment {
    fn push(&mut self, name: &str, key: &'static str, value: Value) {
        self.0.push(Value::from([("name", Value::from(name)), (key, value)]));
    }

    /// A text in which the kubelet puts the values of variables further up for `$(NAME)`.
    fn expanded(&mut self, name: &str, text: &str) {
        self.push(name, "value", text.into());
    }

    /// A text as it is.
    fn literal(&mut self, name: &str, text: &str) {
        let text = script::kubelet_literal(text, &names_in(&self.0));
        self.push(name, "value", text.into());
    }

    fn literal_if_new(&mut self, name: &str, text: &str) {
        if self.0.iter().all(|e| e.get("name").and_then(Value::as_str) != Some(name)) {
            self.literal(name, text);
        }
    }

    fn field(&mut self, name: &str, path: &str) {
        self.push(name, "valueFrom", Value::from([("fieldRef", Value::from([("fieldPath", path)]))]));
    }

    fn secret(&mut self, name: &str, secret: &str, key: &str) {
        let reference = [("name", Value::from(secret)), ("key", Value::from(key)), ("optional", Value::Bool(true))];
        self.push(name, "valueFrom", Value::from([("secretKeyRef", Value::from(reference))]));
    }
}

fn names_in(env: &[Value]) -> script::Env {
    env.iter().filter_map(|e| Some((e.get("name")?.as_str()?.to_owned(), None))).collect()
}

/// A text cut at the marks.
fn pieces(text: &str) -> Vec<Piece> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((at, mark, piece)) = [(ENDPOINT_MARK, Piece::Endpoint), (MODEL_MARK, Piece::Model)]
        .into_iter()
        .filter_map(|(mark, piece)| rest.find(mark).map(|at| (at, mark, piece)))
        .min_by_key(|(at, ..)| *at)
    {
        out.push(Piece::Text(rest[..at].to_owned()));
        out.push(piece);
        rest = &rest[at + mark.len()..];
    }
    out.push(Piece::Text(rest.to_owned()));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_cut_where_endpoint_and_model_stand() {
        let text = format!("a: {ENDPOINT_MARK}/v1\nb: {MODEL_MARK}\n");
        let t = |s: &str| Piece::Text(s.to_owned());
        assert_eq!(pieces(&text), [t("a: "), Piece::Endpoint, t("/v1\nb: "), Piece::Model, t("\n")]);
    }
}
