//! Layers become settings: which layer says what, which one wins, where each value came from.

use super::sections::{Section, Settings};
use super::types::{Raw, Reading, Setting};
use super::variables::{self, Editions, Effect, Variable};
use super::{Field, derive, editions, field_index, fields};
use crate::credential;
use crate::error::{Diagnostic, Errors, Problem, nearest};
use crate::scenario::World;
use crate::scenario::shell::{self, Text};
use crate::source::{SourceId, Sources, Span};
use crate::tree::{Map, Value};
use crate::yaml::{self, Key, Kind, Node};
use camino::Utf8Path;
use indexmap::IndexMap;
use std::collections::{BTreeSet, HashMap};

/// A source of settings, lowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// The defaults of an edition.
    Defaults,
    /// A defaults file of the user's own.
    OwnDefaults,
    /// Environment variables.
    Environment,
    /// The scenario.
    Scenario,
    /// `--set`.
    Set,
    /// Another flag.
    Flag,
}

impl Layer {
    /// The word for the layer in `bundle.json`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Defaults | Self::OwnDefaults => "default",
            Self::Environment => "environment",
            Self::Scenario => "scenario",
            Self::Set => "set",
            Self::Flag => "flag",
        }
    }
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The layer.
    pub layer: Layer,
    /// The place.
    pub span: Option<Span>,
    /// The variable that it was set by, where it was one.
    pub variable: Option<&'static str>,
    /// The setting that it was derived from, where no layer gave it.
    pub derived_from: Option<String>,
}

/// The scenario, in one of its two languages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// `export NAME=value`.
    Shell,
    /// YAML.
    Yaml,
}

/// What a user gives to a compilation.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    /// The scenario.
    pub scenario: Option<(SourceId, Language)>,
    /// `LLMDBENCH_` variables of the environment.
    pub environment: Vec<(String, String)>,
    /// Arguments of `--set`.
    pub sets: Vec<String>,
    /// Other flags: the flag, the setting, its text.
    pub flags: Vec<(&'static str, &'static str, String)>,
    /// The edition asked for by `--defaults`.
    pub edition: Option<String>,
    /// Further defaults files.
    pub defaults: Vec<SourceId>,
    /// A blank to fill in counts as not set and is listed in [`Resolved::blanks`].
    pub blanks_apart: bool,
}

/// What the layers came to.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The settings.
    pub settings: Settings,
    /// Where each value came from, by path.
    pub origins: IndexMap<String, Origin>,
    /// Settings whose value is a word that stands for "none given": path, word, what is rendered then.
    pub words: Vec<(String, String, &'static str)>,
    /// Blanks to fill in, with their places, where they are set apart.
    pub blanks: Vec<(String, Option<Span>)>,
    /// What the user should know.
    pub notes: Vec<Diagnostic>,
}

impl Resolved {
    /// Every setting's value by its path.
    pub fn flat(&self) -> Map {
        let mut out = Map::new();
        self.settings.write("", &mut out);
        out
    }

    /// Whether a layer above the defaults set it.
    pub fn is_set(&self, path: &str) -> bool {
        self.origins.get(path).is_some_and(|o| o.layer > Layer::OwnDefaults && o.derived_from.is_none())
    }

    /// A setting that holds what looks like a credential is refused, before anything is made of it.
    fn refuse_credentials(&self) -> Result<(), Errors> {
        let mut errors = Errors::default();
        for (path, value) in self.flat() {
            value.each_string(&mut Vec::new(), &mut |_, text| {
                if let Some((_, kind)) = credential::find(text) {
                    let problem = Problem::Credential { place: format!("`{path}`"), kind };
                    errors.push(
                        Diagnostic::error(problem, self.span(&path))
                            .with_hint("put it into a Secret and refer to that with `valueFrom.secretKeyRef`"),
                    );
                }
            });
        }
        errors.into_result()
    }

    /// The place of a setting's value.
    pub fn span(&self, path: &str) -> Option<Span> {
        self.origins.get(path).and_then(|o| o.span)
    }
}

/// One value that one layer gives to one setting.
struct Entry {
    raw: Raw,
    origin: Origin,
}

