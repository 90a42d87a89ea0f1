//! Helm values of the llm-d charts, by the contract of each version: no key that the version does not read.

use super::releases::{ChartSource, Release};
use super::{gateway_values, pool_values};
use crate::charts::contract::{LogKey, Modelservice};
use crate::error::{Diagnostic, Errors};
use crate::plan::Plan;
use crate::plan::llmd::{Llmd, MODELS, Role, Stack, inert};
use crate::plan::server::{MODEL_STORAGE, Server};
use crate::settings::resolve::Resolved;
use crate::settings::sections::{Role as RoleSetting, Settings};
use crate::settings::types::ModelCommand;
use crate::tree::{Map, Value};

/// The releases of the bundle, in the order they are installed.
///
/// # Errors
/// A value of the user's that has no place in those of the bundle.
pub fn releases(resolved: &Resolved, plan: &Plan) -> Result<Vec<Release>, Errors> {
    let Some(llmd) = &plan.llmd else { return Ok(Vec::new()) };
    let s = &resolved.settings;
    let release = |name: &str, chart: ChartSource, version: &str, values: Value, needs: Vec<String>| Release {
        name: name.to_owned(),
        namespace: s.namespace.0.clone(),
        chart,
        version: version.to_owned(),
        values,
        needs,
    };
    let source = |name: &str, alias: &str, url: &str| match name.starts_with("oci://") {
        true => ChartSource::Oci(name.to_owned()),
        false => ChartSource::Repository { alias: alias.to_owned(), url: url.to_owned(), chart: name.to_owned() },
    };
    let c = &s.charts;
    let charts = &llmd.charts;
    let infra = source(&c.infra.name.0, &c.infra_repository.0, &c.infra_repository_url.0);
    let mut all =
        vec![release(&llmd.infra_release, infra, &charts.infra.1, gateway_values::values(s, llmd), Vec::new())];
    for stack in &llmd.stacks {
        let pool = ChartSource::Oci(c.inference_pool.name.0.clone());
        let needs = vec![llmd.infra_release.clone()];
        all.push(release(&stack.pool, pool, &charts.pool.1, pool_values::values(s, llmd, stack), needs));
        let servers = source(&c.modelservice.name.0, &c.modelservice_repository.0, &c.modelservice_repository_url.0);
        let needs = vec![llmd.infra_release.clone(), stack.pool.clone()];
        let values = stack.overrides.apply(modelservice_values(s, llmd, stack)).map_err(|problem| {
            Errors::from(Diagnostic::error(problem, resolved.span("modelservice.additionalSets")))
        })?;
        all.push(release(&stack.release, servers, &charts.modelservice.1, values, needs));
    }
    Ok(all)
}

/// A mapping of the pairs that have a value.
pub(super) fn map(pairs: Vec<(&str, Value)>) -> Value {
    Value::Map(pairs.into_iter().filter(|(_, v)| *v != Value::Null).map(|(k, v)| (k.to_owned(), v)).collect())
}

pub(super) fn text(text: &str) -> Value {
    Value::from(text)
}

pub(super) fn strings(list: &[String]) -> Value {
    Value::from(list.to_vec())
}

/// The labels by which a pool knows the pods of its stack.
pub(super) fn pod_labels(llmd: &Llmd, stack: &Stack) -> Value {
    let serving = llmd.charts.modelservice.0.serving_label();
    map(vec![(serving, text("true")), ("llm-d.ai/model", text(&stack.name))])
}

