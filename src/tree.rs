//! The YAML tree of the output and its one serialiser.
//!
//! Everything that leaves the program as YAML or JSON goes through here, so that a value arrives in the cluster exactly
//! as it was set. A string is written plain only where a YAML 1.1 reader (kubectl and helm are such readers) and a YAML
//! 1.2 reader both read the same string back; otherwise it is a literal block or is quoted as JSON quotes it.

use crate::yaml::{Kind, Node};
use indexmap::IndexMap;
use serde::ser::{Serialize, Serializer};

/// A value of the output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number in the notation it was written with.
    Number(String),
    /// A string.
    String(String),
    /// A list.
    List(Vec<Value>),
    /// A mapping in the order it is written.
    Map(Map),
}

/// A mapping that keeps its order.
pub type Map = IndexMap<String, Value>;

impl From<&str> for Value {
    fn from(s: &str) -> Self {
        Self::String(s.to_owned())
    }
}

impl From<String> for Value {
    fn from(s: String) -> Self {
        Self::String(s)
    }
}

impl From<bool> for Value {
    fn from(b: bool) -> Self {
        Self::Bool(b)
    }
}

impl From<u64> for Value {
    fn from(n: u64) -> Self {
        Self::Number(n.to_string())
    }
}

impl From<u32> for Value {
    fn from(n: u32) -> Self {
        Self::Number(n.to_string())
    }
}

impl From<u16> for Value {
    fn from(n: u16) -> Self {
        Self::Number(n.to_string())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(o: Option<T>) -> Self {
        o.map_or(Self::Null, Into::into)
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(v: Vec<T>) -> Self {
        Self::List(v.into_iter().map(Into::into).collect())
    }
}

impl<K: Into<String>, V: Into<Value>, const N: usize> From<[(K, V); N]> for Value {
    fn from(pairs: [(K, V); N]) -> Self {
        Self::Map(pairs.into_iter().map(|(k, v)| (k.into(), v.into())).collect())
    }
}

impl Value {
    /// The value under a key of a mapping.
    pub fn get(&self, key: &str) -> Option<&Value> {
        match self {
            Self::Map(m) => m.get(key),
            _ => None,
        }
    }

    /// The value at the end of a path of keys.
    pub fn at(&self, path: &[&str]) -> Option<&Value> {
        path.iter().try_fold(self, |v, k| v.get(k))
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(s) => Some(s),
            _ => None,
        }
    }

    /// The items of a list; nothing for any other value.
    pub fn items(&self) -> &[Value] {
        match self {
            Self::List(l) => l,
            _ => &[],
        }
    }

    /// A mapping to change; any other value becomes an empty one first.
    pub fn map_mut(&mut self) -> &mut Map {
        if !matches!(self, Self::Map(_)) {
            *self = Self::Map(Map::new());
        }
        match self {
            Self::Map(m) => m,
            _ => unreachable!("made a mapping above"),
        }
    }

    /// Puts another value over this one: mappings key by key, anything else whole; a key whose value is `null` goes.
    pub fn overlay(&mut self, over: &Self) {
        match (self, over) {
            (Self::Map(base), Self::Map(over)) => {
                for (key, value) in over {
                    match (base.get_mut(key), value) {
                        (_, Self::Null) => {
                            base.shift_remove(key);
                        }
                        (Some(old), _) => old.overlay(value),
                        (None, _) => {
                            base.insert(key.clone(), value.clone());
                        }
                    }
                }
            }
            (base, over) => *base = over.clone(),
        }
    }

    /// Calls `f` with each string in the value and the path that leads to it.
    pub fn each_string<'v>(&'v self, path: &mut Vec<String>, f: &mut impl FnMut(&[String], &'v str)) {
        match self {
            Self::String(s) => f(path, s),
            Self::List(items) => {
                for (i, item) in items.iter().enumerate() {
                    path.push(i.to_string());
                    item.each_string(path, f);
                    path.pop();
                }
            }
            Self::Map(entries) => {
                for (k, v) in entries {
                    path.push(k.clone());
                    v.each_string(path, f);
                    path.pop();
                }
            }
            Self::Null | Self::Bool(_) | Self::Number(_) => {}
        }
    }

    /// The value that a node stands for, by the core schema of YAML 1.2.
    pub fn from_node(node: &Node) -> Self {
        match &node.kind {
            _ if node.is_null() => Self::Null,
            Kind::Scalar { text, plain: true } => Self::plain(text),
            Kind::Scalar { text, plain: false } => Self::String(text.clone()),
            Kind::List(items) => Self::List(items.iter().map(Self::from_node).collect()),
            Kind::Map(entries) => {
                Self::Map(entries.iter().map(|(k, v)| (k.text.clone(), Self::from_node(v))).collect())
            }
        }
    }

    /// The value that a text without quotes stands for, by the core schema of YAML 1.2; nothing is text here.
    pub fn plain(text: &str) -> Self {
        match text {
            "true" | "True" | "TRUE" => Self::Bool(true),
            "false" | "False" | "FALSE" => Self::Bool(false),
            t if is_json_number(t) => Self::Number(t.to_owned()),
            t => Self::String(t.to_owned()),
        }
    }

    /// The value that `kubectl` and `helm` take a node for: they resolve plain scalars by the rules of go-yaml v2, by
    /// which `on` is true, `0644` is 420 and `1e3` is a number. What others rendered is read so; keys keep their text.
    pub fn from_node_as_kubectl(node: &Node) -> Self {
        match &node.kind {
            Kind::Scalar { text, plain: true } => Self::from_plain_as_kubectl(text),
            Kind::Scalar { text, plain: false } => Self::String(text.clone()),
            Kind::List(items) => Self::List(items.iter().map(Self::from_node_as_kubectl).collect()),
            Kind::Map(entries) => {
                Self::Map(entries.iter().map(|(k, v)| (k.text.clone(), Self::from_node_as_kubectl(v))).collect())
            }
        }
    }

    /// The value that `kubectl` and `helm` take a scalar without quotes for.
    pub fn from_plain_as_kubectl(text: &str) -> Self {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => Self::Null,
            "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Self::Bool(true),
            "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Self::Bool(false),
            t => go_number(t).map_or_else(|| Self::String(t.to_owned()), Self::Number),
        }
    }

