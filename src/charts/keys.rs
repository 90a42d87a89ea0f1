//! The keys of Helm values that each version of llm-d-modelservice reads.
//!
//! Source: every published version, each key set to a sentinel value and looked for in what `helm template` makes of it;
//! what its `values.schema.json` refuses counts as not read. The facts are in `modelservice-keys.tsv`.

use super::contract::Version;
use crate::settings::helm::{Path, Step};
use crate::tree::{Map, Value};
use std::ops::RangeInclusive;
use std::sync::OnceLock;

struct Row {
    key: &'static str,
    versions: Vec<RangeInclusive<Version>>,
    multinode: bool,
}

impl Row {
    fn parse(line: &'static str) -> Option<Self> {
        let mut columns = line.split('\t');
        let (key, ranges) = (columns.next()?, columns.next()?);
        let range = |text: &str| {
            let (first, last) = text.split_once("..")?;
            Some(Version::parse(first)?..=Version::parse(last)?)
        };
        let versions = ranges.split(' ').map(range).collect::<Option<_>>()?;
        Some(Self { key, versions, multinode: columns.next() == Some("multinode") })
    }

    fn is_read_by(&self, version: Version) -> bool {
        self.versions.iter().any(|r| r.contains(&version))
    }
}

fn rows() -> &'static [Row] {
    static ROWS: OnceLock<Vec<Row>> = OnceLock::new();
    ROWS.get_or_init(|| {
        let lines = include_str!("modelservice-keys.tsv").lines().filter(|l| !l.starts_with('#'));
        lines.filter_map(Row::parse).collect()
    })
}

/// A key that the chart does not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// The key.
    pub path: Path,
    /// Why, as the end of a sentence about the chart's version.
    pub why: String,
    /// What to do instead.
    pub hint: Option<String>,
}

/// The keys that this version does not read.
pub fn unread(version: Version, multinode: bool, values: &Map) -> Vec<Unread> {
    let mut all = Vec::new();
    for (key, value) in values {
        visit(version, multinode, &Path::default().with(Step::Key(key.clone())), value, &mut all);
    }
    all
}

fn visit(version: Version, multinode: bool, path: &Path, value: &Value, all: &mut Vec<Unread>) {
    let mut refuse = |why: String, hint: Option<String>| all.push(Unread { path: path.clone(), why, hint });
    let Some(pattern) = path.pattern() else { return refuse("is read by no version".into(), None) };
    if let Some(row) = rows().iter().find(|r| r.key == pattern) {
        return match row.is_read_by(version) {
            true if row.multinode && !multinode => refuse("is read with `multinode` only".into(), None),
            true => {}
            false => refuse(format!("is read by {}", ranges(&row.versions)), None),
        };
    }
    let below =
        |part: &str| rows().iter().any(|r| r.key.strip_prefix(&pattern).is_some_and(|rest| rest.starts_with(part)));
    match value {
        Value::Map(entries) if below(".") => {
            for (key, value) in entries {
                visit(version, multinode, &path.with(Step::Key(key.clone())), value, all);
            }
        }
        Value::List(items) if below("[]") => {
            for (i, item) in items.iter().enumerate() {
                visit(version, multinode, &path.with(Step::Index(i)), item, all);
            }
        }
        Value::Null if below(".") || below("[]") => {}
        _ if below(".") => refuse("takes a mapping".into(), None),
        _ if below("[]") => refuse("takes a list".into(), None),
        _ => {
            let known = rows().iter().filter(|r| r.is_read_by(version)).map(|r| r.key);
            let near = crate::error::nearest(&pattern, known).map(|near| {
                let role = path.0.first().map_or(String::new(), |s| match s {
                    Step::Key(k) => k.clone(),
                    Step::Index(_) => String::new(),
                });
                format!("did you mean `{}`?", near.replacen("ROLE", &role, 1))
            });
            refuse("is read by no version".into(), near);
        }
    }
}

fn ranges(versions: &[RangeInclusive<Version>]) -> String {
    let one = |r: &RangeInclusive<Version>| format!("{} to {}", r.start(), r.end());
    versions.iter().map(one).collect::<Vec<_>>().join(" and ")
}
