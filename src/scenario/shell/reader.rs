//! The cursor over a shell scenario, and where its errors go.

use super::{MOST_ERRORS, Part, Script, Statement, Word};
use crate::error::{Diagnostic, Errors, Problem};
use crate::source::{SourceId, Span};

/// Reads one scenario from start to end without going back further than a word.
pub(super) struct Reader<'t> {
    pub source: SourceId,
    pub text: &'t str,
    /// The next byte to read; always at the boundary of a character.
    pub pos: usize,
    /// Where reading ends: the end of the text, or of the here-document that is being read.
    pub end: usize,
    /// Inside a `<<-` here-document, whose lines lose their leading tabs.
    pub strip_tabs: bool,
    /// Words that close the control structures around this place, innermost last; inside one, nothing is reported.
    pub closers: Vec<&'static str>,
    /// The rest of this command is not reported, since an error of it already was.
    pub muted: bool,
    /// Something was never closed; nothing is left to read.
    pub stopped: bool,
    /// Here-documents whose bodies start at the next line.
    pub pending: Vec<HereDocument>,
    pub statements: Vec<Statement>,
    /// The first quotation that spans a line starting with `export`, which is where a forgotten quote shows.
    suspect: Option<usize>,
    /// Every line ends in CRLF.
    crlf: bool,
    errors: Vec<Diagnostic>,
    line_starts: Vec<usize>,
}

/// A here-document whose operator has been read and whose body has not.
pub(super) struct HereDocument {
    pub delimiter: String,
    /// A quoted delimiter: the body is taken as it stands.
    pub quoted: bool,
    /// `<<-`.
    pub strip_tabs: bool,
    /// The operator with its delimiter.
    pub span: Span,
    /// The statement that takes the body; none when the command was refused.
    pub statement: Option<usize>,
}

