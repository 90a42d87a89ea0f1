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
