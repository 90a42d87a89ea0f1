//! Documents: `$(mktemp)`, `cat` and here-documents, the one idiom that shell scenarios have for long values.

use super::reader::{HereDocument, Reader, ends_word, push};
use super::{Content, IDIOM, Part, Statement, Variable, Word, Write};
use crate::error::Problem;
use crate::source::Span;

impl Reader<'_> {
    /// Reads `$(mktemp)` with any arguments, in double quotes or without, when it is the whole value.
    pub fn mktemp(&mut self) -> bool {
        let start = self.pos;
        let quoted = self.eat("\"");
        if !self.eat("$(") {
            self.pos = start;
            return false;
        }
        let rest = &self.text[self.pos..self.end];
        let inside =
            &rest[..rest.bytes().position(|b| matches!(b, b'(' | b')' | b'`') || b";|&<>\n".contains(&b)).unwrap_or(0)];
        self.pos += inside.len();
        let mut words = inside.split([' ', '\t']).filter(|w| !w.is_empty());
        let found = words.next() == Some("mktemp") && self.eat(")") && (!quoted || self.eat("\""));
        if !found || !self.at_word_end() {
            self.pos = start;
            return false;
        }
        let directory = |w: &str| {
            w == "--directory"
                || w.strip_prefix('-').is_some_and(|w| w.contains('d') && w.bytes().all(|b| b"dqtuV".contains(&b)))
        };
        if words.any(directory) {
            self.refuse("`mktemp -d`", start, "write `$(mktemp)`: a here-document fills a file");
        }
        true
    }

    /// `cat << EOF > $X`, `cat > $X << EOF`, `cat $A >> $X`.
    pub fn cat(&mut self, start: usize) {
        let mut operands = Vec::new();
        let mut document = None;
        let mut target = None;
        let mut end = self.pos;
        loop {
            self.skip_blanks();
            let at = self.pos;
            if self.looking_at("<<") && !self.looking_at("<<<") {
                let index = self.pending.len();
                self.here_document();
                if document.replace((index, at)).is_some() {
                    return self.refuse_command("a second here-document for one `cat`", at, IDIOM);
                }
            } else if self.looking_at(">") && ![">(", ">&", ">|"].iter().any(|o| self.looking_at(o)) {
                let append = self.eat(">>") || !self.eat(">");
                self.skip_blanks();
                let path = self.pos;
                let word = if self.more_words() { self.word(false) } else { Word::new() };
                let Some(variable) = sole_variable(word) else {
                    return self.refuse_command(format!("`cat` into {}", self.quote(path)), path, IDIOM);
                };
                if target.replace((append, variable)).is_some() {
                    return self.refuse_command("a second target for one `cat`", at, IDIOM);
                }
            } else if self.more_words() {
                let word = self.word(false);
                let Some(variable) = sole_variable(word) else {
                    return self.refuse_command(format!("`cat` of {}", self.quote(at)), at, IDIOM);
                };
                operands.push(variable);
            } else {
                break;
            }
            end = self.pos;
        }
        self.pos = end;
        let content = match (document, &target) {
            (Some((_, at)), None) => {
                return self.refuse_command("a here-document without `> $X`", at, IDIOM);
            }
            (Some((_, at)), _) if !operands.is_empty() => {
                return self.refuse_command("a here-document for a `cat` that reads files", at, IDIOM);
            }
            (Some((pending, at)), Some(_)) => {
                if let Some(document) = self.pending.get_mut(pending) {
                    document.statement = Some(self.statements.len());
                }
                // The body replaces this when the line has been read.
                Content::HereDocument { body: Word::new(), span: self.span(at) }
            }
            (None, Some(_)) if !operands.is_empty() => Content::Documents(operands),
            (None, _) => {
                return self.refuse_command(format!("command {}", self.quote(start)), start, IDIOM);
            }
        };
        if let Some((append, target)) = target {
            self.statements.push(Statement::Write(Write { target, append, content, line: self.line(start) }));
        }
    }

    /// Reads `<<` or `<<-` and the delimiter; the body follows at the next line.
    pub fn here_document(&mut self) {
        let start = self.pos;
        self.pos += 2;
        let strip_tabs = self.eat("-");
        self.skip_blanks();
        let word = self.pos;
        let mut delimiter = String::new();
        let mut quoted = false;
        while let Some(byte) = self.peek() {
            match byte {
                _ if self.continuation() => {}
                _ if ends_word(byte) || self.line_end(self.pos) > 0 => break,
                b'\'' | b'"' => {
                    let quote = self.pos;
                    quoted = true;
                    self.pos += 1;
                    while self.peek().is_some_and(|b| b != byte) && self.line_end(self.pos) == 0 {
                        if byte == b'"'
                            && self.peek() == Some(b'\\')
                            && matches!(self.at(self.pos + 1), Some(b'"' | b'\\' | b'$' | b'`'))
                        {
                            self.pos += 1;
                        }
                        delimiter.push_str(self.bump());
                    }
                    if self.peek() != Some(byte) {
                        return self.unterminated("a quote", quote);
                    }
                    self.pos += 1;
                }
                b'\\' => {
                    quoted = true;
                    self.pos += 1;
                    delimiter.push_str(self.bump());
                }
                _ => delimiter.push_str(self.bump()),
            }
        }
        if self.pos == word {
            return self.invalid("a here-document without a word that ends it", start, IDIOM);
        }
        let span = self.span(start);
        self.pending.push(HereDocument { delimiter, quoted, strip_tabs, span, statement: None });
    }

    /// Reads the bodies of the here-documents of the line that just ended.
    pub fn bodies(&mut self) {
        for document in std::mem::take(&mut self.pending) {
            if self.stopped {
                return;
            }
            let start = self.pos;
            let Some((end, next)) = self.body_end(&document) else {
                return self.missing_end(&document);
            };
            if let Some(index) = document.statement {
                let span = Span::new(self.source, start, end);
                let body = self.read_body(&document, end);
                if let Some(Statement::Write(write)) = self.statements.get_mut(index) {
                    write.content = Content::HereDocument { body, span };
                }
            }
            self.pos = if self.stopped { self.end } else { next };
        }
    }

    /// Where the body that starts here ends, and where the line after the delimiter starts.
    fn body_end(&self, document: &HereDocument) -> Option<(usize, usize)> {
        let (delimiter, joins) = (document.delimiter.as_str(), !document.quoted);
        let mut line_start = self.pos;
        let mut start = self.pos;
        // What of the delimiter a continued line has yet to match; none when it is another line.
        let mut open = Some(delimiter);
        let mut blank = true;
        while start < self.end {
            let rest = &self.text[start..self.end];
            let length = rest.find('\n').map_or(rest.len(), |i| i + 1);
            let line = rest[..length].trim_end_matches('\n');
            let mut line = line.strip_suffix('\r').unwrap_or(line);
            if document.strip_tabs && blank {
                line = line.trim_start_matches('\t');
            }
            let backslashes = line.len() - line.trim_end_matches('\\').len();
            let continued = joins && backslashes % 2 == 1;
            if continued {
                line = &line[..line.len() - 1];
            }
            start += length;
            blank &= line.is_empty();
            open = open.and_then(|d| d.strip_prefix(line));
            if !continued {
                if open == Some("") {
                    return Some((line_start, start));
                }
                (line_start, open, blank) = (start, Some(delimiter), true);
            }
        }
        None
    }

    fn read_body(&mut self, document: &HereDocument, end: usize) -> Word {
        if document.quoted {
            let mut word = Word::new();
            for line in self.text[self.pos..end].split_inclusive('\n') {
                let line = if document.strip_tabs { line.trim_start_matches('\t') } else { line };
                match line.strip_suffix("\r\n") {
                    Some(line) => {
                        push(&mut word, line);
                        push(&mut word, "\n");
                    }
                    None => push(&mut word, line),
                }
            }
            return word;
        }
        let whole = std::mem::replace(&mut self.end, end);
        self.strip_tabs = document.strip_tabs;
        let body = self.body();
        self.strip_tabs = false;
        self.end = whole;
        // What is never closed in a body ends with the body.
        self.stopped = self.is_full();
        body
    }

    fn missing_end(&mut self, document: &HereDocument) {
        let delimiter = &document.delimiter;
        let similar = self.text[self.pos..].lines().position(|l| l.trim() == delimiter);
        let hint = match similar {
            Some(after) => format!(
                "line {} holds it with blanks around it; the line must hold it alone",
                self.line(self.pos) + after
            ),
            None => format!("add a line that holds `{delimiter}` alone"),
        };
        let message = format!("a here-document without the line `{delimiter}` that ends it");
        self.pos = document.span.end;
        self.report_always(Problem::ShellSyntax { message }, document.span.start, &hint);
        self.pos = self.end;
        self.stopped = true;
    }
}

/// The variable of a word that is `$X` and nothing else.
fn sole_variable(mut word: Word) -> Option<Variable> {
    match (word.pop(), word.is_empty()) {
        (Some(Part::Expansion { variable, fallback: None }), true) => Some(variable),
        _ => None,
    }
}
