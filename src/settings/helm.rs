//! Values of a Helm chart that a user sets one by one, in the notation of `--set`.

use super::types::{Fault, Raw, Reading, Setting};
use crate::tree::Value;
use crate::yaml::{Kind, Node};
use std::fmt;

/// A step of the path to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A key of a mapping.
    Key(String),
    /// A position in a list, from 0.
    Index(usize),
}

/// A path to a value, as `--set` of Helm writes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Path(pub Vec<Step>);

impl Path {
    /// The path of what is one step below.
    pub fn with(&self, step: Step) -> Self {
        Self(self.0.iter().cloned().chain([step]).collect())
    }

    /// The path with `ROLE` for decode and prefill and without positions; `None` for a key that could be taken for two.
    pub fn pattern(&self) -> Option<String> {
        let mut text = String::new();
        for (i, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(_) => text.push_str("[]"),
                Step::Key(key) if key.contains(['.', '[']) => return None,
                Step::Key(key) if i == 0 => {
                    text.push_str(if matches!(key.as_str(), "decode" | "prefill") { "ROLE" } else { key })
                }
                Step::Key(key) => {
                    text.push('.');
                    text.push_str(key);
                }
            }
        }
        Some(text)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(n) => write!(f, "[{n}]")?,
                Step::Key(key) if i == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
            }
        }
        Ok(())
    }
}

/// Single values of a chart, in the order in which they are set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HelmSets(pub Vec<(Path, Value)>);

impl Setting for HelmSets {
    const STRUCTURED: bool = true;
    const EMPTY_IS_A_VALUE: bool = true;
    fn expects() -> String {
        "values as `--set` of Helm takes them, `a.b=c,d[0]=e`, or a list of such".into()
    }
    fn none() -> Option<Self> {
        Some(Self::default())
    }
    fn read(raw: &Raw, _: &Reading<'_>) -> Result<Self, Fault> {
        let texts: Vec<(&str, Option<&Node>)> = match raw {
            Raw::Text(text) | Raw::Document(text, _) => vec![(text, None)],
            Raw::Node(node) if node.is_null() => Vec::new(),
            Raw::Node(node @ Node { kind: Kind::Scalar { text, .. }, .. }) => vec![(text, Some(node))],
            Raw::Node(Node { kind: Kind::List(items), .. }) => items
                .iter()
                .map(|item| match &item.kind {
                    Kind::Scalar { text, .. } => Ok((text.as_str(), Some(item))),
                    _ => Err(Fault::found(item.describe()).at(item.span)),
                })
                .collect::<Result<_, _>>()?,
            Raw::Node(node) => return Err(Fault::found(node.describe()).at(node.span)),
        };
        let mut all = Vec::new();
        for (text, node) in texts {
            all.extend(parse(text).map_err(|found| match node {
                Some(node) => Fault::found(found).at(node.span),
                None => Fault::found(found),
            })?);
        }
        Ok(Self(all))
    }
    fn value(&self) -> Value {
        Value::List(
            self.0.iter().map(|(path, value)| Value::from(format!("{}={}", escaped(path), written(value)))).collect(),
        )
    }
}

fn escape(text: &str) -> String {
    text.chars().flat_map(|c| "\\,.[]={}".contains(c).then_some('\\').into_iter().chain([c])).collect()
}

fn escaped(path: &Path) -> String {
    let keys = path.0.iter().map(|step| match step {
        Step::Key(key) => Step::Key(escape(key)),
        index => index.clone(),
    });
    Path(keys.collect()).to_string()
}

fn written(value: &Value) -> String {
    match value {
        Value::List(items) => format!("{{{}}}", items.iter().map(written).collect::<Vec<_>>().join(",")),
        Value::Null => "null".into(),
        Value::Bool(b) => b.to_string(),
        Value::Number(text) => text.clone(),
        Value::String(text) => escape(text),
        Value::Map(_) => String::new(),
    }
}

/// Largest position in a list that is taken, so that a slip of the finger does not fill the memory.
const LAST_INDEX: usize = 1000;