    /// The value as one YAML document, ending in a newline, without a document marker.
    pub fn to_yaml(&self) -> String {
        let mut out = String::new();
        match self {
            Self::Map(m) if !m.is_empty() => write_map(&mut out, m, 0),
            Self::List(l) if !l.is_empty() => write_list(&mut out, l, 0),
            other => {
                write_scalar(&mut out, other, 0);
                out.push('\n');
            }
        }
        out
    }

    /// The value as JSON in one line, in which every character that a reader of YAML loses is escaped.
    pub fn to_json_line(&self) -> String {
        let mut out = String::new();
        for c in serde_json::to_string(self).unwrap_or_default().chars() {
            match c {
                // None of these has a meaning in JSON outside of strings.
                '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                    out.push_str(&format!("\\u{:04x}", u32::from(c)));
                }
                c => out.push(c),
            }
        }
        out
    }

    /// The value as JSON, indented by two, ending in a newline.
    pub fn to_json(&self) -> String {
        // Serialising a tree of strings, numbers and mappings to memory has no way to fail.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(b) => serializer.serialize_bool(*b),
            Self::Number(n) => match serde_json::from_str::<serde_json::Number>(n) {
                Ok(number) => number.serialize(serializer),
                Err(_) => serializer.serialize_str(n),
            },
            Self::String(s) => serializer.serialize_str(s),
            Self::List(l) => serializer.collect_seq(l),
            Self::Map(m) => serializer.collect_map(m),
        }
    }
}

/// Whether a text is a number in JSON's notation, which every YAML reader takes for the same number.
fn is_json_number(text: &str) -> bool {
    text.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        && serde_json::from_str::<serde_json::Number>(text).is_ok()
}

