//! `--charts inflate`: the objects that Helm makes of the releases, for a stream that `kubectl` applies.
//!
//! The only module that runs another program: `helm template`, `$HELM` where that is set. It needs no cluster, and the
//! network only where no folder of charts is given. Values go in by standard input and manifests come out by standard
//! output, so that nothing is written to disk.

use crate::check::objects::identity;
use crate::credential;
use crate::error::{Diagnostic, Errors, Problem};
use crate::render::order;
use crate::render::releases::{ChartSource, Release};
use crate::source::Sources;
use crate::tree::Value;
use crate::yaml;
use camino::Utf8Path;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::process::{Command, Stdio};

/// Helm's program where `$HELM` names no other.
const HELM: &str = "helm";

/// What to use where a release does not go into a stream.
const INSTEAD: &str = "use `--charts flux`, `--charts argocd` or the helmfile of `-o`";

/// The objects of the releases, what is needed first; of one release in the order that Helm writes them, which is the
/// order in which it would apply them.
///
/// With `charts`, the chart of a release is the folder `<charts>/<name of the chart>/<version>`, with its dependencies
/// in it. What Helm writes is kept in `sources`, so that errors can quote it. Plain scalars are read as `kubectl` reads
/// them. Each object gets the namespace that Helm would apply it in, and the labels that name `llmdbench` and `part_of`
/// in place of Helm, in its own metadata only: selectors and pods stay as the chart has them. CRDs and tests of the
/// charts are left out. An object that is a hook for the time before or after an installation is an ordinary object
/// before or after the others.
///
/// # Errors
/// A chart that is not in `charts`; Helm that is missing ([`Problem::HelmMissing`]), fails or drops a value
/// ([`Problem::Helm`]); text that is not YAML or has a key twice; something that is no object; a hook that a stream
/// cannot stand for; an object that two releases have; a credential.
pub fn inflate(
    releases: &[Release],
    part_of: &str,
    charts: Option<&Utf8Path>,
    sources: &mut Sources,
) -> Result<Vec<Value>, Errors> {
    let program = std::env::var_os("HELM").filter(|p| !p.is_empty()).unwrap_or_else(|| HELM.into());
    inflate_with(releases, part_of, charts, sources, &program)
}

fn inflate_with(
    releases: &[Release],
    part_of: &str,
    charts: Option<&Utf8Path>,
    sources: &mut Sources,
    program: &OsStr,
) -> Result<Vec<Value>, Errors> {
    let mut errors = Errors::default();
    let mut all: Vec<(&str, Value)> = Vec::new();
    for release in order::by_needs(releases) {
        match render(release, charts, program).and_then(|text| read(release, text, sources)) {
            Ok(objects) => all.extend(objects.into_iter().map(|o| (release.name.as_str(), o))),
            Err(e) if matches!(e.problem, Problem::HelmMissing { .. }) => return Err(e.into()),
            Err(e) => errors.push(e),
        }
    }
    let mut owners: HashMap<String, &str> = HashMap::new();
    for (release, object) in &all {
        let object_name = identity(object);
        if let Some(kind) = credential_in(object) {
            errors.push(fail(Problem::Credential { place: object_name.clone(), kind }));
        }
        let api = object.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
        let group = api.rsplit_once('/').map_or("", |(group, _)| group);
        if let Some(first) = owners.insert(format!("{group}/{object_name}"), release) {
            let hint = format!("releases `{first}` and `{release}` both have it");
            errors.push(fail(Problem::DuplicateObject { object: object_name }).with_hint(hint));
        }
    }
    errors.into_result()?;
    let own = |(_, mut object): (_, Value)| {
        label(&mut object, part_of);
        object
    };
    Ok(all.into_iter().map(own).collect())
}

fn fail(problem: Problem) -> Diagnostic {
    Diagnostic::error(problem, None)
}

fn credential_in(object: &Value) -> Option<&'static str> {
    let mut kind = None;
    object.each_string(&mut Vec::new(), &mut |_, text| {
        kind = kind.or_else(|| credential::find(text).map(|(_, kind)| kind));
    });
    kind
}

