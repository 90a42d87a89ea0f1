//! The bundle: every file that one compilation emits, and the record of it.

use crate::check::objects::identity;
use crate::error::Errors;
use crate::plan::Plan;
use crate::plan::names::{digest, fit};
use crate::render::engine::{self, to_template};
use crate::render::{Half, Object, Removal};
use crate::settings::resolve::{Resolved, describe_origin};
use crate::source::Sources;
use crate::tree::{Map, Value};
use camino::Utf8PathBuf;

/// One file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Path in the bundle, with forward slashes.
    pub path: Utf8PathBuf,
    /// Its text.
    pub content: String,
    /// Whether it can be run.
    pub executable: bool,
}

/// Everything that one compilation emits.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// Hash of what the bundle deploys.
    pub id: String,
    /// The manifests, in the order they are applied.
    pub manifests: Vec<Manifest>,
    /// All files, the record `bundle.json` last.
    pub files: Vec<File>,
}

/// One object and its file.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// Path of its file in the bundle.
    pub path: Utf8PathBuf,
    /// The object.
    pub object: Object,
}

/// Format of `bundle.json`; a reader refuses a higher one.
const FORMAT: u64 = 1;

/// Puts a bundle together.
///
/// # Errors
/// Defects of templates.
pub fn bundle(resolved: &Resolved, plan: &Plan, mut objects: Vec<Object>, inputs: &Sources) -> Result<Bundle, Errors> {
    let settings = Value::Map(resolved.flat());
    let id = id(&objects, &settings);
    objects.push(record(resolved, &id, &settings)?);
    objects.sort_by_key(|o| (o.half, o.step));
    let manifests = place(objects);

    let mut files: Vec<File> = manifests.iter().map(|m| file(m.path.clone(), m.object.value.to_yaml())).collect();
    files.push(file("kustomization.yaml".into(), kustomization(&manifests).to_yaml()));
    let context = readme(resolved, plan, &manifests, &id);
    files.push(file("README.md".into(), engine::text("bundle/README.md.j2", &to_template(&context))?));
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let json = describe(resolved, plan, &manifests, &files, &id, inputs).to_json();
    files.push(file("bundle.json".into(), json));
    Ok(Bundle { id, manifests, files })
}

fn file(path: Utf8PathBuf, content: String) -> File {
    File { path, content, executable: false }
}

/// The id covers what reaches the cluster and every setting; not where a setting came from.
fn id(objects: &[Object], settings: &Value) -> String {
    let mut text = settings.to_yaml();
    for object in objects {
        text.push_str("---\n");
        text.push_str(&object.value.to_yaml());
    }
    digest(&text)
}

/// The ConfigMap by which a result can cite its stack.
fn record(resolved: &Resolved, id: &str, settings: &Value) -> Result<Object, Errors> {
    let s = &resolved.settings;
    let release = s.release.0.as_str();
    let context = Value::from([
        ("name", Value::from(fit(&format!("{release}-bundle"), 63))),
        ("namespace", Value::from(s.namespace.0.as_str())),
        ("release", Value::from(release)),
        ("id", Value::from(id)),
        ("settings", Value::from(settings.to_yaml())),
    ]);
    let value = engine::object("bundle/record.yaml.j2", &to_template(&context))?;
    Ok(Object { step: 4, half: Half::Namespace, removal: Removal::Always, value })
}

/// Gives each object a file whose name sorts in the order of application.
fn place(objects: Vec<Object>) -> Vec<Manifest> {
    let mut count = 0;
    let mut last = None;
    objects
        .into_iter()
        .map(|object| {
            let group = (object.half, object.step);
            count = if last == Some(group) { count + 1 } else { 1 };
            last = Some(group);
            let name = fit(&format!("{}-{}", object.kind().to_lowercase(), object.name()), 100);
            let path = format!("manifests/{}/{:02}-{count:03}-{name}.yaml", object.half.folder(), object.step);
            Manifest { path: path.into(), object }
        })
        .collect()
}

fn kustomization(manifests: &[Manifest]) -> Value {
    Value::from([
        ("apiVersion", Value::from("kustomize.config.k8s.io/v1beta1")),
        ("kind", Value::from("Kustomization")),
        ("resources", Value::from(manifests.iter().map(|m| m.path.as_str()).collect::<Vec<_>>())),
        // Objects keep the order of the list, which is that of the files.
        ("sortOptions", Value::from([("order", "fifo")])),
    ])
}

