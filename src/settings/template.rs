//! Texts that refer to settings: arguments, scripts and environment values.
//!
//! Two notations mean the same: `${vllm.port}` (a path with a dot in it, so that no shell expansion looks like it; a
//! setting of the top level is written `${.namespace}`; `$${` stands for a literal `${`) and the original's
//! `REPLACE_ENV_LLMDBENCH_VLLM_COMMON_INFERENCE_PORT`, each with an optional default (`${path:-text}`,
//! `REPLACE_ENV_NAME++++default=text`). What a reference stands for is data: it can never end a word, a quote or a list
//! element that it stands in. Only a setting that is a shell script itself is put into a script as script.

use super::types::{Fault, Raw, Reading, Setting, refuse_unreadable};
use super::variables;
use crate::check::names;
use crate::error::{Problem, nearest};
use crate::tree::Value;
use crate::yaml::{Kind, Node};

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// Text as it is.
    Text(String),
    /// The value of a variable that the scenario itself made up.
    Own(String),
    /// The value of a setting or of the current model, or a default where that is empty.
    Reference {
        /// Path of the setting, or a name of [`MODEL_NAMES`].
        path: String,
        /// Used when there is no value.
        default: Option<String>,
    },
}

/// A text with references.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Template(pub Vec<Segment>);

/// References that are no settings: each stack answers them for its own model.
pub const MODEL_NAMES: &[(&str, &str)] = &[
    ("model.name", "the model as Hugging Face names it"),
    ("model.id", "the served name in lower case"),
    ("model.label", "the short name that objects of the model carry"),
    ("model.pickerService", "the Service of the endpoint picker, with the llm-d method"),
    ("images.benchmark", "the whole reference of that image"),
    ("model.servedName", "the name that clients ask for"),
];

/// References that workload profiles know besides.
pub const RUN_NAMES: &[(&str, &str)] = &[
    ("endpoint.url", "the URL of the server under test"),
    ("dataset.file", "the file name of the recorded requests"),
    ("images.evaluation", "the image of the job that fmperf starts by itself"),
];

/// Whether a path is a name that stands for something else than a setting.
pub fn is_name(path: &str) -> bool {
    MODEL_NAMES.iter().chain(RUN_NAMES).any(|(name, _)| *name == path)
}

/// What a reference stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Referent {
    /// A value; quoted wherever it stands in a script.
    Data(String),
    /// A piece of shell script, put into scripts as it is.
    Script(Template),
}

impl Referent {
    /// The text, whatever it is.
    pub fn text(&self) -> String {
        match self {
            Self::Data(t) => t.clone(),
            Self::Script(t) => t.notation(),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Data(t) => t.is_empty(),
            Self::Script(t) => t.0.is_empty(),
        }
    }
}

/// Answers references.
pub trait Scope {
    /// What a path stands for; `None` when nothing has that path, an empty text when it has no value.
    fn resolve(&self, path: &str) -> Option<Referent>;
    /// All paths, for hints.
    fn paths(&self) -> Vec<String>;
}

const TOKEN: &str = "REPLACE_ENV_";
const DEFAULT: &str = "++++default=";

impl Template {
    /// A template without references.
    pub fn word(text: &str) -> Self {
        Self(vec![Segment::Text(text.to_owned())])
    }

