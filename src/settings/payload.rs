//! Pieces of pods that a scenario writes itself, as YAML with references: volumes, mounts, init containers, fields of a
//! container or a pod.
//!
//! A piece is parsed before its references are replaced, so that nothing a reference stands for can change its form.

use super::template::{Scope, Segment, Template};
use super::types::{Fault, Raw, Reading, Setting, refuse_unreadable};
use crate::error::Problem;
use crate::source::Span;
use crate::tree::{Map, Value};
use crate::yaml::{Kind, Node};

/// A piece of YAML with references.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tree {
    /// A scalar; `plain` when it was written without quotes, so that numbers and switches mean something.
    Scalar {
        /// Its text.
        text: Template,
        /// Whether it was written without quotes.
        plain: bool,
    },
    /// A list.
    List(Vec<Self>),
    /// A mapping.
    Map(Vec<Pair>),
}

/// A key of a mapping with its value and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The key.
    pub key: String,
    /// Where it was written.
    pub span: Span,
    /// The value.
    pub value: Tree,
}

/// Keys whose values are text in Kubernetes whatever they look like.
const TEXT: &[&str] = &[
    "annotations",
    "args",
    "command",
    "image",
    "key",
    "labels",
    "matchLabels",
    "mountPath",
    "name",
    "nodeSelector",
    "path",
    "value",
    "values",
];

impl Tree {
    /// Reads a node; `spaces` where four underscores stand for one.
    ///
    /// # Errors
    /// A reference to what is no setting.
    pub(super) fn read(node: &Node, reading: &Reading<'_>, spaces: bool) -> Result<Self, Fault> {
        match &node.kind {
            Kind::Scalar { text, plain } => {
                let text = if spaces { text.replace("____", " ") } else { text.clone() };
                let template = Template::parse(&text, reading).map_err(|f| f.at(node.span))?;
                Ok(Self::Scalar { text: template, plain: *plain })
            }
            Kind::List(items) => {
                items.iter().map(|n| Self::read(n, reading, spaces)).collect::<Result<_, _>>().map(Self::List)
            }
            Kind::Map(entries) => entries
                .iter()
                .map(|(key, value)| {
                    refuse_unreadable(&key.text).map_err(|f| f.at(key.span))?;
                    let value = Self::read(value, reading, spaces)?;
                    Ok(Pair { key: key.text.clone(), span: key.span, value })
                })
                .collect::<Result<_, _>>()
                .map(Self::Map),
        }
    }

    /// The piece with every reference replaced.
    ///
    /// # Errors
    /// A reference without a value and without a default.
    pub fn expand(&self, scope: &dyn Scope) -> Result<Value, Problem> {
        self.expand_in(scope, false)
    }

    fn expand_in(&self, scope: &dyn Scope, is_text: bool) -> Result<Value, Problem> {
        match self {
            Self::Scalar { text, plain } => {
                let expanded = text.expand(scope)?;
                let whole_reference = matches!(text.0.as_slice(), [Segment::Reference { .. } | Segment::Own(_)]);
                let null = *plain && text.0.is_empty();
                Ok(if !null && (is_text || !(*plain || whole_reference)) {
                    Value::from(expanded)
                } else {
                    Value::from_plain_as_kubectl(&expanded)
                })
            }
            Self::List(items) => {
                items.iter().map(|t| t.expand_in(scope, is_text)).collect::<Result<Vec<_>, _>>().map(Value::List)
            }
            Self::Map(pairs) => pairs
                .iter()
                .map(|p| {
                    let is_text = is_text || TEXT.contains(&p.key.as_str());
                    Ok((p.key.clone(), p.value.expand_in(scope, is_text)?))
                })
                .collect::<Result<Map, Problem>>()
                .map(Value::Map),
        }
    }

    /// The canonical notation.
    pub(super) fn value(&self) -> Value {
        match self {
            Self::Scalar { text, plain: true } if text.references().next().is_none() => {
                Value::from_plain_as_kubectl(&text.notation())
            }
            Self::Scalar { text, .. } => Value::from(text.notation()),
            Self::List(items) => Value::List(items.iter().map(Self::value).collect()),
            Self::Map(pairs) => Value::Map(pairs.iter().map(|p| (p.key.clone(), p.value.value())).collect()),
        }
    }

    /// The paths of settings that the piece refers to.
    pub fn references(&self) -> Vec<&str> {
        match self {
            Self::Scalar { text, .. } => text.references().collect(),
            Self::List(items) => items.iter().flat_map(Self::references).collect(),
            Self::Map(pairs) => pairs.iter().flat_map(|p| p.value.references()).collect(),
        }
    }
}

/// A list of objects that have a name of their own: volumes, mounts, init containers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Objects(pub Vec<(Span, Tree)>);

/// Fields of a container or a pod.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fragment(pub Vec<Pair>);

/// The node of a value, whatever notation it is in, and whether `____` is a space in it.
pub(super) fn node(raw: &Raw, reading: &Reading<'_>, expected: &str) -> Result<Option<(Node, bool)>, Fault> {
    match raw {
        Raw::Document(_, id) => {
            let node = crate::yaml::parse(reading.sources, *id)?;
            Ok((!node.is_empty()).then_some((node, true)))
        }
        Raw::Node(node) if node.is_empty() => Ok(None),
        Raw::Node(node) => Ok(Some((node.clone(), false))),
        Raw::Text(text) if matches!(text.trim(), "" | "[]" | "{}") => Ok(None),
        Raw::Text(text) => Err(Fault::found(crate::yaml::quote_short(text)).expected(expected.to_owned())),
    }
}

