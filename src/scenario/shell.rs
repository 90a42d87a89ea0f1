//! Shell scenarios: read as text, never run.
//!
//! The language is the part of POSIX shell that scenario files use: assignments with quoting and `$VAR`, and
//! `export X=$(mktemp)` with `cat << EOF > $X`. Everything else of the shell is an error that names the construct.
//! What is accepted has the value that bash gives it, with one exception: `~` stays as written.
//!
//! [`parse`] turns text into a [`Script`] (`reader` holds the cursor and the errors; `statements`, `documents` and
//! `words` the grammar); [`Script::evaluate`] expands it. Neither reads anything but its arguments.

mod documents;
mod evaluate;
mod reader;
mod statements;
#[cfg(test)]
mod tests;
mod words;

use crate::error::{Diagnostic, Errors, Problem};
use crate::source::{SourceId, Sources, Span};

/// Largest scenario that is read, in bytes.
const LARGEST_SOURCE: usize = 1 << 20;
/// Most bytes that all expansions of one scenario may add up to.
const LARGEST_EXPANSION: usize = 16 << 20;
/// Deepest `${A:-${B:-…}}`.
const DEEPEST: usize = 20;
/// What to write instead of any other way to fill a document.
const IDIOM: &str = "write `export X=$(mktemp)` and then `cat << EOF > $X`";
/// Most errors that are collected before reading stops.
const MOST_ERRORS: usize = 200;

/// A parsed shell scenario; nothing in it has been expanded yet.
#[derive(Debug, Clone)]
pub struct Script {
    statements: Vec<Statement>,
}

/// What a shell scenario says once every value is expanded.
#[derive(Debug, Clone)]
pub struct Evaluation {
    /// All assignments in the order of the file, repeated ones included.
    pub assignments: Vec<Assignment>,
    /// What the user should know: values that are lost, names that are marked and never set.
    pub notes: Vec<Diagnostic>,
}

/// One assignment with its expanded value.
#[derive(Debug, Clone)]
pub struct Assignment {
    /// The name on the left of `=`.
    pub name: String,
    /// Where the name was written.
    pub name_span: Span,
    /// The value.
    pub value: Text,
    /// Where the value was written: what follows `=`, quotes included.
    pub value_span: Span,
}

/// A value and how it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Text {
    /// A value written in place.
    Inline(String),
    /// The text of a here-document (what the temporary file would hold); `body_span` is the body's place in the
    /// source. Where text was appended, it is the place of the first piece.
    Document { text: String, body_span: Span },
}

impl Text {
    /// The text itself, wherever it was written.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Inline(text) | Self::Document { text, .. } => text,
        }
    }

    /// Whether both mean the same, wherever they were written.
    fn same(&self, other: &Self) -> bool {
        matches!(self, Self::Inline(_)) == matches!(other, Self::Inline(_)) && self.as_str() == other.as_str()
    }
}

/// Parses a shell scenario.
///
/// # Errors
/// Everything that is not part of the scenario language, up to [`MOST_ERRORS`]. A quote, brace or here-document that
/// is never closed ends the reading, since nothing after it can be told apart.
pub fn parse(sources: &Sources, id: SourceId) -> Result<Script, Errors> {
    let text = sources.get(id).text.as_str();
    if text.len() > LARGEST_SOURCE {
        let problem = Problem::TooLarge { what: "the scenario", limit: LARGEST_SOURCE };
        return Err(Diagnostic::error(problem, Span::new(id, 0, 0)).into());
    }
    reader::Reader::new(id, text).script()
}

impl Script {
    /// Names that the file assigns, in order, with the place of each name.
    pub fn names(&self) -> impl Iterator<Item = (&str, Span)> {
        let assigns = self.statements.iter().flat_map(|s| match s {
            Statement::Assign(assigns) => assigns.as_slice(),
            Statement::Mark(_) | Statement::Write(_) => &[],
        });
        assigns.map(|a| (a.target.name.as_str(), a.target.span))
    }

    /// Expands every value; `lookup` answers for names that the file has not assigned yet (environment layer,
    /// defaults).
    ///
    /// # Errors
    /// Variables that neither the file nor `lookup` knows, documents that nothing fills, here-documents whose target
    /// is no document, and expansions that add up to more than 16 MiB.
    pub fn evaluate(&self, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Evaluation, Errors> {
        evaluate::evaluate(self, lookup)
    }
}

#[derive(Debug, Clone)]
enum Statement {
    /// `X=value`, `export X=value`. `export` expands all its values before it sets the first name; of plain
    /// assignments, each is a statement.
    Assign(Vec<Assign>),
    /// `export X`.
    Mark(Variable),
    /// `cat … > $X`.
    Write(Write),
}

#[derive(Debug, Clone)]
struct Assign {
    target: Variable,
    value: Value,
    value_span: Span,
    line: usize,
}

/// The right-hand side of an assignment.
#[derive(Debug, Clone)]
enum Value {
    Word(Word),
    /// `$(mktemp)`.
    NewDocument,
}

#[derive(Debug, Clone)]
struct Write {
    target: Variable,
    append: bool,
    content: Content,
    line: usize,
}

/// What `cat` writes.
#[derive(Debug, Clone)]
enum Content {
    HereDocument {
        body: Word,
        span: Span,
    },
    /// `cat $A $B`.
    Documents(Vec<Variable>),
}

/// A name and the place it was written at, with its `$` and braces where it has them.
#[derive(Debug, Clone)]
struct Variable {
    name: String,
    span: Span,
}

/// Text with expansions, quotes already removed.
type Word = Vec<Part>;

#[derive(Debug, Clone)]
enum Part {
    Text(String),
    Expansion { variable: Variable, fallback: Option<Fallback> },
}

/// The `-default` or `:-default` of an expansion.
#[derive(Debug, Clone)]
struct Fallback {
    /// `:-`, which also replaces an empty value.
    when_empty: bool,
    word: Word,
}
