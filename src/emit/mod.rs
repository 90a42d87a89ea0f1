//! Writes what a compilation made. Nothing else of the library writes, and only [`inflate`] runs another program.

pub mod argocd;
pub mod directory;
pub mod flux;
pub mod inflate;
mod order;
pub mod stream;

use crate::render::releases::Release;
use crate::tree::Value;

/// The labels of an object that stands for a release.
fn labels(release: &Release, part_of: &str) -> Value {
    Value::from([
        ("app.kubernetes.io/managed-by", "llmdbench"),
        ("app.kubernetes.io/part-of", part_of),
        ("app.kubernetes.io/instance", release.name.as_str()),
        ("app.kubernetes.io/component", "helm-release"),
    ])
}
