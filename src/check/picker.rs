//! What published endpoint pickers accept as an EndpointPickerConfig.
//!
//! Every picker decodes the file strictly and stops at the first thing that it does not know, when the pod starts. Here
//! all that is wrong is reported at once and before. What some published version accepts passes: which version runs is
//! not known here.

pub mod plugins;

use super::names;
use crate::error::{Diagnostic, Errors, Problem, nearest};
use crate::source::Span;
use crate::tree::Value;
use crate::yaml::{Kind, Node, quote_short};
use plugins::PLUGINS;

/// The two groups that the API of the configuration had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// The group of GAIE, which the charts up to inferencepool and the pickers up to llm-d-inference-scheduler v0.8
    /// read.
    Gaie,
    /// The group of the llm-d router; its pickers read the other one too and call it deprecated.
    Router,
}

impl Api {
    /// The `apiVersion` of a configuration in this group.
    pub const fn version(self) -> &'static str {
        match self {
            Self::Gaie => "inference.networking.x-k8s.io/v1alpha1",
            Self::Router => "llm-d.ai/v1alpha1",
        }
    }
}

/// The configuration with the `apiVersion` that its reader wants; what is no mapping stays as it is.
pub fn with_api_version(mut value: Value, api: Api) -> Value {
    if let Value::Map(map) = &mut value {
        let version = Value::from(api.version());
        match map.get_mut("apiVersion") {
            Some(old) => *old = version,
            None => {
                map.shift_insert(0, "apiVersion".to_owned(), version);
            }
        }
    }
    value
}

/// What a key takes.
enum Shape {
    /// A string.
    Text,
    /// A number.
    Number,
    /// A whole number.
    Whole,
    /// `true` or `false`.
    Bool,
    /// A Kubernetes quantity, as a string or a number.
    Quantity,
    /// A duration of Go.
    Duration,
    /// One of some words.
    OneOf(&'static [&'static str]),
    /// A feature gate with an optional `=true` or `=false`.
    Gate,
    /// A plugin type.
    Type,
    /// The name of a plugin; the words are plugins that the picker adds by itself where nothing declares them.
    Ref(&'static [&'static str]),
    /// The name of a plugin that is declared before the present one.
    Earlier,
    /// A mapping of which only the references are known.
    Open,
    /// A list.
    List(&'static Shape),
    /// A mapping with known keys.
    Map(&'static &'static [Key]),
    /// A mapping that has exactly one of the known keys.
    Either(&'static &'static [Key]),
    /// An entry of `plugins`.
    Plugin,
}

/// A key of a mapping.
struct Key {
    name: &'static str,
    shape: Shape,
    required: bool,
}

const fn may(name: &'static str, shape: Shape) -> Key {
    Key { name, shape, required: false }
}

const fn must(name: &'static str, shape: Shape) -> Key {
    Key { name, shape, required: true }
}

// The union of what endpointpickerconfig_types.go declares at the release tags of
// kubernetes-sigs/gateway-api-inference-extension (api/config/v1alpha1 in v0.5.0 and v0.5.1, apix/config/v1alpha1 from
// v1.0.0 to v1.5.0; G below) and of llm-d/llm-d-router (apix/config/v1alpha1 in v0.9.0 and v0.10.0; R below).
// llm-d-inference-scheduler v0.2.0 to v0.8.0 uses the one of the GAIE version that it is built with. Without a remark,
// a key is in all of them. Required is what the types mark so; profiles and their plugins have defaults from G v1.0.0
// on.

static CONFIG: &[Key] = &[
    must("apiVersion", Shape::OneOf(&[Api::Gaie.version(), Api::Router.version()])),
    must("kind", Shape::OneOf(&["EndpointPickerConfig"])),
    may("featureGates", Shape::List(&Shape::Gate)), // G v1.2.0
    must("plugins", Shape::List(&Shape::Plugin)),
    may("schedulingProfiles", Shape::List(&Shape::Map(&PROFILE))),
    may("saturationDetector", Shape::Map(&SATURATION)),  // G v1.2.0
    may("data", Shape::Map(&DATA_LAYER)),                // G v1.3.0 to v1.4.0
    may("dataLayer", Shape::Map(&DATA_LAYER)),           // G v1.5.0
    may("flowControl", Shape::Map(&FLOW_CONTROL)),       // G v1.4.0
    may("parser", Shape::Map(&PARSER)),                  // G v1.5.0
    may("requestHandler", Shape::Map(&REQUEST_HANDLER)), // R v0.9.0
];