/// Reads `a.b=c,d[0]=e,f={x,y}` as `--set` of Helm does: `\` before a comma, a dot or a bracket takes its meaning away;
/// `true`, `false`, `null` and whole numbers are no text. The error is what was found.
fn parse(text: &str) -> Result<Vec<(Path, Value)>, String> {
    let mut rest = text.trim().chars().peekable();
    let mut all = Vec::new();
    while rest.peek().is_some() {
        let path = path(&mut rest)?;
        all.push((path, values(&mut rest)?));
    }
    Ok(all)
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// The text up to one of `ends`, which is given too.
fn until(rest: &mut Chars<'_>, ends: &[char]) -> (String, Option<char>) {
    let mut text = String::new();
    while let Some(c) = rest.next() {
        match c {
            '\\' => text.extend(rest.next()),
            c if ends.contains(&c) => return (text, Some(c)),
            c => text.push(c),
        }
    }
    (text, None)
}

fn path(rest: &mut Chars<'_>) -> Result<Path, String> {
    let mut path = Path::default();
    let mut after_index = false;
    loop {
        let (key, end) = until(rest, &['.', '[', '=', ',']);
        match (key.trim(), after_index) {
            ("", true) => {}
            ("", false) => return Err("a value without a key".into()),
            (key, true) => return Err(format!("`{key}` right after `]`")),
            (key, false) => path.0.push(Step::Key(key.to_owned())),
        }
        after_index = false;
        match end {
            Some('.') => {}
            Some('[') => {
                let (index, end) = until(rest, &[']']);
                let index = index.parse().ok().filter(|n| end.is_some() && *n <= LAST_INDEX);
                path.0.push(Step::Index(index.ok_or("`[` without the number of an entry")?));
                after_index = true;
                if rest.peek() == Some(&'.') {
                    rest.next();
                    after_index = false;
                }
            }
            Some('=') => return Ok(path),
            _ => return Err(format!("`{path}` without `=`")),
        }
    }
}

fn values(rest: &mut Chars<'_>) -> Result<Value, String> {
    if rest.peek() != Some(&'{') {
        return Ok(typed(until(rest, &[',']).0));
    }
    rest.next();
    let mut items = Vec::new();
    loop {
        let (item, end) = until(rest, &[',', '}']);
        if !(item.is_empty() && end == Some('}') && items.is_empty()) {
            items.push(typed(item));
        }
        match end {
            Some(',') => {}
            Some(_) => break,
            None => return Err("`{` without `}`".into()),
        }
    }
    match rest.next() {
        None | Some(',') => Ok(Value::List(items)),
        Some(c) => Err(format!("`{c}` right after `}}`")),
    }
}

fn typed(text: String) -> Value {
    match text.as_str() {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        "null" => Value::Null,
        "0" => Value::Number(text),
        t if !t.starts_with('0') && t.parse::<i64>().is_ok_and(|n| n.to_string() == t) => Value::Number(text),
        _ => Value::String(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> Vec<(String, Value)> {
        parse(text).unwrap().into_iter().map(|(p, v)| (p.to_string(), v)).collect()
    }

    #[test]
    fn values_have_the_types_that_helm_gives_them() {
        assert_eq!(
            set("a.b=1,c=01,d=true,e=null,f=1.5,g="),
            [
                ("a.b".into(), Value::Number("1".into())),
                ("c".into(), Value::from("01")),
                ("d".into(), Value::Bool(true)),
                ("e".into(), Value::Null),
                ("f".into(), Value::from("1.5")),
                ("g".into(), Value::from("")),
            ]
        );
    }

    #[test]
    fn paths_hold_positions_and_escaped_dots() {
        assert_eq!(
            set(r"decode.containers[0].image=a:1,x.example\.com/y=z\,w,l={a,2}"),
            [
                ("decode.containers[0].image".into(), Value::from("a:1")),
                ("x.example.com/y".into(), Value::from("z,w")),
                ("l".into(), Value::List(vec![Value::from("a"), Value::Number("2".into())])),
            ]
        );
    }

    #[test]
    fn what_is_no_assignment_is_refused() {
        for text in ["a", "=1", "a[x]=1", "a[0]b=1", "a={1", "a={1}b", "a..b=1", "a[9999999]=1"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_written_form_is_read_back() {
        let sets = HelmSets(parse(r"a\.b[2].c=x\,y,d={1,q\}},e=null").unwrap());
        let Value::List(lines) = sets.value() else { panic!() };
        let text = lines.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",");
        assert_eq!(HelmSets(parse(&text).unwrap()), sets);
    }
}
