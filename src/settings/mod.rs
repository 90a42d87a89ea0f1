//! Settings: what a scenario can say, under which names, and how its layers become one typed value each.

pub mod derive;
pub mod editions;
pub mod helm;
pub mod payload;
pub mod picker;
pub mod resolve;
pub mod sections;
pub mod template;
pub mod types;
pub mod variables;

pub use sections::{Section, Settings};
use std::collections::HashMap;
use std::sync::OnceLock;

/// Who uses a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Both methods.
    All,
    /// The standalone method.
    Standalone,
    /// The llm-d method.
    Modelservice,
    /// The HTTPRoute of the standalone method.
    HttpRoute,
    /// OpenShift.
    OpenShift,
    /// The scripts of the bundle.
    Scripts,
    /// Runs of a load generator.
    Run,
    /// Experiments.
    Experiment,
    /// Whoever uses the image.
    Image,
    /// The server whose probe it is.
    Probe,
    /// The server that it stands under, or both methods.
    Server,
    /// Texts that refer to it.
    Reference,
    /// The check whether a model fits on the accelerators.
    Capacity,
    /// The launcher of the standalone method.
    Launcher,
    /// The sidecar of the endpoint picker.
    Sidecar,
    /// PodMonitors of model servers.
    Monitor,
    /// The list of what a cluster must have.
    Prerequisite,
    /// Environment variables that refer to it.
    Env,
}

/// The definition of one setting.
#[derive(Debug, Clone)]
pub struct Field {
    /// Its path, `vllm.maxModelLen`.
    pub path: String,
    /// What it means.
    pub doc: &'static str,
    /// What it takes.
    pub expects: fn() -> String,
    /// Whether it may be without a value.
    pub optional: bool,
    /// Whether an empty text is a value.
    pub empty_is_a_value: bool,
    /// Whether its value may be the path of a file.
    pub from_file: bool,
    /// Whether its value is a list or mapping in YAML.
    pub structured: bool,
    /// Whether a text is YAML itself.
    pub yaml: bool,
    /// Who uses it.
    pub used_by: Use,
    /// Words that stand for "none given", and what is rendered then (nothing to tell where that is empty).
    pub words: &'static [(&'static str, &'static str)],
}

/// All settings, in the order of their definition.
pub fn fields() -> &'static [Field] {
    static FIELDS: OnceLock<Vec<Field>> = OnceLock::new();
    FIELDS.get_or_init(|| {
        let mut all = Vec::new();
        Settings::describe("", &mut all);
        all
    })
}

/// The position of a setting in [`fields`].
pub fn field_index(path: &str) -> Option<usize> {
    static INDEX: OnceLock<HashMap<&'static str, usize>> = OnceLock::new();
    INDEX.get_or_init(|| fields().iter().enumerate().map(|(i, f)| (f.path.as_str(), i)).collect()).get(path).copied()
}
