//! Helm values of llm-d-infra, the gateway.

use super::values::{map, text};
use crate::charts::contract::Infra;
use crate::plan::llmd::{Llmd, natural_gateway_name};
use crate::settings::sections::Settings;
use crate::settings::types::{CpuQuantity, Quantity};
use crate::tree::Value;

/// The values of the release.
pub(super) fn values(s: &Settings, llmd: &Llmd) -> Value {
    let contract = llmd.charts.infra.0;
    let class = s.gateway.class_name.0.as_str();
    let mut listener = vec![("name", text("default")), ("port", Value::from(80u32)), ("protocol", text("HTTP"))];
    if contract.has_allowed_routes() {
        listener.push(("allowedRoutes", map(vec![("namespaces", map(vec![("from", text("Same"))]))])));
    }
    let mut gateway = Vec::new();
    if llmd.gateway != natural_gateway_name(&llmd.infra_release) {
        gateway.push(("fullnameOverride", text(&llmd.gateway)));
    }
    if contract.has_provider() {
        // The provider decides; a class beside it would be overruled or refused.
        let provider = match class {
            "data-science-gateway-class" => None,
            "agentgateway-v2" => Some("agentgateway"),
            other => Some(other),
        };
        match provider {
            Some(provider) => gateway.extend([("gatewayClassName", text("")), ("provider", text(provider))]),
            None => gateway.push(("gatewayClassName", text(class))),
        }
    } else {
        gateway.push(("gatewayClassName", text(class)));
    }
    gateway.push(("listeners", Value::List(vec![map(listener)])));
    if contract.configures(class) {
        gateway.extend(service(s, contract));
        gateway.extend(resources(s, contract));
    }
    let mut values = vec![("gateway", map(gateway))];
    if contract.makes_ingress() {
        values.push(("ingress", map(vec![("enabled", Value::Bool(false))])));
    }
    map(values)
}

/// The type of the Service before the proxy.
fn service(s: &Settings, contract: Infra) -> Option<(&'static str, Value)> {
    let kind = text(s.gateway.service_type?.word());
    Some(if contract.has_service() { ("service", map(vec![("type", kind)])) } else { ("serviceType", kind) })
}

/// The resources of the proxy.
fn resources(s: &Settings, contract: Infra) -> Option<(&'static str, Value)> {
    contract.resources().ok()?;
    let g = &s.gateway;
    let amounts = |cpu: &Option<CpuQuantity>, memory: &Option<Quantity>| {
        let cpu = cpu.as_ref().map_or(Value::Null, |c| text(&c.0));
        let memory = memory.as_ref().map_or(Value::Null, |m| text(&m.0));
        if cpu == Value::Null && memory == Value::Null {
            Value::Null
        } else {
            map(vec![("cpu", cpu), ("memory", memory)])
        }
    };
    let (limits, requests) = (amounts(&g.cpu_limit, &g.memory_limit), amounts(&g.cpu_request, &g.memory_request));
    if limits == Value::Null && requests == Value::Null {
        return None;
    }
    let resources = map(vec![("limits", limits), ("requests", requests)]);
    Some(("gatewayParameters", map(vec![("resources", resources)])))
}
