//! From a plan to objects: Rust decides which objects exist, templates decide their text.

pub mod engine;
pub mod manifests;
pub mod releases;

use crate::tree::Value;

/// Which half of the bundle an object belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Half {
    /// What an administrator applies: cluster-scoped objects and grants of rights.
    Admin,
    /// What whoever may write to the namespace applies.
    Namespace,
}

impl Half {
    /// The folder of `manifests/`.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Admin => "0-admin",
            Self::Namespace => "1-namespace",
        }
    }
}

/// What teardown does with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// Removed always.
    Always,
    /// Kept unless everything is to go, for this reason.
    Deep(&'static str),
    /// Never removed, for this reason.
    Never(&'static str),
}

/// One object of the bundle.
#[derive(Debug, Clone)]
pub struct Object {
    /// The phase of standup that applies it, as the original numbered them.
    pub step: u8,
    /// Its half.
    pub half: Half,
    /// What teardown does with it.
    pub removal: Removal,
    /// The object.
    pub value: Value,
}

impl Object {
    fn field<'v>(&'v self, path: &[&str]) -> &'v str {
        self.value.at(path).and_then(Value::as_str).unwrap_or_default()
    }

    /// `kind`.
    pub fn kind(&self) -> &str {
        self.field(&["kind"])
    }

    /// `apiVersion`.
    pub fn api_version(&self) -> &str {
        self.field(&["apiVersion"])
    }

    /// `metadata.name`.
    pub fn name(&self) -> &str {
        self.field(&["metadata", "name"])
    }

    /// `metadata.namespace`, empty for an object of the cluster.
    pub fn namespace(&self) -> &str {
        self.field(&["metadata", "namespace"])
    }
}
