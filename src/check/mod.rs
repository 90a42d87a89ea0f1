//! Checks that know Kubernetes and nothing of settings: names, whole bundles, credentials.

pub mod names;
pub mod objects;
