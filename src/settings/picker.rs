//! Settings of the endpoint picker that are documents themselves: plugin configurations and flags.

use super::payload::{Pair, Tree, node};
use super::template::Template;
use super::types::{Fault, Raw, Reading, Setting};
use crate::check::picker;
use crate::error::{Diagnostic, Errors, Problem};
use crate::source::Sources;
use crate::tree::Value;
use crate::yaml::{Kind, Node};
use indexmap::IndexMap;

/// Plugin configurations of an endpoint picker by the name of their file, each checked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PluginFiles(pub Vec<Pair>);

impl PluginFiles {
    /// The file of this name, with or without its ending, and its configuration.
    pub fn find(&self, name: &str) -> Option<(&str, &Tree)> {
        let base = |n: &str| n.strip_suffix(".yaml").or_else(|| n.strip_suffix(".yml")).unwrap_or(n).to_owned();
        self.0.iter().find(|p| base(&p.key) == base(name)).map(|p| (p.key.as_str(), &p.value))
    }
}

impl Setting for PluginFiles {
    const STRUCTURED: bool = true;
    const FROM_FILE: bool = true;
    const EMPTY_IS_A_VALUE: bool = true;
    const YAML: bool = true;
    fn expects() -> String {
        "a mapping of file names to an EndpointPickerConfig each".into()
    }
    fn none() -> Option<Self> {
        Some(Self::default())
    }
    fn read(raw: &Raw, reading: &Reading<'_>) -> Result<Self, Fault> {
        let Some((node, _)) = node(raw, reading, &Self::expects())? else { return Ok(Self::default()) };
        let Kind::Map(entries) = &node.kind else { return Err(Fault::found(node.describe()).at(node.span)) };
        let mut all = Vec::new();
        for (key, value) in entries {
            let config = match &value.kind {
                Kind::Map(_) => checked(value, reading)?,
                // A block of text that is a document itself, as a ConfigMap holds it.
                Kind::Scalar { text, .. } if text.contains('\n') => {
                    let mut sources = Sources::default();
                    let id = sources.add("value", text.as_str());
                    let outer = |f: Fault| Fault { span: Some(value.span), ..f };
                    let inner = crate::yaml::parse(&sources, id).map_err(|d| outer(Fault::from(d)))?;
                    checked(&inner, reading).map_err(outer)?
                }
                _ => return Err(Fault::found(value.describe()).at(value.span)),
            };
            all.push(Pair { key: key.text.clone(), span: key.span, value: config });
        }
        Ok(Self(all))
    }
    fn value(&self) -> Value {
        Tree::Map(self.0.clone()).value()
    }
}

/// A configuration with references, checked as far as can be told before they are replaced.
pub(super) fn checked(node: &Node, reading: &Reading<'_>) -> Result<Tree, Fault> {
    picker::check(node).map_err(first)?;
    Tree::read(node, reading, false)
}

fn first(mut errors: Errors) -> Fault {
    if errors.0.is_empty() {
        return Fault::from(Diagnostic::error(
            Problem::Internal { message: "an error without a diagnostic".into() },
            None,
        ));
    }
    Fault::from(errors.0.swap_remove(0))
}

/// Flags of a program: names without their dashes, each with the text of its value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Flags(pub IndexMap<String, Template>);

impl Flags {
    fn insert(&mut self, name: &str, value: &str, reading: &Reading<'_>) -> Result<(), Fault> {
        let name = name.trim().trim_start_matches('-');
        let ok = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        if !ok {
            return Err(Fault::found(crate::yaml::quote_short(name)).expected("the name of a flag"));
        }
        let value = Template::parse(value, reading)?;
        if self.0.insert(name.to_owned(), value).is_some() {
            return Err(Fault::found(format!("`{name}` twice")));
        }
        Ok(())
    }

    /// A flag in the form `--name=value`.
    fn line(&mut self, text: &str, reading: &Reading<'_>) -> Result<(), Fault> {
        match text.trim().split_once('=') {
            Some((name, value)) => self.insert(name, value, reading),
            None => self.insert(text, "true", reading),
        }
    }
}

impl Setting for Flags {
    const STRUCTURED: bool = true;
    const FROM_FILE: bool = true;
    const EMPTY_IS_A_VALUE: bool = true;
    const YAML: bool = true;
    fn expects() -> String {
        "a mapping of flags to values, or a list of `--flag=value`".into()
    }
    fn none() -> Option<Self> {
        Some(Self::default())
    }
    fn read(raw: &Raw, reading: &Reading<'_>) -> Result<Self, Fault> {
        let mut flags = Self::default();
        let (node, words) = match raw {
            Raw::Text(text) => (None, text.as_str()),
            _ => (node(raw, reading, &Self::expects())?.map(|(node, _)| node), ""),
        };
        words.split_whitespace().try_for_each(|word| flags.line(word, reading))?;
        let Some(node) = node else { return Ok(flags) };
        match &node.kind {
            Kind::Map(entries) => {
                for (key, value) in entries {
                    let Kind::Scalar { text, .. } = &value.kind else {
                        return Err(Fault::found(value.describe()).at(value.span));
                    };
                    let text = if value.is_null() { "" } else { text };
                    flags.insert(&key.text, text, reading).map_err(|f| f.at(value.span))?;
                }
            }
            Kind::List(items) => {
                for item in items {
                    let Kind::Scalar { text, .. } = &item.kind else {
                        return Err(Fault::found(item.describe()).at(item.span));
                    };
                    flags.line(text, reading).map_err(|f| f.at(item.span))?;
                }
            }
            Kind::Scalar { text, .. } => {
                for word in text.split_whitespace() {
                    flags.line(word, reading).map_err(|f| f.at(node.span))?;
                }
            }
        }
        Ok(flags)
    }
    fn value(&self) -> Value {
        Value::Map(self.0.iter().map(|(k, v)| (k.clone(), Value::from(v.notation()))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn read<T: Setting>(text: &str) -> Result<T, Fault> {
        let (mut sources, locals) = (Sources::default(), HashMap::new());
        let id = sources.add("here-document", text);
        T::read(&Raw::Document(text.into(), id), &Reading { sources: &sources, locals: &locals })
    }

    #[test]
    fn flags_are_read_in_both_forms() {
        let map: Flags = read("v: 4\nkv-metric: \"vllm:x\"").unwrap();
        let list: Flags = read("[--v=4, --kv-metric=vllm:x]").unwrap();
        assert_eq!(map, list);
        assert!(read::<Flags>("[--v=4, -v=5]").is_err());
        assert!(read::<Flags>("a b: c").is_err());
    }

    #[test]
    fn a_plugin_file_is_checked_and_found_without_its_ending() {
        let text = "mine.yaml: |\n  apiVersion: llm-d.ai/v1alpha1\n  kind: EndpointPickerConfig\n  plugins:\n  - type: queue-scorer\n";
        let files: PluginFiles = read(text).unwrap();
        assert!(files.find("mine").is_some() && files.find("mine.yaml").is_some() && files.find("other").is_none());
        assert!(read::<PluginFiles>(&text.replace("queue-scorer", "queue-scorre")).is_err());
    }
}