/// What the README of the bundle tells.
fn readme(resolved: &Resolved, plan: &Plan, manifests: &[Manifest], id: &str) -> Value {
    let s = &resolved.settings;
    let stacks: Vec<Value> = plan
        .stacks
        .iter()
        .map(|stack| {
            Value::from([
                ("model", Value::from(stack.model.name.as_str())),
                ("served_name", Value::from(stack.model.served_name())),
                ("method", Value::from(stack.method.word())),
                ("name", Value::from(stack.name.as_str())),
                ("image", Value::from(stack.image.as_str())),
                ("url", Value::from(format!("http://{}.{}{}:80", stack.name, s.namespace, s.cluster.domain))),
            ])
        })
        .collect();
    let row = |m: &Manifest| {
        let (removed, reason) = removal(m.object.removal);
        Value::from([
            ("file", Value::from(m.path.as_str())),
            ("object", Value::from(identity(&m.object.value))),
            ("removed", Value::from(removed)),
            ("reason", Value::from(reason)),
        ])
    };
    let wait = |m: &&Manifest| matches!(m.object.kind(), "Job" | "Deployment");
    let waits: Vec<Value> = manifests
        .iter()
        .filter(wait)
        .map(|m| {
            let job = m.object.kind() == "Job";
            Value::from([
                ("what", Value::from(format!("{}/{}", m.object.kind().to_lowercase(), m.object.name()))),
                ("namespace", Value::from(m.object.namespace())),
                ("condition", Value::from(if job { "complete" } else { "available" })),
                ("timeout", Value::from(if job { s.storage.model.download_timeout.0 } else { s.timeouts.ready.0 })),
            ])
        })
        .collect();
    let harness = s.harness.namespace.as_ref().map_or(s.namespace.0.as_str(), |n| n.0.as_str());
    Value::from([
        ("id", Value::from(id)),
        ("release", Value::from(s.release.0.as_str())),
        ("namespace", Value::from(s.namespace.0.as_str())),
        ("harness_namespace", Value::from(harness)),
        ("secret", Value::from(s.hugging_face.secret_name.0.as_str())),
        ("key", Value::from(s.hugging_face.secret_key.0.as_str())),
        ("stacks", Value::List(stacks)),
        ("waits", Value::List(waits)),
        ("objects", Value::List(manifests.iter().map(row).collect())),
    ])
}

fn removal(removal: Removal) -> (&'static str, &'static str) {
    match removal {
        Removal::Always => ("always", ""),
        Removal::Deep(why) => ("with --deep", why),
        Removal::Never(why) => ("never", why),
    }
}

/// `bundle.json`.
fn describe(
    resolved: &Resolved,
    plan: &Plan,
    manifests: &[Manifest],
    files: &[File],
    id: &str,
    inputs: &Sources,
) -> Value {
    let strings = |list: Vec<String>| Value::from(list);
    let settings: Map = resolved
        .flat()
        .into_iter()
        .map(|(path, value)| {
            let origin = describe_origin(resolved.origins.get(&path), inputs);
            (path, Value::from([("value", value), ("origin", origin)]))
        })
        .collect();
    let objects = manifests
        .iter()
        .map(|m| {
            let mut map = object_reference(&m.object);
            map.insert("step".into(), u64::from(m.object.step).into());
            map.insert("half".into(), m.object.half.folder().into());
            map.insert("file".into(), m.path.as_str().into());
            Value::Map(map)
        })
        .collect();
    let hashes: Map = files.iter().map(|f| (f.path.to_string(), digest(&f.content).into())).collect();
    let used = inputs
        .all()
        .filter(|s| s.is_file)
        .map(|s| Value::from([("name", Value::from(s.name.as_str())), ("sha256", Value::from(digest(&s.text)))]))
        .collect();
    Value::from([
        ("tool", Value::from("llmdbench")),
        ("format", Value::from(FORMAT)),
        ("id", Value::from(id)),
        ("inputs", Value::List(used)),
        ("settings", Value::Map(settings)),
        ("objects", Value::List(objects)),
        ("releases", Value::List(Vec::new())),
        ("images", strings(images(plan))),
        ("charts", Value::List(Vec::new())),
        ("delete", Value::List(delete_plan(manifests))),
        ("files", Value::Map(hashes)),
    ])
}

fn object_reference(object: &Object) -> Map {
    let mut map = Map::new();
    map.insert("apiVersion".into(), object.api_version().into());
    map.insert("kind".into(), object.kind().into());
    if !object.namespace().is_empty() {
        map.insert("namespace".into(), object.namespace().into());
    }
    map.insert("name".into(), object.name().into());
    map
}

/// What to remove, in order: what was applied last goes first, so that pods go before their volumes.
fn delete_plan(manifests: &[Manifest]) -> Vec<Value> {
    manifests
        .iter()
        .rev()
        .map(|m| {
            let mut map = object_reference(&m.object);
            let (when, reason) = match m.object.removal {
                Removal::Always => ("always", None),
                Removal::Deep(why) => ("deep", Some(why)),
                Removal::Never(why) => ("never", Some(why)),
            };
            map.insert("remove".into(), when.into());
            if let Some(why) = reason {
                map.insert("kept because".into(), why.into());
            }
            Value::Map(map)
        })
        .collect()
}

/// All images, each once, sorted.
fn images(plan: &Plan) -> Vec<String> {
    let mut all: Vec<String> = plan.stacks.iter().map(|s| s.image.clone()).collect();
    all.extend([plan.download_image.clone(), plan.benchmark_image.clone()]);
    all.sort();
    all.dedup();
    all
}