impl Entry {
    /// The text of a value that is one scalar.
    fn scalar(&self) -> Option<&str> {
        match &self.raw {
            Raw::Text(t) => Some(t.as_str()),
            Raw::Node(Node { kind: Kind::Scalar { text, .. }, .. }) => Some(text.as_str()),
            _ => None,
        }
    }

    /// Whether the value is a blank to fill in.
    fn is_blank<T: Setting>(&self, field: &Field) -> bool {
        let null = matches!(&self.raw, Raw::Node(n) if n.is_null());
        let word = T::none().is_some() && self.scalar().is_some_and(|t| field.words.iter().any(|(w, _)| *w == t));
        if null { T::none().is_none() } else { !word && self.scalar() == Some("") && !T::EMPTY_IS_A_VALUE }
    }
}

/// Reads settings out of entries for [`Section::read`].
pub struct Reader<'a> {
    entries: &'a HashMap<usize, Vec<Entry>>,
    reading: Reading<'a>,
    origins: IndexMap<String, Origin>,
    words: Vec<(String, String, &'static str)>,
    /// Where blanks to fill in go, where they are set apart.
    blanks: Option<Vec<(String, Option<Span>)>>,
    errors: Errors,
}

impl Reader<'_> {
    /// Reads one setting: every layer's value is checked, the highest layer's is taken.
    pub fn setting<T: Setting>(&mut self, path: &str) -> Option<T> {
        let index = field_index(path)?;
        let field = &fields()[index];
        let Some(entries) = self.entries.get(&index).filter(|e| !e.is_empty()) else {
            let none = T::none();
            if none.is_none() {
                self.errors.push(Diagnostic::error(Problem::MissingValue { setting: path.into() }, None));
            }
            return none;
        };
        let entries: Vec<&Entry> = match &mut self.blanks {
            Some(blanks) => {
                let (blank, given): (Vec<_>, Vec<_>) = entries.iter().partition(|e| e.is_blank::<T>(field));
                blanks.extend(blank.last().map(|e| (path.to_owned(), e.origin.span)));
                given
            }
            None => entries.iter().collect(),
        };
        let last = entries.len().saturating_sub(1);
        let mut result = T::none();
        for (i, entry) in entries.into_iter().enumerate() {
            let value = self.read_entry::<T>(field, entry, i == last);
            if i == last {
                self.origins.insert(path.to_owned(), entry.origin.clone());
                result = value;
            }
        }
        result
    }

    fn read_entry<T: Setting>(&mut self, field: &Field, entry: &Entry, wins: bool) -> Option<T> {
        let span = entry.origin.span;
        let name = entry.origin.variable.unwrap_or(&field.path);
        let scalar = entry.scalar();
        if let (Some(text), true) = (scalar, T::none().is_some())
            && let Some((word, meaning)) = field.words.iter().find(|(w, _)| *w == text)
        {
            if wins {
                self.words.push((field.path.clone(), (*word).to_owned(), meaning));
            }
            return T::none();
        }
        if matches!(&entry.raw, Raw::Node(n) if n.is_null()) && T::none().is_some() {
            return T::none();
        }
        if entry.is_blank::<T>(field) {
            if wins {
                let problem = Problem::EmptyValue { setting: name.to_owned() };
                let hint = format!("it takes {}", T::expects());
                self.errors.push(Diagnostic::error(problem, span).with_hint(hint));
            }
            return None;
        }
        match T::read(&entry.raw, &self.reading) {
            Ok(value) => Some(value),
            Err(fault) => {
                self.errors.push(fault.into_diagnostic(name, &T::expects(), span));
                None
            }
        }
    }
}

/// Collects the entries of all layers.
struct Collector<'a> {
    world: &'a dyn World,
    sources: &'a mut Sources,
    entries: HashMap<usize, Vec<Entry>>,
    locals: HashMap<String, String>,
    edition: &'static editions::Edition,
    /// Names of both editions may stand in the scenario: its own names chose the edition.
    mixed: bool,
    blanks_apart: bool,
    errors: Errors,
    notes: Vec<Diagnostic>,
}

