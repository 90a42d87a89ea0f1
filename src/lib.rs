//! `llmdbench` compiles one scenario file plus defaults into everything that a stack serving large language models
//! needs on Kubernetes: resolved manifests, a record of every setting with its origin, and what to delete later.
//!
//! The library is pure from [`compile`] down: it reads only through [`scenario::World`] and writes nothing.

pub mod error;
pub mod source;
pub mod tree;
pub mod yaml;