    /// Reads both notations.
    ///
    /// # Errors
    /// A reference to a name that is neither a setting, nor of the current model, nor assigned by the scenario.
    pub fn parse(text: &str, reading: &Reading<'_>) -> Result<Self, Fault> {
        refuse_unreadable(text)?;
        let mut segments = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        let mut push = |literal: &mut String, reference: Option<Segment>| {
            if !literal.is_empty() {
                segments.push(Segment::Text(std::mem::take(literal)));
            }
            segments.extend(reference);
        };
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix("$${") {
                literal.push_str("${");
                rest = after;
            } else if let Some((path, default, after)) = path_reference(rest) {
                check_path(path)?;
                let path = path.strip_prefix('.').unwrap_or(path).to_owned();
                push(&mut literal, Some(Segment::Reference { path, default: default.map(str::to_owned) }));
                rest = after;
            } else if let Some(after) = rest.strip_prefix(TOKEN) {
                let (piece, remaining) = variable_reference(after, reading)?;
                push(&mut literal, Some(piece));
                rest = remaining;
            } else {
                let c = rest.chars().next().unwrap_or_default();
                literal.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
        push(&mut literal, None);
        Ok(Self(segments))
    }

    /// The template with every reference replaced by its value.
    ///
    /// # Errors
    /// A reference without a value and without a default.
    pub fn expand(&self, scope: &dyn Scope) -> Result<String, Problem> {
        self.expand_with(scope, &|text| text.to_owned())
    }

    /// As [`Self::expand`], with what is put in for references passed through `data`.
    ///
    /// # Errors
    /// A reference without a value and without a default.
    pub fn expand_with(&self, scope: &dyn Scope, data: &dyn Fn(&str) -> String) -> Result<String, Problem> {
        self.0
            .iter()
            .map(|s| match s {
                Segment::Text(t) => Ok(t.clone()),
                Segment::Own(t) => Ok(data(t)),
                Segment::Reference { path, default } => {
                    referent(path, default.as_deref(), scope).map(|r| data(&r.text()))
                }
            })
            .collect()
    }

    /// The paths that the template refers to.
    pub fn references(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|s| match s {
            Segment::Reference { path, .. } => Some(path.as_str()),
            Segment::Text(_) | Segment::Own(_) => None,
        })
    }

    /// The canonical notation.
    pub fn notation(&self) -> String {
        self.0
            .iter()
            .map(|s| match s {
                Segment::Text(t) | Segment::Own(t) => t.replace("${", if has_path_reference(t) { "$${" } else { "${" }),
                Segment::Reference { path, default } => {
                    let dot = if path.contains('.') { "" } else { "." };
                    let default = default.as_ref().map_or(String::new(), |d| format!(":-{d}"));
                    format!("${{{dot}{path}{default}}}")
                }
            })
            .collect()
    }
}

/// What one reference stands for, its default where the value is empty.
///
/// # Errors
/// A reference without a value and without a default.
pub fn referent(path: &str, default: Option<&str>, scope: &dyn Scope) -> Result<Referent, Problem> {
    match (scope.resolve(path), default) {
        (Some(r), None) if !r.is_empty() => Ok(r),
        (Some(r), Some(d)) => Ok(if r.is_empty() { Referent::Data(d.to_owned()) } else { r }),
        (None, Some(d)) => Ok(Referent::Data(d.to_owned())),
        (_, None) => Err(Problem::UnresolvedReference {
            reference: path.to_owned(),
            nearest: nearest(path, scope.paths().iter().map(String::as_str)).filter(|n| n != path),
        }),
    }
}

fn has_path_reference(text: &str) -> bool {
    text.match_indices("${").any(|(i, _)| path_reference(&text[i..]).is_some())
}

/// `${path}` or `${path:-default}` at the start of a text, where the path has a dot.
fn path_reference(text: &str) -> Option<(&str, Option<&str>, &str)> {
    let inner = text.strip_prefix("${")?;
    let end = inner.find('}')?;
    let (body, after) = (&inner[..end], &inner[end + 1..]);
    let (path, default) = match body.split_once(":-") {
        Some((p, d)) => (p, Some(d)),
        None => (body, None),
    };
    let ok = path.contains('.') && path.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.') && !path.ends_with('.');
    ok.then_some((path, default, after))
}

fn check_path(path: &str) -> Result<(), Fault> {
    let path = path.strip_prefix('.').unwrap_or(path);
    if is_name(path) || super::fields().iter().any(|f| f.path == path) {
        return Ok(());
    }
    let known =
        super::fields().iter().map(|f| f.path.as_str()).chain(MODEL_NAMES.iter().chain(RUN_NAMES).map(|(n, _)| *n));
    let problem = Problem::UnresolvedReference { reference: path.to_owned(), nearest: nearest(path, known) };
    Err(Fault { problem: Some(problem), ..Fault::found(path) }.hint("a literal `${` is written `$${`"))
}