/// Resolves all layers into settings.
///
/// # Errors
/// Everything that is wrong in any layer, all at once.
pub fn resolve(inputs: &Inputs, world: &dyn World, sources: &mut Sources) -> Result<Resolved, Errors> {
    let scenario = match inputs.scenario {
        Some((id, Language::Shell)) => Scenario::Shell(id, shell::parse(sources, id)?),
        Some((id, Language::Yaml)) => Scenario::Yaml(yaml::parse(sources, id)?),
        None => Scenario::None,
    };
    let says_nothing = match &scenario {
        Scenario::Shell(_, script) => script.names().next().is_none(),
        Scenario::Yaml(node) => matches!(&node.kind, Kind::Map(entries) if entries.is_empty()),
        Scenario::None => true,
    };
    let mut notes = Vec::new();
    let edition = choose_edition(inputs, &scenario, &mut notes)?;
    if says_nothing {
        let message =
            format!("no scenario sets anything: the defaults of edition `{}` alone are rendered", edition.name);
        notes.push(Diagnostic::note(Problem::Noted { message }, None));
    }
    let defaults = sources.add_file(edition.file_name(), edition.text);
    let mut c = Collector {
        world,
        sources,
        entries: HashMap::new(),
        locals: HashMap::new(),
        edition,
        mixed: inputs.edition.is_none() && matches!(scenario, Scenario::Shell(..)),
        blanks_apart: inputs.blanks_apart,
        errors: Errors::default(),
        notes,
    };
    let node = yaml::parse(c.sources, defaults)?;
    c.tree(&node, "", Layer::Defaults);
    for id in &inputs.defaults {
        let node = yaml::parse(c.sources, *id)?;
        c.tree(&node, "", Layer::OwnDefaults);
    }
    c.environment(&inputs.environment);
    match &scenario {
        Scenario::Shell(id, script) => c.shell(*id, script),
        Scenario::Yaml(node) => c.tree(node, "", Layer::Scenario),
        Scenario::None => {}
    }
    for argument in &inputs.sets {
        c.set(argument);
    }
    for (flag, path, text) in &inputs.flags {
        let id = c.sources.add(*flag, format!("{flag}={text}"));
        let span = Span::new(id, flag.len() + 1, flag.len() + 1 + text.len());
        c.entry(path, Raw::Text(text.clone()), origin(Layer::Flag, span, None));
    }
    c.finish()
}

enum Scenario {
    Shell(SourceId, shell::Script),
    Yaml(Node),
    None,
}

fn origin(layer: Layer, span: Span, variable: Option<&'static str>) -> Origin {
    Origin { layer, span: Some(span), variable, derived_from: None }
}

/// The edition that a scenario belongs to: asked for, named by it, or told by the names it uses.
fn choose_edition(
    inputs: &Inputs,
    scenario: &Scenario,
    notes: &mut Vec<Diagnostic>,
) -> Result<&'static editions::Edition, Errors> {
    let find = |name: &str, span: Option<Span>| {
        editions::find(name).ok_or_else(|| {
            Errors::from(Diagnostic::error(
                Problem::UnknownEdition { name: name.to_owned(), known: editions::known() },
                span,
            ))
        })
    };
    if let Some(name) = &inputs.edition {
        return find(name, None);
    }
    match scenario {
        Scenario::None => Ok(editions::current()),
        Scenario::Yaml(node) => {
            let Kind::Map(entries) = &node.kind else { return Ok(editions::current()) };
            match entries.iter().find(|(k, _)| k.text == "edition").map(|(_, v)| (&v.kind, v.span)) {
                Some((Kind::Scalar { text, .. }, span)) => find(text, Some(span)),
                _ => Ok(editions::current()),
            }
        }
        Scenario::Shell(_, script) => {
            let names: Vec<&str> = script.names().map(|(n, _)| n).collect();
            let (name, because) = edition_of_names(&names);
            notes.push(Diagnostic::note(Problem::EditionChosen { edition: name.into(), because }, None));
            find(name, None)
        }
    }
}

