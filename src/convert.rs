//! `convert`: a shell scenario as a YAML scenario that compiles to the same bundle.
//!
//! What the scenario sets is written under the settings' paths, in the order of their definition; what equals a default of
//! the edition is left out wherever the bundle stays the same without it. The result is compiled and compared before it
//! is given out.

mod comments;
mod write;

use crate::compile::{Compilation, Options, compile};
use crate::error::{Diagnostic, Errors, Problem};
use crate::scenario::World;
use crate::settings::resolve::{Inputs, Language, Layer, Resolved, resolve};
use crate::settings::{field_index, fields};
use crate::source::{SourceId, Sources};
use crate::tree::{Map, Value};
use comments::Comments;
use write::{Entry, Shown};

/// The methods that a bundle is compared by.
const METHODS: &[&str] = &["standalone", "modelservice"];

/// A scenario in YAML, and what is lost on the way to it.
#[derive(Debug, Clone)]
pub struct Converted {
    /// The text.
    pub text: String,
    /// Variables without effect and values that a later line replaced.
    pub notes: Vec<Diagnostic>,
}

/// Writes a shell scenario in YAML.
///
/// # Errors
/// What is wrong with the scenario, and a scenario that YAML cannot say the same as.
pub fn convert(
    scenario: SourceId,
    edition: Option<String>,
    world: &dyn World,
    sources: &mut Sources,
) -> Result<Converted, Errors> {
    let inputs =
        Inputs { scenario: Some((scenario, Language::Shell)), edition, blanks_apart: true, ..Inputs::default() };
    let resolved = resolve(&inputs, world, sources)?;
    let edition = resolved.settings.edition.0.clone();
    let defaults = Inputs { edition: Some(edition.clone()), ..Inputs::default() };
    let defaults = resolve(&defaults, world, sources)?.flat();
    let comments = Comments::new(&sources.get(scenario).text);
    let entries = entries(&resolved, scenario, &comments, sources);
    let header = format!("{}edition: \"{edition}\"\n", comments.header());
    let wanted = Meaning::of(&inputs, world, sources)?;

    let text = |kept: &dyn Fn(&Entry) -> bool| {
        header.clone() + &write::yaml(&entries.iter().filter(|e| kept(e)).collect::<Vec<_>>())
    };
    let mut means_the_same = |text: &str| -> Result<bool, Errors> {
        let id = sources.add_file("the converted scenario", text);
        let inputs = Inputs { scenario: Some((id, Language::Yaml)), blanks_apart: true, ..Inputs::default() };
        Ok(Meaning::of(&inputs, world, sources)? == wanted)
    };
    let is_default = |e: &Entry| matches!(&e.shown, Shown::Value(v) if defaults.get(&e.path) == Some(v));
    let mut result = text(&|e| !is_default(e));
    if !means_the_same(&result)? {
        let mut left_out: Vec<&str> = Vec::new();
        for entry in entries.iter().filter(|e| is_default(e)) {
            let without = text(&|e| e.path != entry.path && !left_out.contains(&e.path.as_str()));
            if means_the_same(&without)? {
                left_out.push(&entry.path);
            }
        }
        result = text(&|e| !left_out.contains(&e.path.as_str()));
        if !means_the_same(&result)? {
            let what = "the scenario cannot be written in YAML with the same meaning".to_owned();
            let hint = "a variable of its own whose value a shell would read as more than one word is the likely cause";
            return Err(Diagnostic::error(Problem::Unsupported { what }, None).with_hint(hint).into());
        }
    }
    let lost = |n: &&Diagnostic| matches!(n.problem, Problem::NoEffect { .. } | Problem::Reassigned { .. });
    let notes = resolved.notes.iter().filter(lost).cloned().collect();
    Ok(Converted { text: result, notes })
}

/// What a scenario comes to: its settings, and where it compiles, objects and releases by method.
#[derive(PartialEq)]
struct Meaning {
    settings: Map,
    by_method: Vec<Option<Map>>,
}

impl Meaning {
    fn of(inputs: &Inputs, world: &dyn World, sources: &mut Sources) -> Result<Self, Errors> {
        let settings = resolve(inputs, world, sources)?.flat();
        let by_method = METHODS
            .iter()
            .map(|method| {
                let flags = vec![("--methods", "methods", (*method).to_owned())];
                let inputs = Inputs { flags, ..inputs.clone() };
                compile(&inputs, Options::default(), world, sources).ok().map(|c| deployed(&c))
            })
            .collect();
        Ok(Self { settings, by_method })
    }
}

/// What a compilation deploys: the objects but the record of the settings, and the values of the releases.
fn deployed(compilation: &Compilation) -> Map {
    let record = format!("{}-bundle", compilation.resolved.settings.release);
    let is_record = |v: &Value| v.at(&["metadata", "name"]).and_then(Value::as_str) == Some(record.as_str());
    let manifests = compilation.bundle.manifests.iter();
    let objects = manifests.filter(|m| !is_record(&m.object.value)).map(|m| {
        let value = m.object.value.clone();
        (m.path.to_string(), value)
    });
    let releases = compilation.bundle.releases.iter();
    objects.chain(releases.map(|r| (format!("{} {}", r.name, r.version), r.values.clone()))).collect()
}

/// What the scenario itself sets, in the order of the settings.
fn entries(resolved: &Resolved, scenario: SourceId, comments: &Comments<'_>, sources: &Sources) -> Vec<Entry> {
    let flat = resolved.flat();
    let mut all = Vec::new();
    for (index, field) in fields().iter().enumerate() {
        let path = field.path.as_str();
        let blank = resolved.blanks.iter().find(|(p, _)| p == path);
        let origin = resolved.origins.get(path).filter(|o| o.layer == Layer::Scenario && o.derived_from.is_none());
        let (shown, span) = match (blank, origin) {
            (Some((_, span)), _) => (Shown::Blank { quoted: field.optional }, *span),
            (None, Some(origin)) => {
                let word = resolved.words.iter().find(|(p, _, _)| p == path).map(|(_, word, _)| word);
                let value = match (word, flat.get(path)) {
                    (Some(word), Some(Value::Null)) if !word.is_empty() => Shown::Word(word.clone()),
                    (_, Some(value)) => Shown::Value(value.clone()),
                    (_, None) => continue,
                };
                (value, origin.span)
            }
            (None, None) => continue,
        };
        let comment = span.filter(|s| s.source == scenario).map(|s| comments.of(sources, s)).unwrap_or_default();
        all.push((index, Entry { path: path.to_owned(), shown, comment }));
    }
    all.sort_by_key(|(index, e)| (field_index(&e.path).is_none(), *index));
    all.into_iter().map(|(_, e)| e).collect()
}
