//! The bundle: every file that one compilation emits, and the record of it.

use crate::check::objects::identity;
use crate::error::Errors;
use crate::plan::Plan;
use crate::plan::names::{digest, fit};
use crate::plan::run::{BUNDLE_ANNOTATION, Runs, Target};
use crate::render::delete::{self, DeletePlan};
use crate::render::engine::{self, to_template};
use crate::render::load;
use crate::render::releases::{ChartSource, Release};
use crate::render::scripts::{self, Content};
use crate::render::{Half, Object, Removal};
use crate::render::{ReleasesAs, argocd, flux, helmfile, values};
use crate::settings::resolve::{Resolved, describe_origin};
use crate::source::Sources;
use crate::tree::{Map, Value};
use camino::Utf8PathBuf;
use std::collections::BTreeMap;

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
    /// The Helm releases, in the order they are installed.
    pub releases: Vec<Release>,
    /// What teardown removes.
    pub delete: DeletePlan,
    /// All files, the record `bundle.json` last.
    pub files: Vec<File>,
}

impl Bundle {
    /// The manifests of the stacks: what is applied to have them, and generates no load.
    pub fn of_stacks(&self) -> impl Iterator<Item = &Manifest> {
        self.manifests.iter().filter(|m| m.object.half != Half::Run)
    }
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
pub const FORMAT: u64 = 1;

/// Puts a bundle together.
///
/// # Errors
/// Defects of templates.
pub fn bundle(
    resolved: &Resolved,
    plan: &Plan,
    runs: &Runs,
    releases_as: ReleasesAs,
    mut objects: Vec<Object>,
    inputs: &Sources,
) -> Result<Bundle, Errors> {
    let settings = Value::Map(resolved.flat());
    let releases = values::releases(resolved, plan)?;
    let id = id(&objects, &releases, &settings);
    cite(&mut objects, &id);
    objects.push(record(resolved, &id, &settings)?);
    let part_of = resolved.settings.release.0.as_str();
    let ready = u64::from(resolved.settings.timeouts.ready.0);
    let stand_ins = match releases_as {
        ReleasesAs::Values => Vec::new(),
        ReleasesAs::Flux => flux::objects(&releases, part_of, ready),
        ReleasesAs::ArgoCd => argocd::objects(&releases, part_of),
    };
    objects.extend(stand_ins.into_iter().map(|value| Object {
        step: 8,
        half: Half::Releases,
        removal: Removal::Always,
        value,
    }));
    objects.sort_by_key(|o| (o.half, o.step));
    let manifests = place(objects);

    let mut files: Vec<File> = manifests.iter().map(|m| file(m.path.clone(), m.object.value.to_yaml())).collect();
    for release in &releases {
        files.push(file(format!("helm/{}/values.yaml", release.name).into(), release.values.to_yaml()));
    }
    if !releases.is_empty() {
        files.push(file("helm/helmfile.yaml".into(), helmfile::helmfile(&releases, part_of, ready).to_yaml()));
    }
    let (of_runs, of_stacks): (Vec<_>, Vec<_>) = manifests.iter().partition(|m| m.object.half == Half::Run);
    files.push(file("kustomization.yaml".into(), kustomization(&of_stacks, "").to_yaml()));
    if !of_runs.is_empty() {
        files.push(file("run/kustomization.yaml".into(), kustomization(&of_runs, "run/").to_yaml()));
    }
    let text = load::script(resolved, runs, &id, &|name| run_files(&manifests, name))?;
    files.push(File { path: "run.sh".into(), content: text, executable: true });
    let by_hand = if releases_as == ReleasesAs::Values { releases.as_slice() } else { &[] };
    let context = readme(resolved, plan, runs, &manifests, by_hand, &id);
    files.push(file("README.md".into(), engine::text("bundle/README.md.j2", &to_template(&context))?));
    let objects: Vec<(&str, &Object)> = manifests.iter().map(|m| (m.path.as_str(), &m.object)).collect();
    let tokens = scripts::tokens(resolved, plan);
    let owner = delete::Owner { id: &id, release: part_of, timeout: resolved.settings.timeouts.wait.0.into() };
    let delete = delete::plan(&owner, &objects.iter().map(|(_, o)| *o).collect::<Vec<_>>(), by_hand, &tokens);
    let content = Content {
        id: &id,
        resolved,
        plan,
        objects: &objects,
        releases: by_hand,
        releases_as,
        tokens: &tokens,
        delete: &delete,
    };
    files.extend(scripts::scripts(&content)?.into_iter().map(|(name, content)| File {
        path: name.into(),
        content,
        executable: true,
    }));
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let mut bundle = Bundle { id, manifests, releases, delete, files };
    let json = describe(&bundle, resolved, plan, inputs).to_json();
    bundle.files.push(file("bundle.json".into(), json));
    Ok(bundle)
}

fn file(path: Utf8PathBuf, content: String) -> File {
    File { path, content, executable: false }
}

/// The id covers what reaches the cluster and every setting; not where a setting came from.
fn id(objects: &[Object], releases: &[Release], settings: &Value) -> String {
    let mut text = settings.to_yaml();
    for release in releases {
        text.push_str(&format!("---\n{} {}\n{}", release.name, release.version, release.values.to_yaml()));
    }
    for object in objects {
        text.push_str("---\n");
        text.push_str(&object.value.to_yaml());
    }
    digest(&text)
}

/// Tells Jobs and pods of runs which bundle they belong to.
fn cite(objects: &mut [Object], id: &str) {
    for object in objects.iter_mut().filter(|o| o.half == Half::Run && o.kind() == "Job") {
        for path in [&["metadata", "annotations"][..], &["spec", "template", "metadata", "annotations"]] {
            let mut at = &mut object.value;
            for key in path {
                at = at.map_mut().entry((*key).into()).or_insert(Value::Null);
            }
            at.map_mut().insert(BUNDLE_ANNOTATION.into(), id.into());
        }
    }
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
            let path = format!("{}/{:02}-{count:03}-{name}.yaml", object.half.folder(), object.step);
            Manifest { path: path.into(), object }
        })
        .collect()
}

