//! `llmdbench` compiles one scenario file plus defaults into everything that a stack serving large language models
//! needs on Kubernetes: resolved manifests, a record of every setting with its origin, and what to delete later.
//!
//! A house with floors; imports go down only. [`cmd`] wires flags to [`compile`], which is pure: it reads through
//! [`scenario::World`] alone and writes nothing. [`emit`] writes, and runs Helm where charts are to be inflated.

pub mod bundle;
pub mod charts;
pub mod check;
pub mod cmd;
pub mod compile;
pub mod convert;
pub mod credential;
pub mod emit;
pub mod error;
pub mod plan;
pub mod render;
pub mod scenario;
pub mod settings;
pub mod source;
pub mod tree;
pub mod yaml;