/// The number that go-yaml v2 takes a plain scalar for, in JSON's notation.
fn go_number(text: &str) -> Option<String> {
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return None;
    }
    // Underscores are dropped wherever they stand; after a leading point only between digits.
    let digit = |piece: Option<char>| piece.is_some_and(|c| c.is_ascii_digit());
    let between = |pair: [&str; 2]| digit(pair[0].chars().next_back()) && digit(pair[1].chars().next());
    let pieces: Vec<&str> = text.split('_').collect();
    if text.starts_with('.') && !pieces.windows(2).all(|p| between([p[0], p[1]])) {
        return None;
    }
    let plain = pieces.concat();
    let (sign, digits) = match plain.split_at_checked(1) {
        Some(("-", rest)) => ("-", rest),
        Some(("+", rest)) => ("", rest),
        _ => ("", plain.as_str()),
    };
    let based = |prefixes: [&str; 2]| prefixes.iter().find_map(|p| digits.strip_prefix(p));
    let (radix, body) = if let Some(body) = based(["0x", "0X"]) {
        (16, body)
    } else if let Some(body) = based(["0b", "0B"]) {
        (2, body)
    } else if let Some(body) = based(["0o", "0O"]) {
        (8, body)
    } else if let Some(body) = digits.strip_prefix('0').filter(|b| !b.is_empty()) {
        (8, body)
    } else {
        (10, digits)
    };
    if body.starts_with(|c: char| c.is_ascii_alphanumeric())
        && let Ok(n) = u64::from_str_radix(body, radix)
        && (sign.is_empty() || n <= i64::MIN.unsigned_abs())
    {
        return Some(if n == 0 { "0".to_owned() } else { format!("{sign}{n}") });
    }
    let float = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.contains(|c: char| c.is_ascii_digit())
        && digits.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'));
    let number: f64 = if float { plain.parse().ok()? } else { return None };
    number.is_finite().then(|| number.to_string())
}

const STEP: usize = 2;

fn indent(out: &mut String, by: usize) {
    out.extend(std::iter::repeat_n(' ', by));
}

fn write_map(out: &mut String, map: &Map, level: usize) {
    for (i, (key, value)) in map.iter().enumerate() {
        if i > 0 || !out.ends_with("- ") {
            indent(out, level);
        }
        write_string(out, key, None);
        out.push(':');
        match value {
            Value::Map(m) if !m.is_empty() => {
                out.push('\n');
                write_map(out, m, level + STEP);
            }
            Value::List(l) if !l.is_empty() => {
                out.push('\n');
                write_list(out, l, level);
            }
            other => {
                out.push(' ');
                write_scalar(out, other, level + STEP);
                out.push('\n');
            }
        }
    }
}

fn write_list(out: &mut String, list: &[Value], level: usize) {
    for item in list {
        indent(out, level);
        out.push_str("- ");
        match item {
            Value::Map(m) if !m.is_empty() => write_map(out, m, level + STEP),
            Value::List(l) if !l.is_empty() => {
                // A list in a list starts on its own line, which every reader takes.
                out.truncate(out.len() - 1);
                out.push('\n');
                write_list(out, l, level + STEP);
            }
            other => {
                write_scalar(out, other, level + STEP);
                out.push('\n');
            }
        }
    }
}

fn write_scalar(out: &mut String, value: &Value, level: usize) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Number(n) => out.push_str(n),
        Value::String(s) => write_string(out, s, Some(level)),
        Value::List(_) => out.push_str("[]"),
        Value::Map(_) => out.push_str("{}"),
    }
}

/// Writes a string in the plainest notation that every reader reads back unchanged; `block` is the indentation of a
/// literal block, where one may stand.
fn write_string(out: &mut String, text: &str, block: Option<usize>) {
    if is_safe_plain(text) {
        out.push_str(text);
        return;
    }
    if let Some(level) = block
        && is_safe_block(text)
    {
        let body = text.trim_end_matches('\n');
        out.push('|');
        match text.len() - body.len() {
            0 => out.push('-'),
            1 => {}
            _ => out.push('+'),
        }
        for line in body.split('\n') {
            out.push('\n');
            if !line.is_empty() {
                indent(out, level);
                out.push_str(line);
            }
        }
        for _ in 1..text.len() - body.len() {
            out.push('\n');
        }
        return;
    }
    quote(out, text);
}

