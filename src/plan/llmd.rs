//! The llm-d method: releases of a gateway, of pools and of model servers, and what the servers run.

use super::picker::Picker;
use super::prerequisites::{Prerequisite, prerequisites};
use super::server::{Demand, Environment, MODEL_STORAGE, RoleScope, Server, probes};
use super::{Planner, StackScope, known_values, names, option_value, script, shell, starts_vllm};
use crate::charts::contract::{self, Chart, Infra, Modelservice, Pool, Version};
use crate::charts::overrides::Overrides;
use crate::error::{Diagnostic, Problem};
use crate::settings::sections::{Chart as ChartSetting, Image, Role as RoleSetting, Settings};
use crate::settings::template::Command;
use crate::settings::types::{Model, ModelCommand, Registry, Repository, Tag, UriProtocol};
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
    /// Whether decode servers have a routing sidecar.
    pub routing_sidecar: bool,
    /// Image of the routing sidecar.
    pub sidecar_image: String,
    /// Image of the endpoint picker: registry, repository, name, tag.
    pub picker_image: [String; 4],
    /// Image of the tokenizer beside the endpoint picker, where there is one.
    pub tokenizer_image: Option<String>,
    /// Whether pools are objects of the experimental API.
    pub experimental_pool: bool,
    /// What the cluster must have before.
    pub prerequisites: Vec<Prerequisite>,
    /// The stacks.
    pub stacks: Vec<Stack>,
}

impl Llmd {
    /// API group of the pools.
    pub fn pool_group(&self) -> &'static str {
        if self.experimental_pool { "inference.networking.x-k8s.io" } else { "inference.networking.k8s.io" }
    }
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
    /// Its endpoint picker.
    pub picker: Picker,
    /// Port that the servers send KV-cache events to, where they do.
    pub kv_events_port: Option<u16>,
    /// `modelArtifacts.uri`.
    pub uri: String,
    /// Port that the pool sends requests to.
    pub pool_port: u16,
    /// Roles: decode, prefill.
    pub roles: [(&'static str, Role); 2],
    /// What the user adds to the values of the model servers.
    pub overrides: Overrides,
}

/// One role of a stack.
#[derive(Debug, Clone)]
pub struct Role {
    /// Replicas; none of the role at 0.
    pub replicas: u32,
    /// How the chart makes the command.
    pub model_command: ModelCommand,
    /// How the model is spread.
    pub spread: Spread,
    /// Kind of accelerator that pods claim by dynamic resource allocation, where they do.
    pub claims: Option<&'static str>,
    /// Whether the chart mounts the volume with the model.
    pub mounts_model: bool,
    /// The server.
    pub server: Server,
}

/// How the model of one role is spread over accelerators and pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    /// Tensor parallel size.
    pub tensor: u32,
    /// Data parallel ranks of a replica.
    pub data: u32,
    /// Data parallel ranks of a pod.
    pub data_local: u32,
    /// Pods of a replica.
    pub workers: u32,
}

impl Spread {
    /// The number of this name in the values of the chart.
    pub fn get(self, key: &str) -> u32 {
        match key {
            "tensor" => self.tensor,
            "data" => self.data,
            "dataLocal" => self.data_local,
            _ => self.workers,
        }
    }

    fn set(&mut self, key: &str, value: u32) {
        match key {
            "tensor" => self.tensor = value,
            "data" => self.data = value,
            _ => self.data_local = value,
        }
    }

    /// Whether the whole model is in one rank on one accelerator.
    pub fn is_single(self) -> bool {
        self.tensor <= 1 && self.data == 1 && self.data_local == 1 && self.workers == 1
    }
}

/// What a container runs.
struct Run {
    command: Vec<String>,
    args: Vec<String>,
    /// The words of the command that starts the server; `None` for a word that only a shell can tell.
    words: Vec<Option<String>>,
}

/// What the roles of a stack have in common.
struct RoleContext<'a> {
    model: &'a Model,
    scope: &'a StackScope<'a>,
    chart: Modelservice,
    /// Host that KV-cache events go to.
    events: &'a str,
}

/// Longest full name: with `-gaie` behind it no chart cuts it.
const LONGEST: usize = 34;

/// Where the chart mounts the volume with the model.
pub const MODELS: &str = "/model-cache";

/// Port that KV-cache events go to.
const KV_EVENTS: &str = "--kv-events-config";

/// Longest name of a Gateway whose controller puts the class behind it and makes a Service of that.
const LONGEST_GATEWAY: usize = 50;

