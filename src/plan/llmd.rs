//! The llm-d method: releases of a gateway, of pools and of model servers, and what the servers run.

use super::{Planner, StackScope, names, option_value, script};
use crate::charts::contract::{self, Chart, Infra, Modelservice, Pool, Version};
use crate::charts::presets;
use crate::check::picker;
use crate::error::{Diagnostic, Problem};
use crate::settings::sections::{Chart as ChartSetting, Role as RoleSetting};
use crate::settings::template::{Command, EnvSource, Scope};
use crate::settings::types::{Model, ModelCommand, Preset, UriProtocol};
use crate::tree::Value;

/// The charts of the bundle and their contracts.
#[derive(Debug, Clone)]
pub struct Charts {
    /// Of the gateway.
    pub infra: (Infra, String),
    /// Of the pools.
    pub pool: (PoolChart, String),
    /// Of the model servers.
    pub modelservice: (Modelservice, String),
}

/// The chart that makes pools.
#[derive(Debug, Clone, Copy)]
pub enum PoolChart {
    /// inferencepool.
    Gaie(Pool),
    /// llm-d-router-gateway.
    Router,
}

impl PoolChart {
    /// Whether the chart opens further ports of the picker's own Service.
    pub fn opens_events(self) -> bool {
        match self {
            Self::Gaie(pool) => pool.extra_ports().is_ok(),
            Self::Router => true,
        }
    }

    /// API group of the pool.
    pub fn group(self) -> &'static str {
        match self {
            Self::Gaie(pool) => pool.group(),
            Self::Router => "inference.networking.k8s.io",
        }
    }
}

/// What all stacks of the method share.
#[derive(Debug, Clone)]
pub struct Llmd {
    /// The charts.
    pub charts: Charts,
    /// Release of the gateway.
    pub infra_release: String,
    /// Name of the Gateway that it makes.
    pub gateway: String,
    /// Image of the routing sidecar.
    pub sidecar_image: String,
    /// Image of the endpoint picker: registry, repository, name, tag.
    pub picker_image: [String; 4],
    /// The stacks.
    pub stacks: Vec<Stack>,
}

