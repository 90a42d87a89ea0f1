//! Workload profiles: what a load generator is told to do.
//!
//! A profile is a YAML file in the notation of its load generator, with references as in any other text of a scenario
//! (`${endpoint.url}`, `${model.name}`, or the original's `REPLACE_ENV_…`). The shipped ones are in `scenarios/profiles/`.

use crate::error::{Diagnostic, Errors, Problem, nearest};
use crate::scenario::World;
use crate::settings::resolve::Resolved;
use crate::settings::template::{Scope, Segment, Template};
use crate::settings::types::{Harness, Parameters, Reading};
use crate::source::{SourceId, Sources, Span};
use crate::tree::{Map, Value};
use crate::yaml::{self, Kind, Node};
use camino::Utf8PathBuf;
use include_dir::{Dir, include_dir};
use std::collections::HashMap;
use std::io::ErrorKind;

static SHIPPED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/scenarios/profiles");

/// A profile before its references are replaced.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Name of its file in the load generator's pod.
    pub file: String,
    node: Node,
}

/// Names of the shipped profiles of a load generator, sorted.
pub fn names(harness: Harness) -> Vec<&'static str> {
    shipped().iter().filter(|p| p.harness == harness.word()).map(|p| p.name).collect()
}

/// A shipped profile.
#[derive(Debug, Clone, Copy)]
pub struct Shipped {
    /// Its load generator.
    pub harness: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// All shipped profiles, sorted by load generator and name.
pub fn shipped() -> Vec<Shipped> {
    let mut all: Vec<Shipped> = SHIPPED
        .dirs()
        .flat_map(Dir::files)
        .filter_map(|f| {
            let harness = f.path().parent()?.to_str()?;
            Some(Shipped { harness, name: f.path().file_stem()?.to_str()?, text: f.contents_utf8()? })
        })
        .collect();
    all.sort_unstable_by_key(|p| (p.harness, p.name));
    all
}

/// Finds the profile that the scenario names: a file where there is a path, one of `harness.profilesDir`, a shipped one.
///
/// # Errors
/// A name that no profile has, a file that cannot be read, text that is not YAML, a profile that lacks what its load
/// generator cannot do without.
pub fn find(resolved: &Resolved, world: &dyn World, sources: &mut Sources) -> Result<Profile, Errors> {
    let harness = resolved.settings.harness.name;
    let (file, id) = locate(resolved, world, sources)?;
    let node = yaml::parse(sources, id)?;
    check_shape(&node, harness, &file)?;
    Ok(Profile { file, node })
}

fn locate(resolved: &Resolved, world: &dyn World, sources: &mut Sources) -> Result<(String, SourceId), Diagnostic> {
    let h = &resolved.settings.harness;
    let span = resolved.span("harness.profile");
    let given = h.profile.0.as_str();
    let base = given.rsplit('/').next().unwrap_or(given);
    let stem = [".in", ".yaml", ".yml"].iter().fold(base, |name, end| name.strip_suffix(end).unwrap_or(name));
    let file = format!("{stem}.yaml");
    let unreadable =
        |path: &str, reason: String| Diagnostic::error(Problem::Unreadable { path: path.to_owned(), reason }, span);
    if stem.is_empty() || crate::check::names::config_key(&file).is_err() {
        let reason = "it cannot be part of a file's name".to_owned();
        return Err(Diagnostic::error(
            Problem::InvalidName { what: "workload profile".into(), name: stem.into(), reason },
            span,
        ));
    }
    if given.contains('/') {
        let text = world.read(given.into()).map_err(|e| unreadable(given, e.to_string()))?;
        return Ok((file, sources.add_file(given, text)));
    }
    if let Some(dir) = &h.profiles_dir {
        for name in [file.clone(), format!("{file}.in")] {
            let path = Utf8PathBuf::from(&dir.0).join(h.name.word()).join(name);
            match world.read(&path) {
                Ok(text) => return Ok((file, sources.add_file(path.as_str(), text))),
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => return Err(unreadable(path.as_str(), e.to_string())),
            }
        }
    }
    let path = format!("{}/{file}", h.name.word());
    match SHIPPED.get_file(&path).and_then(|f| f.contents_utf8()) {
        Some(text) => Ok((file, sources.add(format!("scenarios/profiles/{path}"), text))),
        None => {
            let known = names(h.name);
            let near = nearest(stem, known.iter().copied());
            let problem = Problem::UnknownWord { what: "workload profile", name: stem.to_owned(), nearest: near };
            let all = shipped();
            let others: Vec<_> = all.iter().filter(|p| p.name == stem).map(|p| p.harness).collect();
            let others =
                if others.is_empty() { String::new() } else { format!("; it is one of {}", others.join(", ")) };
            let hint = format!("{} has {}{others}; a file is written with its path", h.name.word(), known.join(", "));
            Err(Diagnostic::error(problem, span).with_hint(hint))
        }
    }
}

/// Keys without which a load generator does not start.
fn required(harness: Harness) -> &'static [&'static str] {
    match harness {
        Harness::InferencePerf => &["load", "api", "server", "data"],
        Harness::Guidellm => &["target"],
        Harness::VllmBenchmark | Harness::InferenceMax => &["executable", "model", "base-url"],
        Harness::Fmperf => &["model_name", "scenarios"],
        Harness::Nop => &[],
    }
}