/// The edition that a shell scenario belongs to by the names it sets, and why. Names without effect decide only where no
/// other name does.
fn edition_of_names(names: &[&str]) -> (&'static str, String) {
    let one = |edition: Editions, effective: bool| {
        names.iter().find(|n| {
            variables::find(n).is_some_and(|v| {
                v.editions == edition && matches!(v.effect, Effect::None(_) | Effect::Own) != effective
            })
        })
    };
    let only = |n: &str| format!("`{n}` exists in no other");
    match (one(Editions::Old, true), one(Editions::Later, true)) {
        (Some(old), Some(later)) => {
            let because = format!(
                "`{old}` is of it, though `{later}` is of `{}`; each name means what it meant in its own",
                editions::LATER
            );
            (editions::OLD, because)
        }
        (Some(n), None) => (editions::OLD, only(n)),
        (None, Some(n)) => (editions::LATER, only(n)),
        (None, None) => match (one(Editions::Old, false), one(Editions::Later, false)) {
            (Some(n), _) => (editions::OLD, only(n)),
            (None, Some(n)) => (editions::LATER, only(n)),
            (None, None) => (editions::OLD, "a shell scenario whose names are of no other edition".to_owned()),
        },
    }
}

impl Collector<'_> {
    fn entry(&mut self, path: &str, raw: Raw, origin: Origin) {
        if let Some(index) = field_index(path) {
            let entries = self.entries.entry(index).or_default();
            entries.push(Entry { raw, origin });
            // Layers arrive in order, so the last entry of the highest layer stays last.
            entries.sort_by_key(|e| e.origin.layer);
        }
    }

    /// The keys of a YAML tree under a path.
    fn tree(&mut self, node: &Node, prefix: &str, layer: Layer) {
        let Kind::Map(entries) = &node.kind else {
            let problem = Problem::WrongValue {
                setting: if prefix.is_empty() { "a scenario".into() } else { prefix.to_owned() },
                expected: "a mapping of settings".into(),
                found: node.describe(),
            };
            self.errors.push(Diagnostic::error(problem, node.span));
            return;
        };
        for (key, value) in entries {
            let path = if prefix.is_empty() { key.text.clone() } else { format!("{prefix}.{}", key.text) };
            if key.text.contains('.') {
                // One way to write it: a dotted key could say the same thing twice.
                let d = Diagnostic::error(Problem::UnknownSetting { path, nearest: None }, key.span);
                self.errors.push(d.with_hint("nest the keys; a path with dots is for `--set`"));
                continue;
            }
            self.at_path(&path, key, value, layer);
        }
    }

    fn at_path(&mut self, path: &str, key: &Key, value: &Node, layer: Layer) {
        // The scenario's own `edition` has chosen the defaults already.
        if path == "edition" && matches!(layer, Layer::OwnDefaults | Layer::Set) {
            let problem =
                Problem::Conflict { message: "the edition is chosen before any other setting is read".into() };
            let d = Diagnostic::error(problem, key.span);
            self.errors.push(d.with_hint("write it into the scenario, or choose it by `--defaults`"));
            return;
        }
        if let Some(index) = field_index(path) {
            let span = if value.span.start == value.span.end { key.span } else { value.span };
            let raw = self.file_or(Raw::Node(value.clone()), &fields()[index], span);
            self.entry(path, raw, origin(layer, span, None));
        } else if is_section(path) {
            match &value.kind {
                Kind::Scalar { text, .. } if is_image(path) && !value.is_null() => {
                    self.image(path, text, value.span, origin(layer, value.span, None));
                }
                _ if value.is_null() => {}
                _ => self.tree(value, path, layer),
            }
        } else {
            let known = known_paths();
            // The right name in the wrong section is a common slip, and a surer sign than a similar one.
            let ending = format!(".{}", key.text);
            let elsewhere = known.iter().filter(|k| k.ends_with(&ending) || **k == key.text).min_by_key(|k| k.len());
            let found = elsewhere.cloned().or_else(|| nearest(path, known.iter().map(String::as_str)));
            self.errors
                .push(Diagnostic::error(Problem::UnknownSetting { path: path.into(), nearest: found }, key.span));
        }
    }

    /// A whole image reference sets the four parts of an image.
    fn image(&mut self, path: &str, text: &str, span: Span, origin: Origin) {
        match crate::check::names::split_image(text) {
            Ok(parts) => {
                for (part, value) in parts {
                    // An image with one part to its path has no repository.
                    let none = Node { kind: Kind::Scalar { text: String::new(), plain: true }, span };
                    let value = if value.is_empty() { Raw::Node(none) } else { Raw::Text(value) };
                    self.entry(&format!("{path}.{part}"), value, origin.clone());
                }
            }
            Err(why) => {
                let problem = Problem::WrongValue {
                    setting: origin.variable.unwrap_or(path).to_owned(),
                    expected: "an image such as `docker.io/vllm/vllm-openai:v0.26.0`".into(),
                    found: yaml::quote_short(text),
                };
                self.errors.push(Diagnostic::error(problem, origin.span).with_hint(why));
            }
        }
    }

    fn environment(&mut self, variables: &[(String, String)]) {
        for (name, value) in variables {
            // The original took an empty variable of the environment for one that is not set.
            if value.is_empty() {
                continue;
            }
            let secret = matches!(variables::find(name), Some(Variable { effect: Effect::Secret(_), .. }));
            let shown = if secret { "…" } else { value };
            let id = self.sources.add("environment", format!("{name}={shown}"));
            let name_span = Span::new(id, 0, name.len());
            let value_span = Span::new(id, name.len() + 1, name.len() + 1 + shown.len());
            self.variable(name, name_span, Raw::Text(value.clone()), value_span, Layer::Environment);
        }
    }

    fn shell(&mut self, id: SourceId, script: &shell::Script) {
        let below: HashMap<String, String> = script
            .names()
            .map(|(n, _)| n.to_owned())
            .chain(variables::names().map(str::to_owned))
            .filter_map(|n| self.text_below(&n).map(|t| (n, t)))
            .collect();
        let evaluation = match script.evaluate(&|name| below.get(name).cloned()) {
            Ok(e) => e,
            Err(errors) => {
                self.errors.0.extend(errors.0);
                return;
            }
        };
        self.notes.extend(evaluation.notes);
        let text = self.sources.get(id).text.clone();
        let mut last = IndexMap::new();
        for assignment in evaluation.assignments {
            last.insert(assignment.name.clone(), assignment);
        }
        for assignment in last.values() {
            let known = variables::find(&assignment.name).is_some_and(|v| v.effect != Effect::Own);
            if !known && (!assignment.name.starts_with(variables::PREFIX) || is_mentioned(&text, &assignment.name)) {
                let value = match &assignment.value {
                    Text::Inline(t) | Text::Document { text: t, .. } => t.clone(),
                };
                self.locals.insert(assignment.name.clone(), value);
            }
        }
        for (_, a) in last {
            if self.locals.contains_key(&a.name) {
                continue;
            }
            let raw = match a.value {
                Text::Inline(text) => Raw::Text(text),
                Text::Document { text, body_span } => {
                    let at = self.sources.position(body_span);
                    let name = format!(
                        "{} (here-document of line {})",
                        self.sources.get(id).name,
                        at.line.saturating_sub(1).max(1)
                    );
                    let document = self.sources.add(name, text.as_str());
                    Raw::Document(text, document)
                }
            };
            self.variable(&a.name, a.name_span, raw, a.value_span, Layer::Scenario);
        }
    }

    /// The text that a variable has below the scenario: in the environment or in the defaults. A default that is a list
    /// or mapping to which others are added has none: whoever copies it adds nothing.
    fn text_below(&self, name: &str) -> Option<String> {
        let path = variables::find(name)?.reference()?;
        let index = field_index(path)?;
        let entry = self.entries.get(&index)?.last()?;
        match &entry.raw {
            Raw::Text(t) | Raw::Document(t, _) => Some(t.clone()),
            Raw::Node(n) if n.is_null() => Some(String::new()),
            Raw::Node(Node { kind: Kind::Scalar { text, .. }, .. }) => Some(match text.as_str() {
                "true" => "1".into(),
                "false" => "0".into(),
                t => t.to_owned(),
            }),
            Raw::Node(_) => fields()[index].empty_is_a_value.then(String::new),
        }
    }

    fn set(&mut self, argument: &str) {
        let id = self.sources.add("--set", argument);
        let Some((path, value)) = argument.split_once('=') else {
            let problem = Problem::MalformedSet { argument: argument.to_owned() };
            self.errors.push(Diagnostic::error(problem, Span::new(id, 0, argument.len())));
            return;
        };
        let path = path.trim();
        let name_span = Span::new(id, 0, path.len());
        let value_span = Span::new(id, argument.len() - value.len(), argument.len());
        if path.starts_with(variables::PREFIX) {
            self.variable(path, name_span, Raw::Text(value.to_owned()), value_span, Layer::Set);
            return;
        }
        let structured = field_index(path).map_or(is_section(path) && !is_image(path), |i| fields()[i].structured);
        let node = match set_value(self.sources, value, value_span, structured) {
            Ok(node) => node,
            Err(d) => return self.errors.push(d),
        };
        let key = Key { text: path.rsplit('.').next().unwrap_or(path).to_owned(), span: name_span };
        self.at_path(path, &key, &node, Layer::Set);
    }

    /// One variable of a layer.
    fn variable(&mut self, name: &str, name_span: Span, raw: Raw, value_span: Span, layer: Layer) {
        let Some(variable) = variables::find(name) else {
            let near = nearest(name, variables::names());
            let mut d = Diagnostic::error(Problem::UnknownVariable { name: name.to_owned(), nearest: near }, name_span);
            if layer == Layer::Environment {
                d = d.with_hint("`--no-env` leaves the environment out");
            }
            return self.errors.push(d);
        };
        if let Some(d) = self.other_edition(variable, name_span, layer) {
            return self.errors.push(d);
        }
        let origin =
            origin(layer, if value_span.start == value_span.end { name_span } else { value_span }, Some(variable.name));
        let text = match &raw {
            Raw::Text(t) | Raw::Document(t, _) => t.clone(),
            Raw::Node(_) => String::new(),
        };
        match variable.effect {
            Effect::Sets(path) => {
                let Some(index) = field_index(path) else { return };
                if layer == Layer::Scenario && self.is_said_otherwise(variable, layer) {
                    let message = format!("`{name}` sets `{path}`, which another name sets before; this value counts");
                    self.notes.push(Diagnostic::note(Problem::Noted { message }, name_span));
                }
                let raw = self.file_or(raw, &fields()[index], value_span);
                self.entry(path, raw, origin);
            }
            Effect::Image(path) => self.image(path, &text, value_span, origin),
            Effect::Platform(platform) => match text.as_str() {
                "1" | "true" | "True" => self.platform(platform, origin),
                "0" | "false" | "False" | "" => self.not_platform(platform, origin),
                other => {
                    let problem = Problem::WrongValue {
                        setting: name.to_owned(),
                        expected: "`1` or `0`".into(),
                        found: yaml::quote_short(other),
                    };
                    self.errors.push(Diagnostic::error(problem, value_span));
                }
            },
            Effect::Refused(what) => match text.to_lowercase().as_str() {
                "" | "0" | "false" => self.no_effect(variable, what, &text, name_span),
                _ => {
                    let what = format!("`{name}` is on, and {what}");
                    let d = Diagnostic::error(Problem::Unsupported { what }, name_span);
                    self.errors.push(d.with_hint("leave it out, or set it to `false`"));
                }
            },
            Effect::Current(_) => self.no_effect(variable, "it is set from the model of each stack", &text, name_span),
            Effect::None(reason) => self.no_effect(variable, reason, &text, name_span),
            Effect::Own => {
                self.no_effect(variable, "no text and no list of environment variables refers to it", &text, name_span);
            }
            // No snippet: the line holds the credential.
            Effect::Secret(reason) => self.no_effect(variable, reason, &text, None),
        }
    }

    /// A variable says that the platform is this one.
    fn platform(&mut self, platform: &str, origin: Origin) {
        let entries = field_index("platform").and_then(|i| self.entries.get(&i));
        let other =
            entries.and_then(|e| e.last()).filter(|e| e.origin.layer == origin.layer && e.origin.variable.is_some());
        if let Some(Entry { raw: Raw::Text(other), .. }) = other
            && other != platform
        {
            let message = format!("the platform cannot be `{other}` and `{platform}` at once");
            return self.errors.push(Diagnostic::error(Problem::Conflict { message }, origin.span));
        }
        self.entry("platform", Raw::Text(platform.into()), origin);
    }

    /// A variable says that the platform is not this one; it takes back what a lower layer said.
    fn not_platform(&mut self, platform: &str, origin: Origin) {
        let entries = field_index("platform").and_then(|i| self.entries.get(&i));
        if matches!(entries.and_then(|e| e.last()), Some(Entry { raw: Raw::Text(p), .. }) if p == platform) {
            self.entry("platform", Raw::Text("kubernetes".into()), origin);
        }
    }

    fn no_effect(&mut self, variable: &Variable, reason: &str, text: &str, span: impl Into<Option<Span>>) {
        if !text.is_empty() {
            let problem = Problem::NoEffect { variable: variable.name.into(), reason: reason.into() };
            self.notes.push(Diagnostic::note(problem, span));
        }
    }

    /// The error of a variable that the edition does not have. The environment may hold names of any edition, and so may
    /// a shell scenario that was written between two, where it does not say the same thing by two names.
    fn other_edition(&self, variable: &Variable, span: Span, layer: Layer) -> Option<Diagnostic> {
        let edition = match (variable.editions, self.edition.name) {
            (Editions::Old, editions::LATER) => editions::OLD,
            (Editions::Later, editions::OLD) => editions::LATER,
            _ => return None,
        };
        let between = self.mixed && layer == Layer::Scenario && !self.is_said_otherwise(variable, layer);
        if matches!(variable.effect, Effect::None(_) | Effect::Own) || layer == Layer::Environment || between {
            return None;
        }
        let instead = match variable.effect {
            Effect::Sets(path) => variables::all()
                .iter()
                .find(|v| v.effect == Effect::Sets(path) && v.name != variable.name && v.editions != variable.editions)
                .map(|v| format!("edition `{}` has `{}` for it", self.edition.name, v.name)),
            _ => None,
        };
        let problem = Problem::OtherEdition { name: variable.name.into(), edition: edition.into(), instead };
        Some(Diagnostic::error(problem, span).with_hint(format!("`--defaults {edition}` chooses that edition")))
    }

    /// Whether this layer sets the variable's setting by another name too.
    fn is_said_otherwise(&self, variable: &Variable, layer: Layer) -> bool {
        let Effect::Sets(path) = variable.effect else { return false };
        let entries = field_index(path).and_then(|i| self.entries.get(&i));
        entries.into_iter().flatten().any(|e| e.origin.layer == layer && e.origin.variable != Some(variable.name))
    }

    /// A value that names a file stands for the file's text, where the setting takes that.
    fn file_or(&mut self, raw: Raw, field: &Field, span: Span) -> Raw {
        let raw = self.yaml_text(raw, field);
        let text = match &raw {
            Raw::Text(t) => t.as_str(),
            Raw::Node(Node { kind: Kind::Scalar { text, .. }, .. }) => text.as_str(),
            _ => return raw,
        };
        let looks_like_a_path = field.from_file
            && (text.starts_with(['/', '.', '~'])
                || text.ends_with(".yaml")
                || text.ends_with(".yml")
                || text.ends_with(".txt")
                || text.ends_with(".sh"))
            && !text.contains(|c: char| c.is_whitespace() || matches!(c, ';' | '[' | '$' | ','));
        if !looks_like_a_path {
            return raw;
        }
        match self.world.read(Utf8Path::new(text)) {
            Ok(content) => {
                let id = self.sources.add_file(text, content.as_str());
                Raw::Document(content, id)
            }
            // A path of the container (`/setup/preprocess/…`) is a command, not a file to read here.
            // Neither is a name that only looks like one.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && (text.starts_with('/') || !text.contains('/')) => raw,
            Err(e) => {
                let problem = Problem::Unreadable { path: text.to_owned(), reason: e.to_string() };
                self.errors.push(Diagnostic::error(problem, span));
                raw
            }
        }
    }

    /// A text that is YAML itself becomes a document with places of its own; lines marked `#noconfig` are left out.
    fn yaml_text(&mut self, raw: Raw, field: &Field) -> Raw {
        const LEFT_OUT: &str = "#noconfig";
        let (text, name) = match &raw {
            Raw::Text(t) if field.yaml && t.contains(['\n', ':', '{']) => {
                (t.clone(), format!("value of `{}`", field.path))
            }
            Raw::Document(t, id) if field.yaml && t.contains(LEFT_OUT) => {
                (t.clone(), self.sources.get(*id).name.clone())
            }
            _ => return raw,
        };
        let kept: String = text.split_inclusive('\n').filter(|line| !line.contains(LEFT_OUT)).collect();
        let id = self.sources.add(name, kept.as_str());
        Raw::Document(kept, id)
    }

    fn finish(mut self) -> Result<Resolved, Errors> {
        let mut reader = Reader {
            entries: &self.entries,
            reading: Reading { sources: self.sources, locals: &self.locals },
            origins: IndexMap::new(),
            words: Vec::new(),
            blanks: self.blanks_apart.then(Vec::new),
            errors: Errors::default(),
        };
        let settings = Settings::read("", &mut reader);
        let (origins, words, blanks) = (reader.origins, reader.words, reader.blanks.unwrap_or_default());
        self.errors.0.extend(reader.errors.0);
        if let (Some(mut settings), true) = (settings, self.errors.0.is_empty()) {
            settings.edition.0 = self.edition.name.to_owned();
            let mut resolved = Resolved { settings, origins, words, blanks, notes: self.notes };
            resolved.refuse_credentials()?;
            derive::derive(&mut resolved)?;
            return Ok(resolved);
        }
        Err(self.errors)
    }
}