fn modelservice_values(s: &Settings, llmd: &Llmd, stack: &Stack) -> Value {
    let contract = llmd.charts.modelservice.0;
    let uri =
        if contract.executes_uri() && stack.uri.starts_with("hf://") { inert(&stack.uri) } else { stack.uri.clone() };
    let named = !contract.names_model_in_routing();
    let artifacts = map(vec![
        ("name", if named { text(stack.model.served_name()) } else { Value::Null }),
        ("uri", Value::from(uri)),
        ("size", text(&s.storage.model.size.0)),
        ("authSecretName", text(&s.hugging_face.secret_name.0)),
        ("labels", if contract.labels_pods_as_told() { pod_labels(llmd, stack) } else { Value::Null }),
    ]);
    let off = || map(vec![("create", Value::Bool(false))]);
    let mut routing = vec![("servicePort", Value::from(s.vllm.port.0)), ("proxy", sidecar_values(s, llmd, stack))];
    if !named {
        routing.push(("modelName", text(stack.model.served_name())));
    }
    if contract.makes_routing() {
        // The route and the model object are manifests of the bundle; the pool and its picker are a release of their own.
        routing.push(("parentRefs", Value::List(vec![map(vec![("name", text(&llmd.gateway))])])));
        let pool = map(vec![("create", Value::Bool(false)), ("name", text(&stack.pool))]);
        routing.extend([("inferencePool", pool), ("epp", off()), ("httpRoute", off()), ("inferenceModel", off())]);
    }
    let mut values = vec![
        ("fullnameOverride", text(&stack.name)),
        ("multinode", Value::Bool(s.modelservice.multinode.0)),
        ("modelArtifacts", artifacts),
        ("routing", map(routing)),
    ];
    if contract.adds_accelerators() {
        values.push(("accelerator", accelerator_values(stack)));
    }
    let settings = [&s.decode, &s.prefill];
    for ((name, role), setting) in stack.roles.iter().zip(settings) {
        values.push((*name, role_values(s, llmd, stack, setting, name, role)));
    }
    map(values)
}

/// Resources are given whole, and the chart would add its own count to them, unless it makes claims.
fn accelerator_values(stack: &Stack) -> Value {
    let mut templates = Map::new();
    for kind in stack.roles.iter().filter(|(_, r)| r.replicas > 0).filter_map(|(_, r)| r.claims) {
        // Two stacks of a namespace would both make the chart's own name.
        templates.insert(kind.to_owned(), map(vec![("name", Value::from(format!("{}-claim-template", stack.name)))]));
    }
    let templates = if templates.is_empty() { Value::Null } else { Value::Map(templates) };
    map(vec![("type", text("cpu")), ("resourceClaimTemplates", templates)])
}

/// The routing sidecar before decode.
fn sidecar_values(s: &Settings, llmd: &Llmd, stack: &Stack) -> Value {
    let contract = llmd.charts.modelservice.0;
    let level = |key: LogKey| match s.routing_sidecar.log_level {
        Some(level) if contract.sidecar_log() == key => match key {
            LogKey::DebugLevel => Value::from(level.0),
            // Level 0 of zap is written as a word.
            LogKey::ZapLogLevel if level.0 == 0 => text("info"),
            LogKey::ZapLogLevel => Value::from(level.to_string()),
        },
        _ => Value::Null,
    };
    map(vec![
        ("enabled", if s.routing_sidecar.enabled.0 { Value::Null } else { Value::Bool(false) }),
        ("image", text(&llmd.sidecar_image)),
        ("connector", text(&s.routing_sidecar.connector.0)),
        ("debugLevel", level(LogKey::DebugLevel)),
        ("zapLogLevel", level(LogKey::ZapLogLevel)),
        ("secure", Value::Bool(false)),
        ("targetPort", Value::from(stack.roles[0].1.server.port)),
    ])
}