impl<'t> Reader<'t> {
    pub fn new(source: SourceId, text: &'t str) -> Self {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(i, _)| i + 1)).collect();
        Self {
            source,
            text,
            // Editors that write CRLF may also write a byte order mark.
            pos: if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 },
            end: text.len(),
            strip_tabs: false,
            closers: Vec::new(),
            muted: false,
            stopped: false,
            pending: Vec::new(),
            statements: Vec::new(),
            suspect: None,
            crlf: text.matches('\n').count() == text.matches("\r\n").count(),
            errors: Vec::new(),
            line_starts,
        }
    }

    pub fn script(mut self) -> Result<Script, Errors> {
        if let Some(at) = self.text.find('\0') {
            self.report(Problem::ForbiddenCharacter { what: "a NUL byte" }, at, "remove it");
        }
        self.statements();
        let Self { statements, mut errors, .. } = self;
        errors.sort_by_key(|d| d.span.map(|s| s.start));
        Errors(errors).into_result()?;
        Ok(Script { statements })
    }

    /// Whether no more errors are collected.
    pub fn is_full(&self) -> bool {
        self.errors.len() > MOST_ERRORS
    }

    /// From `start` to what has been read.
    pub fn span(&self, start: usize) -> Span {
        Span::new(self.source, start, self.pos)
    }

    /// Line number of a byte, from 1.
    pub fn line(&self, at: usize) -> usize {
        self.line_starts.partition_point(|&start| start <= at)
    }

    /// Adds an error about what was read since `start`, unless an error already covers this place.
    pub fn report(&mut self, problem: Problem, start: usize, hint: &str) {
        if !self.muted && !self.stopped && self.closers.is_empty() {
            self.report_always(problem, start, hint);
        }
    }

    /// Adds an error even where others are held back.
    pub fn report_always(&mut self, problem: Problem, start: usize, hint: &str) {
        let span = Span::new(self.source, start, self.pos);
        if self.errors.len() < MOST_ERRORS {
            let error = Diagnostic::error(problem, span);
            self.errors.push(error.with_hint(hint));
        } else if !self.stopped {
            let message = format!("more than {MOST_ERRORS} errors; the rest was not read");
            let error = Diagnostic::error(Problem::ShellSyntax { message }, span);
            self.errors.push(error.with_hint("correct those first"));
            self.stopped = true;
            self.pos = self.end;
        }
    }

    /// A construct of the shell that the scenario language does not have.
    pub fn refuse(&mut self, construct: impl Into<String>, start: usize, hint: &str) {
        self.report(Problem::ShellConstruct { construct: construct.into() }, start, hint);
    }

    /// Text that is no shell either.
    pub fn invalid(&mut self, message: impl Into<String>, start: usize, hint: &str) {
        self.report(Problem::ShellSyntax { message: message.into() }, start, hint);
    }

    /// Something opened at `start` is not closed before the end; stops reading.
    pub fn unterminated(&mut self, what: &str, start: usize) {
        self.pos = self.end;
        if self.stopped {
            return;
        }
        let hint = match self.suspect {
            Some(at) => format!(
                "the quotation that starts in line {} runs over a line with `export`; is its closing quote missing?",
                self.line(at)
            ),
            None => "close it, or put a backslash before it if it is meant as text".to_owned(),
        };
        let (end, message) = (self.pos, format!("{what} is never closed"));
        self.pos = (start + 1).min(self.end);
        self.report_always(Problem::ShellSyntax { message }, start, &hint);
        self.pos = end;
        self.stopped = true;
    }

    pub fn peek(&self) -> Option<u8> {
        self.at(self.pos)
    }

    /// The byte at a place before the end.
    pub fn at(&self, at: usize) -> Option<u8> {
        self.text.as_bytes()[..self.end].get(at).copied()
    }

    pub fn looking_at(&self, text: &str) -> bool {
        self.text[self.pos..self.end].starts_with(text)
    }

    pub fn eat(&mut self, text: &str) -> bool {
        let found = self.looking_at(text);
        if found {
            self.pos += text.len();
        }
        found
    }

    /// Reads one character of any length.
    pub fn bump(&mut self) -> &'t str {
        let start = self.pos;
        let text: &'t str = self.text;
        self.pos += text[start..self.end].chars().next().map_or(0, char::len_utf8);
        &text[start..self.pos]
    }

    /// Length of the line end at a place: LF, CRLF, or a CR that ends the file; 0 when there is none.
    pub fn line_end(&self, at: usize) -> usize {
        match (self.at(at), self.text.as_bytes().get(at + 1)) {
            (Some(b'\n'), _) | (Some(b'\r'), None) => 1,
            (Some(b'\r'), Some(b'\n')) => 2,
            _ => 0,
        }
    }

    /// Reads a line end, and the tabs that a `<<-` document loses after it.
    pub fn newline(&mut self) -> bool {
        let length = self.line_end(self.pos);
        self.pos += length;
        if length > 0 && self.strip_tabs {
            self.skip_tabs();
        }
        length > 0
    }

    /// Reads the tabs that a line of a `<<-` document loses; continued lines are joined before.
    pub fn skip_tabs(&mut self) {
        while self.peek() == Some(b'\t') || self.continuation_at(self.pos) > 0 {
            self.pos += self.continuation_at(self.pos).max(1);
        }
    }

    /// Length of a backslash with a line end behind it; 0 when there is none.
    pub fn continuation_at(&self, at: usize) -> usize {
        match (self.at(at), self.line_end(at + 1)) {
            (Some(b'\\'), length @ 1..) => 1 + length,
            _ => 0,
        }
    }

    /// Reads a line continuation.
    pub fn continuation(&mut self) -> bool {
        let length = self.continuation_at(self.pos);
        self.pos += length;
        length > 0
    }

    pub fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t')) || self.continuation_at(self.pos) > 0 {
            self.pos += self.continuation_at(self.pos).max(1);
        }
    }

    /// Reads up to the end of the line, without the line end.
    pub fn skip_line(&mut self) {
        let rest = &self.text[self.pos..self.end];
        self.pos += rest.find('\n').unwrap_or(rest.len());
    }

    /// Reads a line end inside quotes into `word`.
    pub fn quoted_newline(&mut self, word: &mut Word, quote: usize) {
        // A lone CRLF inside quotes of a file whose lines end otherwise is part of the value.
        let own = self.at(self.pos) == Some(b'\r') && !self.crlf;
        if !own && self.newline() {
            push(word, "\n");
            if self.suspect.is_none() && self.looking_at("export ") {
                self.suspect = Some(quote);
            }
        } else {
            let character = self.bump();
            push(word, character);
        }
    }

    /// Reads text up to a byte that means something somewhere.
    pub fn plain(&mut self) -> &'t str {
        let text: &'t str = self.text;
        let rest = &text[self.pos..self.end];
        let plain = &rest[..rest.bytes().position(is_special).unwrap_or(rest.len())];
        self.pos += plain.len();
        plain
    }

    /// End of the name at a place; the place itself when there is no name.
    pub fn name_end(&self, at: usize) -> usize {
        let rest = self.text.as_bytes()[..self.end].get(at..).unwrap_or_default();
        if rest.first().is_some_and(u8::is_ascii_digit) {
            return at;
        }
        at + rest.iter().position(|b| !is_name(*b)).unwrap_or(rest.len())
    }

    /// What was read since `start`, in back-ticks and cut to a readable length.
    pub fn quote(&self, start: usize) -> String {
        const LONGEST: usize = 40;
        let read = &self.text[start..self.pos];
        let line = read.lines().next().unwrap_or_default();
        let shown: String = line.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect();
        let cut = if shown.len() < read.len() { "…" } else { "" };
        format!("`{shown}{cut}`")
    }
}

/// Adds text to a word.
pub(super) fn push(word: &mut Word, text: &str) {
    match word.last_mut() {
        Some(Part::Text(last)) => last.push_str(text),
        _ if text.is_empty() => {}
        _ => word.push(Part::Text(text.to_owned())),
    }
}

pub(super) fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// A byte that ends a word outside of quotes, line ends aside.
pub(super) fn ends_word(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')')
}

fn is_special(byte: u8) -> bool {
    ends_word(byte) || matches!(byte, b'\r' | b'\'' | b'"' | b'\\' | b'$' | b'`' | b'}')
}
