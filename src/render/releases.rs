//! Helm releases of a bundle: chart, version and values of each.

use crate::tree::Value;

/// Where a chart comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChartSource {
    /// `oci://host/path/chart`.
    Oci(String),
    /// A chart of a Helm repository.
    Repository {
        /// The local alias of the repository.
        alias: String,
        /// Its URL.
        url: String,
        /// The chart's name in it.
        chart: String,
    },
}

impl ChartSource {
    /// The last part of the chart's name.
    pub fn base(&self) -> &str {
        match self {
            Self::Oci(reference) => reference.rsplit('/').next().unwrap_or(reference),
            Self::Repository { chart, .. } => chart,
        }
    }

    /// The chart as `helm` and `helmfile` take it.
    pub fn reference(&self) -> String {
        match self {
            Self::Oci(reference) => reference.clone(),
            Self::Repository { alias, chart, .. } => format!("{alias}/{chart}"),
        }
    }
}

/// One Helm release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Its name, at most 53 characters.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its chart.
    pub chart: ChartSource,
    /// The chart's version as it is published.
    pub version: String,
    /// Its values, whole.
    pub values: Value,
    /// Names of releases of the same namespace that go before it.
    pub needs: Vec<String>,
}

/// The labels of an object that stands for a release.
pub(super) fn labels(release: &Release, part_of: &str) -> Value {
    Value::from([
        ("app.kubernetes.io/managed-by", "llmdbench"),
        ("app.kubernetes.io/part-of", part_of),
        ("app.kubernetes.io/instance", release.name.as_str()),
        ("app.kubernetes.io/component", "helm-release"),
    ])
}

#[cfg(test)]
pub mod samples {
    //! Releases as the charts of llm-d have them, for the tests of the formats.

    use super::{ChartSource, Release};
    use crate::source::Sources;
    use crate::tree::Value;
    use crate::yaml;

    /// A release of namespace `ns` from an OCI registry.
    pub fn oci(name: &str, needs: &[&str]) -> Release {
        Release {
            name: name.into(),
            namespace: "ns".into(),
            chart: ChartSource::Oci("oci://ghcr.io/llm-d-incubation/llm-d-infra/llm-d-infra".into()),
            version: "v1.4.0".into(),
            values: Value::from([("gateway", Value::from([("provider", "istio")])), ("on", Value::from("on"))]),
            needs: needs.iter().map(|n| (*n).to_owned()).collect(),
        }
    }

    /// A release of namespace `ns` from a Helm repository.
    pub fn repository(name: &str, needs: &[&str]) -> Release {
        let chart = ChartSource::Repository {
            alias: "llm-d-modelservice".into(),
            url: "https://llm-d-incubation.github.io/llm-d-modelservice/".into(),
            chart: "llm-d-modelservice".into(),
        };
        Release { chart, version: "v0.4.12".into(), ..oci(name, needs) }
    }

    /// A gateway and two models behind it, written in no useful order.
    pub fn stack() -> Vec<Release> {
        vec![
            repository("ms-b", &["pool-b"]),
            repository("ms-a", &["pool-a"]),
            oci("pool-a", &["infra"]),
            oci("pool-b", &["infra"]),
            oci("infra", &[]),
        ]
    }

    /// What a reader of the written YAML finds.
    pub fn written(value: &Value) -> Value {
        let mut sources = Sources::default();
        let id = sources.add("written", value.to_yaml());
        Value::from_node_as_kubectl(&yaml::parse(&sources, id).unwrap())
    }
}