/// Name of the Gateway that the chart makes for a release.
pub fn gateway_name(release: &str) -> String {
    names::fit(&natural_gateway_name(release), LONGEST_GATEWAY)
}

/// The name that the chart gives a Gateway that is told none.
pub fn natural_gateway_name(release: &str) -> String {
    format!("{release}-inference-gateway")
}

/// Service that leads to a Gateway: its controller makes one with the Gateway's name or with that of the class behind it;
/// `None` where the gateway is no part of the cluster.
pub fn gateway_service(gateway: &str, class: &str) -> Option<String> {
    match class {
        "kgateway" | "agentgateway" | "agentgateway-v2" => Some(gateway.to_owned()),
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
        self.check_routing_sidecar(charts.modelservice.0);
        self.check_gateway(charts.infra.0);
        self.need("monitoring.podMonitor", s.monitoring.pod_monitor.0, charts.modelservice.0.pod_monitor());
        let experimental_pool = self.experimental_pool(charts.pool.0);
        let images = [("decode", &s.decode), ("prefill", &s.prefill)].map(|(name, role)| self.role_image(name, role));
        let sidecar_image = self.image(&s.images.routing_sidecar, "images.routingSidecar");
        let picker = self.image(&s.images.endpoint_picker, "images.endpointPicker");
        let tag = picker.rsplit_once(':').map_or(String::new(), |(_, t)| t.to_owned());
        let repository = s.images.endpoint_picker.repository.as_ref().map_or(String::new(), |r| r.0.clone());
        let picker_image =
            [s.images.endpoint_picker.registry.0.clone(), repository, s.images.endpoint_picker.name.0.clone(), tag];
        let tokenizer =
            s.endpoint_picker.sidecar.enabled.0.then(|| self.image(&s.images.tokenizer, "images.tokenizer"));
        self.distinct_paths();
        let mut stacks = Vec::new();
        for model in &s.models.0 {
            stacks.extend(self.llmd_stack(model, &images, &picker_image, &charts));
        }
        let infra_release = format!("infra-{}", s.release);
        let monitored = s.monitoring.pod_monitor.0 || stacks.iter().any(|s: &Stack| s.picker.monitored);
        Some(Llmd {
            prerequisites: prerequisites(s, &charts, monitored),
            gateway: gateway_name(&infra_release),
            infra_release,
            charts,
            routing_sidecar: s.routing_sidecar.enabled.0,
            sidecar_image,
            picker_image,
            tokenizer_image: tokenizer,
            experimental_pool,
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
        if path == "charts.inferencePool" && !chart.name.0.starts_with("oci://") {
            let what = "the chart of the pool is named by its `oci://` reference".to_owned();
            let d = Diagnostic::error(Problem::Unsupported { what }, self.resolved.span(&format!("{path}.name")));
            self.errors.push(d);
            return None;
        }
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

    /// Tells of ports that no request reaches, or that two would listen on.
    fn check_ports(&mut self, decode: &Role, prefill: &Role, pool_port: u16) {
        let sidecar = self.resolved.settings.routing_sidecar.enabled.0;
        let (answers, asked) = (prefill.server.port, pool_port);
        let told = [
            (
                sidecar && decode.replicas > 0 && decode.server.port == pool_port,
                "decode.args",
                format!(
                    "decode and the routing sidecar before it both listen on port {asked}: one of them cannot start"
                ),
                "let decode answer on `vllm.metricsPort`, or set `routingSidecar.enabled` to `false`",
            ),
            (
                prefill.replicas > 0 && answers != asked,
                "prefill.args",
                format!("prefill answers on port {answers}, and the pool sends requests to {asked}: none arrives"),
                "let prefill answer on `vllm.port`; no sidecar stands before it",
            ),
        ];
        for (_, path, message, hint) in told.into_iter().filter(|(so, ..)| *so) {
            self.note(Diagnostic::note(Problem::Noted { message }, self.resolved.span(path)).with_hint(hint));
        }
    }

    /// Routes tell models by their paths, which are in lower case.
    fn distinct_paths(&mut self) {
        let mut seen: Vec<String> = Vec::new();
        for model in &self.resolved.settings.models.0 {
            let path = model.served_name().to_lowercase();
            if seen.contains(&path) {
                let message = format!("two models would be behind the path `/{path}/`");
                let d = Diagnostic::error(Problem::Conflict { message }, self.resolved.span("models"));
                self.errors.push(d.with_hint("serve one under another name, as in `organisation/repository:name`"));
            }
            seen.push(path);
        }
    }

    /// What the chart of the gateway cannot express, or leaves to who runs the class.
    fn check_gateway(&mut self, chart: Infra) {
        let s = &self.resolved.settings.gateway;
        let class = s.class_name.0.clone();
        let resources = [
            ("gateway.cpuRequest", s.cpu_request.is_some()),
            ("gateway.cpuLimit", s.cpu_limit.is_some()),
            ("gateway.memoryRequest", s.memory_request.is_some()),
            ("gateway.memoryLimit", s.memory_limit.is_some()),
        ];
        let service = ("gateway.serviceType", s.service_type.is_some());
        for (path, given) in resources.into_iter().chain([service]) {
            if !given || !self.resolved.is_set(path) {
                continue;
            }
            if !chart.configures(&class) {
                let used_by = format!("the chart configures no gateway of class `{class}`");
                let problem = Problem::Unused { setting: path.to_owned(), used_by };
                self.notes.push(Diagnostic::note(problem, self.resolved.span(path)));
            } else if path != "gateway.serviceType" {
                self.need(path, true, chart.resources());
            }
        }
    }

    /// Switches that this bundle or this version of the chart cannot follow.
    fn check_switches(&mut self, chart: Modelservice) {
        let s = &self.resolved.settings.modelservice;
        let on =
            [("modelservice.endpointPicker", s.endpoint_picker.0), ("modelservice.inferencePool", s.inference_pool.0)];
        for (path, on) in on {
            if on && self.resolved.is_set(path) {
                let message = format!("`{path}`: the one of the pool's release is it; no second one is made");
                self.notes.push(Diagnostic::note(Problem::Noted { message }, self.resolved.span(path)));
            }
        }
        let checks = [chart.full_name(), chart.probes_and_volumes()];
        let version = self.resolved.span("charts.modelservice.version");
        for problem in checks.into_iter().filter_map(Result::err) {
            self.errors.push(Diagnostic::error(problem, version));
        }
        if self.resolved.settings.pod.node_labels.as_ref().is_some_and(|l| l.0.len() > 1) {
            let what = "the chart takes one node label".to_owned();
            self.errors.push(Diagnostic::error(Problem::Unsupported { what }, self.resolved.span("pod.nodeLabels")));
        }
    }

    fn llmd_stack(
        &mut self,
        model: &Model,
        images: &[String; 2],
        picker_image: &[String; 4],
        charts: &Charts,
    ) -> Option<Stack> {
        let s = &self.resolved.settings;
        let label = names::label(&model.alias.as_ref().map_or(model.name.clone(), |a| format!("{}:{a}", model.name)));
        let name = names::fit(&format!("{}-{label}", s.release), LONGEST);
        let pool = format!("{name}-gaie");
        // The chart cuts a release's name at 40 characters and puts `-epp` behind it; ours are shorter.
        let events_service =
            if charts.pool.0.opens_events() { format!("{pool}-epp") } else { format!("{name}-kv-events") };
        let mut flat = std::mem::take(&mut self.flat);
        flat.insert("model.pickerService".into(), format!("{pool}-epp").into());
        let scope = StackScope::new(&flat, s, model, &label);
        let events = format!("{events_service}.{}{}", s.namespace, s.cluster.domain);
        let context = RoleContext { model, scope: &scope, chart: charts.modelservice.0, events: &events };
        let [decode_image, prefill_image] = images;
        let mut notes = Vec::new();
        let roles = [("decode", &s.decode, decode_image), ("prefill", &s.prefill, prefill_image)]
            .map(|(name, role, image)| (name, self.role(name, role, image, &context, &mut notes)));
        let picker = self.picker(charts.pool.0, &scope, &format!("{pool}-epp"), &label, picker_image);
        let overrides = self.overrides(&scope, charts.modelservice.0);
        drop(scope);
        flat.shift_remove("model.pickerService");
        self.flat = flat;
        notes.into_iter().for_each(|n| self.note(n));
        let mut kv_events_port = None;
        let roles = roles.map(|(name, role)| match role {
            Ok((role, port)) => {
                kv_events_port = kv_events_port.or(port);
                Some((name, role))
            }
            Err(d) => {
                self.once(d);
                None
            }
        });
        let [Some(decode), Some(prefill)] = roles else { return None };
        let picker = picker?;
        let pool_port = if s.routing_sidecar.enabled.0 { s.vllm.port.0 } else { decode.1.server.port };
        self.check_ports(&decode.1, &prefill.1, pool_port);
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
            picker,
            kv_events_port,
            uri,
            pool_port,
            roles: [decode, prefill],
            overrides,
        })
    }

    /// The image of a role: its own, or that of all model servers.
    fn role_image(&mut self, name: &str, role: &RoleSetting) -> String {
        let s = &self.resolved.settings;
        let parts = role.image.as_ref().and_then(|i| crate::check::names::split_image(&i.0).ok());
        let Some(parts) = parts else {
            return self.image(&s.images.model_server, "images.modelServer");
        };
        let part = |key: &str| parts.iter().find(|(k, _)| *k == key).map_or(String::new(), |(_, v)| v.clone());
        let image = Image {
            registry: Registry(part("registry")),
            repository: Some(part("repository")).filter(|r| !r.is_empty()).map(Repository),
            name: Repository(part("name")),
            tag: Some(Tag(part("tag"))),
        };
        self.image(&image, &format!("{name}.image"))
    }

    /// What one role runs, and the port that it sends KV-cache events to.
    fn role(
        &self,
        name: &'static str,
        role: &RoleSetting,
        image: &str,
        context: &RoleContext<'_>,
        notes: &mut Vec<Diagnostic>,
    ) -> Result<(Role, Option<u16>), Diagnostic> {
        let s = &self.resolved.settings;
        let chart = context.chart;
        let replicas = role.replicas.map_or(0, |r| r.0);
        let p = &role.parallelism;
        let mut spread = Spread {
            tensor: p.tensor.map_or(1, |t| t.0),
            data: p.data.map_or(1, |d| d.0),
            data_local: p.data_local.map_or(1, |d| d.0),
            workers: p.workers.map_or(1, |w| w.0),
        };
        let env = self.role_env(name, role, context, &mut spread)?;
        let model_command = self.model_command(name, role, context, &env, notes)?;
        let role = &RoleSetting { model_command, ..role.clone() };
        let Run { command, args, words } = self.role_command(name, role, image, context, &env)?;
        let port = self.role_port(name, role, &words, &env, notes)?;
        let is_vllm = role.model_command == ModelCommand::VllmServe || starts_vllm(command.iter().chain(&args));
        let mut args = self.with_sleep_mode(args, is_vllm);
        let kv_port = direct_events(&mut args, context.events, &context.model.name)
            .or_else(|| args.iter_mut().find_map(|script| direct_events_of_script(script, context.events)));
        let spread = self.spread_of_arguments(name, role, spread, &mut args, chart)?;
        let claims = self.claims(name, role, spread)?;
        let accelerators = if claims.is_some() { None } else { role.accelerators };
        let resources = Demand {
            cpu: role.cpu.as_ref(),
            memory: role.memory.as_ref(),
            scratch: (&s.resources.ephemeral_storage_resource.0, role.ephemeral_storage.as_ref()),
            accelerator: (role.accelerator_resource.as_ref(), accelerators),
            network: (role.network_resource.as_ref(), role.network_count),
        };
        let mut parts = self.parts(name, context.scope, notes)?;
        if chart.executes_env() {
            inert_strings(&mut parts.container);
            inert_strings(&mut parts.pod);
        }
        let server = Server {
            image: image.to_owned(),
            command,
            args,
            env,
            port,
            resources: resources.resources(),
            probes: probes(&role.probes, &Value::from(port)),
            annotations: self.annotations(Some(&role.annotations)),
            parts,
        };
        let setting = role;
        // A volume of the scenario's own at that path takes the place of the chart's.
        let mounts_model = s.modelservice.mount_model.map_or(!server.mounts_at(MODELS), |m| m.0);
        let role = Role { replicas, model_command: role.model_command, spread, claims, mounts_model, server };
        if replicas > 0 {
            self.check_role(name, &role, chart)?;
            self.warn_role(name, setting, &role, notes);
        }
        Ok((role, kv_port.filter(|_| replicas > 0)))
    }

    /// The parallelism that the chart is given. Commands that the chart makes get its options from there, so that the
    /// arguments must not have them too.
    fn spread_of_arguments(
        &self,
        name: &str,
        role: &RoleSetting,
        mut spread: Spread,
        args: &mut Vec<String>,
        chart: Modelservice,
    ) -> Result<Spread, Diagnostic> {
        if role.model_command == ModelCommand::Custom || !chart.has_parallelism() {
            return Ok(spread);
        }
        for (option, key) in [
            ("--tensor-parallel-size", "tensor"),
            ("--data-parallel-size", "data"),
            ("--data-parallel-size-local", "dataLocal"),
        ] {
            let Some(at) = args.windows(2).position(|w| w[0] == option) else { continue };
            let path = format!("{name}.parallelism.{key}");
            match args[at + 1].parse::<u32>() {
                Ok(given) if given == spread.get(key) || !self.resolved.is_set(&path) => {
                    spread.set(key, given);
                    if given > 1 {
                        args.drain(at..at + 2);
                    }
                }
                Ok(given) => {
                    let (args, wanted) = (format!("{name}.args"), spread.get(key));
                    let message = format!("the arguments say `{option} {given}`, and `{path}` is {wanted}");
                    return Err(Diagnostic::error(Problem::Conflict { message }, self.resolved.span(&args))
                        .with_place(self.resolved.span(&path), "said here"));
                }
                // What only the pod knows stays in the arguments; the chart writes no option for 1.
                Err(_) => spread.set(key, 1),
            }
        }
        Ok(spread)
    }

    /// What a version of the chart cannot express.
    fn check_role(&self, name: &str, role: &Role, chart: Modelservice) -> Result<(), Diagnostic> {
        let s = &self.resolved.settings;
        let parts = &role.server.parts;
        let multinode = s.modelservice.multinode.0;
        let fields = !parts.container.is_empty() || !parts.pod.is_empty() || s.pod.pull_secret.is_some();
        let class = s.pod.priority_class.is_some() && !chart.has_priority_class();
        let spread = role.spread.data > 1 || role.spread.data_local > 1;
        let extra = |key: &str| format!("{name}.extra.{key}");
        let own = |key: &str, all: &str| {
            let own = extra(key);
            if self.resolved.is_set(&own) { own } else { all.to_owned() }
        };
        let init = !parts.init_containers.is_empty();
        let named = |v: &Value| v.get("name").and_then(Value::as_str) == Some(MODEL_STORAGE);
        let twice = if role.server.mounts_at(MODELS) {
            Some(format!("the chart mounts the model at `{MODELS}`, and the scenario mounts there too"))
        } else if parts.volumes.iter().any(named) {
            Some(format!("the chart has a volume `{MODEL_STORAGE}`, and the scenario has one too"))
        } else {
            None
        };
        if let Some(message) = twice.filter(|_| role.mounts_model) {
            let place = self.resolved.span("modelservice.mountModelVolume");
            return Err(Diagnostic::error(Problem::Conflict { message }, place)
                .with_hint("`modelservice.mountModelVolume: false` leaves the chart's out"));
        }
        let checks = [
            (multinode, chart.spreads("a LeaderWorkerSet"), "modelservice.multinode".to_owned()),
            (spread, chart.spreads("data parallelism"), format!("{name}.parallelism.dataLocal")),
            (init, chart.init_containers(), own("initContainers", "pod.extra.initContainers")),
            (
                init && multinode && name == "decode",
                chart.init_containers_in_groups(),
                own("initContainers", "pod.extra.initContainers"),
            ),
            (
                fields,
                chart.extra_fields("a further field of a pod or container"),
                own("container", "pod.extra.container"),
            ),
            (class, chart.extra_fields("a priority class"), "pod.priorityClassName".to_owned()),
            (role.claims.is_some(), chart.claims(), "accelerator.dynamicResourceAllocation".to_owned()),
            (!role.server.annotations.is_empty(), chart.pod_annotations(), format!("{name}.annotations")),
        ];
        match checks.into_iter().find_map(|(used, result, path)| result.err().filter(|_| used).map(|p| (p, path))) {
            // The defaults of an edition annotate pods; a version that cannot goes without.
            Some((_, path)) if path.ends_with(".annotations") && !self.annotates(name) => Ok(()),
            Some((problem, path)) => Err(Diagnostic::error(problem, self.resolved.span(&path))
                .with_place(self.resolved.span("charts.modelservice.version"), "the version")),
            None => Ok(()),
        }
    }

    /// Tells of settings of a role that do not go together, though each of them is rendered.
    fn warn_role(&self, name: &str, setting: &RoleSetting, role: &Role, notes: &mut Vec<Diagnostic>) {
        let s = &self.resolved.settings;
        let mut tell = |message: String, path: &str| {
            notes.push(Diagnostic::note(Problem::Noted { message }, self.resolved.span(path)));
        };
        let multinode = s.modelservice.multinode.0;
        if role.spread.workers > 1 && !multinode {
            let message = format!(
                "`{name}.parallelism.workers` is {}, and a Deployment has one pod for a replica; `modelservice.multinode` makes groups",
                role.spread.workers
            );
            tell(message, &format!("{name}.parallelism.workers"));
        }
        let server = &role.server;
        let mounted = role.mounts_model || server.mounts_at(MODELS);
        if !mounted && server.command.iter().chain(&server.args).any(|a| a.contains(MODELS)) {
            let message = format!("the arguments of {name} name files in `{MODELS}`, and nothing is mounted there");
            tell(message, "modelservice.mountModelVolume");
        }
        let custom = role.model_command == ModelCommand::Custom;
        let preprocess = setting.preprocess.as_ref().is_some_and(|p| !p.does_nothing());
        if preprocess && !custom {
            let message = format!(
                "`{name}.preprocess` does not run: the chart makes the command of {name}, and `{name}.modelCommand: custom` would run it"
            );
            tell(message, &format!("{name}.preprocess"));
        }
        let size = format!("{name}.sharedMemory");
        let referred = s.decode.extra.references().into_iter().chain(s.prefill.extra.references());
        let mut referred = referred.chain(s.pod.extra.references()).chain(s.modelservice.extra.references());
        let from = [size.as_str(), "resources.sharedMemory"];
        if server.mounts_at("/dev/shm") && self.resolved.is_set(&size) && !referred.any(|r| from.contains(&r)) {
            tell(format!("`{size}` has no effect: the scenario mounts a volume of its own at `/dev/shm`"), &size);
        }
    }

    /// Whether the scenario annotates the pods of a role.
    fn annotates(&self, name: &str) -> bool {
        let own = format!("{name}.annotations");
        ["pod.annotations", "pod.extraAnnotations", &own].iter().any(|p| self.resolved.is_set(p))
    }

    /// The kind of accelerator that the pods of a role claim.
    fn claims(&self, name: &str, role: &RoleSetting, spread: Spread) -> Result<Option<&'static str>, Diagnostic> {
        let s = &self.resolved.settings;
        const SWITCH: &str = "accelerator.dynamicResourceAllocation";
        let resource = role.accelerator_resource.as_ref().filter(|r| r.device().is_some());
        let (true, Some(resource), Some(count)) = (s.accelerator.dynamic.0, resource, role.accelerators) else {
            return Ok(None);
        };
        if count.0 == 0 {
            return Ok(None);
        }
        let unsupported = |what: String| Diagnostic::error(Problem::Unsupported { what }, self.resolved.span(SWITCH));
        let device = resource.device().unwrap_or_default();
        let Some(kind) = resource.kind() else {
            return Err(unsupported(format!(
                "the chart has no claims for accelerators that are asked for by `{device}`"
            )));
        };
        let product = spread.tensor.saturating_mul(spread.data_local);
        if product != count.0 {
            let what = format!(
                "the chart claims {product} accelerators for {name}, tensor times local data parallelism; `{name}.accelerators` is {count}"
            );
            return Err(unsupported(what));
        }
        Ok(Some(kind))
    }

    /// How the command of a role is made: a script that starts the server itself is the whole command, where the
    /// scenario does not say how.
    fn model_command(
        &self,
        name: &str,
        role: &RoleSetting,
        context: &RoleContext<'_>,
        env: &[Value],
        notes: &mut Vec<Diagnostic>,
    ) -> Result<ModelCommand, Diagnostic> {
        let Command::Script(script) = &role.args else { return Ok(role.model_command) };
        let args = self.resolved.span(&format!("{name}.args"));
        let fail = |problem: Problem| Diagnostic::error(problem, args);
        let starts = !script::lower(script, context.scope, &known_values(env)).map_err(fail)?.server.is_empty();
        if role.model_command == ModelCommand::Custom || !starts {
            return Ok(role.model_command);
        }
        let path = format!("{name}.modelCommand");
        let word = role.model_command.word();
        if self.resolved.is_set(&path) {
            let message = format!("`{name}.args` starts the server itself, and with `{path}: {word}` the chart does");
            return Err(fail(Problem::Conflict { message })
                .with_place(self.resolved.span(&path), "said here")
                .with_hint(format!("leave the command out of `{name}.args`, or use `{path}: custom`")));
        }
        let message = format!("`{name}.args` starts the server itself; `{path}` is taken as `custom`, not as `{word}`");
        notes.push(Diagnostic::note(Problem::Noted { message }, args));
        Ok(ModelCommand::Custom)
    }

    /// What the container of a role runs.
    fn role_command(
        &self,
        name: &str,
        role: &RoleSetting,
        image: &str,
        context: &RoleContext<'_>,
        env: &[Value],
    ) -> Result<Run, Diagnostic> {
        let path = |key: &str| format!("{name}.{key}");
        let fail = |problem: Problem| Diagnostic::error(problem, self.resolved.span(&path("args")));
        let (scope, known) = (context.scope, known_values(env));
        let tag = crate::charts::catalogue::vllm_version(image);
        let spelled = |w: &String| crate::charts::catalogue::vllm_option(w, tag);
        let custom = role.model_command == ModelCommand::Custom;
        let before = role.preprocess.as_ref().filter(|p| !p.does_nothing());
        let refers = role.args.references().contains(&path("preprocess").as_str())
            || role.args.references().contains(&"vllm.preprocess");
        // A preprocess script that the arguments do not mention runs all the same, where a shell can be had.
        let before = match before.filter(|_| custom && !refers) {
            Some(script) => Some(script::lower(&script.0, scope, &known).map_err(fail)?.script),
            None => None,
        };
        let (command, args, words) = match &role.args {
            Command::Words(words) => {
                let literal = |text: &str| script::kubelet_literal(text, &known);
                let words = words.iter().map(|t| t.expand_with(scope, &literal)).collect::<Result<Vec<_>, _>>();
                let mut line: Vec<String> = words.map_err(fail)?.iter().map(spelled).collect();
                if custom && line.first().is_none_or(|w| w.starts_with('-')) {
                    line.splice(0..0, ["vllm".to_owned(), "serve".to_owned(), context.model.name.clone()]);
                }
                let words: Vec<Option<String>> = line.iter().cloned().map(Some).collect();
                match before {
                    Some(before) => {
                        let quoted: Vec<String> =
                            line.iter().map(|w| script::quote_with_variables(w, &known)).collect();
                        let (command, args) = shell(format!("set -e\n{before}\nexec {}", quoted.join(" ")));
                        (command, args, words)
                    }
                    None if custom => {
                        let args = line.split_off(1);
                        (line, args, words)
                    }
                    None => (Vec::new(), line, words),
                }
            }
            Command::Script(template) => {
                let lowered = script::lower(template, scope, &known).map_err(fail)?;
                let script = crate::charts::catalogue::vllm_options_in(&lowered.script, tag);
                match (lowered.words, before) {
                    (_, Some(before)) => {
                        let (command, args) = shell(format!("{before}\n{script}"));
                        (command, args, lowered.server)
                    }
                    (Some(words), None) => {
                        let mut words: Vec<String> = words.iter().map(spelled).collect();
                        let server = words.iter().cloned().map(Some).collect();
                        let args = if custom { words.split_off(1) } else { std::mem::take(&mut words) };
                        (words, args, server)
                    }
                    (None, None) if custom => {
                        let (command, args) = shell(script);
                        (command, args, lowered.server)
                    }
                    (None, None) => {
                        let message =
                            format!("`{}` needs a shell, and the chart takes only a list of arguments", path("args"));
                        return Err(
                            fail(Problem::Conflict { message }).with_hint("`modelCommand: custom` runs a script")
                        );
                    }
                }
            }
        };
        Ok(Run { command, args, words })
    }

    /// The port that a role answers on: that of its setting, or where none is set that of its own arguments.
    fn role_port(
        &self,
        name: &str,
        role: &RoleSetting,
        words: &[Option<String>],
        env: &[Value],
        notes: &mut Vec<Diagnostic>,
    ) -> Result<u16, Diagnostic> {
        let s = &self.resolved.settings;
        let path = format!("{name}.port");
        let port = role.port.map_or(s.vllm.port.0, |p| p.0);
        let fail =
            |message: String, path: &str| Diagnostic::error(Problem::Conflict { message }, self.resolved.span(path));
        if role.model_command != ModelCommand::Custom {
            if name == "prefill" && port != s.vllm.port.0 {
                let message =
                    format!("the chart starts prefill on `vllm.port`, {}; `prefill.port` is {port}", s.vllm.port);
                return Err(fail(message, &path).with_hint("leave `prefill.port` out, or use `modelCommand: custom`"));
            }
            return Ok(port);
        }
        let known = known_values(env);
        let value = |word: String| match word.strip_prefix("$(").and_then(|w| w.strip_suffix(')')) {
            Some(variable) => known.get(variable).cloned().flatten(),
            None => Some(word),
        };
        let Some(given) = option_value(words, "--port").flatten().and_then(value) else { return Ok(port) };
        if given == port.to_string() {
            return Ok(port);
        }
        let message = format!("the arguments say `--port {given}`, and `{path}` is {port}");
        let args = format!("{name}.args");
        match given.parse::<u16>() {
            Ok(given) if !self.resolved.is_set(&path) => {
                let message = format!("{name} answers on port {given}, as its arguments say; `{path}` would be {port}");
                notes.push(Diagnostic::note(Problem::Noted { message }, self.resolved.span(&args)));
                Ok(given)
            }
            _ => Err(fail(message, &args)),
        }
    }

    /// The environment of a role: what every server has, what the tool sets, what the scenario sets.
    fn role_env(
        &self,
        name: &'static str,
        role: &RoleSetting,
        context: &RoleContext<'_>,
        spread: &mut Spread,
    ) -> Result<Vec<Value>, Diagnostic> {
        let s = &self.resolved.settings;
        let known = self.env_names(name);
        let scope = context.scope;
        let executes = context.chart.executes_env();
        let literal = |text: &str| script::kubelet_literal(text, &known);
        let path = format!("{name}.env");
        let fail = |path: &str, p: Problem| Diagnostic::error(p, self.resolved.span(path));
        let mut env = Environment::default();
        if name == "prefill" {
            env.set("VLLM_IS_PREFILL", "1");
        }
        let pod_ip = Value::from([("fieldPath", "status.podIP")]);
        env.set_from("VLLM_NIXL_SIDE_CHANNEL_HOST", Value::from([("fieldRef", pod_ip)]));
        env.set("VLLM_LOGGING_LEVEL", s.vllm.logging_level.word());
        let own = RoleScope { stack: scope, role: name };
        env.extend(&s.vllm.standard_env, &own, &literal).map_err(|p| fail("vllm.standardEnv", p))?;
        self.peers(&mut env, role.peer_labels.as_ref());
        env.extend(&s.vllm.env, scope, &literal).map_err(|p| fail("vllm.env", p))?;
        env.extend(&role.env, scope, &literal).map_err(|p| fail(&path, p))?;
        for (variable, key) in context.chart.environment() {
            let Some(entry) = env.get(variable) else { continue };
            let given: Option<u32> = entry.get("value").and_then(Value::as_str).and_then(|v| v.parse().ok());
            let (value, setting) = (spread.get(key), format!("{name}.parallelism.{key}"));
            let says_so = !self.resolved.is_set(&setting) && role.model_command == ModelCommand::Custom;
            match given {
                Some(given) if given == value => {}
                Some(given) if says_so && given > 0 => spread.set(key, given),
                _ => {
                    let message = format!(
                        "the chart sets `{variable}` to {value}, from `{setting}`; the environment sets it too"
                    );
                    return Err(fail(&path, Problem::Conflict { message })
                        .with_place(self.resolved.span(&setting), "from here")
                        .with_hint(format!("leave `{variable}` out, or give `{setting}` its value")));
                }
            }
            env.remove(variable);
        }
        let mut entries = env.into_entries();
        if executes {
            for entry in &mut entries {
                if let Some(Value::String(text)) = entry.map_mut().get_mut("value") {
                    *text = inert(text);
                }
            }
        }
        Ok(entries)
    }
}

