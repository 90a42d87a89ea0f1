//! Reads YAML into a tree whose every node knows its place.
//!
//! Used for scenarios, defaults, `--set` values and for the text that templates produce. Duplicate keys are errors,
//! aliases cost what they expand to, and a scalar keeps the text and the quotes it was written with, so that a typed
//! setting can take `1.10` or `on` exactly as it stands.

use crate::credential;
use crate::error::{Diagnostic, Problem};
use crate::source::{SourceId, Sources, Span};
use granit_parser::{Event, Options, Parser, ScalarStyle};

/// A node of a YAML document.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Where it was written.
    pub span: Span,
}

/// The three kinds of node.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// A scalar as written; `plain` when without quotes and not a block, so that `null` and `true` mean something.
    Scalar { text: String, plain: bool },
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the text.
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// The text of the key.
    pub text: String,
    /// Where it was written.
    pub span: Span,
}

impl Node {
    /// Whether the node is a plain `null`, `~` or nothing at all.
    pub fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// Whether it holds nothing: `null`, an empty text, list or mapping.
    pub fn is_empty(&self) -> bool {
        match &self.kind {
            Kind::Scalar { text, .. } => self.is_null() || text.trim().is_empty(),
            Kind::List(items) => items.is_empty(),
            Kind::Map(entries) => entries.is_empty(),
        }
    }

    /// What a reader would call the node's type.
    pub fn describe(&self) -> String {
        match &self.kind {
            _ if self.is_null() => "nothing".into(),
            Kind::Scalar { text, .. } => quote_short(text),
            Kind::List(_) => "a list".into(),
            Kind::Map(_) => "a mapping".into(),
        }
    }
}

/// Text in back-ticks, cut to a readable length.
pub fn quote_short(text: &str) -> String {
    let text = &credential::hide(text);
    const LONGEST: usize = 60;
    if text.chars().count() > LONGEST {
        format!("`{}…`", text.chars().take(LONGEST).collect::<String>().escape_debug())
    } else if text.is_empty() {
        "an empty text".into()
    } else {
        format!("`{}`", text.escape_debug())
    }
}

/// Most nodes that one document may expand to.
const MOST_NODES: usize = 200_000;
/// Deepest nesting of one document.
const DEEPEST: usize = 100;

/// Parses the single document of a source; an empty source is an empty mapping.
///
/// # Errors
/// Text that is not YAML, more than one document, a duplicate key, a key that is not a scalar, a tag other than the
/// core ones, an alias bomb.
pub fn parse(sources: &Sources, id: SourceId) -> Result<Node, Diagnostic> {
    Builder::new(sources, id).single()
}

/// Parses the single document that stands in a part of a source, such as the value of a `--set`; its nodes know their
/// place in the whole source.
///
/// # Errors
/// As [`parse`].
pub fn parse_at(sources: &Sources, part: Span) -> Result<Node, Diagnostic> {
    Builder::part(sources, part).single()
}

/// Parses every document of a source; documents that say nothing are left out.
///
/// # Errors
/// As [`parse`], except that there may be several documents; the first error ends the reading.
pub fn parse_all(sources: &Sources, id: SourceId) -> Result<Vec<Node>, Diagnostic> {
    let mut builder = Builder::new(sources, id);
    let mut documents = Vec::new();
    while let Some(document) = builder.document()? {
        if !document.is_null() {
            documents.push(document);
        }
    }
    Ok(documents)
}

struct Builder<'t> {
    id: SourceId,
    /// The text that is parsed, and where in its source it starts.
    text: &'t str,
    offset: usize,
    parser: Parser<'t, granit_parser::StrInput<'t>>,
    anchors: Vec<(usize, Node)>,
    nodes: usize,
}

impl<'t> Builder<'t> {
    fn new(sources: &'t Sources, id: SourceId) -> Self {
        Self::part(sources, Span::new(id, 0, sources.get(id).text.len()))
    }

    fn part(sources: &'t Sources, part: Span) -> Self {
        let text = sources.slice(part);
        let mut options = Options::default();
        options.emit_comments = false;
        options.disallow_directives = true;
        let parser = Parser::new_from_str_with_options(text, options);
        Self { id: part.source, text, offset: part.start, parser, anchors: Vec::new(), nodes: 0 }
    }

    /// The place in the source of a place in the parsed text.
    fn span(&self, start: usize, end: usize) -> Span {
        Span::new(self.id, self.offset + start, self.offset + end)
    }

