//! `run.sh`: sends load to the stacks of a bundle and brings the results back.

use super::engine::{self, to_template};
use super::scripts;
use crate::error::Diagnostic;
use crate::plan::names;
use crate::plan::run::{Access, Piece, Runs, Target, evaluation};
use crate::settings::resolve::Resolved;
use crate::tree::Value;

/// The parts of the script, after its data.
const PARTS: &[&str] = &["prelude", "waits", "run"];

/// Where the manifests of one target are.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// The ConfigMap with the profile.
    pub profile: String,
    /// The Job.
    pub job: String,
}

/// The script; `files` finds the manifests of a target by the name that both objects have.
///
/// # Errors
/// Defects of templates.
pub fn script(resolved: &Resolved, runs: &Runs, id: &str, files: &dyn Fn(&str) -> Files) -> Result<String, Diagnostic> {
    let s = &resolved.settings;
    let h = &s.harness;
    let text = |t: &str| Value::from(t);
    let home = h.namespace.as_ref().unwrap_or(&s.namespace).0.as_str();
    let context = Value::from([
        ("id", text(id)),
        ("release", text(&s.release.0)),
        ("namespace", text(&s.namespace.0)),
        ("harness_namespace", text(home)),
        ("harness", text(h.name.word())),
        ("workload", text(&runs.profile_file)),
        ("account", text(h.service_account.as_ref().map_or("default", |a| &a.0))),
        ("claim", text(&h.claim_name.0)),
        ("data_access", Value::from(names::data_access(&s.release.0))),
        ("results_dir", text(h.results_dir.0.trim_end_matches('/'))),
        ("run_prefix", text(h.run_prefix.as_ref().map_or("", |p| &p.0))),
        ("output", text(&h.output.0)),
        ("parallelism", Value::from(h.parallelism.0)),
        ("scrapes", text(if runs.access == Access::Exec { "yes" } else { "" })),
        ("timeout_run", Value::from(h.wait_timeout.0)),
        ("timeout_wait", Value::from(s.timeouts.wait.0)),
        ("targets", Value::List(runs.targets.iter().map(|t| target(t, &files(&t.name))).collect())),
    ]);
    let data = engine::text("scripts/load.sh.j2", &to_template(&context))?;
    scripts::script("Sends load to the stacks of a bundle and brings the results here.", &data, PARTS)
}

fn target(target: &Target, files: &Files) -> Value {
    let evaluation = evaluation(&target.stack);
    let fields = [
        &target.stack,
        &target.label,
        &target.name,
        &target.endpoint,
        &target.servers,
        &files.profile,
        &files.job,
        &evaluation,
        &target.served_name,
    ];
    let pieces = target.pieces.iter().map(|piece| {
        // Endpoint and model are the second and third argument of the function.
        let (argument, text) = match piece {
            Piece::Text(text) => (0u64, text.as_str()),
            Piece::Endpoint => (2, ""),
            Piece::Model => (3, ""),
        };
        Value::from([("argument", Value::from(argument)), ("text", Value::from(text))])
    });
    Value::from([
        ("stack", Value::from(target.stack.as_str())),
        ("row", Value::from(fields.map(String::as_str).join("|"))),
        ("pieces", Value::List(pieces.collect())),
    ])
}