fn role_values(s: &Settings, llmd: &Llmd, stack: &Stack, setting: &RoleSetting, name: &str, role: &Role) -> Value {
    if role.replicas == 0 {
        return map(vec![("create", Value::Bool(false)), ("replicas", Value::from(0u32))]);
    }
    let contract = llmd.charts.modelservice.0;
    let server = &role.server;
    let parts = &server.parts;
    let annotations = match contract.pod_annotations() {
        Ok(()) if !server.annotations.is_empty() => Value::Map(server.annotations.clone()),
        _ => Value::Null,
    };
    let unless_said = |key: &str, value: Value| if parts.pod.contains_key(key) { Value::Null } else { value };
    let labels = s.pod.node_labels.as_ref().and_then(|l| l.0.first()).map_or(Value::Null, |(label, value)| {
        map(vec![("labelKey", text(label)), ("labelValues", Value::from(vec![value.as_str()]))])
    });
    let scheduler =
        if s.pod.scheduler_name.0 == "default-scheduler" { Value::Null } else { text(&s.pod.scheduler_name.0) };
    let class = s.pod.priority_class.as_ref().map_or(Value::Null, |c| text(&c.0));
    let mut extra = parts.pod.clone();
    if let Some(secret) = &s.pod.pull_secret {
        extra.insert("imagePullSecrets".into(), Value::List(vec![map(vec![("name", text(&secret.0))])]));
    }
    if class != Value::Null && !contract.has_priority_class() {
        extra.insert("priorityClassName".into(), class.clone());
    }
    let or_nothing = |fields: &Map| if fields.is_empty() { Value::Null } else { Value::Map(fields.clone()) };
    let resources = Value::Map(server.resources.clone());
    let has_own_ports = parts.container.contains_key("ports");
    let mut container =
        vec![("name", text("vllm")), ("image", text(&server.image)), ("modelCommand", text(role.model_command.word()))];
    if role.model_command == ModelCommand::Custom {
        container.push(("command", strings(&server.command)));
    }
    container.extend([
        ("args", strings(&server.args)),
        ("env", Value::List(server.env.clone())),
        ("resources", map(vec![("limits", resources.clone()), ("requests", resources)])),
        ("ports", if has_own_ports || !monitored(s, contract) { Value::Null } else { metrics_port(server.port) }),
        ("mountModelVolume", Value::Bool(role.mounts_model)),
    ]);
    for (name, probe) in &server.probes {
        if !parts.container.contains_key(name) {
            container.push((name.as_str(), probe.clone()));
        }
    }
    container.extend([("extraConfig", or_nothing(&parts.container)), ("volumeMounts", mounts(role))]);
    let spread = role.spread;
    let parallelism = match contract.has_parallelism() {
        true if !spread.is_single() => {
            let keys = ["data", "dataLocal", "tensor", "workers"];
            map(keys.map(|k| (k, Value::from(spread.get(k)))).to_vec())
        }
        _ => Value::Null,
    };
    let claims = role.claims.map_or(Value::Null, |kind| map(vec![("type", text(kind)), ("dra", Value::Bool(true))]));
    let wait = waits_for_model(s, llmd, name, stack).then(|| wait_for_model(stack, server));
    let init: Vec<Value> = wait.into_iter().chain(parts.init_containers.iter().cloned()).collect();
    let init = if init.is_empty() { Value::Null } else { Value::List(init) };
    map(vec![
        ("create", Value::Bool(true)),
        ("replicas", Value::from(role.replicas)),
        ("parallelism", parallelism),
        ("accelerator", claims),
        ("podAnnotations", annotations),
        ("monitoring", pod_monitor(s, contract, role)),
        ("acceleratorTypes", unless_said("affinity", labels)),
        ("schedulerName", unless_said("schedulerName", scheduler)),
        ("priorityClassName", if contract.has_priority_class() { class } else { Value::Null }),
        ("extraConfig", or_nothing(&extra)),
        ("initContainers", init),
        ("containers", Value::List(vec![map(container)])),
        ("volumes", volumes(setting, role)),
    ])
}

/// Whether the servers of a role wait until their model is in the volume, where the chart's version has a way to.
pub fn waits_for_model(s: &Settings, llmd: &Llmd, role: &str, stack: &Stack) -> bool {
    let contract = llmd.charts.modelservice.0;
    let beside_sidecar = s.modelservice.multinode.0 && role == "decode" && llmd.routing_sidecar;
    stack.uri.starts_with("pvc://")
        && s.modelservice.mount_model.is_none_or(|m| m.0)
        && contract.init_containers().is_ok()
        && !(beside_sidecar && contract.init_containers_in_groups().is_err())
}