/// The reference after `REPLACE_ENV_`, and the rest of the text.
fn variable_reference<'t>(text: &'t str, reading: &Reading<'_>) -> Result<(Segment, &'t str), Fault> {
    let word = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    let mut length = text.bytes().take_while(|b| word(*b)).count();
    let known = |n: &str| variables::find(n).is_some() || reading.locals.contains_key(n);
    // A name cannot be told from an underscore after it; the longest known one is meant.
    while !known(&text[..length]) && text[..length].ends_with('_') {
        length -= 1;
    }
    let (name, mut rest) = text.split_at(length);
    let mut default = None;
    if let Some(after) = rest.strip_prefix(DEFAULT) {
        let end = after.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'')).unwrap_or(after.len());
        default = Some(after[..end].to_owned());
        rest = &after[end..];
    }
    if let Some(local) = reading.locals.get(name) {
        refuse_unreadable(local)?;
        let value = if local.is_empty() { default.unwrap_or_default() } else { local.clone() };
        return Ok((Segment::Own(value), rest));
    }
    match (variables::find(name).and_then(variables::Variable::reference), default) {
        (Some(path), default) => Ok((Segment::Reference { path: path.to_owned(), default }, rest)),
        (None, Some(default)) => Ok((Segment::Own(default), rest)),
        (None, None) => {
            let problem = Problem::UnresolvedReference {
                reference: format!("{TOKEN}{name}"),
                nearest: nearest(name, variables::names()).filter(|n| n != name).map(|n| format!("{TOKEN}{n}")),
            };
            Err(Fault { problem: Some(problem), ..Fault::found(name) })
        }
    }
}

/// A shell script, or a piece of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script(pub Template);

impl Script {
    /// Whether the script does nothing: `true`, `:` or no text at all.
    pub fn does_nothing(&self) -> bool {
        matches!(self.0.notation().trim(), "" | "true" | ":" | "/bin/true")
    }
}

impl Setting for Script {
    fn expects() -> String {
        "a shell script".into()
    }
    fn read(raw: &Raw, reading: &Reading<'_>) -> Result<Self, Fault> {
        let text = match raw {
            Raw::Text(t) => t.replace(SPACE, " "),
            Raw::Document(t, _) => t.clone(),
            Raw::Node(Node { kind: Kind::Scalar { text, .. }, .. }) => text.clone(),
            Raw::Node(node) => return Err(Fault::found(node.describe())),
        };
        Template::parse(text.trim(), reading).map(Self)
    }
    fn value(&self) -> Value {
        Value::from(self.0.notation())
    }
    const EMPTY_IS_A_VALUE: bool = true;
    const FROM_FILE: bool = true;
}

/// Four underscores: a space in a line of arguments, the boundary of two arguments in a list.
const SPACE: &str = "____";

/// What a container starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Arguments, one each; no shell takes part.
    Words(Vec<Template>),
    /// A shell script.
    Script(Template),
}

impl Command {
    /// The paths that the command refers to.
    pub fn references(&self) -> Vec<&str> {
        match self {
            Self::Words(words) => words.iter().flat_map(Template::references).collect(),
            Self::Script(script) => script.references().collect(),
        }
    }
}

impl Setting for Command {
    const STRUCTURED: bool = true;
    fn expects() -> String {
        "a list of arguments, or a shell script as text".into()
    }
    fn read(raw: &Raw, reading: &Reading<'_>) -> Result<Self, Fault> {
        match raw {
            Raw::Text(text) => {
                let trimmed = text.trim();
                match trimmed.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
                    Some(inner) => inner
                        .split(SPACE)
                        .map(str::trim)
                        .filter(|word| !word.is_empty())
                        .map(|word| Template::parse(word, reading))
                        .collect::<Result<_, _>>()
                        .map(Self::Words),
                    None => Template::parse(&trimmed.replace(SPACE, " "), reading).map(Self::Script),
                }
            }
            Raw::Document(text, _) => Template::parse(text.replace(SPACE, " ").trim(), reading).map(Self::Script),
            Raw::Node(Node { kind: Kind::List(items), .. }) => items
                .iter()
                .map(|node| match &node.kind {
                    Kind::Scalar { text, .. } if !node.is_null() => {
                        Template::parse(text, reading).map_err(|f| f.at(node.span))
                    }
                    _ => Err(Fault::found(node.describe()).expected("a text for each argument").at(node.span)),
                })
                .collect::<Result<_, _>>()
                .map(Self::Words),
            Raw::Node(Node { kind: Kind::Scalar { text, .. }, .. }) => {
                Template::parse(text.trim(), reading).map(Self::Script)
            }
            Raw::Node(node) => Err(Fault::found(node.describe())),
        }
    }
    fn value(&self) -> Value {
        match self {
            Self::Words(words) => Value::from(words.iter().map(Template::notation).collect::<Vec<_>>()),
            Self::Script(script) => Value::from(script.notation()),
        }
    }
    const FROM_FILE: bool = true;
}

