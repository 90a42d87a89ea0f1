//! The delete plan: what to remove of a bundle, in order, and what stays and why.
//!
//! It is made with the bundle, from the same objects, and kept in `bundle.json`; teardown reads it from there.

use super::releases::Release;
use super::{Half, Object, Removal};
use crate::error::{Diagnostic, Problem};
use crate::plan::names::fit;
use crate::tree::{Map, Value};

const KEEP_TOKEN: &str = "it holds a token";

/// A Secret that the standup script makes, since no secret is part of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The step of standup that makes it.
    pub step: u8,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The key that holds the token.
    pub key: String,
}

impl Token {
    /// Its label `instance`. All bundles that name the Secret agree on it.
    pub fn instance(&self) -> String {
        fit(&self.name, 63)
    }
}

/// What an entry of the plan is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// An object of the API.
    Object {
        /// `apiVersion`.
        api_version: String,
        /// `kind`.
        kind: String,
    },
    /// A Helm release.
    Release,
}

/// When an entry is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// By every teardown.
    Always,
    /// By a deep one.
    Deep,
    /// By none.
    Never,
}

impl When {
    const ALL: [Self; 3] = [Self::Always, Self::Deep, Self::Never];

    fn word(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Deep => "deep",
            Self::Never => "never",
        }
    }
}

/// One line of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub target: Target,
    /// Its namespace; empty for an object of the cluster.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// When it is removed.
    pub when: When,
    /// Why it stays otherwise.
    pub reason: String,
    /// Whether removing it takes an administrator.
    pub admin: bool,
    /// The labels `part-of` and `instance` without which it is not ours. A bundle of an older version does not tell
    /// them, and `managed-by` alone decides.
    pub labels: Option<(String, String)>,
}

/// The whole plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletePlan {
    /// Id of the bundle.
    pub id: String,
    /// What the objects of the bundle are part of.
    pub release: String,
    /// Seconds to wait for what is being removed.
    pub timeout: u64,
    /// What to remove, in order.
    pub entries: Vec<Entry>,
}

/// What a plan is made for.
#[derive(Debug)]
pub struct Owner<'a> {
    /// Id of the bundle.
    pub id: &'a str,
    /// What the objects of the bundle are part of.
    pub release: &'a str,
    /// Seconds to wait for what is being removed.
    pub timeout: u64,
}

/// The entries of objects (in the order they are applied), releases and tokens.
///
/// What was applied last goes first: routes, then releases, then the rest. What holds data stands behind all that can
/// use it, and namespaces stand last.
pub fn plan(owner: &Owner<'_>, objects: &[&Object], releases: &[Release], tokens: &[Token]) -> DeletePlan {
    let reversed = |wanted: &dyn Fn(&Object) -> bool| {
        objects.iter().rev().filter(|o| wanted(o)).map(|o| of_object(o)).collect::<Vec<_>>()
    };
    let always = |o: &Object| o.removal == Removal::Always;
    let mut entries = reversed(&|o| always(o) && o.step > 8);
    entries.extend(releases.iter().rev().map(|r| Entry {
        target: Target::Release,
        namespace: r.namespace.clone(),
        name: r.name.clone(),
        when: When::Always,
        reason: String::new(),
        admin: false,
        labels: None,
    }));
    entries.extend(reversed(&|o| always(o) && o.step <= 8));
    entries.extend(reversed(&|o| !always(o) && o.kind() != "Namespace"));
    entries.extend(tokens.iter().map(of_token));
    entries.extend(reversed(&|o| o.kind() == "Namespace"));
    DeletePlan { id: owner.id.into(), release: owner.release.into(), timeout: owner.timeout, entries }
}

fn of_object(object: &Object) -> Entry {
    let label = |name: &str| object.field(&["metadata", "labels", name]).to_owned();
    let (when, reason) = match object.removal {
        Removal::Always => (When::Always, ""),
        Removal::Deep(why) => (When::Deep, why),
        Removal::Never(why) => (When::Never, why),
    };
    Entry {
        target: Target::Object { api_version: object.api_version().into(), kind: object.kind().into() },
        namespace: object.namespace().into(),
        name: object.name().into(),
        when,
        reason: reason.into(),
        admin: object.half == Half::Admin,
        labels: Some((label("app.kubernetes.io/part-of"), label("app.kubernetes.io/instance"))),
    }
}

fn of_token(token: &Token) -> Entry {
    Entry {
        target: Target::Object { api_version: "v1".into(), kind: "Secret".into() },
        namespace: token.namespace.clone(),
        name: token.name.clone(),
        when: When::Deep,
        reason: KEEP_TOKEN.into(),
        admin: false,
        labels: Some((TOKEN_PART_OF.into(), token.instance())),
    }
}

/// The `part-of` label of what several bundles may share.
const TOKEN_PART_OF: &str = "llmdbench";

impl Entry {
    /// The entry as `bundle.json` has it.
    pub fn to_value(&self) -> Value {
        let mut map = Map::new();
        let mut put = |key: &str, text: &str| {
            if !text.is_empty() {
                map.insert(key.to_owned(), text.into());
            }
        };
        match &self.target {
            Target::Release => put("release", &self.name),
            Target::Object { api_version, kind } => {
                put("apiVersion", api_version);
                put("kind", kind);
            }
        }
        put("namespace", &self.namespace);
        if self.target != Target::Release {
            put("name", &self.name);
        }
        put("remove", self.when.word());
        put("kept because", &self.reason);
        if self.admin {
            put("half", Half::Admin.word());
        }
        if let Some((part_of, instance)) = &self.labels
            && !part_of.is_empty()
        {
            put("part-of", part_of);
            put("instance", instance);
        }
        Value::Map(map)
    }