static PLUGIN: &[Key] = &[may("name", Shape::Text), must("type", Shape::Type), may("parameters", Shape::Open)];

static PROFILE: &[Key] = &[must("name", Shape::Text), may("plugins", Shape::List(&Shape::Map(&PROFILE_PLUGIN)))];

static PROFILE_PLUGIN: &[Key] = &[
    must("pluginRef", Shape::Ref(&[])),
    may("weight", Shape::Number), // whole numbers only before G v1.4.0
];

static SATURATION: &[Key] = &[
    may("pluginRef", Shape::Ref(SATURATION_DETECTORS)), // G v1.5.0
    // The rest: G v1.2.0 to v1.4.0.
    may("queueDepthThreshold", Shape::Whole),
    may("kvCacheUtilThreshold", Shape::Number),
    may("metricsStalenessThreshold", Shape::Duration),
];

static DATA_LAYER: &[Key] = &[
    may("sources", Shape::List(&Shape::Map(&SOURCE))),
    may("injectDefaults", Shape::Bool),                  // R v0.9.0
    may("discovery", Shape::Map(&REFERENCE)),            // R v0.9.0
    may("crossReplicaSyncerPluginRef", Shape::Ref(&[])), // R v0.10.0
    may("crossReplicaSyncInterval", Shape::Duration),    // R v0.10.0
];

static SOURCE: &[Key] = &[must("pluginRef", Shape::Ref(&[])), may("extractors", Shape::List(&Shape::Map(&REFERENCE)))];

static REFERENCE: &[Key] = &[must("pluginRef", Shape::Ref(&[]))];

static FLOW_CONTROL: &[Key] = &[
    may("maxBytes", Shape::Quantity),
    may("maxRequests", Shape::Quantity), // G v1.5.0
    may("defaultRequestTTL", Shape::Duration),
    may("defaultPriorityBand", Shape::Map(&PRIORITY_BAND)),
    may("defaultNegativePriorityBand", Shape::Map(&PRIORITY_BAND)), // R v0.9.0
    may("priorityBands", Shape::List(&Shape::Map(&PRIORITY_BAND))),
    may("usageLimitPolicyPluginRef", Shape::Ref(&["static-usage-limit-policy"])), // G v1.5.0
    may("saturationDetector", Shape::Map(&FLOW_SATURATION)),                      // R v0.9.0
    may("enableEviction", Shape::Bool),                                           // R v0.10.0
];

static FLOW_SATURATION: &[Key] = &[may("pluginRef", Shape::Ref(SATURATION_DETECTORS))];

static PRIORITY_BAND: &[Key] = &[
    may("priority", Shape::Whole),
    may("maxBytes", Shape::Quantity),
    may("maxRequests", Shape::Quantity), // G v1.5.0
    may("fairnessPolicyRef", Shape::Ref(&["global-strict-fairness-policy"])),
    may("orderingPolicyRef", Shape::Ref(&["fcfs-ordering-policy"])),
];

static REQUEST_HANDLER: &[Key] = &[may("parsers", Shape::List(&Shape::Map(&PARSER)))];

static PARSER: &[Key] = &[must("pluginRef", Shape::Ref(PARSERS))];

// The parameters of a decision-tree-filter: pkg/epp/scheduling/framework/plugins/filter/decision_tree_filter.go in G
// v0.5.1.
static TREE: &[Key] = &[
    must("current", Shape::Either(&BRANCH)),
    may("nextOnSuccess", Shape::Either(&BRANCH)),
    may("nextOnFailure", Shape::Either(&BRANCH)),
    may("nextOnSuccessOrFailure", Shape::Either(&BRANCH)),
];

