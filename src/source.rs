//! Texts that a compilation reads, and places in them.
//!
//! Every value remembers the place it was written at. A file, a here-document, one `--set` argument and one
//! environment variable are all a [`Source`], so that each of them can be quoted in an error in the same way.

/// One text that a compilation has read: a file, a here-document, a command-line argument, an environment variable.
#[derive(Debug, Clone)]
pub struct Source {
    /// What a reader calls it: a path as given, `environment`, `--set`.
    pub name: String,
    /// The whole text.
    pub text: String,
    /// Whether it is a file (or standard input), so that a bundle names it as an input.
    pub is_file: bool,
}

/// Names one [`Source`] of a [`Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId(u32);

/// A range of bytes in one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Span {
    /// The text that the range is in.
    pub source: SourceId,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// A range of bytes of `source`; an `end` before `start` counts as empty.
    pub fn new(source: SourceId, start: usize, end: usize) -> Self {
        Self { source, start, end: end.max(start) }
    }
}

/// Line and column of a place, both from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Line number, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// All texts of one compilation.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    all: Vec<Source>,
}

impl Sources {
    /// Adds a text and returns the id that spans into it carry.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> SourceId {
        let id = SourceId(u32::try_from(self.all.len()).unwrap_or(u32::MAX));
        self.all.push(Source { name: name.into(), text: text.into(), is_file: false });
        id
    }

    /// Adds the text of a file.
    pub fn add_file(&mut self, name: impl Into<String>, text: impl Into<String>) -> SourceId {
        let id = self.add(name, text);
        if let Some(source) = self.all.last_mut() {
            source.is_file = true;
        }
        id
    }

    /// All texts, in the order they were read.
    pub fn all(&self) -> impl Iterator<Item = &Source> {
        self.all.iter()
    }

    /// The text behind an id.
    pub fn get(&self, id: SourceId) -> &Source {
        &self.all[id.0 as usize]
    }

    /// The characters that a span covers; a span cut through a character covers nothing.
    pub fn slice(&self, span: Span) -> &str {
        self.get(span.source).text.get(span.start..span.end).unwrap_or("")
    }

    /// Where a span starts.
    pub fn position(&self, span: Span) -> Position {
        let text = &self.get(span.source).text;
        let mut start = span.start.min(text.len());
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        let before = &text[..start];
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        Position { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
    }

    /// `name:line:column` of a span.
    pub fn locate(&self, span: Span) -> String {
        let at = self.position(span);
        format!("{}:{}:{}", self.get(span.source).name, at.line, at.column)
    }
}