fn check_shape(node: &Node, harness: Harness, file: &str) -> Result<(), Errors> {
    let Kind::Map(entries) = &node.kind else {
        let problem = Problem::WrongValue {
            setting: "a workload profile".into(),
            expected: "a mapping".into(),
            found: node.describe(),
        };
        return Err(Diagnostic::error(problem, node.span).into());
    };
    let missing = required(harness).iter().filter(|k| entries.iter().all(|(e, _)| e.text != **k));
    let errors = missing.map(|key| {
        let message = format!("`{file}` has no `{key}`, without which {} does not start", harness.word());
        Diagnostic::error(Problem::Conflict { message }, node.span)
    });
    Errors(errors.collect()).into_result()
}

/// The profile with its references replaced and parameters changed.
///
/// # Errors
/// References without a value, parameters that the profile does not have or that stand for another type.
pub fn fill(
    profile: &Profile,
    scope: &dyn Scope,
    flat: &Map,
    parameters: (&Parameters, Option<Span>),
    sources: &Sources,
) -> Result<Value, Errors> {
    let mut errors = Errors::default();
    let mut value = expand(&profile.node, scope, flat, sources, &mut errors);
    for (name, text) in &parameters.0.0 {
        if let Err(problem) = change(&mut value, name, text, &profile.file) {
            errors.push(Diagnostic::error(problem, parameters.1));
        }
    }
    errors.into_result().map(|()| value)
}

fn expand(node: &Node, scope: &dyn Scope, flat: &Map, sources: &Sources, errors: &mut Errors) -> Value {
    match &node.kind {
        Kind::List(items) => Value::List(items.iter().map(|n| expand(n, scope, flat, sources, errors)).collect()),
        Kind::Map(entries) => {
            Value::Map(entries.iter().map(|(k, v)| (k.text.clone(), expand(v, scope, flat, sources, errors))).collect())
        }
        Kind::Scalar { text, plain } => {
            let locals = HashMap::new();
            let reading = Reading { sources, locals: &locals };
            match Template::parse(text, &reading) {
                Ok(template) if template.references().next().is_none() => match template.0.as_slice() {
                    // A default that stands for a name without a value is text like any other.
                    [Segment::Text(t)] if t != text => Value::from(t.as_str()),
                    [] | [Segment::Text(_)] => Value::from_node(node),
                    _ => filled(&template, *plain, scope, flat, node.span, errors),
                },
                Ok(template) => filled(&template, *plain, scope, flat, node.span, errors),
                Err(fault) => {
                    errors.push(fault.into_diagnostic("a workload profile", "text", Some(node.span)));
                    Value::Null
                }
            }
        }
    }
}

fn filled(template: &Template, plain: bool, scope: &dyn Scope, flat: &Map, span: Span, errors: &mut Errors) -> Value {
    // A number that stands alone stays a number.
    if let ([Segment::Reference { path, .. }], true) = (template.0.as_slice(), plain)
        && let Some(value @ (Value::Number(_) | Value::Bool(_))) = flat.get(path)
    {
        return value.clone();
    }
    match template.expand(scope) {
        Ok(text) => Value::from(text),
        Err(problem) => {
            errors.push(Diagnostic::error(problem, span));
            Value::Null
        }
    }
}