/// Makes every text of a tree one that Helm's template engine gives back as it is.
fn inert_strings(map: &mut crate::tree::Map) {
    fn value(v: &mut Value) {
        match v {
            Value::String(text) => *text = inert(text),
            Value::List(items) => items.iter_mut().for_each(value),
            Value::Map(map) => map.values_mut().for_each(value),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    map.values_mut().for_each(value);
}

/// A text that Helm's template engine gives back as it is.
pub fn inert(text: &str) -> String {
    text.replace("{{", "{{ \"{{\" }}")
}

/// As [`direct_events`], in the text of a script; its topic stays as the scenario has it.
fn direct_events_of_script(script: &mut String, host: &str) -> Option<u16> {
    let option = script.find(KV_EVENTS)?;
    let key = option + script[option..].find("endpoint")?;
    let start = key + script[key..].find("://")? + "://".len();
    let colon = start + script[start..].find(':')?;
    let digits: String = script[colon + 1..].chars().take_while(char::is_ascii_digit).collect();
    let port = digits.parse().ok()?;
    script.replace_range(start..colon, host);
    Some(port)
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

/// Why a prerequisite is none of this bundle, where that is so.
pub(super) fn prerequisite_unused(path: &str, s: &Settings) -> Option<&'static str> {
    let class = s.gateway.class_name.0.as_str();
    let other = "the gateway is of another class";
    match path {
        p if p.starts_with("prerequisites.kgateway.") && class != "kgateway" => Some(other),
        p if p.starts_with("prerequisites.istio.") && class != "istio" => Some(other),
        p if p.starts_with("prerequisites.leaderWorkerSet.") && !s.modelservice.multinode.0 => {
            Some("`modelservice.multinode` is off")
        }
        _ => None,
    }
}
