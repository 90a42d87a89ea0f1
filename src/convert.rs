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
const METHODS: [&str; 2] = ["standalone", "modelservice"];

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
    let wanted = Meaning { settings: resolved.flat(), deployed: deployed(&inputs, world, sources) };
    let mut pruning = Pruning { header, entries: &entries, left_out: Vec::new(), wanted, world, sources };
    pruning.defaults(&defaults);
    pruning.repeated();
    let text = pruning.text(None);
    if deployed(&pruning.inputs(&text), world, pruning.sources) != pruning.wanted.deployed {
        let what = "the scenario cannot be written in YAML with the same meaning".to_owned();
        let hint = "a variable of its own whose value a shell would read as more than one word is the likely cause";
        return Err(Diagnostic::error(Problem::Unsupported { what }, None).with_hint(hint).into());
    }
    let lost = |n: &&Diagnostic| matches!(n.problem, Problem::NoEffect { .. } | Problem::Reassigned { .. });
    let notes = resolved.notes.iter().filter(lost).cloned().collect();
    Ok(Converted { text, notes })
}

/// What a scenario comes to.
struct Meaning {
    settings: Map,
    /// Objects and releases by method, where it compiles by that.
    deployed: [Option<Map>; 2],
}

/// Finds the settings that need not be written.
struct Pruning<'a> {
    header: String,
    entries: &'a [Entry],
    left_out: Vec<&'a str>,
    wanted: Meaning,
    world: &'a dyn World,
    sources: &'a mut Sources,
}

impl<'a> Pruning<'a> {
    /// The scenario without what is left out, and without one setting more.
    fn text(&self, without: Option<&str>) -> String {
        let kept = |e: &&Entry| Some(e.path.as_str()) != without && !self.left_out.contains(&e.path.as_str());
        self.header.clone() + &write::yaml(&self.entries.iter().filter(kept).collect::<Vec<_>>())
    }

    fn inputs(&mut self, text: &str) -> Inputs {
        let id = self.sources.add_file("the converted scenario", text);
        Inputs { scenario: Some((id, Language::Yaml)), blanks_apart: true, ..Inputs::default() }
    }

    /// Leaves out what equals a default, all at once, where that changes nothing.
    fn defaults(&mut self, defaults: &Map) {
        let is_default = |e: &&Entry| matches!(&e.shown, Shown::Value(v) if defaults.get(&e.path) == Some(v));
        self.left_out = self.entries.iter().filter(is_default).map(|e| e.path.as_str()).collect();
        let text = self.text(None);
        let inputs = self.inputs(&text);
        if !self.has_same_settings(&inputs) || deployed(&inputs, self.world, self.sources) != self.wanted.deployed {
            self.left_out.clear();
        }
    }

    /// Leaves out, one by one, what is made from other settings all the same, and what a role repeats of the settings for
    /// all.
    fn repeated(&mut self) {
        let (own, general): (Vec<_>, Vec<_>) = self.entries.iter().partition(|e| method_of(&e.path).is_some());
        for entry in own.into_iter().chain(general) {
            let path = entry.path.as_str();
            if !self.left_out.contains(&path) && !matches!(entry.shown, Shown::Blank { .. }) && self.can_go(path) {
                self.left_out.push(path);
            }
        }
    }

    /// Whether the scenario means the same without a setting: all settings are the same, or the setting belongs to one
    /// method alone, and what is deployed is the same.
    fn can_go(&mut self, path: &str) -> bool {
        let text = self.text(Some(path));
        let inputs = self.inputs(&text);
        let own = method_of(path).is_some_and(|m| self.wanted.deployed[m].is_some());
        (own || self.has_same_settings(&inputs)) && deployed(&inputs, self.world, self.sources) == self.wanted.deployed
    }

    fn has_same_settings(&mut self, inputs: &Inputs) -> bool {
        resolve(inputs, self.world, self.sources).is_ok_and(|r| r.flat() == self.wanted.settings)
    }
}

/// What a scenario deploys by each method that it compiles by.
fn deployed(inputs: &Inputs, world: &dyn World, sources: &mut Sources) -> [Option<Map>; 2] {
    METHODS.map(|method| {
        let inputs = Inputs { flags: vec![("--methods", "methods", method.to_owned())], ..inputs.clone() };
        compile(&inputs, Options::default(), world, sources).ok().map(|c| objects(&c))
    })
}

/// The method that alone uses a setting, by its section.
fn method_of(path: &str) -> Option<usize> {
    let of = |section: &str| path.strip_prefix(section).is_some_and(|p| p.starts_with('.'));
    if of("standalone") { Some(0) } else { (of("decode") || of("prefill")).then_some(1) }
}

/// What a compilation deploys: the objects but the record of the settings, and the values of the releases.
fn objects(compilation: &Compilation) -> Map {
    let record = format!("{}-bundle", compilation.resolved.settings.release);
    let is_record = |v: &Value| v.at(&["metadata", "name"]).and_then(Value::as_str) == Some(record.as_str());
    let bundle = &compilation.bundle;
    // Some objects name the bundle, which names its inputs.
    let text = |v: &Value| Value::from(v.to_yaml().replace(&bundle.id, "").as_str());
    let objects = bundle.manifests.iter().filter(|m| !is_record(&m.object.value));
    let objects = objects.map(|m| (m.path.to_string(), text(&m.object.value)));
    objects.chain(bundle.releases.iter().map(|r| (format!("{} {}", r.name, r.version), text(&r.values)))).collect()
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
