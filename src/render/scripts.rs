//! The scripts of a bundle: what they hold of it, and which parts each is made of.
//!
//! A script stands alone: the data of the bundle, then parts of `templates/scripts/` that are plain shell, one after the
//! other. Values enter through the data alone, each as one shell word.

use super::delete::{DeletePlan, Token};
use super::engine::{self, to_template};
use super::order;
use super::releases::{ChartSource, Release};
use super::{Half, Object, ReleasesAs, Removal};
use crate::error::Diagnostic;
use crate::plan::{Plan, llmd};
use crate::settings::resolve::Resolved;
use crate::tree::{Map, Value};

/// The scripts of a bundle: name, what the first line says, parts.
const SCRIPTS: &[(&str, &str, &[&str])] = &[
    ("standup.sh", "Puts the stack of a bundle on a cluster.", &["prelude", "waits", "releases", "install", "standup"]),
    ("smoketest.sh", "Asks each stack of a bundle for a completion.", &["prelude", "waits", "smoketest"]),
    ("e2e.sh", "Stands a bundle up, tests it, runs its load and removes it.", &["prelude", "e2e"]),
];

/// The parts of the teardown script, which is made of a delete plan and not of a bundle.
const TEARDOWN: &[&str] = &["prelude", "waits", "releases", "teardown"];

/// All that the scripts are made of.
#[derive(Debug)]
pub struct Content<'a> {
    /// Id of the bundle.
    pub id: &'a str,
    /// The settings.
    pub resolved: &'a Resolved,
    /// The plan.
    pub plan: &'a Plan,
    /// Objects with the paths of their files, in the order they are applied.
    pub objects: &'a [(&'a str, &'a Object)],
    /// The releases that the scripts install.
    pub releases: &'a [Release],
    /// How releases are part of the bundle.
    pub releases_as: ReleasesAs,
    /// The Secrets that the scripts make.
    pub tokens: &'a [Token],
    /// What teardown removes.
    pub delete: &'a DeletePlan,
}

/// The scripts by file name.
///
/// # Errors
/// Defects of templates.
pub fn scripts(content: &Content<'_>) -> Result<Vec<(String, String)>, Diagnostic> {
    let data = engine::text("scripts/bundle.sh.j2", &to_template(&data(content)))?;
    let mut all = Vec::new();
    for (name, about, parts) in SCRIPTS {
        all.push(((*name).to_owned(), script(about, &data, parts)?));
    }
    all.push(("teardown.sh".to_owned(), teardown(content.delete, false)?));
    Ok(all)
}

/// The script that carries out a delete plan; `deep` makes it a deep one without being asked to.
///
/// # Errors
/// Defects of templates.
pub fn teardown(plan: &DeletePlan, deep: bool) -> Result<String, Diagnostic> {
    let rows: Vec<String> = plan.entries.iter().map(super::delete::Entry::to_row).collect();
    let context = Value::from([
        ("id", Value::from(plan.id.as_str())),
        ("release", Value::from(plan.release.as_str())),
        ("timeout", Value::from(plan.timeout)),
        ("deep", Value::from(if deep { "yes" } else { "" })),
        ("rows", Value::from(rows)),
    ]);
    let data = engine::text("scripts/delete-plan.sh.j2", &to_template(&context))?;
    script("Removes what a bundle put on a cluster.", &data, TEARDOWN)
}

/// Where the token for gated models goes: to the namespace of the stacks and that of the load generator.
pub fn tokens(resolved: &Resolved, plan: &Plan) -> Vec<Token> {
    let s = &resolved.settings;
    let token = |step: u8, namespace: &str| Token {
        step,
        namespace: namespace.to_owned(),
        name: s.hugging_face.secret_name.0.clone(),
        key: s.hugging_face.secret_key.0.clone(),
    };
    let mut all = vec![token(4, &s.namespace.0)];
    if let Some(namespace) = s.harness.namespace.as_ref().filter(|_| plan.harness_apart) {
        all.push(token(5, &namespace.0));
    }
    all
}

/// A script: its data, then parts of `templates/scripts/` that are plain shell.
pub(super) fn script(about: &str, data: &str, parts: &[&str]) -> Result<String, Diagnostic> {
    // The data and the parts are the same in several scripts, and not each of them uses all.
    let mut text = format!("#!/usr/bin/env bash\n# {about} Rendered by llmdbench; --help tells how to use it.\n");
    text.push_str("# shellcheck disable=SC2034,SC2100,SC2317,SC2329\nset -euo pipefail\n\n");
    text.push_str(data);
    for part in parts {
        text.push('\n');
        text.push_str(engine::file(&format!("scripts/{part}.sh"))?);
    }
    Ok(text)
}