    fn fail(&self, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(Problem::Yaml { message: message.into() }, span)
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), Diagnostic> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => {
                let range = span.byte_range().unwrap_or(0..0);
                Ok((event, self.span(range.start, range.end)))
            }
            Some(Err(e)) => {
                let at = e.marker().byte_offset().unwrap_or(self.text.len()).min(self.text.len());
                let line = self.text[..at].rfind('\n').map_or(0, |i| i + 1);
                let indented_by_tab = self.text[line..].trim_start_matches(' ').starts_with('\t');
                let d = self.fail(self.span(at, at), format!("not valid YAML: {}", e.info()));
                Err(if indented_by_tab { d.with_hint("YAML is indented by spaces; this line has a tab") } else { d })
            }
            None => Ok((Event::StreamEnd, self.span(self.text.len(), self.text.len()))),
        }
    }

    /// The only document of the text.
    fn single(&mut self) -> Result<Node, Diagnostic> {
        let empty = Node { kind: Kind::Map(Vec::new()), span: self.span(0, 0) };
        let Some(root) = self.document()? else { return Ok(empty) };
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => break,
                (Event::DocumentStart(..), span) => {
                    return Err(self.fail(span, "a second YAML document; one is expected"));
                }
                _ => {}
            }
        }
        Ok(if root.is_null() { empty } else { root })
    }

    /// The next document, `None` at the end of the text. Anchors and the count of nodes are those of one document.
    fn document(&mut self) -> Result<Option<Node>, Diagnostic> {
        self.anchors.clear();
        self.nodes = 0;
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(None),
                (Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd, _) => {}
                (event, span) => return self.node(event, span, 0).map(Some),
            }
        }
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, Diagnostic> {
        self.nodes += 1;
        if self.nodes > MOST_NODES || depth > DEEPEST {
            return Err(self.fail(span, format!("more than {MOST_NODES} nodes or {DEEPEST} levels")));
        }
        if let Some(tag) = event.tag()
            && tag.is_custom()
        {
            return Err(self.fail(span, format!("tag `{}` has no meaning here", tag.original())));
        }
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain =
                    style == ScalarStyle::Plain && !tag.as_ref().is_some_and(|t| t.is_yaml_core_schema_tag("str"));
                let node = Node { kind: Kind::Scalar { text: text.into_owned(), plain }, span };
                Ok(self.remember(anchor, node))
            }
            Event::SequenceStart(_, anchor, _) => {
                let mut items = Vec::new();
                let mut whole = span;
                loop {
                    let (event, span) = self.next()?;
                    if matches!(event, Event::SequenceEnd) {
                        whole.end = span.end.max(whole.end);
                        break;
                    }
                    items.push(self.node(event, span, depth + 1)?);
                }
                Ok(self.remember(anchor, Node { kind: Kind::List(items), span: whole }))
            }
            Event::MappingStart(_, anchor, _) => self.mapping(anchor, span, depth),
            Event::Alias(id) => {
                let Some((_, node)) = self.anchors.iter().rev().find(|(a, _)| *a == id) else {
                    return Err(self.fail(span, "alias of an anchor that is not complete here"));
                };
                let node = node.clone();
                self.nodes += count(&node);
                if self.nodes > MOST_NODES {
                    return Err(self.fail(span, format!("aliases expand to more than {MOST_NODES} nodes")));
                }
                Ok(Node { span, ..node })
            }
            other => Err(self.fail(span, format!("unexpected YAML event {other:?}"))),
        }
    }

    fn mapping(&mut self, anchor: usize, span: Span, depth: usize) -> Result<Node, Diagnostic> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        let mut seen = std::collections::HashMap::<String, usize>::new();
        let mut whole = span;
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                whole.end = span.end.max(whole.end);
                break;
            }
            let key = self.node(event, span, depth + 1)?;
            let Kind::Scalar { text, plain } = key.kind else {
                return Err(self.fail(key.span, "a key must be a scalar"));
            };
            if plain && text == "<<" {
                return Err(self.fail(key.span, "merge keys (`<<`) are not supported; write the values out"));
            }
            if let Some(first) = seen.insert(text.clone(), key.span.start) {
                let first_line = self.text[..first - self.offset].matches('\n').count() + 1;
                return Err(Diagnostic::error(Problem::DuplicateKey { key: text, first_line }, key.span));
            }
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            entries.push((Key { text, span: key.span }, value));
        }
        Ok(self.remember(anchor, Node { kind: Kind::Map(entries), span: whole }))
    }

    fn remember(&mut self, anchor: usize, node: Node) -> Node {
        if anchor != 0 {
            self.anchors.push((anchor, node.clone()));
        }
        node
    }
}

fn count(node: &Node) -> usize {
    1 + match &node.kind {
        Kind::Scalar { .. } => 0,
        Kind::List(items) => items.iter().map(count).sum(),
        Kind::Map(entries) => entries.iter().map(|(_, n)| 1 + count(n)).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documents(text: &str) -> Result<Vec<Node>, Diagnostic> {
        let mut sources = Sources::default();
        let id = sources.add("t", text);
        parse_all(&sources, id)
    }

    #[test]
    fn every_document_is_read_and_empty_ones_are_left_out() {
        let all = documents("---\n# nothing\n---\na: &x 1\n---\nb: 2\n...\n---\n").unwrap();
        assert_eq!(all.len(), 2);
        assert!(documents("").unwrap().is_empty());
    }

    #[test]
    fn an_anchor_belongs_to_its_document() {
        assert!(documents("a: &x 1\nb: *x\n").is_ok());
        assert!(documents("a: &x 1\n---\nb: *x\n").is_err());
    }

    #[test]
    fn a_key_twice_is_refused_in_any_document() {
        let error = documents("a: 1\n---\nb: 1\nb: 2\n").unwrap_err();
        assert!(matches!(error.problem, Problem::DuplicateKey { key, first_line: 3 } if key == "b"));
    }
}
