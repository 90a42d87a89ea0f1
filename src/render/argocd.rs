//! `--charts argocd`: the releases of a bundle as Applications of Argo CD.

use super::order;
use super::releases::labels;
use super::releases::{ChartSource, Release};
use crate::plan::names::fit;
use crate::tree::{Map, Value};

/// The namespace that Argo CD watches for Applications where nothing else is set up.
const NAMESPACE: &str = "argocd";

/// An `Application` for each release, in namespace `argocd`.
///
/// They have no automated sync: a stack under a benchmark must not be changed while it is measured, and whoever starts
/// one decides when it takes its GPUs. Sync waves follow the needs of the releases; they order Applications that an
/// Application of Applications syncs, where the health of `argoproj.io/Application` is assessed. Applications of all
/// namespaces share one, so their names start with the namespace of the release; `releaseName` keeps the release's own.
/// Deleting one removes what it deployed.
pub fn objects(releases: &[Release], part_of: &str) -> Vec<Value> {
    order::depths(releases).into_iter().zip(releases).map(|(depth, r)| application(r, depth, part_of)).collect()
}

fn application(release: &Release, wave: usize, part_of: &str) -> Value {
    let name = fit(&format!("{}-{}", release.namespace, release.name), 63);
    let mut metadata = Map::new();
    metadata.insert("name".into(), name.into());
    metadata.insert("namespace".into(), NAMESPACE.into());
    metadata.insert("labels".into(), labels(release, part_of));
    metadata.insert("annotations".into(), [("argocd.argoproj.io/sync-wave", wave.to_string())].into());
    metadata.insert("finalizers".into(), vec!["resources-finalizer.argocd.argoproj.io"].into());

    let (repository, chart) = match &release.chart {
        // Argo CD takes a registry without the scheme, and the last part of the reference as the chart.
        ChartSource::Oci(reference) => {
            let path = reference.trim_start_matches("oci://");
            path.rsplit_once('/').unwrap_or((path, ""))
        }
        ChartSource::Repository { url, chart, .. } => (url.as_str(), chart.as_str()),
    };
    let helm =
        Value::from([("releaseName", Value::from(release.name.as_str())), ("valuesObject", release.values.clone())]);
    let source = Value::from([
        ("repoURL", Value::from(repository)),
        ("chart", Value::from(chart)),
        ("targetRevision", Value::from(release.version.as_str())),
        ("helm", helm),
    ]);
    let destination = [("server", "https://kubernetes.default.svc"), ("namespace", release.namespace.as_str())];
    Value::from([
        ("apiVersion", Value::from("argoproj.io/v1alpha1")),
        ("kind", Value::from("Application")),
        ("metadata", Value::Map(metadata)),
        (
            "spec",
            Value::from([
                ("project", Value::from("default")),
                ("source", source),
                ("destination", Value::from(destination)),
            ]),
        ),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::releases::samples::{oci, stack, written};

    #[test]
    fn an_application_names_chart_version_values_and_destination() {
        let all: Vec<Value> = objects(&stack(), "demo").iter().map(written).collect();
        let (from_repository, from_registry) = (&all[0], &all[4]);
        let text = |v: &Value, path: &[&str]| v.at(path).and_then(Value::as_str).unwrap_or_default().to_owned();

        assert_eq!(text(from_registry, &["spec", "source", "repoURL"]), "ghcr.io/llm-d-incubation/llm-d-infra");
        assert_eq!(text(from_registry, &["spec", "source", "chart"]), "llm-d-infra");
        assert_eq!(text(from_registry, &["spec", "source", "targetRevision"]), "v1.4.0");

        let url = "https://llm-d-incubation.github.io/llm-d-modelservice/";
        assert_eq!(text(from_repository, &["spec", "source", "repoURL"]), url);
        assert_eq!(text(from_repository, &["spec", "source", "chart"]), "llm-d-modelservice");
        assert_eq!(text(from_repository, &["spec", "source", "helm", "releaseName"]), "ms-b");
        assert_eq!(from_repository.at(&["spec", "source", "helm", "valuesObject"]), Some(&stack()[0].values));
        assert_eq!(text(from_repository, &["spec", "destination", "namespace"]), "ns");
        assert_eq!(text(from_repository, &["metadata", "namespace"]), "argocd");
        assert_eq!(text(from_repository, &["metadata", "labels", "app.kubernetes.io/part-of"]), "demo");
        assert_eq!(from_repository.at(&["spec", "syncPolicy"]), None);
    }

    #[test]
    fn waves_follow_the_needs() {
        let wave = ["metadata", "annotations", "argocd.argoproj.io/sync-wave"];
        let waves: Vec<String> =
            objects(&stack(), "demo").iter().filter_map(|a| Some(a.at(&wave)?.as_str()?.to_owned())).collect();
        assert_eq!(waves, ["2", "2", "1", "1", "0"]);
    }

    #[test]
    fn releases_of_two_namespaces_are_two_applications_with_names_that_fit() {
        let mut other = oci("infra", &[]);
        other.namespace = "n".repeat(63);
        let names: Vec<String> = objects(&[oci("infra", &[]), other], "demo")
            .iter()
            .filter_map(|a| Some(a.at(&["metadata", "name"])?.as_str()?.to_owned()))
            .collect();
        assert_eq!(names[0], "ns-infra");
        assert_ne!(names[0], names[1]);
        assert!(names[1].len() <= 63);
    }
}