/// One environment variable of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvVar {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub source: EnvSource,
}

/// A word of lists of variable names that is no variable of the scenario.
const KUBECONFIG: &str = "KUBECONFIG";

/// The path of a kubeconfig, where the scenario mounts the Secret `pod.contextSecret`.
const KUBECONFIG_PATH: &str = "/etc/kubeconfig/llmdbench-context";

/// What an environment variable holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvSource {
    /// A text.
    Value(Template),
    /// `valueFrom`: a field of the pod, a key of a Secret or ConfigMap.
    From(Value),
}

/// Environment variables, each name once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EnvList(pub Vec<EnvVar>);

impl EnvList {
    fn push(&mut self, var: EnvVar) -> Result<(), Fault> {
        names::env_name(&var.name).map_err(|why| Fault::found(crate::yaml::quote_short(&var.name)).hint(why))?;
        if let Some(first) = self.0.iter().find(|v| v.name == var.name) {
            if *first == var {
                return Ok(());
            }
            return Err(Fault::found(format!("`{}` twice", var.name)));
        }
        self.0.push(var);
        Ok(())
    }

    /// A list of variable names: each gives a variable without its prefix, holding what the scenario set.
    fn from_names(text: &str, reading: &Reading<'_>) -> Result<Self, Fault> {
        let mut all = Self::default();
        let text = if matches!(text.trim(), "[]" | "{}") { "" } else { text };
        for name in text.split(',').map(str::trim).filter(|n| !n.is_empty()) {
            if name == KUBECONFIG {
                let source = EnvSource::Value(Template::word(KUBECONFIG_PATH));
                all.push(EnvVar { name: name.to_owned(), source })?;
                continue;
            }
            let source =
                match (reading.locals.get(name), variables::find(name).and_then(variables::Variable::reference)) {
                    // As in a list of entries, the value is in the notation of Kubernetes.
                    (Some(local), _) => {
                        refuse_unreadable(local)?;
                        Template::word(local)
                    }
                    (None, Some(path)) => {
                        Template(vec![Segment::Reference { path: path.to_owned(), default: Some(String::new()) }])
                    }
                    (None, None) => {
                        let problem = Problem::UnresolvedReference {
                            reference: name.to_owned(),
                            nearest: nearest(name, variables::names()),
                        };
                        return Err(Fault { problem: Some(problem), ..Fault::found(name) }.hint(
                        "the list names variables that the scenario sets, or is the path of a file with a YAML list",
                    ));
                    }
                };
            all.push(EnvVar { name: variables::pod_name(name).to_owned(), source: EnvSource::Value(source) })?;
        }
        Ok(all)
    }

