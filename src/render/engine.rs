//! The template engine: strict, and escaping by the language that a template emits.
//!
//! In `NAME.yaml.j2` every `{{ value }}` becomes JSON, which is YAML: text is quoted, lists and mappings stand in flow
//! notation. In `NAME.sh.j2` it becomes one shell word. In any other template text stays as it is. A template cannot
//! switch that off, and an undefined name is an error.

use crate::error::{Diagnostic, Problem};
use crate::source::Sources;
use crate::tree::{self, Map, Value};
use crate::{plan, yaml};
use include_dir::{Dir, include_dir};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Value as JinjaValue, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Output, State, UndefinedBehavior};
use std::sync::OnceLock;

static TEMPLATES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/templates");

/// The text of a file of `templates/`, as it is.
///
/// # Errors
/// A file that is not there, which is a defect of the program.
pub fn file(name: &str) -> Result<&'static str, Diagnostic> {
    TEMPLATES.get_file(name).and_then(|f| f.contents_utf8()).ok_or_else(|| internal(format!("no template `{name}`")))
}

fn internal(message: String) -> Diagnostic {
    Diagnostic::error(Problem::Internal { message }, None)
}

fn environment() -> &'static Environment<'static> {
    static ENVIRONMENT: OnceLock<Environment<'static>> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| {
        let mut env = Environment::new();
        env.set_undefined_behavior(UndefinedBehavior::Strict);
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build();
        // The delimiters are the standard ones, which are valid.
        env.set_syntax(syntax.unwrap_or_default());
        env.set_loader(|name| Ok(TEMPLATES.get_file(name).and_then(|f| f.contents_utf8()).map(str::to_owned)));
        env.set_formatter(format);
        env
    })
}

fn format(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &JinjaValue) -> Result<(), Error> {
    if value.is_undefined() {
        return Err(Error::new(ErrorKind::UndefinedError, "a value that is not defined"));
    }
    let name = state.name();
    let text = if name.ends_with(".yaml.j2") {
        let mut text = String::new();
        write_json(&mut text, value)?;
        text
    } else if name.ends_with(".sh.j2") {
        plan::script::quote(&value.to_string())
    } else {
        value.to_string()
    };
    out.write_str(&text).map_err(Error::from)
}

fn write_json(out: &mut String, value: &JinjaValue) -> Result<(), Error> {
    match value.kind() {
        ValueKind::None => out.push_str("null"),
        ValueKind::Bool | ValueKind::Number => out.push_str(&value.to_string()),
        ValueKind::String => tree::quote(out, value.as_str().unwrap_or_default()),
        ValueKind::Seq | ValueKind::Iterable => {
            out.push('[');
            for (i, item) in value.try_iter()?.enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_json(out, &item)?;
            }
            out.push(']');
        }
        ValueKind::Map => {
            out.push('{');
            for (i, key) in value.try_iter()?.enumerate() {
                if i > 0 {
                    out.push(',');
                }
                tree::quote(out, &key.to_string());
                out.push(':');
                write_json(out, &value.get_item(&key)?)?;
            }
            out.push('}');
        }
        other => return Err(Error::new(ErrorKind::InvalidOperation, format!("a value of kind {other} in a manifest"))),
    }
    Ok(())
}

/// A value as templates see it.
pub fn to_template(value: &Value) -> JinjaValue {
    match value {
        Value::Null => JinjaValue::from(()),
        Value::Bool(b) => JinjaValue::from(*b),
        Value::Number(n) => match (n.parse::<i64>(), n.parse::<f64>()) {
            (Ok(i), _) => JinjaValue::from(i),
            (_, Ok(f)) => JinjaValue::from(f),
            _ => JinjaValue::from(n.as_str()),
        },
        Value::String(s) => JinjaValue::from(s.as_str()),
        Value::List(l) => l.iter().map(to_template).collect(),
        Value::Map(m) => JinjaValue::from_pairs(m.iter().map(|(k, v)| (k.as_str(), to_template(v)))),
    }
}

/// Renders a template to text.
///
/// # Errors
/// An undefined name or a malformed template: defects of the program.
pub fn text(name: &str, context: &JinjaValue) -> Result<String, Diagnostic> {
    let render = || environment().get_template(name)?.render(context);
    render().map_err(|e| {
        let mut message = format!("{e:#}");
        let mut cause = std::error::Error::source(&e);
        while let Some(c) = cause {
            message.push_str(&format!(": {c}"));
            cause = c.source();
        }
        internal(message)
    })
}

/// Renders a template to an object: its YAML, read into a tree, without keys that have no value.
///
/// # Errors
/// As [`text`], and text that is not one YAML document.
pub fn object(name: &str, context: &JinjaValue) -> Result<Value, Diagnostic> {
    let text = text(name, context)?;
    let mut sources = Sources::default();
    let id = sources.add(name, text);
    let node = yaml::parse(&sources, id).map_err(|d| internal(d.render(&sources, false)))?;
    let mut value = Value::from_node(&node);
    drop_null(&mut value);
    Ok(value)
}

/// Removes keys without a value: a setting that is not given leaves no trace.
fn drop_null(value: &mut Value) {
    match value {
        Value::Map(map) => {
            map.retain(|_, v| *v != Value::Null);
            map.values_mut().for_each(drop_null);
        }
        Value::List(list) => list.iter_mut().for_each(drop_null),
        _ => {}
    }
}

/// Paths such as `vllm.port` as nested mappings, for templates.
pub fn nested(flat: &Map) -> Value {
    let mut root = Value::Map(Map::new());
    for (path, value) in flat {
        let mut at = &mut root;
        for key in path.split('.') {
            at = at.map_mut().entry(key.to_owned()).or_insert(Value::Null);
        }
        *at = value.clone();
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_parses_and_none_is_left_over_elsewhere() {
        fn walk(dir: &Dir<'_>) {
            for file in dir.files() {
                let name = file.path().to_str().unwrap();
                if name.ends_with(".j2") {
                    environment().get_template(name).unwrap();
                }
            }
            dir.dirs().for_each(walk);
        }
        walk(&TEMPLATES);
    }

    #[test]
    fn values_are_json_in_yaml_templates() {
        let mut out = String::new();
        write_json(&mut out, &to_template(&Value::from([("a", Value::from("x\"\n{{ y }}"))]))).unwrap();
        assert_eq!(out, "{\"a\":\"x\\\"\\n{{ y }}\"}");
    }
}
