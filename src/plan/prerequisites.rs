//! What a cluster must have before a bundle of the llm-d method is applied. It belongs to the whole cluster, so nothing of
//! it is in the bundle; the bundle names it with its version and the command that installs it.

use super::llmd::{Charts, PoolChart};
use crate::settings::sections::{PrerequisiteChart, Settings};

/// One thing that a cluster must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prerequisite {
    /// What it is.
    pub what: String,
    /// The version that the bundle is meant for; empty where any will do.
    pub version: String,
    /// Commands that install it, in order.
    pub install: Vec<String>,
}

/// The InferencePool of llm-d-router-gateway is that of the last version of GAIE.
const LAST_POOL: &str = "v1.5.0";

/// What this bundle needs, in the order in which it is installed.
pub fn prerequisites(s: &Settings, charts: &Charts, monitored: bool) -> Vec<Prerequisite> {
    let p = &s.prerequisites;
    let mut all = vec![resources("Gateway API", "kubernetes-sigs/gateway-api", &p.gateway_api.0)];
    let given = p.inference_extension.as_ref().map(|v| v.0.clone());
    let extension = "kubernetes-sigs/gateway-api-inference-extension";
    match charts.pool.0 {
        PoolChart::Gaie(_) => {
            all.push(resources("inference extension", extension, &given.unwrap_or_else(|| charts.pool.1.clone())));
        }
        PoolChart::Router => {
            all.push(resources("inference extension", extension, &given.unwrap_or_else(|| LAST_POOL.to_owned())));
            all.push(resources("llm-d router", "llm-d/llm-d-router", &charts.pool.1));
        }
    }
    let class = s.gateway.class_name.0.as_str();
    match class {
        "istio" => all.push(istio(&p.istio)),
        "kgateway" => all.push(kgateway(&p.kgateway)),
        _ => all.push(Prerequisite {
            what: format!("a controller of gateways of class {class}"),
            version: String::new(),
            install: Vec::new(),
        }),
    }
    if s.modelservice.multinode.0 {
        let c = &p.leader_worker_set;
        all.push(Prerequisite {
            what: "LeaderWorkerSet".to_owned(),
            version: c.version.0.clone(),
            install: vec![install("lws", "lws", c, "")],
        });
    }
    if monitored {
        all.push(Prerequisite {
            what: "the Prometheus operator".to_owned(),
            version: String::new(),
            install: Vec::new(),
        });
    }
    all
}

/// Resource definitions of a repository.
fn resources(what: &str, repository: &str, version: &str) -> Prerequisite {
    Prerequisite {
        what: format!("resource definitions of the {what}"),
        version: version.to_owned(),
        install: vec![format!("kubectl apply --kustomize 'https://github.com/{repository}/config/crd?ref={version}'")],
    }
}

fn istio(c: &PrerequisiteChart) -> Prerequisite {
    let extension = " --set pilot.env.ENABLE_GATEWAY_API_INFERENCE_EXTENSION=true";
    Prerequisite {
        what: "Istio".to_owned(),
        version: c.version.0.clone(),
        install: vec![install("istio-base", "base", c, ""), install("istiod", "istiod", c, extension)],
    }
}

fn kgateway(c: &PrerequisiteChart) -> Prerequisite {
    let extension = " --set inferenceExtension.enabled=true";
    Prerequisite {
        what: "kgateway".to_owned(),
        version: c.version.0.clone(),
        install: vec![install("kgateway-crds", "kgateway-crds", c, ""), install("kgateway", "kgateway", c, extension)],
    }
}

fn install(release: &str, chart: &str, c: &PrerequisiteChart, more: &str) -> String {
    let url = c.repository.0.trim_end_matches('/');
    let chart = if url.starts_with("oci://") { format!("{url}/{chart}") } else { format!("{chart} --repo {url}") };
    let (version, namespace) = (&c.version, &c.namespace);
    format!(
        "helm upgrade --install {release} {chart} --version {version} --namespace {namespace} --create-namespace{more}"
    )
}