/// One model.
#[derive(Debug, Clone)]
pub struct Stack {
    /// The model.
    pub model: Model,
    /// Short name, unique in the bundle.
    pub label: String,
    /// Full name of the model servers, and their label `llm-d.ai/model`.
    pub name: String,
    /// Release and name of the pool.
    pub pool: String,
    /// Release of the model servers.
    pub release: String,
    /// Service that leads to the endpoint picker's port for KV-cache events.
    pub events_service: String,
    /// Plugin configuration of the endpoint picker.
    pub plugins: Value,
    /// Port that the servers send KV-cache events to, where they do.
    pub kv_events_port: Option<u16>,
    /// `modelArtifacts.uri`.
    pub uri: String,
    /// Roles: decode, prefill.
    pub roles: [(&'static str, Role); 2],
}

/// One role of a stack.
#[derive(Debug, Clone)]
pub struct Role {
    /// Replicas; none of the role at 0.
    pub replicas: u32,
    /// Image of the server.
    pub image: String,
    /// How the chart makes the command.
    pub model_command: ModelCommand,
    /// The command, for `custom`.
    pub command: Vec<String>,
    /// The arguments.
    pub args: Vec<String>,
    /// The environment.
    pub env: Vec<Value>,
    /// Port that the server answers on.
    pub port: u16,
}

/// Longest full name: with `-gaie` behind it no chart cuts it.
const LONGEST: usize = 34;

/// Port that KV-cache events go to.
const KV_EVENTS: &str = "--kv-events-config";

/// Service that leads to a Gateway: its controller makes one with the Gateway's name or with that of the class behind it;
/// `None` where the gateway is no part of the cluster.
pub fn gateway_service(gateway: &str, class: &str) -> Option<String> {
    match class {
        "kgateway" | "agentgateway" => Some(gateway.to_owned()),
        c if c.starts_with("gke-") => None,
        // Istio, and what is made of it.
        c => Some(format!("{gateway}-{c}")),
    }
}

impl Planner<'_> {
    /// Plans the llm-d method; errors are collected.
    pub(super) fn llmd(&mut self) -> Option<Llmd> {
        let s = &self.resolved.settings;
        let charts = self.charts()?;
        self.check_switches(charts.modelservice.0);
        let image = self.image(&s.images.model_server, "images.modelServer");
        let sidecar_image = self.image(&s.images.routing_sidecar, "images.routingSidecar");
        let picker = self.image(&s.images.endpoint_picker, "images.endpointPicker");
        let tag = picker.rsplit_once(':').map_or(String::new(), |(_, t)| t.to_owned());
        let repository = s.images.endpoint_picker.repository.as_ref().map_or(String::new(), |r| r.0.clone());
        let picker_image =
            [s.images.endpoint_picker.registry.0.clone(), repository, s.images.endpoint_picker.name.0.clone(), tag];
        let mut stacks = Vec::new();
        for model in &s.models.0 {
            stacks.extend(self.llmd_stack(model, &image, &charts));
        }
        let infra_release = format!("infra-{}", s.release);
        Some(Llmd {
            gateway: format!("{infra_release}-inference-gateway"),
            infra_release,
            charts,
            sidecar_image,
            picker_image,
            stacks,
        })
    }

    fn charts(&mut self) -> Option<Charts> {
        let s = &self.resolved.settings;
        let infra = self.chart(&s.charts.infra, "charts.infra", &[Chart::Infra]);
        let pool = self.chart(&s.charts.inference_pool, "charts.inferencePool", &[Chart::InferencePool, Chart::Router]);
        let modelservice = self.chart(&s.charts.modelservice, "charts.modelservice", &[Chart::Modelservice]);
        let (infra, pool, modelservice) = (infra?, pool?, modelservice?);
        Some(Charts {
            infra: (Infra(infra.1), infra.2),
            pool: (if pool.0 == Chart::Router { PoolChart::Router } else { PoolChart::Gaie(Pool(pool.1)) }, pool.2),
            modelservice: (Modelservice(modelservice.1), modelservice.2),
        })
    }

    /// The contract of a chart and the version that the scenario or the catalogue names.
    fn chart(&mut self, chart: &ChartSetting, path: &str, wanted: &[Chart]) -> Option<(Chart, Version, String)> {
        let base = chart.name.0.rsplit('/').next().unwrap_or(&chart.name.0).to_owned();
        let version_path = format!("{path}.version");
        let version = match &chart.version {
            Some(v) => v.0.clone(),
            None => {
                let edition = &self.resolved.settings.edition.0;
                let version = crate::charts::catalogue::chart_version(&base, edition);
                if let Some(v) = version {
                    let used = format!("the version catalogue has `{base}` {v}");
                    let problem = Problem::Fallback { setting: version_path.clone(), word: "auto".into(), used };
                    self.notes.push(Diagnostic::note(problem, None));
                }
                version.unwrap_or_default().to_owned()
            }
        };
        let span = self.resolved.span(&version_path).or(self.resolved.span(&format!("{path}.name")));
        match contract::find(&chart.name.0, &version) {
            Ok((found, v)) if wanted.contains(&found) => Some((found, v, version)),
            Ok(_) => {
                let what = format!("`{base}` is not a chart for `{path}`");
                self.errors.push(Diagnostic::error(
                    Problem::Unsupported { what },
                    self.resolved.span(&format!("{path}.name")),
                ));
                None
            }
            Err(problem) => {
                self.errors.push(Diagnostic::error(problem, span));
                None
            }
        }
    }

    /// Switches that this bundle or this version of the chart cannot follow.
    fn check_switches(&mut self, chart: Modelservice) {
        let s = &self.resolved.settings.modelservice;
        let on =
            [("modelservice.endpointPicker", s.endpoint_picker.0), ("modelservice.inferencePool", s.inference_pool.0)];
        for (path, on) in on {
            if on {
                let what = format!("`{path}` would make a second one beside that of the pool's release");
                let hint = if chart.makes_routing() {
                    "switch it off"
                } else {
                    "the chart makes none since v0.3.0; switch it off"
                };
                self.errors
                    .push(Diagnostic::error(Problem::Unsupported { what }, self.resolved.span(path)).with_hint(hint));
            }
        }
        for (path, given) in [
            ("modelservice.valuesFile", s.values_file.is_some()),
            ("modelservice.additionalSets", s.additional_sets.is_some()),
        ] {
            // The original named a file that nothing read.
            if given && self.resolved.is_set(path) {
                let what = format!("`{path}` is not merged by this version");
                self.errors.push(Diagnostic::error(Problem::Unsupported { what }, self.resolved.span(path)));
            }
        }
        let checks = [chart.full_name(), chart.probes_and_volumes()];
        let version = self.resolved.span("charts.modelservice.version");
        for problem in checks.into_iter().filter_map(Result::err) {
            self.errors.push(Diagnostic::error(problem, version));
        }
        if self.resolved.is_set("pod.annotations")
            && !self.resolved.settings.pod.annotations.0.is_empty()
            && let Err(problem) = chart.pod_annotations()
        {
            self.errors.push(Diagnostic::error(problem, self.resolved.span("pod.annotations")));
        }
        if self.resolved.settings.pod.node_labels.as_ref().is_some_and(|l| l.0.len() > 1) {
            let what = "the chart takes one node label".to_owned();
            self.errors.push(Diagnostic::error(Problem::Unsupported { what }, self.resolved.span("pod.nodeLabels")));
        }
    }

    fn llmd_stack(&mut self, model: &Model, image: &str, charts: &Charts) -> Option<Stack> {
        let s = &self.resolved.settings;
        let label = names::label(&model.alias.as_ref().map_or(model.name.clone(), |a| format!("{}:{a}", model.name)));
        let name = names::fit(&format!("{}-{label}", s.release), LONGEST);
        let pool = format!("{name}-gaie");
        // The chart cuts a release's name at 40 characters and puts `-epp` behind it; ours are shorter.
        let events_service =
            if charts.pool.0.opens_events() { format!("{pool}-epp") } else { format!("{name}-kv-events") };
        let plugins = match &s.endpoint_picker.preset {
            Preset::Inline(value) => value.clone(),
            Preset::Named(name) => match presets::find(name) {
                Ok(value) => value,
                Err(problem) => {
                    let d = Diagnostic::error(problem, self.resolved.span("endpointPicker.preset"));
                    if !self.errors.0.contains(&d) {
                        self.errors.push(d);
                    }
                    return None;
                }
            },
        };
        let api = match charts.pool.0 {
            PoolChart::Gaie(_) => picker::Api::Gaie,
            PoolChart::Router => picker::Api::Router,
        };
        let plugins = picker::with_api_version(plugins, api);
        let mut flat = std::mem::take(&mut self.flat);
        flat.insert("model.pickerService".into(), format!("{pool}-epp").into());
        let scope = StackScope::new(&flat, model, &label, &s.standalone.preprocess);
        let events = format!("{events_service}.{}{}", s.namespace, s.cluster.domain);
        let roles = [("decode", &s.decode), ("prefill", &s.prefill)]
            .map(|(name, role)| (name, self.role(name, role, model, image, &scope, charts.modelservice.0, &events)));
        flat.shift_remove("model.pickerService");
        self.flat = flat;
        let mut kv_events_port = None;
        let roles = roles.map(|(name, role)| match role {
            Ok((role, port)) => {
                kv_events_port = kv_events_port.or(port);
                Some((name, role))
            }
            Err(d) => {
                if !self.errors.0.contains(&d) {
                    self.errors.push(d);
                }
                None
            }
        });
        let [Some(decode), Some(prefill)] = roles else { return None };
        let from_volume = s.modelservice.uri_protocol == UriProtocol::Pvc || self.standalone_too();
        let uri = if from_volume {
            format!("pvc://{}/models/{}", s.storage.model.claim_name, model.name)
        } else {
            format!("hf://{}", model.name)
        };
        Some(Stack {
            model: model.clone(),
            release: format!("{name}-ms"),
            label,
            name,
            pool,
            events_service,
            plugins,
            kv_events_port,
            uri,
            roles: [decode, prefill],
        })
    }

    /// What one role runs, and the port that it sends KV-cache events to.
    #[allow(clippy::too_many_arguments)]
    fn role(
        &self,
        name: &'static str,
        role: &RoleSetting,
        model: &Model,
        image: &str,
        scope: &StackScope<'_>,
        chart: Modelservice,
        events: &str,
    ) -> Result<(Role, Option<u16>), Diagnostic> {
        let s = &self.resolved.settings;
        let path = |key: &str| format!("{name}.{key}");
        let fail = |problem: Problem, key: &str| Diagnostic::error(problem, self.resolved.span(&path(key)));
        let port = role.port.map_or(s.vllm.port.0, |p| p.0);
        let replicas = role.replicas.map_or(0, |r| r.0);
        let env =
            self.role_env(name, scope, chart).map_err(|p| Diagnostic::error(p, self.resolved.span("vllm.env")))?;
        let text = |e: &Value, key: &str| e.get(key).and_then(Value::as_str).map(str::to_owned);
        let known: script::Env = env.iter().filter_map(|e| Some((text(e, "name")?, text(e, "value")))).collect();
        let tag = image.rsplit_once(':').map_or("", |(_, t)| t);
        let spelled = |w: &String| crate::charts::catalogue::vllm_option(w, tag);
        let (mut command, mut args) = match &role.args {
            Command::Words(words) => {
                let literal = |text: &str| script::kubelet_literal(text, &known);
                let words = words.iter().map(|t| t.expand_with(scope, &literal)).collect::<Result<Vec<_>, _>>();
                (Vec::new(), words.map_err(|p| fail(p, "args"))?)
            }
            Command::Script(template) => {
                let lowered = script::lower(template, scope, &known).map_err(|p| fail(p, "args"))?;
                match lowered.words {
                    Some(words) if role.model_command == ModelCommand::Custom => {
                        let (program, args) = words.split_at(1);
                        (program.to_vec(), args.to_vec())
                    }
                    Some(words) => (Vec::new(), words),
                    None if role.model_command == ModelCommand::Custom => {
                        (vec!["/bin/bash".to_owned(), "-c".to_owned()], vec![lowered.script])
                    }
                    None => {
                        let message =
                            format!("`{}` needs a shell, and the chart takes only a list of arguments", path("args"));
                        return Err(fail(Problem::Conflict { message }, "args")
                            .with_hint("`modelCommand: custom` runs a script"));
                    }
                }
            }
        };
        args = args.iter().map(spelled).collect();
        if role.model_command == ModelCommand::Custom {
            if command.is_empty() {
                let split = args.is_empty() || args[0].starts_with('-');
                if split {
                    command = vec!["vllm".to_owned()];
                    args.splice(0..0, ["serve".to_owned(), model.name.clone()]);
                } else {
                    command = vec![args.remove(0)];
                }
            }
            let words: Vec<Option<String>> = command.iter().chain(&args).cloned().map(Some).collect();
            if let Some(Some(given)) = option_value(&words, "--port")
                && !given.starts_with("$(")
                && given != port.to_string()
            {
                let message = format!("the arguments say `--port {given}`, and `{}` is {port}", path("port"));
                return Err(fail(Problem::Conflict { message }, "args"));
            }
        } else if name == "prefill" && port != s.vllm.port.0 {
            let message = format!("the chart starts prefill on `vllm.port`, {}; `prefill.port` is {port}", s.vllm.port);
            return Err(fail(Problem::Conflict { message }, "port")
                .with_hint("leave `prefill.port` out, or use `modelCommand: custom`"));
        }
        let kv_port = direct_events(&mut args, events, &model.name);
        let role =
            Role { replicas, image: image.to_owned(), model_command: role.model_command, command, args, env, port };
        Ok((role, kv_port.filter(|_| replicas > 0)))
    }

    fn role_env(&self, role: &str, scope: &dyn Scope, chart: Modelservice) -> Result<Vec<Value>, Problem> {
        let s = &self.resolved.settings;
        let known = self.env_names();
        let literal = |text: &str| script::kubelet_literal(text, &known);
        let mut env: Vec<(String, Value)> = Vec::new();
        let mut set = |name: &str, key: &'static str, value: Value| {
            let entry = Value::from([("name", Value::from(name)), (key, value)]);
            match env.iter_mut().find(|(n, _)| n == name) {
                Some((_, e)) => *e = entry,
                None => env.push((name.to_owned(), entry)),
            }
        };
        if role == "prefill" {
            set("VLLM_IS_PREFILL", "value", "1".into());
        }
        let pod_ip = Value::from([("fieldPath", "status.podIP")]);
        set("VLLM_NIXL_SIDE_CHANNEL_HOST", "valueFrom", Value::from([("fieldRef", pod_ip)]));
        set("VLLM_LOGGING_LEVEL", "value", s.vllm.logging_level.word().into());
        for var in &s.vllm.env.0 {
            match &var.source {
                EnvSource::Value(template) => {
                    let mut text = template.expand_with(scope, &literal)?;
                    if chart.executes_env() {
                        text = inert(&text);
                    }
                    set(&var.name, "value", text.into());
                }
                EnvSource::From(from) => set(&var.name, "valueFrom", from.clone()),
            }
        }
        Ok(env.into_iter().map(|(_, e)| e).collect())
    }
}