impl Objects {
    /// The list with every reference replaced.
    ///
    /// # Errors
    /// A reference without a value and without a default.
    pub fn expand(&self, scope: &dyn Scope) -> Result<Vec<Value>, Problem> {
        self.0.iter().map(|(_, tree)| tree.expand(scope)).collect()
    }
}

impl Fragment {
    /// The fields with every reference replaced.
    ///
    /// # Errors
    /// A reference without a value and without a default.
    pub fn expand(&self, scope: &dyn Scope) -> Result<Map, Problem> {
        self.0.iter().map(|p| Ok((p.key.clone(), p.value.expand(scope)?))).collect()
    }
}

impl Setting for Objects {
    fn expects() -> String {
        "a list of mappings, or the path of a file with one".into()
    }
    fn read(raw: &Raw, reading: &Reading<'_>) -> Result<Self, Fault> {
        let Some((node, spaces)) = node(raw, reading, &Self::expects())? else { return Ok(Self::default()) };
        match &node.kind {
            Kind::List(items) => items
                .iter()
                .map(|item| match Tree::read(item, reading, spaces)? {
                    tree @ Tree::Map(_) => Ok((item.span, tree)),
                    _ => Err(Fault::found(item.describe()).expected("a mapping for each entry").at(item.span)),
                })
                .collect::<Result<_, _>>()
                .map(Self),
            _ => Err(Fault::found(node.describe()).at(node.span)),
        }
    }
    fn value(&self) -> Value {
        Value::List(self.0.iter().map(|(_, t)| t.value()).collect())
    }
    fn none() -> Option<Self> {
        Some(Self::default())
    }
    const EMPTY_IS_A_VALUE: bool = true;
    const FROM_FILE: bool = true;
    const STRUCTURED: bool = true;
    const YAML: bool = true;
}

impl Setting for Fragment {
    fn expects() -> String {
        "a mapping, or the path of a file with one".into()
    }
    fn read(raw: &Raw, reading: &Reading<'_>) -> Result<Self, Fault> {
        let Some((node, spaces)) = node(raw, reading, &Self::expects())? else { return Ok(Self::default()) };
        match (Tree::read(&node, reading, spaces)?, &node.kind) {
            (Tree::Map(pairs), _) => Ok(Self(pairs)),
            _ => Err(Fault::found(node.describe()).at(node.span)),
        }
    }
    fn value(&self) -> Value {
        Value::Map(self.0.iter().map(|p| (p.key.clone(), p.value.value())).collect())
    }
    fn none() -> Option<Self> {
        Some(Self::default())
    }
    const EMPTY_IS_A_VALUE: bool = true;
    const FROM_FILE: bool = true;
    const STRUCTURED: bool = true;
    const YAML: bool = true;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::template::Referent;
    use crate::source::Sources;
    use std::collections::HashMap;

    struct Fixed;
    impl Scope for Fixed {
        fn resolve(&self, path: &str) -> Option<Referent> {
            match path {
                "vllm.port" => Some(Referent::Data("8000".into())),
                "namespace" => Some(Referent::Data("a: [b\n- c".into())),
                _ => None,
            }
        }
        fn paths(&self) -> Vec<String> {
            Vec::new()
        }
    }

    fn fragment(text: &str) -> Fragment {
        let mut sources = Sources::default();
        let id = sources.add("here-document", text);
        let locals = HashMap::new();
        Fragment::read(&Raw::Document(text.into(), id), &Reading { sources: &sources, locals: &locals }).unwrap()
    }

    fn expanded(text: &str) -> Value {
        Tree::Map(fragment(text).0).expand(&Fixed).unwrap()
    }

    #[test]
    fn a_reference_is_a_number_where_a_number_is_meant_and_text_where_text_is() {
        let value = expanded(
            "ports: [{containerPort: REPLACE_ENV_LLMDBENCH_VLLM_COMMON_INFERENCE_PORT}]\n\
             env: [{name: A, value: REPLACE_ENV_LLMDBENCH_VLLM_COMMON_INFERENCE_PORT}]\nmode: 0755\n",
        );
        assert_eq!(value.at(&["ports"]).unwrap().items()[0].get("containerPort"), Some(&Value::from(8000u32)));
        assert_eq!(value.at(&["env"]).unwrap().items()[0].get("value"), Some(&Value::from("8000")));
        assert_eq!(value.get("mode"), Some(&Value::from(493u32)));
    }

    #[test]
    fn what_a_reference_stands_for_never_changes_the_form() {
        let value = expanded("a: ${.namespace}\nb: x-${.namespace}\n");
        assert_eq!(value.get("a"), Some(&Value::from("a: [b\n- c")));
        assert_eq!(value.get("b"), Some(&Value::from("x-a: [b\n- c")));
    }

    #[test]
    fn the_canonical_notation_is_read_back_as_the_same() {
        let first = fragment("a:\n  b: 1\n  c: '1'\n  d: ${vllm.port}\n  e:\n  - x\n  - ${vllm.port}\n");
        let again = fragment(&first.value().to_yaml());
        let expand = |f: &Fragment| Tree::Map(f.0.clone()).expand(&Fixed).unwrap();
        assert_eq!(expand(&first), expand(&again));
        assert_eq!(expand(&first).at(&["a", "d"]), Some(&Value::from(8000u32)));
    }
}
