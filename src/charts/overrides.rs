//! Helm values that the user adds to those of llm-d-modelservice, merged last, as Helm itself merges a further file and
//! `--set`: mappings are merged, anything else is replaced, `null` removes.

use super::catalogue;
use super::contract::Version;
use super::keys;
use crate::error::Problem;
use crate::settings::helm::{Path, Step};
use crate::tree::{Map, Value};

/// Keys that other objects of the bundle depend on, and what sets them.
const SET_BY_THE_BUNDLE: &[(&str, &str)] = &[
    ("fullnameOverride", "the release and the model name the servers"),
    ("nameOverride", "the release and the model name the servers"),
    ("modelArtifacts.labels", "the pool selects pods by these labels"),
    ("modelArtifacts.name", "routes and clients use the name in `models`"),
    ("routing.modelName", "routes and clients use the name in `models`"),
    ("routing.servicePort", "`vllm.port` sets it"),
    ("routing.parentRefs", "the route is a manifest of the bundle"),
    ("routing.inferencePool", "the pool is a release of its own"),
    ("routing.epp", "the endpoint picker comes with the pool's release"),
    ("routing.httpRoute", "the route is a manifest of the bundle"),
    ("routing.inferenceModel", "`modelservice.inferenceModel` makes it"),
];

/// What a user adds to the values of the chart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Overrides {
    /// A file of values.
    pub values: Map,
    /// Single values, in the order in which they are set.
    pub sets: Vec<(Path, Value)>,
}

impl Overrides {
    /// The values with those of the user over them.
    ///
    /// # Errors
    /// A path through something that is neither mapping nor list.
    pub fn apply(&self, mut values: Value) -> Result<Value, Problem> {
        values.overlay(&Value::Map(self.values.clone()));
        for (path, value) in &self.sets {
            set(&mut values, &path.0, value).map_err(|()| {
                let message = format!("`{path}` leads through a value that holds no others");
                Problem::Conflict { message }
            })?;
        }
        Ok(values)
    }

    /// What this version does not read, and what the bundle sets itself; each with the path of the key.
    pub fn refused(&self, version: Version, multinode: bool) -> Vec<(Path, Problem, Option<String>)> {
        let mut all = refused(version, multinode, &self.values);
        for (path, value) in &self.sets {
            // Alone, so that what another sets cannot hide it.
            let alone = Self { values: Map::new(), sets: vec![(path.clone(), value.clone())] };
            if let Ok(Value::Map(values)) = alone.apply(Value::Map(Map::new())) {
                all.extend(refused(version, multinode, &values));
            }
        }
        all
    }
}

fn refused(version: Version, multinode: bool, values: &Map) -> Vec<(Path, Problem, Option<String>)> {
    let mut all: Vec<_> = keys::unread(version, multinode, values)
        .into_iter()
        .map(|u| {
            let what = format!("`{}` of `llm-d-modelservice` {}; the scenario names {version}", u.path, u.why);
            (u.path, Problem::Unsupported { what }, u.hint)
        })
        .collect();
    leaves(&Path::default(), &Value::Map(values.clone()), &mut |path, value| {
        let pattern = path.pattern().unwrap_or_default();
        let is_under =
            |key: &str| pattern == key || pattern.strip_prefix(key).is_some_and(|r| r.starts_with(['.', '[']));
        if let Some((key, why)) = SET_BY_THE_BUNDLE.iter().find(|(key, _)| is_under(key)) {
            let message = format!("the bundle sets `{key}` itself");
            all.push((path.clone(), Problem::Conflict { message }, Some((*why).to_owned())));
        }
        let is_image = matches!(path.0.last(), Some(Step::Key(k)) if k == "image");
        if let (true, Value::String(image)) = (is_image, value)
            && let Some(found) = catalogue::floating_part(image)
        {
            let problem = Problem::FloatingVersion { what: format!("image `{image}`"), found: found.to_owned() };
            all.push((path.clone(), problem, Some("name a version of the image".into())));
        }
    });
    all
}

fn leaves(path: &Path, value: &Value, see: &mut impl FnMut(&Path, &Value)) {
    let mut go = |step: Step, value: &Value| {
        let mut below = path.clone();
        below.0.push(step);
        leaves(&below, value, see);
    };
    match value {
        Value::Map(map) if !map.is_empty() => map.iter().for_each(|(k, v)| go(Step::Key(k.clone()), v)),
        Value::List(items) if !items.is_empty() => {
            items.iter().enumerate().for_each(|(i, v)| go(Step::Index(i), v));
        }
        _ => see(path, value),
    }
}

fn set(at: &mut Value, path: &[Step], value: &Value) -> Result<(), ()> {
    let Some((step, rest)) = path.split_first() else {
        *at = value.clone();
        return Ok(());
    };
    match (step, &mut *at) {
        (Step::Key(key), Value::Map(map)) => {
            if rest.is_empty() && *value == Value::Null {
                map.shift_remove(key);
                return Ok(());
            }
            set(map.entry(key.clone()).or_insert(Value::Null), rest, value)
        }
        (Step::Index(n), Value::List(items)) => {
            if items.len() <= *n {
                items.resize(n + 1, Value::Null);
            }
            set(&mut items[*n], rest, value)
        }
        (Step::Key(_), Value::Null) => {
            *at = Value::Map(Map::new());
            set(at, path, value)
        }
        (Step::Index(_), Value::Null) => {
            *at = Value::List(Vec::new());
            set(at, path, value)
        }
        _ => Err(()),
    }
}

#[cfg(test)]
mod tests;