/// What Helm writes for a release.
fn render(release: &Release, charts: Option<&Utf8Path>, program: &OsStr) -> Result<String, Diagnostic> {
    let helm = |reason: String| Problem::Helm { release: release.name.clone(), reason };
    let arguments = arguments(release, charts)?;
    let output = run(program, &arguments, &release.values.to_yaml()).map_err(|e| {
        let reason = if e.kind() == std::io::ErrorKind::NotFound { "not found".to_owned() } else { e.to_string() };
        fail(Problem::HelmMissing { program: program.to_string_lossy().into_owned(), reason })
            .with_hint(format!("install Helm or set `HELM` to its path, or {INSTEAD}"))
    })?;
    let told = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        let told = told.trim();
        let reason = told.strip_prefix("Error: ").unwrap_or(told);
        let reason = if reason.is_empty() { output.status.to_string() } else { credential::hide(reason) };
        return Err(fail(helm(reason)));
    }
    // Helm goes on where it does not use a value.
    let dropped = ["cannot overwrite table with non table", "skipped value for"];
    if let Some(line) = told.lines().find(|l| dropped.iter().any(|d| l.contains(d))) {
        return Err(fail(helm(credential::hide(line.trim()))).with_hint("Helm would leave this value out"));
    }
    String::from_utf8(output.stdout).map_err(|_| fail(helm("its output is not UTF-8".to_owned())))
}

fn arguments(release: &Release, charts: Option<&Utf8Path>) -> Result<Vec<OsString>, Diagnostic> {
    let mut all = vec!["template", &release.name];
    let folder;
    match (charts, &release.chart) {
        (Some(charts), chart) => {
            folder = charts.join(chart.base()).join(&release.version);
            let path = folder.join("Chart.yaml");
            if !path.is_file() {
                let reason = "there is no such file".to_owned();
                let hint = format!(
                    "unpack chart `{}` {} to `{folder}`, or leave the folder of charts out to let Helm fetch it",
                    chart.reference(),
                    release.version
                );
                return Err(fail(Problem::Unreadable { path: path.into_string(), reason }).with_hint(hint));
            }
            all.push(folder.as_str());
        }
        (None, ChartSource::Oci(reference)) => all.extend([reference.as_str(), "--version", &release.version]),
        // With the URL, nobody has to add the repository first.
        (None, ChartSource::Repository { url, chart, .. }) => {
            all.extend([chart.as_str(), "--repo", url, "--version", &release.version]);
        }
    }
    all.extend(["--namespace", &release.namespace, "--values", "-", "--skip-tests"]);
    Ok(all.into_iter().map(OsString::from).collect())
}

fn run(program: &OsStr, arguments: &[OsString], input: &str) -> std::io::Result<std::process::Output> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let stdin = child.stdin.take();
    std::thread::scope(|scope| {
        // A program that fails early reads nothing; its exit code and its words say why.
        scope.spawn(move || stdin.map(|mut pipe| pipe.write_all(input.as_bytes())));
        child.wait_with_output()
    })
}

/// The objects in what Helm wrote for a release.
fn read(release: &Release, text: String, sources: &mut Sources) -> Result<Vec<Value>, Diagnostic> {
    let id = sources.add(format!("helm template {}", release.name), text);
    let documents = yaml::parse_all(sources, id).map_err(|mut d| {
        let hint = format!("Helm wrote this for release `{}`{}", release.name, template(&d, sources));
        d.hint = Some(d.hint.map_or(hint.clone(), |own| format!("{hint}; {own}")));
        d
    })?;
    let mut objects = Vec::new();
    for document in documents {
        let value = Value::from_node_as_kubectl(&document);
        let of_list = value.get("kind").and_then(Value::as_str) == Some("List");
        let items = if of_list { value.get("items").map_or(&[][..], Value::items).to_vec() } else { vec![value] };
        for mut object in items {
            let named = ["apiVersion", "kind"].iter().all(|k| object.get(k).is_some_and(|v| v.as_str().is_some()))
                && object.at(&["metadata", "name"]).is_some_and(|v| v.as_str().is_some());
            if !named {
                let what = format!(
                    "release `{}` would hold something without apiVersion, kind or name, which `kubectl apply` refuses",
                    release.name
                );
                return Err(Diagnostic::error(Problem::Unsupported { what }, document.span));
            }
            let Some(moment) = Moment::of(&object, release)? else { continue };
            plain(&mut object);
            place(&mut object, &release.namespace);
            objects.push((moment, object));
        }
    }
    objects.sort_by_key(|(moment, _)| *moment);
    Ok(objects.into_iter().map(|(_, object)| object).collect())
}

/// The template that Helm names above the place of an error.
fn template(d: &Diagnostic, sources: &Sources) -> String {
    let above = d.span.and_then(|span| sources.get(span.source).text.get(..span.start)).unwrap_or_default();
    let named = above.rsplit("\n---\n").next().and_then(|t| t.lines().find_map(|l| l.strip_prefix("# Source: ")));
    named.map_or(String::new(), |path| format!(", from template `{path}`"))
}

