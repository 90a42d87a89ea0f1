//! The plugin types that published endpoint pickers register, and the versions that do.
//!
//! Read from the registrations (`plugin.Register` in `cmd/epp/runner` and in `register.go`) of every release tag. GAIE
//! is kubernetes-sigs/gateway-api-inference-extension: v0.5.0 is its first picker with a configuration file, v1.5.0 its
//! last picker. The router is llm-d/llm-d-inference-scheduler v0.2.0 to v0.8.0, whose plugins come on top of those of
//! the GAIE version that it is built with, and its successor llm-d/llm-d-router v0.9.0 and v0.10.0.

/// A type of plugin.
#[derive(Debug, PartialEq, Eq)]
pub struct PluginType {
    /// The word that `type` takes.
    pub name: &'static str,
    /// GAIE pickers that register it, first and last: `v0.5.0..v0.5.1`; `v1.0.0..` up to the last release, empty for
    /// none.
    pub gaie: &'static str,
    /// Router pickers that register it, in the same notation.
    pub router: &'static str,
    /// The type that took its place, empty for none.
    pub now: &'static str,
}

impl PluginType {
    const fn now(self, now: &'static str) -> Self {
        Self { now, ..self }
    }

    /// Whether a version of the router's picker, or of GAIE's, registers it.
    pub fn is_in(&self, router: bool, version: (u32, u32, u32)) -> bool {
        let number = |text: &str| {
            let mut parts = text.trim_start_matches('v').split('.').map(|p| p.parse().unwrap_or(0));
            (parts.next().unwrap_or(0), parts.next().unwrap_or(0), parts.next().unwrap_or(0))
        };
        let Some((first, last)) = (if router { self.router } else { self.gaie }).split_once("..") else { return false };
        version >= number(first) && (last.is_empty() || version <= number(last))
    }

    /// Which pickers have the plugin, as a sentence without a full stop.
    pub fn history(&self) -> String {
        let known = [("GAIE", self.gaie), ("the llm-d router", self.router)]
            .into_iter()
            .filter_map(|(picker, range)| {
                let (first, last) = range.split_once("..")?;
                Some(if last.is_empty() {
                    format!("{picker} from {first} on")
                } else if first == last {
                    format!("{picker} {first}")
                } else {
                    format!("{picker} {first} to {last}")
                })
            })
            .collect::<Vec<_>>()
            .join(" and ");
        let now = if self.now.is_empty() { String::new() } else { format!("; its successor is `{}`", self.now) };
        format!("`{}` is known to {known}{now}", self.name)
    }
}

const fn p(name: &'static str, gaie: &'static str, router: &'static str) -> PluginType {
    PluginType { name, gaie, router, now: "" }
}

/// The plugin type of a name.
pub fn find(name: &str) -> Option<&'static PluginType> {
    PLUGINS.binary_search_by(|t| t.name.cmp(name)).ok().map(|i| &PLUGINS[i])
}

