//! A YAML scenario as text: nested sections, comments, and long scripts in lines that a person can read.

use super::comments::{Comment, line};
use crate::tree::Value;

/// One setting to write.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Its path.
    pub path: String,
    /// What is written for it.
    pub shown: Shown,
    /// Its comment.
    pub comment: Comment,
}

/// What is written for a setting.
#[derive(Debug, Clone)]
pub(super) enum Shown {
    /// Its value.
    Value(Value),
    /// A word such as `auto` that stands for "none given".
    Word(String),
    /// Nothing yet: it is to be filled in. An optional setting needs an empty text to say so.
    Blank { quoted: bool },
}

/// Longest line that is left as it is, and longest comment beside a value.
const LONGEST: usize = 100;
const STEP: &str = "  ";

/// The settings as YAML; `entries` of one section follow each other.
pub(super) fn yaml(entries: &[&Entry]) -> String {
    let mut out = String::new();
    let mut open: Vec<&str> = Vec::new();
    for entry in entries {
        let mut parts: Vec<&str> = entry.path.split('.').collect();
        let key = parts.pop().unwrap_or_default();
        let shared = open.iter().zip(&parts).take_while(|(a, b)| a == b).count();
        for (depth, part) in parts.iter().enumerate().skip(shared) {
            out.push_str(&format!("{}{part}:\n", STEP.repeat(depth)));
        }
        out.push_str(&indented(&setting(key, entry), &STEP.repeat(parts.len())));
        open = parts;
    }
    out
}

fn setting(key: &str, entry: &Entry) -> String {
    let body = match &entry.shown {
        Shown::Value(Value::String(text)) if is_long(text) => format!("{key}: >-\n{}", indented(&folded(text), STEP)),
        Shown::Value(value) => Value::from([(key, value.clone())]).to_yaml(),
        Shown::Word(word) => Value::from([(key, Value::from(word.as_str()))]).to_yaml(),
        Shown::Blank { quoted: true } => format!("{key}: \"\"\n"),
        Shown::Blank { quoted: false } => format!("{key}:\n"),
    };
    let mut out: String = entry.comment.above.iter().map(|l| line(l)).collect();
    match &entry.comment.beside {
        Some(text) if body.lines().count() == 1 && text.len() + body.len() <= LONGEST => {
            out.push_str(&format!("{} {}", body.trim_end(), line(text)));
        }
        beside => {
            out.extend(beside.iter().map(|l| line(l)));
            out.push_str(&body);
        }
    }
    out
}

/// A text of one line that a folded block can hold.
fn is_long(text: &str) -> bool {
    text.len() > LONGEST
        && text.contains(" --")
        && !text.starts_with([' ', '-'])
        && !text.ends_with(' ')
        && text.chars().all(|c| (' '..='~').contains(&c))
}

/// A long text in lines: a new one before each option and after each command. A reader joins them by one space; further
/// spaces stay at the end of the line before.
fn folded(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = next_break(rest) {
        out.push_str(&rest[..at]);
        out.push('\n');
        rest = &rest[at + 1..];
    }
    out + rest + "\n"
}

/// The last space before the next option, or behind the next `;` or `&&`.
fn next_break(text: &str) -> Option<usize> {
    let option = text.match_indices(" --").map(|(i, _)| i).next();
    let command = text.match_indices([';', '&']).find_map(|(i, _)| {
        let space = i + 1;
        let after = text[space..].strip_prefix(' ')?;
        (!after.is_empty() && !after.starts_with(' ')).then_some(space)
    });
    [option, command].into_iter().flatten().filter(|&i| i > 0).min()
}

fn indented(text: &str, by: &str) -> String {
    text.lines().map(|l| if l.is_empty() { "\n".to_owned() } else { format!("{by}{l}\n") }).collect()
}