    fn from_yaml(node: &Node, reading: &Reading<'_>) -> Result<Self, Fault> {
        let items = match &node.kind {
            Kind::List(items) => items,
            Kind::Map(entries) if entries.is_empty() => return Ok(Self::default()),
            _ => return Err(Fault::found(node.describe()).at(node.span)),
        };
        let mut all = Self::default();
        for item in items {
            let Kind::Map(entries) = &item.kind else {
                return Err(Fault::found(item.describe()).expected("entries with `name` and `value`").at(item.span));
            };
            let (mut name, mut source) = (None, None);
            for (key, value) in entries {
                if key.text.starts_with("value") && source.is_some() {
                    return Err(Fault::found("both").expected("`value` or `valueFrom`").at(key.span));
                }
                match (key.text.as_str(), &value.kind) {
                    ("name", Kind::Scalar { text, .. }) => name = Some(text.clone()),
                    ("value", Kind::Scalar { .. }) if value.is_null() => {
                        source = Some(EnvSource::Value(Template::default()))
                    }
                    ("value", Kind::Scalar { text, .. }) => {
                        let template = Template::parse(text, reading).map_err(|f| f.at(value.span))?;
                        source = Some(EnvSource::Value(template));
                    }
                    ("valueFrom", Kind::Map(_)) => source = Some(EnvSource::From(value_from(value)?)),
                    _ => {
                        return Err(Fault::found(format!("`{}`", key.text))
                            .expected("entries with `name` and a text `value` or a mapping `valueFrom`")
                            .at(key.span));
                    }
                }
            }
            let Some(name) = name else {
                return Err(Fault::found("an entry without `name`").at(item.span));
            };
            let source = source.unwrap_or(EnvSource::Value(Template::default()));
            all.push(EnvVar { name, source }).map_err(|f| f.at(item.span))?;
        }
        Ok(all)
    }
}

/// `valueFrom` with exactly one source that Kubernetes knows.
fn value_from(node: &Node) -> Result<Value, Fault> {
    const KNOWN: &[(&str, &[&str])] = &[
        ("fieldRef", &["apiVersion", "fieldPath"]),
        ("resourceFieldRef", &["containerName", "resource", "divisor"]),
        ("configMapKeyRef", &["name", "key", "optional"]),
        ("secretKeyRef", &["name", "key", "optional"]),
    ];
    let fault = |found: String, span| {
        Err(Fault::found(found)
            .expected("one of `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` with its keys")
            .at(span))
    };
    let Kind::Map(entries) = &node.kind else { return fault(node.describe(), node.span) };
    let [(key, inner)] = entries.as_slice() else { return fault(format!("{} keys", entries.len()), node.span) };
    let Some((_, keys)) = KNOWN.iter().find(|(k, _)| *k == key.text) else {
        return fault(format!("`{}`", key.text), key.span);
    };
    let Kind::Map(fields) = &inner.kind else { return fault(inner.describe(), inner.span) };
    if let Some((bad, _)) =
        fields.iter().find(|(k, v)| !keys.contains(&k.text.as_str()) || !matches!(v.kind, Kind::Scalar { .. }))
    {
        return fault(format!("`{}`", bad.text), bad.span);
    }
    let mut value = Value::from_node(node);
    // `optional` is a boolean; everything else is text, whatever it looks like.
    if let Some(Value::Map(map)) = value.map_mut().get_mut(&key.text) {
        for (k, v) in map.iter_mut() {
            if let (true, Some((_, Node { kind: Kind::Scalar { text, .. }, .. }))) =
                (k != "optional", fields.iter().find(|(f, _)| f.text == *k))
            {
                *v = Value::from(text.as_str());
            }
        }
    }
    Ok(value)
}

impl Setting for EnvList {
    const STRUCTURED: bool = true;
    fn expects() -> String {
        "a list of entries with `name` and `value` or `valueFrom`, or names of variables with commas between".into()
    }
    fn read(raw: &Raw, reading: &Reading<'_>) -> Result<Self, Fault> {
        match raw {
            Raw::Node(node) => Self::from_yaml(node, reading),
            Raw::Document(_, id) => {
                let node = crate::yaml::parse(reading.sources, *id)?;
                Self::from_yaml(&node, reading)
            }
            Raw::Text(text) => Self::from_names(text, reading),
        }
    }
    fn value(&self) -> Value {
        Value::List(
            self.0
                .iter()
                .map(|v| match &v.source {
                    EnvSource::Value(t) => {
                        Value::from([("name", Value::from(v.name.as_str())), ("value", Value::from(t.notation()))])
                    }
                    EnvSource::From(from) => {
                        Value::from([("name", Value::from(v.name.as_str())), ("valueFrom", from.clone())])
                    }
                })
                .collect(),
        )
    }
    const EMPTY_IS_A_VALUE: bool = true;
    const FROM_FILE: bool = true;
}
