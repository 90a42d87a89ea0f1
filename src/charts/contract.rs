//! What each version of the llm-d charts reads: one contract per chart, made from the version that the scenario names.
//!
//! Every condition on a version is in this file. Sources: the published charts, each key set to a sentinel value and
//! looked for in what `helm template` makes of it. Adding a version is widening a row of [`RANGES`]; a version that
//! changed something adds its condition to the contract below.

use crate::error::Problem;
use std::fmt;

/// A version of a chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

impl Version {
    /// Reads `v0.4.12` or `1.0.6`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix('v').unwrap_or(text).split('.').map(|p| p.parse().ok());
        match (parts.next()??, parts.next()??, parts.next()??, parts.next()) {
            (a, b, c, None) => Some(Self(a, b, c)),
            _ => None,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}.{}.{}", self.0, self.1, self.2)
    }
}

/// A chart that the tool writes values for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chart {
    /// llm-d-infra: the gateway.
    Infra,
    /// inferencepool of the Gateway API Inference Extension: the pool and its endpoint picker.
    InferencePool,
    /// llm-d-router-gateway, its successor.
    Router,
    /// llm-d-modelservice: the model servers.
    Modelservice,
}

/// The versions that a contract is known for.
static RANGES: &[(Chart, &str, Version, Version)] = &[
    (Chart::Infra, "llm-d-infra", Version(1, 0, 6), Version(1, 4, 0)),
    (Chart::InferencePool, "inferencepool", Version(0, 5, 0), Version(1, 5, 0)),
    (Chart::Router, "llm-d-router-gateway", Version(0, 9, 0), Version(0, 10, 0)),
    (Chart::Modelservice, "llm-d-modelservice", Version(0, 2, 0), Version(0, 4, 12)),
];

/// The chart of this name and its version, when a contract is known for both.
///
/// # Errors
/// Another chart, or a version outside of the range, with what there is.
pub fn find(name: &str, version: &str) -> Result<(Chart, Version), Problem> {
    let base = name.rsplit('/').next().unwrap_or(name);
    let Some((chart, _, first, last)) = RANGES.iter().find(|(_, n, ..)| *n == base) else {
        let known = RANGES.iter().map(|(_, n, ..)| format!("`{n}`")).collect::<Vec<_>>().join(", ");
        return Err(Problem::Unsupported {
            what: format!("no contract is known for the chart `{base}`; there are {known}"),
        });
    };
    match Version::parse(version) {
        Some(v) if (*first..=*last).contains(&v) => Ok((*chart, v)),
        _ => {
            let what = format!("no contract is known for version `{version}` of `{base}`; there are {first} to {last}");
            Err(Problem::Unsupported { what })
        }
    }
}

/// An error that says from which version on a chart can do something.
fn since(what: &str, chart: &str, version: Version, first: Version) -> Result<(), Problem> {
    if version >= first {
        return Ok(());
    }
    Err(Problem::Unsupported {
        what: format!("{what} needs version {first} of `{chart}`, and the scenario names {version}"),
    })
}

/// What a version of llm-d-modelservice reads.
#[derive(Debug, Clone, Copy)]
pub struct Modelservice(pub Version);