/// The container that waits for the model. The download marks a model as whole.
fn wait_for_model(stack: &Stack, server: &Server) -> Value {
    const SCRIPT: &str = "until [ -e \"$MODEL_DIR/.llmdbench-complete\" ]; do\n  echo \"waiting for the model in $MODEL_DIR\"\n  sleep 10\ndone\n";
    let path = stack.uri.strip_prefix("pvc://").and_then(|u| u.split_once('/')).map_or("", |(_, path)| path);
    let dir = map(vec![("name", text("MODEL_DIR")), ("value", Value::from(format!("{MODELS}/{path}")))]);
    let mount = map(vec![("name", text(MODEL_STORAGE)), ("mountPath", text(MODELS)), ("readOnly", Value::Bool(true))]);
    let little = map(vec![("cpu", text("100m")), ("memory", text("64Mi"))]);
    map(vec![
        ("name", text("wait-for-model")),
        ("image", text(&server.image)),
        ("imagePullPolicy", text("IfNotPresent")),
        ("command", Value::from(vec!["/bin/sh", "-c"])),
        ("args", Value::from(vec![SCRIPT])),
        ("env", Value::List(vec![dir])),
        ("resources", map(vec![("limits", little.clone()), ("requests", little)])),
        ("volumeMounts", Value::List(vec![mount])),
    ])
}

/// Name of the port of a server that metrics are read from.
const METRICS_PORT: &str = "metrics";

fn monitored(s: &Settings, contract: Modelservice) -> bool {
    s.monitoring.pod_monitor.0 && contract.pod_monitor().is_ok()
}

/// The named port that a PodMonitor refers to.
fn metrics_port(port: u16) -> Value {
    let entry = [("name", text(METRICS_PORT)), ("containerPort", Value::from(port)), ("protocol", text("TCP"))];
    Value::List(vec![map(entry.to_vec())])
}

fn pod_monitor(s: &Settings, contract: Modelservice, role: &Role) -> Value {
    if !monitored(s, contract) {
        return Value::Null;
    }
    let server = &role.server;
    let port = server.named_port().unwrap_or(METRICS_PORT);
    let monitor = map(vec![
        ("enabled", Value::Bool(true)),
        (contract.pod_monitor_port(), text(port)),
        ("path", text(&s.monitoring.path.0)),
        ("interval", text(&s.monitoring.interval.0)),
    ]);
    map(vec![("podmonitor", monitor)])
}

/// Folders that servers write to: name, path.
const SCRATCH: &[(&str, &str)] =
    &[("metrics-volume", "/.config"), ("shm", "/dev/shm"), ("torch-compile-cache", "/.cache")];

fn mounts(role: &Role) -> Value {
    let ours = SCRATCH
        .iter()
        .filter(|(_, path)| !role.server.mounts_at(path))
        .map(|(n, p)| map(vec![("name", text(n)), ("mountPath", text(p))]));
    Value::List(ours.chain(role.server.parts.mounts.iter().cloned()).collect())
}

fn volumes(setting: &RoleSetting, role: &Role) -> Value {
    let volume = |name: &str| {
        let empty = match (&setting.shared_memory, name) {
            (Some(size), "shm") => map(vec![("medium", text("Memory")), ("sizeLimit", text(&size.0))]),
            (None, "shm") => map(vec![("medium", text("Memory"))]),
            _ => Value::Map(Map::new()),
        };
        map(vec![("name", text(name)), ("emptyDir", empty)])
    };
    let theirs = &role.server.parts.volumes;
    let named = |name: &str| theirs.iter().any(|v| v.get("name").and_then(Value::as_str) == Some(name));
    // A volume whose place is taken stays where the scenario mounts it elsewhere.
    let needed = |name: &str, path: &str| !role.server.mounts_at(path) || role.server.mounts_volume(name);
    let ours = SCRATCH.iter().filter(|(n, path)| needed(n, path) && !named(n)).map(|(n, _)| volume(n));
    Value::List(ours.chain(theirs.iter().cloned()).collect())
}