/// The files of one run's objects.
fn run_files(manifests: &[Manifest], name: &str) -> load::Files {
    let path = |kind: &str| {
        let of_run = |m: &&Manifest| m.object.half == Half::Run && m.object.name() == name && m.object.kind() == kind;
        manifests.iter().find(of_run).map_or(String::new(), |m| m.path.to_string())
    };
    load::Files { profile: path("ConfigMap"), job: path("Job") }
}

/// What `kubectl apply -k` of a folder of the bundle applies.
fn kustomization(manifests: &[&Manifest], folder: &str) -> Value {
    let path = |m: &&Manifest| m.path.as_str().trim_start_matches(folder).to_owned();
    Value::from([
        ("apiVersion", Value::from("kustomize.config.k8s.io/v1beta1")),
        ("kind", Value::from("Kustomization")),
        ("resources", Value::from(manifests.iter().map(path).collect::<Vec<_>>())),
        // Objects keep the order of the list, which is that of the files.
        ("sortOptions", Value::from([("order", "fifo")])),
    ])
}

/// What the README of the bundle tells.
fn readme(
    resolved: &Resolved,
    plan: &Plan,
    runs: &Runs,
    manifests: &[Manifest],
    releases: &[Release],
    id: &str,
) -> Value {
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
                ("image", Value::from(stack.server.image.as_str())),
                ("url", Value::from(format!("http://{}.{}{}:80", stack.name, s.namespace, s.cluster.domain))),
            ])
        })
        .collect();
    let pool = |stack: &crate::plan::llmd::Stack| {
        Value::from([
            ("model", Value::from(stack.model.name.as_str())),
            ("served_name", Value::from(stack.model.served_name())),
            ("servers", Value::from(stack.name.as_str())),
            ("pool", Value::from(stack.pool.as_str())),
        ])
    };
    let release = |r: &Release| {
        Value::from([
            ("name", Value::from(r.name.as_str())),
            ("namespace", Value::from(r.namespace.as_str())),
            ("chart", Value::from(r.chart.reference())),
            ("version", Value::from(r.version.as_str())),
            ("timeout", Value::from(s.timeouts.ready.0)),
        ])
    };
    let repositories: BTreeMap<&str, &str> = releases
        .iter()
        .filter_map(|r| match &r.chart {
            ChartSource::Repository { alias, url, .. } => Some((alias.as_str(), url.as_str())),
            ChartSource::Oci(_) => None,
        })
        .collect();
    let repositories: Vec<Value> = repositories
        .into_iter()
        .map(|(alias, url)| Value::from([("alias", Value::from(alias)), ("url", Value::from(url))]))
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
    let wait = |m: &&Manifest| matches!(m.object.kind(), "Job" | "Deployment") && m.object.half != Half::Run;
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
    let run = |t: &Target| {
        Value::from([
            ("stack", Value::from(t.stack.as_str())),
            ("model", Value::from(t.served_name.as_str())),
            ("endpoint", Value::from(t.endpoint.as_str())),
        ])
    };
    let harness = s.harness.namespace.as_ref().map_or(s.namespace.0.as_str(), |n| n.0.as_str());
    Value::from([
        ("id", Value::from(id)),
        ("release", Value::from(s.release.0.as_str())),
        ("namespace", Value::from(s.namespace.0.as_str())),
        ("harness_namespace", Value::from(harness)),
        ("secret", Value::from(s.hugging_face.secret_name.0.as_str())),
        ("key", Value::from(s.hugging_face.secret_key.0.as_str())),
        ("stacks", Value::List(stacks)),
        ("pools", Value::List(plan.llmd.iter().flat_map(|l| &l.stacks).map(pool).collect())),
        ("gateway", Value::from(plan.llmd.as_ref().map_or("", |l| l.gateway.as_str()))),
        ("repositories", Value::List(repositories)),
        ("releases", Value::List(releases.iter().map(release).collect())),
        ("prerequisites", Value::List(prerequisites(plan))),
        ("servers_wait", Value::Bool(servers_wait(resolved, plan))),
        ("stand_ins", Value::from(manifests.iter().any(|m| m.object.half == Half::Releases))),
        ("waits", Value::List(waits)),
        ("workload", Value::from(runs.profile_file.as_str())),
        ("harness", Value::from(s.harness.name.word())),
        ("runs", Value::List(runs.targets.iter().map(run).collect())),
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
fn describe(bundle: &Bundle, resolved: &Resolved, plan: &Plan, inputs: &Sources) -> Value {
    let strings = |list: Vec<String>| Value::from(list);
    let settings: Map = resolved
        .flat()
        .into_iter()
        .map(|(path, value)| {
            let origin = describe_origin(resolved.origins.get(&path), inputs);
            (path, Value::from([("value", value), ("origin", origin)]))
        })
        .collect();
    let objects = bundle
        .manifests
        .iter()
        .map(|m| {
            let mut map = object_reference(&m.object);
            map.insert("step".into(), u64::from(m.object.step).into());
            map.insert("half".into(), m.object.half.word().into());
            map.insert("file".into(), m.path.as_str().into());
            Value::Map(map)
        })
        .collect();
    let hashes: Map = bundle.files.iter().map(|f| (f.path.to_string(), digest(&f.content).into())).collect();
    let used = inputs
        .all()
        .filter(|s| s.is_file)
        .map(|s| Value::from([("name", Value::from(s.name.as_str())), ("sha256", Value::from(digest(&s.text)))]))
        .collect();
    Value::from([
        ("tool", Value::from("llmdbench")),
        ("format", Value::from(FORMAT)),
        ("id", Value::from(bundle.id.as_str())),
        ("inputs", Value::List(used)),
        ("settings", Value::Map(settings)),
        ("objects", Value::List(objects)),
        ("releases", Value::List(bundle.releases.iter().map(describe_release).collect())),
        ("prerequisites", Value::List(prerequisites(plan))),
        ("images", strings(images(plan))),
        ("charts", charts(&bundle.releases)),
        ("delete", Value::List(bundle.delete.entries.iter().map(delete::Entry::to_value).collect())),
        ("files", Value::Map(hashes)),
    ])
}

/// Whether no server of the llm-d method starts before its model is there.
fn servers_wait(resolved: &Resolved, plan: &Plan) -> bool {
    let Some(llmd) = &plan.llmd else { return true };
    llmd.stacks.iter().all(|stack| {
        let used = stack.roles.iter().filter(|(_, role)| role.replicas > 0);
        let by_itself = !stack.uri.starts_with("pvc://");
        by_itself || used.map(|(name, _)| name).all(|n| values::waits_for_model(&resolved.settings, llmd, n, stack))
    })
}

/// What the cluster must have before.
fn prerequisites(plan: &Plan) -> Vec<Value> {
    let one = |p: &crate::plan::prerequisites::Prerequisite| {
        Value::from([
            ("what", Value::from(p.what.as_str())),
            ("version", Value::from(p.version.as_str())),
            ("install", Value::from(p.install.clone())),
        ])
    };
    plan.llmd.iter().flat_map(|l| &l.prerequisites).map(one).collect()
}

fn describe_release(release: &Release) -> Value {
    Value::from([
        ("name", Value::from(release.name.as_str())),
        ("namespace", Value::from(release.namespace.as_str())),
        ("chart", Value::from(release.chart.reference())),
        ("version", Value::from(release.version.as_str())),
        ("needs", Value::from(release.needs.clone())),
    ])
}

/// Charts with their versions, each once.
fn charts(releases: &[Release]) -> Value {
    let mut all: Vec<String> = releases.iter().map(|r| format!("{}:{}", r.chart.reference(), r.version)).collect();
    all.sort();
    all.dedup();
    Value::from(all)
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

/// All images, each once, sorted.
fn images(plan: &Plan) -> Vec<String> {
    let mut all: Vec<String> = plan.stacks.iter().flat_map(|s| s.server.images()).collect();
    all.extend(plan.download_image.clone());
    all.push(plan.benchmark_image.clone());
    all.extend(plan.evaluation_image.clone());
    if let Some(llmd) = &plan.llmd {
        let roles = llmd.stacks.iter().flat_map(|s| &s.roles).filter(|(_, r)| r.replicas > 0);
        all.extend(roles.flat_map(|(_, r)| r.server.images()));
        if llmd.routing_sidecar {
            all.push(llmd.sidecar_image.clone());
        }
        all.extend(llmd.tokenizer_image.clone());
        let [registry, repository, name, tag] = &llmd.picker_image;
        let path = [registry.as_str(), repository, name].into_iter().filter(|p| !p.is_empty()).collect::<Vec<_>>();
        all.push(format!("{}:{tag}", path.join("/")));
    }
    all.sort();
    all.dedup();
    all
}