static BRANCH: &[Key] = &[may("pluginRef", Shape::Earlier), may("decisionTree", Shape::Map(&TREE))];

// What pkg/epp/config/loader/defaults.go adds where a reference names it and no plugin has the name.
const SATURATION_DETECTORS: &[&str] = &["utilization-detector"];
const PARSERS: &[&str] = &[
    "anthropic-parser",
    "openai-parser",
    "passthrough-parser",
    "vertexai-parser",
    "vllmgrpc-parser",
    "vllmhttp-parser",
];

/// Every gate that a published picker registers (`loader.RegisterFeatureGate`).
const GATES: &[&str] = &[
    "dataLayer",                    // G v1.2.0 to R v0.9.0
    "enableLegacyMetrics",          // G v1.5.0
    "flowControl",                  // G v1.2.0
    "haPopulateNonLeaderDatastore", // R v0.10.0
    "prepareDataPlugins",           // G v1.3.0 to v1.4.0
];

/// Parameters that name a plugin: of the profile handlers pd-profile-handler and disagg-profile-handler, of
/// no-hit-lru-scorer.
const PARAMETER_REFERENCES: &[&str] =
    &["pluginRef", "prefixPluginName", "deciderPluginName", "prefillDeciderPluginName", "encodeDeciderPluginName"];

/// The one plugin whose parameters refer to plugins before it.
const DECISION_TREE: &str = "decision-tree-filter";

/// Checks a configuration.
///
/// # Errors All that every published picker would refuse: an `apiVersion`, key, plugin type or feature gate that no
/// version knows, a value of another type, a name that is taken, a reference to a plugin that is not declared.
pub fn check(node: &Node) -> Result<(), Errors> {
    let plugins = get(node, "plugins").map_or(&[][..], items);
    let profiles = get(node, "schedulingProfiles").map_or(&[][..], items);
    let declared = plugins.iter().map(Declared::of).collect();
    let mut checker = Checker { errors: Errors::default(), declared, visited: 0 };
    checker.unique("plugin", plugins.iter().filter_map(|p| text(p, "name").or_else(|| text(p, "type"))));
    checker.unique("scheduling profile", profiles.iter().filter_map(|p| text(p, "name")));
    checker.walk(node, &Shape::Map(&CONFIG), "");
    let mut errors = checker.errors;
    errors.0.sort_by_key(|d| d.span.map(|s| (s.start, s.end)));
    errors.into_result()
}

/// What an entry of `plugins` is called by references.
struct Declared<'n> {
    name: Option<&'n str>,
    /// The type that an unnamed plugin of an unknown type was probably meant to have, so that one typing error is
    /// reported once and not again with each reference.
    meant: Option<String>,
}

impl<'n> Declared<'n> {
    fn of(plugin: &'n Node) -> Self {
        let kind = text(plugin, "type").map(|(t, _)| t);
        match text(plugin, "name") {
            Some((name, _)) => Self { name: Some(name), meant: None },
            None => Self { name: kind, meant: kind.filter(|k| plugins::find(k).is_none()).and_then(nearest_type) },
        }
    }

    fn answers_to(&self, name: &str) -> bool {
        self.name == Some(name) || self.meant.as_deref() == Some(name)
    }
}

struct Checker<'n> {
    errors: Errors,
    declared: Vec<Declared<'n>>,
    /// How many entries of `plugins` were checked.
    visited: usize,
}