/// When Helm would apply an object, as far as a stream has an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    Before(i64),
    Among,
    After(i64),
}

impl Moment {
    /// Nothing for a test. A hook that runs something, or that Helm removes, or for another time than an installation,
    /// has no place in a stream.
    fn of(object: &Value, release: &Release) -> Result<Option<Self>, Diagnostic> {
        let note = |key| object.at(&["metadata", "annotations", key]).and_then(Value::as_str);
        let Some(hook) = note("helm.sh/hook") else { return Ok(Some(Self::Among)) };
        let events: Vec<&str> = hook.split(',').map(str::trim).collect();
        if events.iter().all(|e| matches!(*e, "test" | "test-success" | "test-failure")) {
            return Ok(None);
        }
        let weight = note("helm.sh/hook-weight").and_then(|w| w.parse().ok()).unwrap_or(0);
        let stays = note("helm.sh/hook-delete-policy").is_none_or(|p| p.trim() == "before-hook-creation");
        let runs = matches!(object.get("kind").and_then(Value::as_str), Some("Job" | "Pod"));
        let only = |moment: &str| events.contains(&moment) && events.len() == 1;
        let both = |a: &str, b: &str| events.contains(&a) && events.iter().all(|e| *e == a || *e == b);
        match () {
            () if runs || !stays => {}
            () if only("pre-install") || both("pre-install", "pre-upgrade") => return Ok(Some(Self::Before(weight))),
            () if only("post-install") || both("post-install", "post-upgrade") => return Ok(Some(Self::After(weight))),
            () => {}
        }
        let what = format!(
            "{} of release `{}` is a hook of Helm (`{hook}`), which a stream of manifests cannot stand for",
            identity(object),
            release.name
        );
        Err(fail(Problem::Unsupported { what }).with_hint(INSTEAD))
    }
}

/// Takes away what marks an object as a hook, and the fields without a value that charts leave behind: the API reads
/// them as absent, but refuses some in a server-side apply and makes a write of each apply with others.
fn plain(object: &mut Value) {
    without_nulls(object);
    let Some(Value::Map(metadata)) = object.map_mut().get_mut("metadata") else { return };
    if let Some(Value::Map(annotations)) = metadata.get_mut("annotations") {
        let before = annotations.len();
        annotations.retain(|key, _| !key.starts_with("helm.sh/hook"));
        if annotations.is_empty() && before > 0 {
            metadata.shift_remove("annotations");
        }
    }
}

fn without_nulls(value: &mut Value) {
    match value {
        Value::Map(map) => {
            map.retain(|_, inner| !matches!(inner, Value::Null));
            map.values_mut().for_each(without_nulls);
        }
        Value::List(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

/// Kinds of the cluster, of Kubernetes and of what llm-d stacks install; all others live in a namespace.
static CLUSTER_KINDS: &[&str] = &[
    "APIService",
    "CSIDriver",
    "CSINode",
    "CertificateSigningRequest",
    "ClusterIssuer",
    "ClusterNodeMonitoring",
    "ClusterPodMonitoring",
    "ClusterQueue",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "DeviceClass",
    "FlowSchema",
    "GatewayClass",
    "IngressClass",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PriorityClass",
    "PriorityLevelConfiguration",
    "ResourceFlavor",
    "ResourceSlice",
    "RuntimeClass",
    "SecurityContextConstraints",
    "StorageClass",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
    "VolumeAttachment",
    "VolumeAttributesClass",
];

/// Writes the namespace into an object that lives in one and does not say which.
fn place(object: &mut Value, namespace: &str) {
    if object.get("kind").and_then(Value::as_str).is_some_and(|k| CLUSTER_KINDS.contains(&k)) {
        return;
    }
    let Some(Value::Map(metadata)) = object.map_mut().get_mut("metadata") else { return };
    if metadata.get("namespace").and_then(Value::as_str).is_none_or(str::is_empty) {
        metadata.shift_remove("namespace");
        let after_name = metadata.get_index_of("name").map_or(0, |i| i + 1);
        metadata.shift_insert(after_name, "namespace".into(), namespace.into());
    }
}

/// Labels an object as ours.
fn label(object: &mut Value, part_of: &str) {
    let Some(metadata) = object.map_mut().get_mut("metadata") else { return };
    let labels = metadata.map_mut().entry("labels".into()).or_insert(Value::Null).map_mut();
    labels.insert("app.kubernetes.io/managed-by".into(), "llmdbench".into());
    labels.insert("app.kubernetes.io/part-of".into(), part_of.into());
}

#[cfg(test)]
mod tests;
