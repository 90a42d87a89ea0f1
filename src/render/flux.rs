//! `--charts flux`: the releases of a bundle as objects of Flux.
//!
//! Fields are those of `helm.toolkit.fluxcd.io/v2` and `source.toolkit.fluxcd.io/v1` (Flux 2.6 and later).

use super::releases::labels;
use super::releases::{ChartSource, Release};
use crate::plan::names::slug;
use crate::tree::{Map, Value};

/// How often Flux looks for changes; the versions are pinned, so this is how soon it repairs what was changed by hand.
const INTERVAL: &str = "10m";
/// How often Flux fails to install or upgrade before it stops.
const RETRIES: u64 = 3;
/// The layer of an OCI artifact that holds a chart.
const CHART_LAYER: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";

/// A source and a `HelmRelease` for each release; a Helm repository is one source for all releases of its namespace.
///
/// The objects stand in the release's namespace, for Flux may be set to follow no reference across namespaces. The
/// source of an OCI chart is an `OCIRepository` named as the release, so that another version changes it in place (the
/// `oci` type of `HelmRepository` is in maintenance mode). Flux waits `ready_seconds` for the pods of a release, since
/// its own five minutes are too short to load a large model, and a failed installation is uninstalled before the next
/// try. Values may hold `${…}`, so the objects opt out of the substitution of variables.
pub fn objects(releases: &[Release], part_of: &str, ready_seconds: u64) -> Vec<Value> {
    let mut sources: Vec<Value> = Vec::new();
    for release in releases {
        let source = source(release, part_of);
        let metadata = |s: &Value| (s.get("kind").cloned(), s.at(&["metadata", "namespace"]).cloned(), name(s));
        if !sources.iter().any(|s| metadata(s) == metadata(&source)) {
            sources.push(source);
        }
    }
    sources.extend(releases.iter().map(|r| helm_release(r, part_of, ready_seconds)));
    sources
}

fn name(object: &Value) -> Option<Value> {
    object.at(&["metadata", "name"]).cloned()
}

fn source(release: &Release, part_of: &str) -> Value {
    let mut spec = Map::new();
    let (kind, name, labels) = match &release.chart {
        ChartSource::Oci(reference) => {
            // A tag has no plus sign; Helm writes an underscore for it.
            let tag = release.version.replace('+', "_");
            spec.insert("interval".into(), INTERVAL.into());
            spec.insert("url".into(), reference.as_str().into());
            spec.insert("ref".into(), [("tag", tag)].into());
            spec.insert("layerSelector".into(), [("mediaType", CHART_LAYER), ("operation", "copy")].into());
            ("OCIRepository", release.name.clone(), labels(release, part_of))
        }
        ChartSource::Repository { alias, url, .. } => {
            spec.insert("interval".into(), INTERVAL.into());
            spec.insert("url".into(), url.as_str().into());
            let mut labels = labels(release, part_of);
            // It serves more than this release.
            labels.map_mut().insert("app.kubernetes.io/instance".into(), part_of.into());
            ("HelmRepository", slug(alias, 63), labels)
        }
    };
    Value::from([
        ("apiVersion", Value::from("source.toolkit.fluxcd.io/v1")),
        ("kind", Value::from(kind)),
        (
            "metadata",
            Value::from([
                ("name", Value::from(name)),
                ("namespace", Value::from(release.namespace.as_str())),
                ("labels", labels),
            ]),
        ),
        ("spec", Value::Map(spec)),
    ])
}