/// Gives one parameter another value. `name` is its path (`load.stages.0.rate`, `*` for every item of a list), or its
/// last part where no other parameter ends so.
fn change(profile: &mut Value, name: &str, text: &str, file: &str) -> Result<(), Problem> {
    let mut all = Vec::new();
    leaves(profile, "", &mut all);
    let wanted: Vec<&str> = name.split('.').collect();
    let matches = |path: &&String, from_start: bool| {
        let segments: Vec<&str> = path.split('.').collect();
        let end = segments.len().checked_sub(wanted.len()).map(|i| &segments[i..]);
        end.is_some_and(|end| {
            (!from_start || end.len() == segments.len())
                && end.iter().zip(&wanted).all(|(s, w)| s == w || *w == "*" && s.bytes().all(|b| b.is_ascii_digit()))
        })
    };
    let mut found: Vec<&String> = all.iter().filter(|p| matches(p, true)).collect();
    if found.is_empty() {
        found = all.iter().filter(|p| matches(p, false)).collect();
        if found.len() > 1 && !wanted.contains(&"*") {
            let list: Vec<String> = found.iter().map(|p| format!("`{p}`")).collect();
            let message = format!(
                "`{name}` of `{file}` could be any of {}; write the path, `*` for every item of a list",
                list.join(", ")
            );
            return Err(Problem::Conflict { message });
        }
    }
    if found.is_empty() {
        let last = |p: &String| p.rsplit('.').next().unwrap_or_default().to_owned();
        let known: Vec<String> = all.iter().cloned().chain(all.iter().map(last)).collect();
        let near = nearest(name, known.iter().map(String::as_str));
        return Err(Problem::UnknownWord {
            what: "parameter of the workload profile",
            name: name.to_owned(),
            nearest: near,
        });
    }
    for path in found {
        let slot = path.split('.').try_fold(&mut *profile, |at, key| match at {
            Value::Map(map) => map.get_mut(key),
            Value::List(items) => key.parse::<usize>().ok().and_then(|i| items.get_mut(i)),
            _ => None,
        });
        if let Some(slot) = slot {
            *slot = retyped(slot, text).ok_or_else(|| Problem::WrongValue {
                setting: path.clone(),
                expected: if matches!(slot, Value::Bool(_)) { "`true` or `false`" } else { "a number" }.into(),
                found: yaml::quote_short(text),
            })?;
        }
    }
    Ok(())
}

/// The text as a value of the type that stands there.
fn retyped(old: &Value, text: &str) -> Option<Value> {
    match (old, Value::plain(text)) {
        (Value::Number(_), new @ Value::Number(_)) | (Value::Bool(_), new @ Value::Bool(_)) => Some(new),
        (Value::Number(_) | Value::Bool(_), _) => None,
        (Value::Null, new) => Some(new),
        _ => Some(Value::from(text)),
    }
}

/// The paths of everything that is no list and no mapping.
fn leaves(value: &Value, path: &str, out: &mut Vec<String>) {
    let join = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match value {
        Value::Map(map) => map.iter().for_each(|(k, v)| leaves(v, &join(k), out)),
        Value::List(items) => items.iter().enumerate().for_each(|(i, v)| leaves(v, &join(&i.to_string()), out)),
        _ => out.push(path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile() -> Value {
        let stage = |rate: u64| Value::from([("rate", Value::from(rate)), ("duration", Value::from(120u64))]);
        Value::from([
            ("load", Value::from([("stages", Value::List(vec![stage(1), stage(2)]))])),
            ("data", Value::from([("in", Value::from([("max", 5u64)])), ("out", Value::from([("max", 5u64)]))])),
            ("qps", Value::from("0.5")),
            ("chat", Value::Bool(false)),
        ])
    }

    fn changed(name: &str, text: &str) -> Result<String, Problem> {
        let mut value = profile();
        change(&mut value, name, text, "p.yaml").map(|()| value.to_json_line())
    }

    #[test]
    fn a_parameter_is_found_by_its_path_and_by_its_end() {
        assert!(changed("load.stages.1.rate", "9").unwrap().contains(r#"{"rate":1,"duration":120},{"rate":9,"#));
        assert!(changed("load.stages.*.duration", "30").unwrap().matches("\"duration\":30").count() == 2);
        assert!(changed("stages.*.duration", "30").unwrap().matches("\"duration\":30").count() == 2);
        assert!(changed("out.max", "7").unwrap().contains(r#""in":{"max":5},"out":{"max":7}"#));
    }

    #[test]
    fn a_parameter_keeps_its_type() {
        assert!(changed("qps", "1").unwrap().contains(r#""qps":"1""#));
        assert!(changed("chat", "true").unwrap().contains(r#""chat":true"#));
        assert!(matches!(changed("chat", "1"), Err(Problem::WrongValue { .. })));
        assert!(matches!(changed("out.max", "many"), Err(Problem::WrongValue { .. })));
    }

    #[test]
    fn what_is_unknown_or_could_mean_several_is_refused() {
        assert!(matches!(changed("rates", "1"), Err(Problem::UnknownWord { nearest: Some(n), .. }) if n == "rate"));
        assert!(matches!(changed("max", "1"), Err(Problem::Conflict { message }) if message.contains("`data.in.max`")));
        assert!(matches!(changed("load", "1"), Err(Problem::UnknownWord { .. })));
    }

    #[test]
    fn every_load_generator_has_its_default_profile() {
        for word in Harness::WORDS {
            let raw = crate::settings::types::Raw::Text((*word).to_owned());
            let (sources, locals) = (Sources::default(), HashMap::new());
            let reading = Reading { sources: &sources, locals: &locals };
            let harness = <Harness as crate::settings::types::Setting>::read(&raw, &reading).unwrap();
            assert!(names(harness).contains(&harness.default_profile()), "{word}");
        }
    }
}