/// All plugin types, by name.
#[rustfmt::skip]
pub static PLUGINS: &[PluginType] = &[
    p("active-request-scorer", "", "v0.3.0.."),
    p("agent-identity", "", "v0.9.0.."),
    p("always-disagg-multimodal-decider", "", "v0.7.0.."),
    p("always-disagg-pd-decider", "", "v0.6.0.."),
    p("anthropic-parser", "", "v0.9.0.."),
    p("approx-prefix-cache-producer", "v1.5.0..", "v0.8.0.."),
    p("burst-prefix-cache-producer", "", "v0.10.0.."),
    p("by-label", "", "v0.2.0..").now("label-selector-filter"),
    p("by-label-selector", "", "v0.2.0..").now("label-selector-filter"),
    p("concurrency-detector", "v1.4.0..", "v0.6.0.."),
    p("context-length-aware", "", "v0.7.0.."),
    p("core-metrics-extractor", "v1.5.0..", "v0.8.0.."),
    p("data-parallel-profile-handler", "", "v0.4.0.."),
    p("dcgm-data-source", "", "v0.10.0.."),
    p("dcgm-extractor", "", "v0.10.0.."),
    p("decision-tree-filter", "v0.5.0..v0.5.1", "v0.2.0..v0.2.1"),
    p("decode-filter", "", "v0.2.0.."),
    p("destination-endpoint-served-verifier", "v1.2.0..", "v0.4.0.."),
    p("disagg-headers-handler", "", "v0.7.0..").now("disagg-profile-handler"),
    p("disagg-profile-handler", "", "v0.7.0.."),
    p("disaggregatedset-rollout-screener", "", "v0.10.0.."),
    p("edf-ordering-policy", "v1.4.0..", "v0.6.0.."),
    p("encode-filter", "", "v0.7.0.."),
    p("endpoint-attribute-filter", "", "v0.10.0.."),
    p("endpoint-attribute-scorer", "", "v0.10.0.."),
    p("endpoint-notification-source", "v1.5.0..", "v0.8.0.."),
    p("eviction-priority-then-time-ordering", "v1.5.0..", "v0.8.0..v0.8.0").now("priority-then-time-eviction-order-policy"),
    p("eviction-sheddable-filter", "v1.5.0..", "v0.8.0..v0.8.0").now("sheddable-eviction-filter"),
    p("fcfs-ordering-policy", "v1.4.0..", "v0.6.0.."),
    p("file-discovery", "", "v0.9.0.."),
    p("global-strict-fairness-policy", "v1.4.0..", "v0.6.0.."),
    p("header-based-testing-filter", "v0.5.0..", "v0.2.0.."),
    p("header-label-affinity-scorer", "", "v0.10.0.."),
    p("header-profile-handler", "", "v0.10.0.."),
    p("inflight-load-producer", "v1.5.0..", "v0.8.0.."),
    p("k8s-notification-source", "v1.4.0..", "v0.7.0.."),
    p("kv-cache-scorer", "v0.5.0..v0.5.1", "v0.2.0..v0.2.1").now("kv-cache-utilization-scorer"),
    p("kv-cache-utilization-scorer", "v1.0.0..", "v0.3.0.."),
    p("label-selector-filter", "", "v0.9.0.."),
    p("latency-scorer", "v1.5.0..", "v0.8.0.."),
    p("latency-slo-admitter", "v1.5.0..", "v0.8.0.."),
    p("least-kv-cache-filter", "v0.5.0..v0.5.1", "v0.2.0..v0.2.1"),
    p("least-queue-filter", "v0.5.0..v0.5.1", "v0.2.0..v0.2.1"),
    p("load-aware-scorer", "", "v0.2.0.."),
    p("lora-affinity-filter", "v0.5.0..v0.5.1", "v0.2.0..v0.2.1"),
    p("lora-affinity-scorer", "v1.0.0..", "v0.3.0.."),
    p("low-queue-filter", "v0.5.0..v0.5.1", "v0.2.0..v0.2.1"),
    p("max-score-picker", "v0.5.0..", "v0.2.0.."),
    p("metrics-data-source", "v1.3.0..", "v0.5.0.."),
    p("mm-embeddings-cache-producer", "", "v0.9.0.."),
    p("mm-embeddings-cache-scorer", "", "v0.9.0.."),
    p("model-server-protocol-metrics", "v1.3.0..v1.4.0", "v0.5.0..v0.7.1").now("core-metrics-extractor"),
    p("model-server-protocol-models", "", "v0.6.0..v0.8.0").now("models-data-extractor"),
    p("models-data-extractor", "", "v0.9.0.."),
    p("models-data-source", "", "v0.6.0.."),
    p("multicluster-approx-prefix-cache-producer", "", "v0.10.0.."),
    p("multicluster-file-discovery", "", "v0.10.0.."),
    p("multicluster-kv-cache-utilization-scorer", "", "v0.10.0.."),
    p("multicluster-metrics-data-source", "", "v0.10.0.."),
    p("multicluster-metrics-extractor", "", "v0.10.0.."),
    p("multicluster-prefix-cache-scorer", "", "v0.10.0.."),
    p("multicluster-queue-scorer", "", "v0.10.0.."),
    p("multicluster-session-affinity-filter", "", "v0.10.0.."),
    p("no-hit-lru-scorer", "", "v0.4.0.."),
    p("openai-parser", "v1.5.0..", "v0.8.0.."),
    p("p2p-source-producer", "", "v0.10.0.."),
    p("passthrough-parser", "v1.5.0..", "v0.8.0.."),
    p("pd-profile-handler", "", "v0.2.0..").now("disagg-profile-handler"),
    p("precise-prefix-cache-producer", "", "v0.9.0.."),
    p("precise-prefix-cache-scorer", "", "v0.3.0.."),
    p("predicted-latency-producer", "v1.5.0..", "v0.8.0.."),
    p("predicted-latency-scorer", "v1.3.0..", "v0.5.0..v0.8.0"),
    p("prefill-filter", "", "v0.2.0.."),
    p("prefill-header-handler", "", "v0.2.0..").now("disagg-profile-handler"),
    p("prefix-based-pd-decider", "", "v0.6.0.."),
    p("prefix-cache-affinity-filter", "v1.5.0..", "v0.8.0.."),
    p("prefix-cache-scorer", "v0.5.0..", "v0.2.0.."),
    p("priority-holdback-policy", "", "v0.10.0.."),
    p("priority-then-time-eviction-order-policy", "", "v0.9.0.."),
    p("probabilistic-admitter", "", "v0.9.0.."),
    p("program-aware-fairness", "", "v0.9.0.."),
    p("queue-scorer", "v0.5.0..", "v0.2.0.."),
    p("random-picker", "v0.5.0..", "v0.2.0.."),
    p("request-attribute-reporter", "v1.4.0..", "v0.7.0.."),
    p("round-robin-fairness-policy", "v1.4.0..", "v0.7.0.."),
    p("running-requests-size-scorer", "v1.3.0..", "v0.5.0.."),
    p("session-affinity-filter", "", "v0.9.0.."),
    p("session-affinity-scorer", "", "v0.2.0.."),
    p("session-id-producer", "", "v0.9.0.."),
    p("sheddable-eviction-filter", "", "v0.9.0.."),
    p("single-profile-handler", "v0.5.0..", "v0.2.0.."),
    p("slo-deadline-ordering-policy", "v1.5.0..", "v0.8.0.."),
    p("slo-headroom-tier-filter", "v1.5.0..", "v0.8.0.."),
    p("soft-reflective-ceiling-policy", "", "v0.10.0.."),
    p("static-usage-limit-policy", "v1.5.0..", "v0.8.0.."),
    p("token-load-scorer", "v1.5.0..", "v0.8.0.."),
    p("token-producer", "", "v0.9.0.."),
    p("tokenizer", "", "v0.7.0..").now("token-producer"),
    p("topology-affinity-filter", "", "v0.10.0.."),
    p("topology-affinity-scorer", "", "v0.10.0.."),
    p("topology-extractor", "", "v0.10.0.."),
    p("utilization-detector", "v1.5.0..", "v0.8.0.."),
    p("utilization-filter", "", "v0.10.0.."),
    p("vertexai-parser", "", "v0.9.0.."),
    p("vllmgrpc-parser", "v1.5.0..", "v0.8.0.."),
    p("vllmhttp-parser", "", "v0.9.0.."),
    p("weighted-random-picker", "v1.0.0..", "v0.3.0.."),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::names;

    #[test]
    fn the_table_is_sorted_and_well_formed() {
        assert!(PLUGINS.is_sorted_by(|a, b| a.name < b.name));
        for plugin in PLUGINS {
            assert!(!plugin.gaie.is_empty() || !plugin.router.is_empty(), "{}", plugin.name);
            for range in [plugin.gaie, plugin.router].into_iter().filter(|r| !r.is_empty()) {
                let (first, last) = range.split_once("..").unwrap();
                assert!(names::semver(first).is_ok(), "{range}");
                assert!(last.is_empty() || names::semver(last).is_ok(), "{range}");
            }
            assert!(plugin.now.is_empty() || find(plugin.now).is_some(), "{}", plugin.name);
        }
    }
}
