//! `helm/helmfile.yaml`: the releases of a bundle for `helmfile apply`.

use super::releases::{ChartSource, Release};
use crate::tree::{Map, Value};

/// The helmfile of these releases, to stand beside a folder with `values.yaml` for each of them.
///
/// An OCI chart is referred to directly; a repository is listed once for each alias. Helm waits `ready_seconds` for the
/// pods of a release, since its own five minutes are too short to load a large model. The namespace is an object of
/// the bundle, so Helm does not create it.
pub fn helmfile(releases: &[Release], part_of: &str, ready_seconds: u64) -> Value {
    let mut repositories = Map::new();
    for release in releases {
        if let ChartSource::Repository { alias, url, .. } = &release.chart {
            let repository = Value::from([("name", alias.as_str()), ("url", url.as_str())]);
            repositories.entry(alias.clone()).or_insert(repository);
        }
    }
    let mut file = Map::new();
    if !repositories.is_empty() {
        file.insert("repositories".into(), Value::List(repositories.into_values().collect()));
    }
    file.insert("releases".into(), Value::List(releases.iter().map(|r| entry(r, part_of, ready_seconds)).collect()));
    Value::Map(file)
}

fn entry(release: &Release, part_of: &str, ready_seconds: u64) -> Value {
    let mut entry = Map::new();
    entry.insert("name".into(), release.name.as_str().into());
    entry.insert("namespace".into(), release.namespace.as_str().into());
    entry.insert("createNamespace".into(), false.into());
    entry.insert("chart".into(), release.chart.reference().into());
    entry.insert("version".into(), release.version.as_str().into());
    if !release.needs.is_empty() {
        let needs: Vec<String> = release.needs.iter().map(|n| format!("{}/{n}", release.namespace)).collect();
        entry.insert("needs".into(), needs.into());
    }
    entry.insert("values".into(), vec![format!("{}/values.yaml", release.name)].into());
    entry.insert("wait".into(), true.into());
    entry.insert("timeout".into(), ready_seconds.into());
    // Helm keeps them with the release: they say whose it is.
    let labels = [("app.kubernetes.io/managed-by", "llmdbench"), ("app.kubernetes.io/part-of", part_of)];
    entry.insert("labels".into(), labels.into());
    entry.insert("syncReleaseLabels".into(), true.into());
    Value::Map(entry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::releases::samples::{stack, written};

    fn strings(value: Option<&Value>) -> Vec<&str> {
        value.map_or(&[][..], Value::items).iter().filter_map(Value::as_str).collect()
    }

    #[test]
    fn a_repository_is_listed_once_and_an_oci_chart_is_a_direct_reference() {
        let file = written(&helmfile(&stack(), "demo", 900));
        let repositories = file.get("repositories").unwrap().items();
        assert_eq!(repositories.len(), 1);
        assert_eq!(repositories[0].get("name"), Some(&"llm-d-modelservice".into()));
        let charts: Vec<_> =
            file.get("releases").unwrap().items().iter().map(|r| r.get("chart").unwrap().as_str().unwrap()).collect();
        assert_eq!(charts[0], "llm-d-modelservice/llm-d-modelservice");
        assert_eq!(charts[4], "oci://ghcr.io/llm-d-incubation/llm-d-infra/llm-d-infra");
    }

    #[test]
    fn a_release_says_what_it_needs_and_where_its_values_are() {
        let file = written(&helmfile(&stack(), "demo", 900));
        let release = &file.get("releases").unwrap().items()[1];
        assert_eq!(release.get("name"), Some(&"ms-a".into()));
        assert_eq!(release.get("namespace"), Some(&"ns".into()));
        assert_eq!(release.get("version"), Some(&"v0.4.12".into()));
        assert_eq!(strings(release.get("needs")), ["ns/pool-a"]);
        assert_eq!(strings(release.get("values")), ["ms-a/values.yaml"]);
        assert_eq!(release.get("createNamespace"), Some(&Value::Bool(false)));
        assert_eq!(release.get("wait"), Some(&Value::Bool(true)));
        assert_eq!(release.get("timeout"), Some(&900_u64.into()));
        assert_eq!(release.at(&["labels", "app.kubernetes.io/managed-by"]), Some(&"llmdbench".into()));
        assert_eq!(release.at(&["labels", "app.kubernetes.io/part-of"]), Some(&"demo".into()));
        assert_eq!(release.get("syncReleaseLabels"), Some(&Value::Bool(true)));
    }

    #[test]
    fn without_repositories_and_needs_the_keys_are_left_out() {
        let file = written(&helmfile(&stack()[4..], "demo", 900));
        assert_eq!(file.get("repositories"), None);
        assert_eq!(file.get("releases").unwrap().items()[0].get("needs"), None);
    }
}
