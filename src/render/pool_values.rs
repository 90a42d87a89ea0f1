//! Helm values of the chart that makes a pool and its endpoint picker: inferencepool or llm-d-router-gateway.

use super::values::{map, pod_labels, text};
use crate::charts::contract::{FlagForm, Pool};
use crate::plan::llmd::{Llmd, PoolChart, Stack};
use crate::settings::sections::Settings;
use crate::tree::{Map, Value};

/// The values of the release.
pub(super) fn values(s: &Settings, llmd: &Llmd, stack: &Stack) -> Value {
    match llmd.charts.pool.0 {
        PoolChart::Gaie(contract) => gaie(s, llmd, stack, contract),
        PoolChart::Router => router(s, llmd, stack),
    }
}

fn gaie(s: &Settings, llmd: &Llmd, stack: &Stack, contract: Pool) -> Value {
    let picker = &stack.picker;
    let can_open = contract.extra_ports().is_ok();
    let verbosity = match contract.has_log_verbosity() {
        Ok(true) => picker.flags.iter().find(|(n, _)| n == "v").map_or(Value::Null, |(_, v)| text(v)),
        _ => Value::Null,
    };
    let flags = match contract.flags() {
        Ok(_) if picker.flags.is_empty() => Value::Null,
        Ok(FlagForm::Map) => flags(stack),
        Ok(FlagForm::List) => {
            let entry = |(name, value): &(String, String)| map(vec![("name", text(name)), ("value", text(value))]);
            Value::List(picker.flags.iter().map(entry).collect())
        }
        Err(_) => Value::Null,
    };
    let extension = map(vec![
        ("replicas", Value::from(1u32)),
        ("image", if contract.has_image_hub() { hub_image(llmd) } else { image(llmd) }),
        ("env", if contract.has_env_list() { env(s) } else { Value::Null }),
        ("flags", flags),
        ("logVerbosity", verbosity),
        ("pluginsConfigFile", text(&picker.file)),
        ("pluginsCustomConfig", plugins(stack)),
        ("extraContainerPorts", if can_open { container_ports(stack) } else { Value::Null }),
        ("extraServicePorts", if can_open { service_ports(stack) } else { Value::Null }),
        ("sidecar", sidecar(s, llmd, stack, contract)),
        ("volumes", list(&picker.volumes)),
        ("volumeMounts", list(&picker.mounts)),
        ("monitoring", monitoring(s, stack, Some(contract))),
    ]);
    let port = Value::from(stack.pool_port);
    let one_port = contract.has_one_port() || llmd.experimental_pool;
    let api = match (contract.has_one_port(), llmd.experimental_pool) {
        (false, true) => text("inference.networking.x-k8s.io/v1alpha2"),
        _ => Value::Null,
    };
    let pool = map(vec![
        ("apiVersion", api),
        ("targetPortNumber", if one_port { port } else { Value::Null }),
        ("targetPorts", if one_port { Value::Null } else { ports(stack) }),
        ("modelServerType", text("vllm")),
        ("modelServers", map(vec![("matchLabels", pod_labels(llmd, stack))])),
    ]);
    let rule = destination_rule(stack);
    let at_root = contract.destination_rule_in_provider().is_ok_and(|inside| !inside);
    let (root, inside) = if at_root { (rule, Value::Null) } else { (Value::Null, rule) };
    let knows = contract.destination_rule_in_provider().is_ok();
    map(vec![
        ("inferenceExtension", extension),
        ("inferencePool", pool),
        ("provider", provider(s, stack, knows, inside)),
        ("istio", root),
    ])
}

fn router(s: &Settings, llmd: &Llmd, stack: &Stack) -> Value {
    let picker = &stack.picker;
    let epp = map(vec![
        ("replicas", Value::from(1u32)),
        ("image", image(llmd)),
        ("env", env(s)),
        ("flags", if picker.flags.is_empty() { Value::Null } else { flags(stack) }),
        ("pluginsConfigFile", text(&picker.file)),
        ("pluginsCustomConfig", plugins(stack)),
        ("extraContainerPorts", container_ports(stack)),
        ("volumes", list(&picker.volumes)),
        ("volumeMounts", list(&picker.mounts)),
    ]);
    let servers =
        map(vec![("type", text("vllm")), ("targetPorts", ports(stack)), ("matchLabels", pod_labels(llmd, stack))]);
    let router = map(vec![
        ("epp", epp),
        ("extraServicePorts", service_ports(stack)),
        ("modelServers", servers),
        ("monitoring", monitoring(s, stack, None)),
    ]);
    map(vec![("router", router), ("provider", provider(s, stack, true, destination_rule(stack)))])
}

fn list(items: &[Value]) -> Value {
    if items.is_empty() { Value::Null } else { Value::List(items.to_vec()) }
}

fn image(llmd: &Llmd) -> Value {
    let [registry, repository, name, tag] = &llmd.picker_image;
    let path = [repository.as_str(), name.as_str()].into_iter().filter(|p| !p.is_empty()).collect::<Vec<_>>().join("/");
    map(vec![
        ("registry", text(registry)),
        ("repository", text(&path)),
        ("tag", text(tag)),
        ("pullPolicy", text("IfNotPresent")),
    ])
}