/// A text that Helm's template engine gives back as it is.
pub fn inert(text: &str) -> String {
    text.replace("{{", "{{ \"{{\" }}")
}

/// KV-cache events go to the endpoint picker of this bundle, under the topic that it subscribes to; gives the port.
fn direct_events(args: &mut [String], host: &str, model: &str) -> Option<u16> {
    let at = args.iter().position(|a| a == KV_EVENTS)? + 1;
    let config = args.get_mut(at)?;
    let mut json: serde_json::Map<String, serde_json::Value> = serde_json::from_str(config).ok()?;
    let endpoint = json.get("endpoint")?.as_str()?.to_owned();
    let port: u16 = endpoint.rsplit_once(':')?.1.parse().ok()?;
    let scheme = endpoint.split("://").next()?;
    json.insert("endpoint".into(), format!("{scheme}://{host}:{port}").into());
    // The picker finds a pod by what stands between the two signs, and the model after them.
    if let Some(topic) = json.get("topic").and_then(|t| t.as_str())
        && let [kv, pod, _] = topic.splitn(3, '@').collect::<Vec<_>>().as_slice()
    {
        json.insert("topic".into(), format!("{kv}@{pod}@{model}").into());
    }
    *config = serde_json::to_string(&json).ok()?;
    Some(port)
}