impl Checker<'_> {
    fn unique<'t>(&mut self, what: &str, names: impl Iterator<Item = (&'t str, Span)>) {
        let mut seen = std::collections::HashSet::new();
        for (name, span) in names {
            if !seen.insert(name) {
                let message = format!("the {what} name `{name}` is taken by one before");
                let hint = if what == "plugin" {
                    "a plugin without a `name` has its type for one; give each plugin a `name` of its own"
                } else {
                    "give each profile a name of its own"
                };
                self.errors.push(Diagnostic::error(Problem::Conflict { message }, span).with_hint(hint));
            }
        }
    }

    fn wrong(&mut self, node: &Node, path: &str, expected: impl Into<String>) {
        self.wrong_at(node.span, path, expected, node.describe());
    }

    fn wrong_at(&mut self, span: Span, path: &str, expected: impl Into<String>, found: String) {
        let setting = if path.is_empty() { "EndpointPickerConfig".to_owned() } else { path.to_owned() };
        self.errors.push(Diagnostic::error(Problem::WrongValue { setting, expected: expected.into(), found }, span));
    }

    fn walk(&mut self, node: &Node, shape: &Shape, path: &str) {
        let value = match &node.kind {
            Kind::Scalar { .. } => Value::from_node(node),
            Kind::List(_) | Kind::Map(_) => Value::Null,
        };
        match shape {
            Shape::Text if value.as_str().is_some_and(|t| !t.is_empty()) => {}
            Shape::Text => self.wrong(node, path, "a text"),
            Shape::Number if matches!(value, Value::Number(_)) => {}
            Shape::Number => self.wrong(node, path, "a number"),
            Shape::Whole if matches!(&value, Value::Number(n) if n.parse::<i64>().is_ok()) => {}
            Shape::Whole => self.wrong(node, path, "a whole number"),
            Shape::Bool if matches!(value, Value::Bool(_)) => {}
            Shape::Bool => self.wrong(node, path, "`true` or `false`"),
            Shape::Quantity => match &value {
                Value::Number(t) | Value::String(t) if names::quantity(t).is_ok() => {}
                _ => self.wrong(node, path, "a quantity such as `1Gi` or `100`"),
            },
            Shape::Duration if value.as_str().is_some_and(is_duration) => {}
            Shape::Duration => self.wrong(node, path, "a duration such as `200ms` or `1m30s`"),
            Shape::OneOf(words) if value.as_str().is_some_and(|t| words.contains(&t)) => {}
            Shape::OneOf(words) => self.wrong(node, path, list(words, " or ")),
            Shape::Gate => self.gate(node, value.as_str(), path),
            Shape::Type => self.plugin_type(node, value.as_str(), path),
            Shape::Ref(implied) => self.reference(node, path, implied),
            Shape::Earlier => self.earlier(node, path),
            Shape::Open => {
                if !matches!(node.kind, Kind::Map(_)) {
                    self.wrong(node, path, "a mapping");
                }
            }
            Shape::List(of) => match &node.kind {
                Kind::List(items) => {
                    for (i, item) in items.iter().enumerate() {
                        self.walk(item, of, &format!("{path}[{i}]"));
                    }
                }
                _ => self.wrong(node, path, "a list"),
            },
            Shape::Map(keys) => self.map(node, keys, path),
            Shape::Either(keys) => {
                self.map(node, keys, path);
                let given = keys.iter().filter(|k| get(node, k.name).is_some()).count();
                if matches!(node.kind, Kind::Map(_)) && given != 1 {
                    let words: Vec<&str> = keys.iter().map(|k| k.name).collect();
                    let found = if given == 0 { "none of them" } else { "both" };
                    self.wrong_at(first_key(node), path, format!("either {}", list(&words, " or ")), found.to_owned());
                }
            }
            Shape::Plugin => {
                self.map(node, PLUGIN, path);
                self.parameters(node, path);
                self.visited += 1;
            }
        }
    }

    fn map(&mut self, node: &Node, keys: &'static [Key], path: &str) {
        let Kind::Map(entries) = &node.kind else {
            self.wrong(node, path, "a mapping");
            return;
        };
        let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        for (key, value) in entries {
            match keys.iter().find(|k| k.name == key.text) {
                Some(known) if value.is_null() && !known.required => {}
                Some(known) => self.walk(value, &known.shape, &below(known.name)),
                None => {
                    let words: Vec<&str> = keys.iter().map(|k| k.name).collect();
                    let nearest = nearest(&key.text, words.iter().copied());
                    let problem = Problem::UnknownWord { what: "key", name: key.text.clone(), nearest };
                    let place = if path.is_empty() { "an EndpointPickerConfig".into() } else { format!("`{path}`") };
                    let hint = format!("{place} takes {}", list(&words, ", "));
                    self.errors.push(Diagnostic::error(problem, key.span).with_hint(hint));
                }
            }
        }
        for key in keys.iter().filter(|k| k.required && get(node, k.name).is_none()) {
            let expected = match &key.shape {
                Shape::OneOf(words) => list(words, " or "),
                Shape::Type => "a plugin type".into(),
                Shape::Ref(_) => "the name of a plugin".into(),
                Shape::List(_) => "a list".into(),
                Shape::Either(_) => "a mapping".into(),
                _ => "a text".into(),
            };
            self.wrong_at(first_key(node), &below(key.name), expected, "nothing".into());
        }
    }

    fn gate(&mut self, node: &Node, text: Option<&str>, path: &str) {
        let Some(text) = text else {
            self.wrong(node, path, "a feature gate");
            return;
        };
        let (name, value) = text.split_once('=').map_or((text, None), |(n, v)| (n, Some(v.trim().to_lowercase())));
        if !GATES.contains(&name) {
            let nearest = nearest(name, GATES.iter().copied());
            let problem = Problem::UnknownWord { what: "feature gate", name: name.to_owned(), nearest };
            let hint = format!("endpoint pickers know {}", list(GATES, ", "));
            self.errors.push(Diagnostic::error(problem, node.span).with_hint(hint));
        } else if value.is_some_and(|v| !matches!(v.as_str(), "1" | "t" | "true" | "0" | "f" | "false")) {
            self.wrong(node, path, format!("`{name}`, `{name}=true` or `{name}=false`"));
        }
    }

    fn plugin_type(&mut self, node: &Node, text: Option<&str>, path: &str) {
        let Some(name) = text.filter(|t| !t.is_empty()) else {
            self.wrong(node, path, "a plugin type");
            return;
        };
        if plugins::find(name).is_some() {
            return;
        }
        let nearest = nearest_type(name);
        let hint = match nearest.as_deref().and_then(plugins::find) {
            Some(plugin) => plugin.history(),
            None => {
                let family = |n: &str| n.rsplit('-').next().unwrap_or_default().to_owned();
                let alike: Vec<&str> = PLUGINS.iter().map(|p| p.name).filter(|n| family(n) == family(name)).collect();
                if alike.is_empty() {
                    "no published endpoint picker registers it".into()
                } else {
                    format!("endpoint pickers know {}", list(&alike, ", "))
                }
            }
        };
        let problem = Problem::UnknownWord { what: "plugin type", name: name.to_owned(), nearest };
        self.errors.push(Diagnostic::error(problem, node.span).with_hint(hint));
    }

    /// The parameters of an entry of `plugins`.
    fn parameters(&mut self, plugin: &Node, path: &str) {
        let parameters = get(plugin, "parameters").filter(|p| !p.is_null());
        let path = format!("{path}.parameters");
        match (text(plugin, "type").map(|(t, _)| t), parameters) {
            (Some(DECISION_TREE), None) => {
                self.wrong_at(first_key(plugin), &path, "a decision tree", "nothing".to_owned());
            }
            (Some(DECISION_TREE), Some(tree)) if matches!(tree.kind, Kind::Map(_)) => self.map(tree, TREE, &path),
            (_, Some(other)) => self.references(other, &path),
            (_, None) => {}
        }
    }

    /// The references in parameters of which nothing else is known.
    fn references(&mut self, node: &Node, path: &str) {
        match &node.kind {
            Kind::Scalar { .. } => {}
            Kind::List(items) => {
                for (i, item) in items.iter().enumerate() {
                    self.references(item, &format!("{path}[{i}]"));
                }
            }
            Kind::Map(entries) => {
                for (key, value) in entries {
                    let path = format!("{path}.{}", key.text);
                    let is_unset =
                        value.is_null() || matches!(&value.kind, Kind::Scalar { text, .. } if text.is_empty());
                    if PARAMETER_REFERENCES.contains(&key.text.as_str()) && !is_unset {
                        self.reference(value, &path, &[]);
                    } else if let ("deciders", Kind::Map(deciders)) = (key.text.as_str(), &value.kind) {
                        for (stage, decider) in deciders.iter().filter(|(_, d)| !d.is_null()) {
                            self.reference(decider, &format!("{path}.{}", stage.text), &[]);
                        }
                    } else {
                        self.references(value, &path);
                    }
                }
            }
        }
    }

    fn reference(&mut self, node: &Node, path: &str, implied: &[&str]) {
        let Some(name) = self.referred(node, path) else { return };
        if implied.contains(&name) || self.declared.iter().any(|d| d.answers_to(name)) {
            return;
        }
        let names: Vec<&str> = self.declared.iter().filter_map(|d| d.name).collect();
        let nearest = nearest(name, names.iter().copied());
        let hint = if nearest.is_none() && plugins::find(name).is_some() {
            format!("declare it: add `- type: {name}` to `plugins`")
        } else if names.is_empty() {
            "`plugins` declares none".to_owned()
        } else {
            format!("`plugins` declares {}", list(&names, ", "))
        };
        let problem = Problem::UnknownWord { what: "plugin", name: name.to_owned(), nearest };
        self.errors.push(Diagnostic::error(problem, node.span).with_hint(hint));
    }

    fn earlier(&mut self, node: &Node, path: &str) {
        let Some(name) = self.referred(node, path) else { return };
        match self.declared.iter().position(|d| d.answers_to(name)) {
            None => self.reference(node, path, &[]),
            Some(at) if at < self.visited => {}
            Some(_) => {
                let message = format!("plugin `{name}` is not declared before the decision tree that refers to it");
                let hint = "a picker makes its plugins in the order of the file";
                self.errors.push(Diagnostic::error(Problem::Conflict { message }, node.span).with_hint(hint));
            }
        }
    }

    /// The text of a reference.
    fn referred<'n>(&mut self, node: &'n Node, path: &str) -> Option<&'n str> {
        let name = string(node);
        if name.is_none() {
            self.wrong(node, path, "the name of a plugin");
        }
        name
    }
}