impl Modelservice {
    /// The served name is `routing.modelName`, later `modelArtifacts.name`.
    pub fn names_model_in_routing(self) -> bool {
        self.0 < Version(0, 2, 3)
    }
    /// The chart can make a route, a pool and a picker of its own, and has to be told not to.
    pub fn makes_routing(self) -> bool {
        self.0 < Version(0, 3, 0)
    }
    /// Labels of pods are those of `modelArtifacts.labels`; before, the chart makes them from its full name.
    pub fn labels_pods_as_told(self) -> bool {
        !self.makes_routing()
    }
    /// The label that says that a pod serves.
    pub fn serving_label(self) -> &'static str {
        if self.0 < Version(0, 4, 5) { "llm-d.ai/inferenceServing" } else { "llm-d.ai/inference-serving" }
    }
    /// Accelerators are added to the resources unless `accelerator.type` is `cpu`.
    pub fn adds_accelerators(self) -> bool {
        self.0 >= Version(0, 2, 8)
    }
    /// `{{` in environment variables is executed as a template.
    pub fn executes_env(self) -> bool {
        self.0 >= Version(0, 2, 5)
    }
    /// `{{` in an `hf://` URI is executed as a template.
    pub fn executes_uri(self) -> bool {
        self.0 >= Version(0, 2, 3)
    }
    /// Annotations of pods.
    ///
    /// # Errors
    /// A version without `podAnnotations`.
    pub fn pod_annotations(self) -> Result<(), Problem> {
        since("an annotation of pods", "llm-d-modelservice", self.0, Version(0, 2, 6))
    }
    /// Probes, and volumes with a medium or size.
    ///
    /// # Errors
    /// The two versions whose schema refuses them.
    pub fn probes_and_volumes(self) -> Result<(), Problem> {
        if self.0 < Version(0, 2, 8) {
            Ok(())
        } else {
            since("a shared memory volume", "llm-d-modelservice", self.0, Version(0, 2, 10))
        }
    }
    /// `parallelism` with ranks of a pod and pods of a replica; LeaderWorkerSet groups of that size.
    ///
    /// # Errors
    /// A version that knows only tensor parallelism.
    pub fn spreads(self, what: &str) -> Result<(), Problem> {
        since(what, "llm-d-modelservice", self.0, Version(0, 3, 6))
    }
    /// `parallelism` as a whole is read.
    pub fn has_parallelism(self) -> bool {
        self.spreads("").is_ok()
    }
    /// Init containers.
    ///
    /// # Errors
    /// A version without `initContainers`.
    pub fn init_containers(self) -> Result<(), Problem> {
        since("an init container of a model server", "llm-d-modelservice", self.0, Version(0, 3, 6))
    }
    /// Init containers beside the routing proxy in a LeaderWorkerSet.
    ///
    /// # Errors
    /// The versions that write them as invalid YAML.
    pub fn init_containers_in_groups(self) -> Result<(), Problem> {
        if self.0 < Version(0, 3, 11) {
            return Ok(());
        }
        let what = "an init container beside the routing sidecar of a LeaderWorkerSet";
        since(what, "llm-d-modelservice", self.0, Version(0, 4, 9))
    }
    /// Fields of pods and containers that the chart has no key for.
    ///
    /// # Errors
    /// A version without `extraConfig`, or whose schema refuses it.
    pub fn extra_fields(self, what: &str) -> Result<(), Problem> {
        if self.0 >= Version(0, 2, 5) && self.0 < Version(0, 2, 8) {
            return Ok(());
        }
        let first = if self.0 < Version(0, 2, 5) { Version(0, 2, 5) } else { Version(0, 2, 9) };
        since(what, "llm-d-modelservice", self.0, first)
    }
    /// `priorityClassName` is a key of its own.
    pub fn has_priority_class(self) -> bool {
        self.0 >= Version(0, 4, 8)
    }
    /// Claims of dynamic resource allocation, made for each role.
    ///
    /// # Errors
    /// A version without `accelerator.dra`, or one that makes one claim for both roles.
    pub fn claims(self) -> Result<(), Problem> {
        since("dynamic resource allocation", "llm-d-modelservice", self.0, Version(0, 4, 1))
    }
    /// Variables that the chart writes into the environment, and the parallelism of the role that they hold.
    pub fn environment(self) -> &'static [(&'static str, &'static str)] {
        match self.has_parallelism() {
            true => &[("TP_SIZE", "tensor"), ("DP_SIZE", "data"), ("DP_SIZE_LOCAL", "dataLocal")],
            false => &[],
        }
    }
    /// `fullnameOverride`.
    ///
    /// # Errors
    /// The one version whose schema refuses it.
    pub fn full_name(self) -> Result<(), Problem> {
        if self.0 < Version(0, 2, 8) {
            Ok(())
        } else {
            since("a name of its own", "llm-d-modelservice", self.0, Version(0, 2, 9))
        }
    }
}

/// What a version of inferencepool reads.
#[derive(Debug, Clone, Copy)]
pub struct Pool(pub Version);

impl Pool {
    /// The API group and version of the pool.
    pub fn group(self) -> &'static str {
        if self.0 < Version(1, 0, 0) { "inference.networking.x-k8s.io" } else { "inference.networking.k8s.io" }
    }
    /// The port of the pool is `targetPortNumber`, later a list.
    pub fn has_one_port(self) -> bool {
        self.0 < Version(1, 0, 0)
    }
    /// The image is `hub` and `name`, later `registry` and `repository`.
    pub fn has_image_hub(self) -> bool {
        self.0 < Version(1, 5, 0)
    }
    /// `provider.name: istio` makes a DestinationRule.
    pub fn has_istio(self) -> bool {
        self.0 >= Version(1, 0, 1)
    }
    /// Further ports of the picker and its Service.
    ///
    /// # Errors
    /// A version without `extraServicePorts`.
    pub fn extra_ports(self) -> Result<(), Problem> {
        since("a further port of the endpoint picker", "inferencepool", self.0, Version(0, 5, 1))
    }
}

/// What a version of llm-d-infra reads.
#[derive(Debug, Clone, Copy)]
pub struct Infra(pub Version);

impl Infra {
    /// `gateway.provider` decides, and the class follows from it.
    pub fn has_provider(self) -> bool {
        self.0 >= Version(1, 4, 0)
    }
    /// Listeners can say who may attach routes.
    pub fn has_allowed_routes(self) -> bool {
        self.0 >= Version(1, 2, 1)
    }
    /// An Ingress is made unless it is switched off.
    pub fn makes_ingress(self) -> bool {
        self.0 <= Version(1, 2, 3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_a_contract_or_an_error_that_lists_them() {
        assert_eq!(
            find("oci://ghcr.io/llm-d-incubation/llm-d-infra/llm-d-infra", "1.0.6").unwrap().1,
            Version(1, 0, 6)
        );
        assert_eq!(find("llm-d-modelservice", "v0.4.12").unwrap(), (Chart::Modelservice, Version(0, 4, 12)));
        let text = find("inferencepool", "v1.6.0").unwrap_err().to_string();
        assert!(text.contains("v0.5.0 to v1.5.0"), "{text}");
        assert!(find("other", "v1.0.0").unwrap_err().to_string().contains("`inferencepool`"));
    }

    #[test]
    fn what_a_version_lacks_names_the_first_that_has_it() {
        let text = Pool(Version(0, 5, 0)).extra_ports().unwrap_err().to_string();
        assert!(text.contains("v0.5.1") && text.contains("v0.5.0"), "{text}");
        assert!(Modelservice(Version(0, 2, 9)).probes_and_volumes().is_err());
        assert!(Modelservice(Version(0, 2, 7)).probes_and_volumes().is_ok());
    }
}
