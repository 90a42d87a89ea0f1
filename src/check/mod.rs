//! Checks that know Kubernetes and nothing of settings: names, whole bundles, credentials, endpoint-picker configurations.

pub mod fields;
pub mod names;
pub mod objects;
pub mod picker;
