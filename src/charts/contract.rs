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

/// Where a version of llm-d-modelservice takes the level of the sidecar's log from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogKey {
    /// `debugLevel`, a number.
    DebugLevel,
    /// `zapLogLevel`, a word or a number as text.
    ZapLogLevel,
}

impl Modelservice {
    /// The key of the level of the sidecar's log.
    pub fn sidecar_log(self) -> LogKey {
        if self.0 < Version(0, 3, 8) { LogKey::DebugLevel } else { LogKey::ZapLogLevel }
    }
    /// Decode without a routing sidecar.
    ///
    /// # Errors
    /// A version that always has one.
    pub fn no_sidecar(self) -> Result<(), Problem> {
        since("decode without a routing sidecar", "llm-d-modelservice", self.0, Version(0, 2, 8))
    }
    /// PodMonitors, and the named ports that they read.
    ///
    /// # Errors
    /// A version without them.
    pub fn pod_monitor(self) -> Result<(), Problem> {
        since("a PodMonitor", "llm-d-modelservice", self.0, Version(0, 2, 1))
    }
    /// The key of the port of a PodMonitor.
    pub fn pod_monitor_port(self) -> &'static str {
        if self.0 < Version(0, 2, 4) { "port" } else { "portName" }
    }
}

/// How a version of the pool's chart takes flags of the endpoint picker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlagForm {
    /// A list of `name` and `value`, which replaces the chart's own.
    List,
    /// A mapping, which is merged with the chart's own.
    Map,
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
    /// The form of flags of the picker.
    ///
    /// # Errors
    /// A version without `flags`.
    pub fn flags(self) -> Result<FlagForm, Problem> {
        since("a flag of the endpoint picker", "inferencepool", self.0, Version(1, 0, 0))?;
        Ok(if self.0 < Version(1, 2, 0) { FlagForm::List } else { FlagForm::Map })
    }
    /// The verbosity of the picker's log is `logVerbosity` and no flag.
    ///
    /// # Errors
    /// A version that fixes it.
    pub fn has_log_verbosity(self) -> Result<bool, Problem> {
        since("the verbosity of the endpoint picker", "inferencepool", self.0, Version(0, 5, 1))?;
        Ok(self.0 < Version(1, 0, 0))
    }
    /// Environment of the picker as a list of entries.
    pub fn has_env_list(self) -> bool {
        self.0 >= Version(0, 5, 1)
    }
    /// Volumes and mounts of the picker.
    ///
    /// # Errors
    /// A version without `volumes`.
    pub fn volumes(self) -> Result<(), Problem> {
        since("a volume of the endpoint picker", "inferencepool", self.0, Version(1, 3, 0))
    }
    /// A container beside the picker; v1.2 has the keys and breaks on every image.
    ///
    /// # Errors
    /// A version without one.
    pub fn sidecar(self) -> Result<(), Problem> {
        since("a sidecar of the endpoint picker", "inferencepool", self.0, Version(1, 3, 0))
    }
    /// The sidecar needs a ConfigMap, even without anything in it.
    pub fn sidecar_needs_config(self) -> bool {
        self.0 >= Version(1, 4, 0)
    }
    /// A ServiceMonitor for the picker.
    ///
    /// # Errors
    /// A version without `monitoring`.
    pub fn monitoring(self) -> Result<(), Problem> {
        since("a ServiceMonitor of the endpoint picker", "inferencepool", self.0, Version(1, 0, 1))
    }
    /// The Secret and the use of a token are `monitoring.prometheus.auth`.
    ///
    /// # Errors
    /// A version whose metrics always take a token.
    pub fn monitoring_auth(self) -> Result<(), Problem> {
        since("metrics without a token", "inferencepool", self.0, Version(1, 1, 0))
    }
    /// The key above `destinationRule`: at the root, later under `provider`.
    ///
    /// # Errors
    /// A version that makes no DestinationRule.
    pub fn destination_rule_in_provider(self) -> Result<bool, Problem> {
        since("a DestinationRule", "inferencepool", self.0, Version(1, 0, 1))?;
        Ok(self.0 >= Version(1, 2, 0))
    }
    /// The plugins of the chart's own `default-plugins.yaml`.
    pub fn default_plugins(self) -> &'static [&'static str] {
        match self.0 {
            v if v < Version(1, 0, 0) => &[
                "low-queue-filter",
                "lora-affinity-filter",
                "least-queue-filter",
                "least-kv-cache-filter",
                "decision-tree-filter",
                "random-picker",
                "single-profile-handler",
            ],
            v if v < Version(1, 5, 0) => &["queue-scorer", "kv-cache-utilization-scorer", "prefix-cache-scorer"],
            _ => CURRENT_DEFAULT_PLUGINS,
        }
    }
    /// Whether the pool can be an object of the experimental API, or of the stable one.
    ///
    /// # Errors
    /// A version that makes only the other.
    pub fn experimental_pool(self, wanted: bool) -> Result<(), Problem> {
        if !wanted {
            return since("an InferencePool of the stable API", "inferencepool", self.0, Version(1, 0, 0));
        }
        if self.0 < Version(1, 5, 0) {
            return Ok(());
        }
        let what = format!(
            "an InferencePool of the experimental API needs version v1.4.0 of `inferencepool` or an earlier one, and the scenario names {}",
            self.0
        );
        Err(Problem::Unsupported { what })
    }
    /// Further ports of the picker and its Service.
    ///
    /// # Errors
    /// A version without `extraServicePorts`.
    pub fn extra_ports(self) -> Result<(), Problem> {
        since("a further port of the endpoint picker", "inferencepool", self.0, Version(0, 5, 1))
    }
}

/// The plugins of `default-plugins.yaml` of inferencepool v1.5 and of llm-d-router-gateway.
pub const CURRENT_DEFAULT_PLUGINS: &[&str] = &[
    "queue-scorer",
    "kv-cache-utilization-scorer",
    "prefix-cache-scorer",
    "metrics-data-source",
    "core-metrics-extractor",
];

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
    /// The type of the Service is `gateway.service.type`; before, `gateway.serviceType`.
    pub fn has_service(self) -> bool {
        self.0 >= Version(1, 3, 0)
    }
    /// Resources of the gateway's proxy.
    ///
    /// # Errors
    /// A version without `gatewayParameters.resources`.
    pub fn resources(self) -> Result<(), Problem> {
        since("resources of the gateway", "llm-d-infra", self.0, Version(1, 0, 8))
    }
    /// Whether the chart configures the proxy of a gateway of this class, or leaves it to who runs the class.
    pub fn configures(self, class: &str) -> bool {
        matches!(class, "istio" | "kgateway") || self.has_provider() && class.starts_with("agentgateway")
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