fn hub_image(llmd: &Llmd) -> Value {
    let [registry, repository, name, tag] = &llmd.picker_image;
    let hub = [registry.as_str(), repository.as_str()].into_iter().filter(|p| !p.is_empty()).collect::<Vec<_>>();
    map(vec![
        ("hub", Value::from(hub.join("/"))),
        ("name", text(name)),
        ("tag", text(tag)),
        ("pullPolicy", text("IfNotPresent")),
    ])
}

/// Plugins that tokenize load the tokenizer of a gated model with the token.
fn env(s: &Settings) -> Value {
    let key = map(vec![
        ("name", text(&s.hugging_face.secret_name.0)),
        ("key", text(&s.hugging_face.secret_key.0)),
        ("optional", Value::Bool(true)),
    ]);
    Value::List(vec![map(vec![("name", text("HF_TOKEN")), ("valueFrom", map(vec![("secretKeyRef", key)]))])])
}

fn flags(stack: &Stack) -> Value {
    Value::Map(stack.picker.flags.iter().map(|(n, v)| (n.clone(), text(v))).collect::<Map>())
}

fn plugins(stack: &Stack) -> Value {
    let picker = &stack.picker;
    picker.plugins.as_ref().map_or(Value::Null, |p| map(vec![(picker.file.as_str(), Value::from(p.to_yaml()))]))
}

fn ports(stack: &Stack) -> Value {
    Value::List(vec![map(vec![("number", Value::from(stack.pool_port))])])
}

/// The scenario's ports and, where they lack it, that of KV-cache events.
fn with_events(given: &[Value], key: &str, stack: &Stack, entry: impl Fn(u16) -> Value) -> Value {
    let mut all = given.to_vec();
    if let Some(port) = stack.kv_events_port
        && !all.iter().any(|p| p.get(key) == Some(&Value::from(port)))
    {
        all.push(entry(port));
    }
    list(&all)
}

fn container_ports(stack: &Stack) -> Value {
    with_events(&stack.picker.container_ports, "containerPort", stack, |port| {
        map(vec![("name", text("kv-events")), ("protocol", text("TCP")), ("containerPort", Value::from(port))])
    })
}

fn service_ports(stack: &Stack) -> Value {
    with_events(&stack.picker.service_ports, "port", stack, |port| {
        let port = Value::from(port);
        map(vec![("name", text("kv-events")), ("protocol", text("TCP")), ("port", port.clone()), ("targetPort", port)])
    })
}

fn sidecar(s: &Settings, llmd: &Llmd, stack: &Stack, contract: Pool) -> Value {
    let (Some(sidecar), Some(image)) = (&stack.picker.sidecar, &llmd.tokenizer_image) else { return Value::Null };
    let config =
        map(vec![("name", Value::from(format!("{}-tokenizer", stack.pool))), ("data", Value::Map(Map::new()))]);
    map(vec![
        ("enabled", Value::Bool(true)),
        ("name", text(&s.endpoint_picker.sidecar.name.0)),
        ("image", text(image)),
        ("imagePullPolicy", text("IfNotPresent")),
        ("env", list(&sidecar.env)),
        ("volumeMounts", list(&sidecar.mounts)),
        ("configMap", if contract.sidecar_needs_config() { config } else { Value::Null }),
    ])
}

/// Monitoring of the picker. The Secret is named for the release: the chart's default would be shared by all.
fn monitoring(s: &Settings, stack: &Stack, contract: Option<Pool>) -> Value {
    let m = &s.endpoint_picker.monitoring;
    let has_auth = contract.is_none_or(|c| c.monitoring_auth().is_ok());
    let secret = Value::from(format!("{}-metrics-reader", stack.pool));
    if !stack.picker.monitored {
        let open = has_auth && !m.auth.0;
        let auth = map(vec![("enabled", Value::Bool(false))]);
        return if open { map(vec![("prometheus", map(vec![("auth", auth)]))]) } else { Value::Null };
    }
    let auth = map(vec![("enabled", Value::Bool(m.auth.0)), ("secretName", secret.clone())]);
    let prometheus = map(vec![("enabled", Value::Bool(true)), ("auth", if has_auth { auth } else { Value::Null })]);
    map(vec![
        ("interval", text(&m.interval.0)),
        ("prometheus", prometheus),
        ("secret", if has_auth { Value::Null } else { map(vec![("name", secret)]) }),
    ])
}

fn destination_rule(stack: &Stack) -> Value {
    let traffic = &stack.picker.traffic;
    let policy = traffic.connections.clone().map_or(Value::Null, |c| map(vec![("connectionPool", c)]));
    let host = traffic.host.as_ref().map_or(Value::Null, |h| text(h));
    if host == Value::Null && policy == Value::Null {
        return Value::Null;
    }
    map(vec![("destinationRule", map(vec![("host", host), ("trafficPolicy", policy)]))])
}

/// Who runs the gateway: for Istio the chart makes a DestinationRule, unless the bundle holds one of its own.
fn provider(s: &Settings, stack: &Stack, knows_istio: bool, rule: Value) -> Value {
    let class = s.gateway.class_name.0.as_str();
    if class == "istio" && knows_istio && stack.picker.traffic.whole.is_none() {
        return map(vec![("name", text("istio")), ("istio", rule)]);
    }
    if class.starts_with("gke-") { map(vec![("name", text("gke"))]) } else { Value::Null }
}