/// The value of a `--set` path, as YAML: a list or mapping for a setting that takes one, a quoted text; what is neither
/// is the text itself, with nothing in it that means a comment or a key.
fn set_value(sources: &Sources, value: &str, span: Span, structured: bool) -> Result<Node, Diagnostic> {
    let start = value.trim_start();
    let plain = Node { kind: Kind::Scalar { text: value.to_owned(), plain: true }, span };
    if structured && (start.starts_with(['[', '{']) || start.starts_with("- ")) {
        return yaml::parse_at(sources, span);
    }
    if start.starts_with(['"', '\''])
        && let Ok(node @ Node { kind: Kind::Scalar { plain: false, .. }, .. }) = yaml::parse_at(sources, span)
    {
        return Ok(Node { span, ..node });
    }
    Ok(plain)
}

/// Whether a text mentions a name in another place than its assignment.
fn is_mentioned(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(i, _)| {
        let next = text[i + name.len()..].chars().next();
        let longer = next.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
        let before = text[..i].chars().next_back();
        !longer && before.is_some_and(|c| matches!(c, '$' | '{' | '_' | ',' | '"' | '='))
    })
}

fn is_section(path: &str) -> bool {
    let start = format!("{path}.");
    fields().iter().any(|f| f.path.starts_with(&start))
}

fn is_image(path: &str) -> bool {
    field_index(&format!("{path}.registry")).is_some()
}

/// All paths of settings and sections.
fn known_paths() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for field in fields() {
        let mut path = field.path.as_str();
        loop {
            all.insert(path.to_owned());
            match path.rsplit_once('.') {
                Some((parent, _)) => path = parent,
                None => break,
            }
        }
    }
    all
}

/// A setting's value for the bundle, with where it came from.
pub fn describe_origin(origin: Option<&Origin>, sources: &Sources) -> Value {
    let Some(origin) = origin else {
        return Value::from([("layer", "none")]);
    };
    let mut map = Map::new();
    match &origin.derived_from {
        Some(from) => {
            map.insert("layer".into(), "derived".into());
            map.insert("from".into(), from.as_str().into());
        }
        None => {
            map.insert("layer".into(), origin.layer.word().into());
            if let Some(span) = origin.span {
                let at = sources.position(span);
                map.insert("source".into(), sources.get(span.source).name.as_str().into());
                map.insert("line".into(), (at.line as u64).into());
                map.insert("column".into(), (at.column as u64).into());
            }
            if let Some(variable) = origin.variable {
                map.insert("variable".into(), variable.into());
            }
        }
    }
    Value::Map(map)
}