fn helm_release(release: &Release, part_of: &str, ready_seconds: u64) -> Value {
    let mut spec = Map::new();
    spec.insert("releaseName".into(), release.name.as_str().into());
    spec.insert("interval".into(), INTERVAL.into());
    spec.insert("timeout".into(), format!("{ready_seconds}s").into());
    match &release.chart {
        ChartSource::Oci(_) => {
            let reference = [("kind", "OCIRepository"), ("name", release.name.as_str())];
            spec.insert("chartRef".into(), reference.into());
        }
        ChartSource::Repository { alias, chart, .. } => {
            let source = [("kind", Value::from("HelmRepository")), ("name", Value::from(slug(alias, 63)))];
            let chart = Value::from([
                ("chart", Value::from(chart.as_str())),
                ("version", Value::from(release.version.as_str())),
                ("interval", Value::from(INTERVAL)),
                ("sourceRef", Value::from(source)),
            ]);
            spec.insert("chart".into(), [("spec", chart)].into());
        }
    }
    if !release.needs.is_empty() {
        let needs = release.needs.iter().map(|n| Value::from([("name", n.as_str())])).collect();
        spec.insert("dependsOn".into(), Value::List(needs));
    }
    let install = Value::from([("retries", RETRIES)]);
    // The last try is rolled back too, so that what served before serves again.
    let upgrade = Value::from([("retries", Value::from(RETRIES)), ("remediateLastFailure", Value::from(true))]);
    spec.insert("install".into(), [("remediation", install)].into());
    spec.insert("upgrade".into(), [("remediation", upgrade)].into());
    spec.insert("values".into(), release.values.clone());
    Value::from([
        ("apiVersion", Value::from("helm.toolkit.fluxcd.io/v2")),
        ("kind", Value::from("HelmRelease")),
        (
            "metadata",
            Value::from([
                ("name", Value::from(release.name.as_str())),
                ("namespace", Value::from(release.namespace.as_str())),
                ("labels", labels(release, part_of)),
                ("annotations", Value::from([("kustomize.toolkit.fluxcd.io/substitute", "disabled")])),
            ]),
        ),
        ("spec", Value::Map(spec)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::releases::samples::{stack, written};

    fn all() -> Vec<Value> {
        objects(&stack(), "demo", 900).iter().map(written).collect()
    }

    fn find<'v>(all: &'v [Value], kind: &str, wanted: &str) -> &'v Value {
        let mut found = all.iter().filter(|o| o.get("kind") == Some(&kind.into()) && name(o) == Some(wanted.into()));
        let object = found.next().unwrap_or_else(|| panic!("no {kind} {wanted}"));
        assert!(found.next().is_none(), "two {kind} {wanted}");
        object
    }

    #[test]
    fn each_release_has_a_source_that_pins_its_version() {
        let all = all();
        assert_eq!(all.len(), 1 + 3 + 5);
        let oci = find(&all, "OCIRepository", "infra");
        assert_eq!(oci.at(&["spec", "url"]), Some(&"oci://ghcr.io/llm-d-incubation/llm-d-infra/llm-d-infra".into()));
        assert_eq!(oci.at(&["spec", "ref", "tag"]), Some(&"v1.4.0".into()));
        assert_eq!(oci.at(&["spec", "layerSelector", "operation"]), Some(&"copy".into()));
        let release = find(&all, "HelmRelease", "infra");
        assert_eq!(release.at(&["spec", "chartRef", "name"]), Some(&"infra".into()));
        assert_eq!(release.at(&["spec", "chart"]), None);

        let repository = find(&all, "HelmRepository", "llm-d-modelservice");
        assert_eq!(repository.at(&["metadata", "labels", "app.kubernetes.io/instance"]), Some(&"demo".into()));
        let chart = find(&all, "HelmRelease", "ms-a").at(&["spec", "chart", "spec"]).unwrap().clone();
        assert_eq!(chart.get("version"), Some(&"v0.4.12".into()));
        assert_eq!(chart.at(&["sourceRef", "name"]), Some(&"llm-d-modelservice".into()));
    }

    #[test]
    fn a_release_waits_for_what_it_needs_and_holds_its_values() {
        let all = all();
        let release = find(&all, "HelmRelease", "ms-b");
        assert_eq!(release.at(&["spec", "dependsOn"]), Some(&Value::List(vec![[("name", "pool-b")].into()])));
        assert_eq!(release.at(&["spec", "values"]), Some(&stack()[0].values));
        assert_eq!(release.at(&["spec", "timeout"]), Some(&"900s".into()));
        assert_eq!(release.at(&["spec", "install", "remediation", "retries"]), Some(&RETRIES.into()));
        assert_eq!(find(&all, "HelmRelease", "infra").at(&["spec", "dependsOn"]), None);
    }

    #[test]
    fn every_object_is_ours_and_stands_in_the_namespace_of_its_release() {
        for object in all() {
            assert_eq!(object.at(&["metadata", "namespace"]), Some(&"ns".into()));
            assert_eq!(object.at(&["metadata", "labels", "app.kubernetes.io/managed-by"]), Some(&"llmdbench".into()));
            assert_eq!(object.at(&["metadata", "labels", "app.kubernetes.io/part-of"]), Some(&"demo".into()));
        }
    }

    #[test]
    fn build_metadata_of_a_version_becomes_a_tag() {
        let mut release = stack().remove(4);
        release.version = "1.0.0+b1".into();
        let all = objects(&[release], "demo", 900);
        assert_eq!(all[0].at(&["spec", "ref", "tag"]), Some(&"1.0.0_b1".into()));
    }
}