/// Fields with bars between them, which no name holds.
fn row(fields: &[&str]) -> Value {
    Value::from(fields.join("|"))
}

fn data(content: &Content<'_>) -> Value {
    let s = &content.resolved.settings;
    let harness = s.harness.namespace.as_ref().unwrap_or(&s.namespace);
    let seconds = |n: u64| Value::from(n);
    let timeouts = Value::from([
        ("ready", seconds(s.timeouts.ready.0.into())),
        ("wait", seconds(s.timeouts.wait.0.into())),
        ("download", seconds(s.storage.model.download_timeout.0.into())),
    ]);
    let tokens =
        content.tokens.iter().map(|t| row(&[&t.step.to_string(), &t.namespace, &t.name, &t.key, &t.instance()]));
    Value::from([
        ("id", Value::from(content.id)),
        ("release", Value::from(s.release.0.as_str())),
        ("namespace", Value::from(s.namespace.0.as_str())),
        ("harness_namespace", Value::from(harness.0.as_str())),
        ("timeouts", timeouts),
        ("objects", Value::List(content.objects.iter().map(|(path, o)| object_row(path, o)).collect())),
        ("claims", Value::List(content.objects.iter().filter_map(|(_, o)| claim_row(o)).collect())),
        ("tokens", Value::List(tokens.collect())),
        ("releases", Value::List(release_rows(content.releases))),
        (
            "releases_as",
            Value::from(match content.releases_as {
                ReleasesAs::Values => "helm",
                ReleasesAs::Flux => "flux",
                ReleasesAs::ArgoCd => "argocd",
            }),
        ),
        ("stacks", Value::List(stacks(content))),
    ])
}

fn object_row(path: &str, object: &Object) -> Value {
    let half = match object.half {
        Half::Admin => "admin",
        Half::Namespace => "namespaced",
        Half::Releases => "releases",
        Half::Run => "run",
    };
    let when = match object.removal {
        Removal::Always => "always",
        Removal::Deep(_) => "deep",
        Removal::Never(_) => "never",
    };
    row(&[
        &object.step.to_string(),
        half,
        when,
        object.api_version(),
        object.kind(),
        object.namespace(),
        object.name(),
        object.field(&["metadata", "labels", "app.kubernetes.io/part-of"]),
        object.field(&["metadata", "labels", "app.kubernetes.io/instance"]),
        path,
    ])
}

fn claim_row(object: &Object) -> Option<Value> {
    let spec = |path: &[&str]| object.value.at(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mode = object.value.at(&["spec", "accessModes"]).map_or(&[][..], Value::items).first().and_then(Value::as_str);
    (object.kind() == "PersistentVolumeClaim").then(|| {
        row(&[
            object.namespace(),
            object.name(),
            &spec(&["spec", "resources", "requests", "storage"]),
            mode.unwrap_or_default(),
            &spec(&["spec", "storageClassName"]),
        ])
    })
}

/// The step that installs a release follows from how many releases stand before it.
fn release_rows(releases: &[Release]) -> Vec<Value> {
    let depths = order::depths(releases);
    let rows = releases.iter().zip(depths).map(|(r, depth)| {
        let step = match depth {
            0 => "2",
            1 => "8",
            _ => "9",
        };
        let url = match &r.chart {
            ChartSource::Oci(_) => "",
            ChartSource::Repository { url, .. } => url,
        };
        row(&[step, &r.namespace, &r.name, &r.chart.reference(), &r.version, url, r.chart.base()])
    });
    rows.collect()
}

/// Where each stack answers, as which model, and what a completion is asked with.
fn stacks(content: &Content<'_>) -> Vec<Value> {
    let namespace = content.resolved.settings.namespace.0.as_str();
    let stack = |method: &str, target: [&str; 3], model: &str| {
        let body: Map = [
            ("model", Value::from(model)),
            ("prompt", Value::from("San Francisco is a")),
            ("max_tokens", Value::from(8u64)),
        ]
        .map(|(k, v)| (k.to_owned(), v))
        .into();
        let body = Value::Map(body).to_json_line();
        Value::from([
            ("row", row(&[method, namespace, target[0], target[1], target[2]])),
            ("model", Value::from(model)),
            ("body", Value::from(body)),
        ])
    };
    let standalone = content.plan.stacks.iter().map(|s| stack("standalone", [&s.name, "", ""], s.model.served_name()));
    let class = &content.resolved.settings.gateway.class_name.0;
    let llmd = content.plan.llmd.iter().flat_map(|l| {
        let service = llmd::gateway_service(&l.gateway, class).unwrap_or_default();
        l.stacks.iter().map(move |s| {
            let name = s.model.served_name();
            stack("modelservice", [&service, &format!("/{}", name.to_lowercase()), &l.gateway], name)
        })
    });
    standalone.chain(llmd).collect()
}