/// Whether a plain scalar of this text is the same string to YAML 1.1 and 1.2 readers, in any context.
fn is_safe_plain(text: &str) -> bool {
    let Some(first) = text.chars().next() else { return false };
    let flag = text.strip_prefix("--").is_some_and(|t| t.starts_with(|c: char| c.is_ascii_alphabetic()));
    if !(first.is_ascii_alphabetic() || matches!(first, '/' | '_') || flag) {
        return false;
    }
    if !text.chars().all(|c| c.is_ascii_alphanumeric() || "_./-+=@%:$()".contains(c)) || text.ends_with(':') {
        return false;
    }
    // Words that a YAML 1.1 reader takes for something else than a string.
    !matches!(text.to_ascii_lowercase().as_str(), "y" | "n" | "yes" | "no" | "on" | "off" | "true" | "false" | "null")
}

/// Whether a literal block of this text is read back unchanged by every reader.
fn is_safe_block(text: &str) -> bool {
    let body = text.trim_end_matches('\n');
    body.contains('\n')
        && !body.starts_with([' ', '\n'])
        && body.split('\n').all(|l| !l.ends_with(' ') && l.len() < 4096)
        && body.chars().all(|c| c == '\n' || (' '..='~').contains(&c) || is_plain_unicode(c))
}

/// Unicode that YAML allows unescaped and that no reader takes for a line break or a mark.
fn is_plain_unicode(c: char) -> bool {
    c > '\u{a0}' && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// Writes a text between double quotes so that it is valid JSON and means the same as YAML 1.1 and 1.2.
pub fn quote(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            ' '..='~' => out.push(c),
            c if is_plain_unicode(c) => out.push(c),
            c => out.push_str(&format!("\\u{:04x}", u32::from(c))),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_yaml_1_1_retypes_are_quoted() {
        for word in [
            "on",
            "yes",
            "y",
            "No",
            "1_000",
            "012",
            "1e3",
            "~",
            "null",
            "0x1f",
            "1:30",
            "2024-01-01",
            ".5",
            "=",
            "<<",
            "",
        ] {
            let text = Value::from(word).to_yaml();
            assert!(text.starts_with('"'), "{word} was written as {text}");
        }
    }

    #[test]
    fn plain_words_stay_plain() {
        for word in
            ["vllm", "--port", "meta-llama/Llama-3.2-1B-Instruct", "app.kubernetes.io/name", "v0.26.0", "/dev/shm"]
        {
            assert_eq!(Value::from(word).to_yaml(), format!("{word}\n"));
        }
    }

    #[test]
    fn a_script_is_a_literal_block() {
        let v = Value::from([("script", Value::from("a\n\n  b # c\n"))]);
        assert_eq!(v.to_yaml(), "script: |\n  a\n\n    b # c\n");
    }

    #[test]
    fn what_kubectl_reads_is_what_go_yaml_resolves() {
        let read = |text: &str| {
            let mut sources = crate::source::Sources::default();
            let id = sources.add("t", format!("v: {text}\n"));
            Value::from_node_as_kubectl(&crate::yaml::parse(&sources, id).unwrap()).get("v").cloned().unwrap()
        };
        for (text, number) in [
            ("0644", "420"),
            ("-012", "-10"),
            ("08", "8"),
            ("0o17", "15"),
            ("0x1F", "31"),
            ("0b101", "5"),
            ("1_000", "1000"),
            ("+5", "5"),
            ("-0", "0"),
            ("1e3", "1000"),
            ("1.50", "1.5"),
            (".5", "0.5"),
            ("18446744073709551615", "18446744073709551615"),
        ] {
            assert_eq!(read(text), Value::Number(number.into()), "{text}");
        }
        for text in ["1.2.3", "10Gi", "500m", "2024-01-01", "1:30", "0x", "--port", "v1", "1e", "e3", "0.5.0", "+"] {
            assert_eq!(read(text), Value::from(text), "{text}");
        }
        for text in ["on", "Yes", "y"] {
            assert_eq!(read(text), Value::Bool(true), "{text}");
        }
        assert_eq!(read("\"on\""), Value::from("on"));
        assert_eq!(read("'0644'"), Value::from("0644"));
        assert_eq!(read("~"), Value::Null);
    }
}