    fn from_value(value: &Value) -> Option<Self> {
        // A bar or the end of a line would end the field in a row of the script.
        let is_field = |t: &&str| !t.contains(['|', '\n']);
        let text = |key: &str| value.get(key).and_then(Value::as_str).filter(is_field).map(str::to_owned);
        let release = text("release");
        let (target, name) = match release {
            Some(name) => (Target::Release, name),
            None => (Target::Object { api_version: text("apiVersion")?, kind: text("kind")? }, text("name")?),
        };
        let word = text("remove")?;
        Some(Self {
            target,
            namespace: text("namespace").unwrap_or_default(),
            name,
            when: When::ALL.into_iter().find(|w| w.word() == word)?,
            reason: text("kept because").unwrap_or_default(),
            admin: text("half").is_some_and(|h| h == Half::Admin.word()),
            labels: text("part-of").zip(text("instance")),
        })
    }

    /// The entry as the teardown script has it: fields with bars between them, which no name holds.
    pub fn to_row(&self) -> String {
        let (api_version, kind) = match &self.target {
            Target::Release => ("helm", "Release"),
            Target::Object { api_version, kind } => (api_version.as_str(), kind.as_str()),
        };
        let (part_of, instance) = self.labels.as_ref().map_or(("", ""), |(p, i)| (p.as_str(), i.as_str()));
        let half = if self.admin { "admin" } else { "namespaced" };
        [half, self.when.word(), api_version, kind, &self.namespace, &self.name, part_of, instance, &self.reason]
            .join("|")
    }
}

impl DeletePlan {
    /// Reads the plan out of a `bundle.json`.
    ///
    /// # Errors
    /// A record that is not a bundle's, of a later format, or with a plan that does not read.
    pub fn from_bundle(bundle: &Value, format: u64) -> Result<Self, Diagnostic> {
        let fail = |what: String| Diagnostic::error(Problem::Unsupported { what }, None);
        let malformed = |what: &str| fail(format!("this is no record of a bundle: it has no {what}"));
        if bundle.get("tool").and_then(Value::as_str) != Some("llmdbench") {
            return Err(
                malformed("`tool: llmdbench`").with_hint("teardown takes a bundle, its `bundle.json` or a scenario")
            );
        }
        let number = |v: &Value| v.to_yaml().trim().parse::<u64>().ok();
        let found = bundle.get("format").and_then(number).ok_or_else(|| malformed("`format`"))?;
        if found > format {
            let what = format!("the bundle has format {found}, and this version reads up to {format}");
            return Err(fail(what).with_hint("use the version of llmdbench that rendered it, or a newer one"));
        }
        let setting = |path: &str| bundle.get("settings").and_then(|s| s.get(path)).and_then(|s| s.get("value"));
        let list = bundle.get("delete").ok_or_else(|| malformed("`delete`"))?.items();
        let entries = list.iter().map(|e| {
            Entry::from_value(e)
                .ok_or_else(|| fail(format!("the delete plan has an entry that does not read: {}", e.to_yaml().trim())))
        });
        let mut entries = entries.collect::<Result<Vec<_>, _>>()?;
        let admins = administrated(bundle);
        for entry in &mut entries {
            entry.admin |= admins.contains(&identity(&entry.target, &entry.namespace, &entry.name));
        }
        Ok(Self {
            id: bundle.get("id").and_then(Value::as_str).unwrap_or_default().to_owned(),
            release: setting("release")
                .and_then(Value::as_str)
                .ok_or_else(|| malformed("`settings.release`"))?
                .to_owned(),
            timeout: setting("timeouts.wait").and_then(number).unwrap_or(900),
            entries,
        })
    }

    /// The plan as a document of its own, marked for an ordinary or a deep teardown.
    pub fn to_value(&self, deep: bool) -> Value {
        let chosen = |e: &&Entry| e.when == When::Always || deep && e.when == When::Deep;
        let list = |wanted: bool| {
            Value::List(self.entries.iter().filter(|e| chosen(e) == wanted).map(Entry::to_value).collect())
        };
        Value::from([("bundle", Value::from(self.id.as_str())), ("delete", list(true)), ("keep", list(false))])
    }
}

fn identity(target: &Target, namespace: &str, name: &str) -> String {
    match target {
        Target::Release => format!("release {namespace}/{name}"),
        Target::Object { api_version, kind } => format!("{api_version} {kind} {namespace}/{name}"),
    }
}

/// What the list of objects says an administrator applies; the plan of an older bundle does not tell.
fn administrated(bundle: &Value) -> Vec<String> {
    let text = |v: &Value, key: &str| v.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let objects = bundle.get("objects").map_or(&[][..], Value::items);
    objects
        .iter()
        .filter(|o| text(o, "half") == Half::Admin.word())
        .map(|o| {
            let target = Target::Object { api_version: text(o, "apiVersion"), kind: text(o, "kind") };
            identity(&target, &text(o, "namespace"), &text(o, "name"))
        })
        .collect()
}