/// The plugin type that a misspelt one was probably meant to be.
fn nearest_type(name: &str) -> Option<String> {
    nearest(name, PLUGINS.iter().map(|p| p.name))
}

/// The value under a key of a mapping.
fn get<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    match &node.kind {
        Kind::Map(entries) => entries.iter().find(|(k, _)| k.text == key).map(|(_, v)| v),
        Kind::Scalar { .. } | Kind::List(_) => None,
    }
}

fn items(node: &Node) -> &[Node] {
    match &node.kind {
        Kind::List(items) => items,
        Kind::Scalar { .. } | Kind::Map(_) => &[],
    }
}

/// The text of a scalar that YAML reads as a string that is not empty.
fn string(node: &Node) -> Option<&str> {
    match &node.kind {
        Kind::Scalar { text, .. } if !text.is_empty() && matches!(Value::from_node(node), Value::String(_)) => {
            Some(text)
        }
        _ => None,
    }
}

/// The string under a key of a mapping and its place.
fn text<'n>(node: &'n Node, key: &str) -> Option<(&'n str, Span)> {
    get(node, key).and_then(|n| Some((string(n)?, n.span)))
}

/// Where to show that a mapping lacks something.
fn first_key(node: &Node) -> Span {
    match &node.kind {
        Kind::Map(entries) => entries.first().map_or(node.span, |(key, _)| key.span),
        Kind::Scalar { .. } | Kind::List(_) => node.span,
    }
}

fn list(words: &[&str], separator: &str) -> String {
    words.iter().map(|w| quote_short(w)).collect::<Vec<_>>().join(separator)
}

/// Whether `time.ParseDuration` of Go takes the text.
fn is_duration(text: &str) -> bool {
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    if rest == "0" {
        return true;
    }
    let mut any = false;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (digits, tail) = rest.split_at(number);
        let unit = ["ns", "us", "µs", "μs", "ms", "s", "m", "h"].into_iter().find_map(|u| tail.strip_prefix(u));
        match unit {
            Some(tail) if digits.bytes().any(|b| b.is_ascii_digit()) && digits.matches('.').count() <= 1 => rest = tail,
            _ => return false,
        }
        any = true;
    }
    any
}

#[cfg(test)]
mod tests;
