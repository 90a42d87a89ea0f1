//! From a plan to objects: Rust decides which objects exist, templates decide their text.

pub mod argocd;
pub mod delete;
pub mod engine;
pub mod flux;
mod gateway_values;
pub mod helmfile;
pub mod load;
pub mod manifests;
pub mod order;
mod pool_values;
pub mod releases;
pub mod scripts;
pub mod values;

use crate::tree::Value;

/// How Helm releases are part of a bundle.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ReleasesAs {
    /// As values and a helmfile.
    #[default]
    Values,
    /// Besides, as objects of Flux.
    Flux,
    /// Besides, as Applications of Argo CD.
    ArgoCd,
}

/// Which part of the bundle an object belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Half {
    /// What an administrator applies: cluster-scoped objects and grants of rights.
    Admin,
    /// What whoever may write to the namespace applies.
    Namespace,
    /// Objects that stand for Helm releases, for the controller that installs those.
    Releases,
    /// What generates load: applied by `run.sh`, and never together with the stacks.
    Run,
}

impl Half {
    /// The folder of its manifests.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Admin => "manifests/0-admin",
            Self::Namespace => "manifests/1-namespace",
            Self::Releases => "manifests/2-releases",
            Self::Run => "run/manifests",
        }
    }

    /// Its word in records.
    pub fn word(self) -> &'static str {
        match self {
            Self::Run => "run",
            _ => self.folder().trim_start_matches("manifests/"),
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
    /// Text at a path, empty where there is none.
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
