//! Statements: assignments, the temporary-file idiom, and the naming of everything else.

use super::reader::{HereDocument, Reader, ends_word, push};
use super::{Assign, Content, Part, Statement, Value, Variable, Word, Write};
use crate::error::Problem;
use crate::source::Span;

const ONLY_ASSIGNMENTS: &str =
    "a scenario is read and never run: it holds `export NAME=value` lines and `cat << EOF > $X`";
const NO_CONTROL: &str = "write the assignments that hold for this scenario, and a scenario file for each other case";
const USE_EXPORT: &str = "write `export NAME=value`";
const OWN_LINE: &str = "write each assignment in a line of its own; quote a value that holds this character";
const IDIOM: &str = "write `export X=$(mktemp)` and then `cat << EOF > $X`";
const QUOTE_VALUE: &str = "quote a value that holds this character";

impl Reader<'_> {
    /// Reads the whole text.
    pub fn statements(&mut self) {
        while self.pos < self.end {
            let before = self.pos;
            self.statement();
            if self.pos == before {
                self.bump();
            }
        }
        self.bodies();
    }

    fn statement(&mut self) {
        self.skip_blanks();
        if self.newline() {
            self.muted = false;
            return self.bodies();
        }
        let start = self.pos;
        match self.peek() {
            None => return,
            Some(b'#') => return self.skip_line(),
            Some(b';') => {
                self.pos += 1;
                self.invalid("unexpected `;`", start, "remove it");
                self.muted = false;
                return;
            }
            Some(b'(') if self.looking_at("((") => {
                self.skip_nested("a `(`");
                self.refuse_command(format!("arithmetic {}", self.quote(start)), start, NO_CONTROL);
            }
            Some(b'(') => {
                self.pos += 1;
                return self.open("a subshell `( )`", start, ")");
            }
            Some(byte) if ends_word(byte) => {}
            Some(_) if self.assignment_ahead() => self.assignments(),
            Some(_) => {
                if !self.command() {
                    return;
                }
            }
        }
        self.rest();
        self.separator();
    }

    /// Reads a command that is no assignment; false when another command may follow without a separator.
    fn command(&mut self) -> bool {
        let start = self.pos;
        let end = self.bare_word_end();
        let text = self.text;
        let word = &text[start..end];
        self.pos = end;
        match word {
            "export" => self.export(start),
            "cat" => self.cat(start),
            "if" => return self.open_control(word, start, "fi"),
            "for" | "select" | "while" | "until" => return self.open_control(word, start, "done"),
            "case" => return self.open_control(word, start, "esac"),
            "{" => return self.open_control(word, start, "}"),
            "fi" | "done" | "esac" | "}" => {
                if self.closers.last() == Some(&word) {
                    self.closers.pop();
                } else {
                    self.invalid(format!("`{word}` without its start"), start, "remove it");
                }
                self.muted = true;
            }
            "then" | "else" | "elif" | "do" => {
                self.invalid(format!("`{word}` without its start"), start, "remove it");
                return false;
            }
            "!" | "time" | "coproc" => {
                self.refuse_command(format!("`{word}`"), start, ONLY_ASSIGNMENTS);
                return false;
            }
            "function" => {
                self.skip_blanks();
                self.function(start);
                return false;
            }
            _ => return self.other_command(word, start),
        }
        true
    }

    fn other_command(&mut self, word: &str, start: usize) -> bool {
        if word.is_empty() {
            // Quotes or expansions: whatever it is called, it is a command.
            self.word(false);
            self.refuse_command(format!("command {}", self.quote(start)), start, ONLY_ASSIGNMENTS);
            return true;
        }
        let after = self.pos;
        self.skip_blanks();
        if self.looking_at("(") {
            self.pos = start;
            self.function(start);
            return false;
        }
        let hint = match word {
            _ if self.looking_at("=") => "write no blanks around `=`",
            "readonly" | "declare" | "typeset" | "local" => USE_EXPORT,
            "." | "source" => "put the assignments of that file here",
            "unset" => "remove the assignments of that name instead",
            "set" | "shopt" => "remove the line: an error always ends the reading",
            "tee" | "printf" | "echo" => "only `cat << EOF > $X` writes, and only into `$(mktemp)`; remove the line",
            _ => ONLY_ASSIGNMENTS,
        };
        self.pos = after;
        self.refuse_command(format!("command {}", self.quote(start)), start, hint);
        true
    }

    /// Refuses a command as a whole.
    fn refuse_command(&mut self, construct: impl Into<String>, start: usize, hint: &str) {
        self.refuse(construct, start, hint);
        self.muted = true;
    }

    /// Reports a control structure at its head and holds back the errors of its body.
    fn open(&mut self, construct: &str, start: usize, closer: &'static str) {
        self.refuse(construct, start, NO_CONTROL);
        self.closers.push(closer);
    }

    fn open_control(&mut self, word: &str, start: usize, closer: &'static str) -> bool {
        self.open(&format!("`{word}`"), start, closer);
        false
    }

    /// A function definition, from its name to the start of its body.
    fn function(&mut self, start: usize) {
        self.pos = self.bare_word_end();
        self.refuse_command(format!("function {}", self.quote(start)), start, NO_CONTROL);
        self.skip_blanks();
        if self.eat("(") {
            self.skip_blanks();
            self.eat(")");
        }
        self.skip_blanks();
        while self.pending.is_empty() && self.newline() {
            self.skip_blanks();
        }
        if self.eat("{") {
            self.closers.push("}");
        } else if self.eat("(") {
            self.closers.push(")");
        }
    }

    /// End of the word at this place when it is without quotes and expansions; else this place.
    fn bare_word_end(&self) -> usize {
        let rest = &self.text.as_bytes()[self.pos..self.end];
        let length = rest
            .iter()
            .enumerate()
            .position(|(i, b)| {
                ends_word(*b) || matches!(b, b'\'' | b'"' | b'\\' | b'$' | b'`') || self.line_end(self.pos + i) > 0
            })
            .unwrap_or(rest.len());
        match rest.get(length) {
            Some(b'\'' | b'"' | b'\\' | b'$' | b'`') if self.continuation_at(self.pos + length) == 0 => self.pos,
            _ => self.pos + length,
        }
    }

    /// Whether `NAME=`, `NAME+=` or `NAME[` comes next.
    fn assignment_ahead(&self) -> bool {
        let end = self.name_end(self.pos);
        end > self.pos
            && match self.at(end) {
                Some(b'=' | b'[') => true,
                Some(b'+') => self.at(end + 1) == Some(b'='),
                _ => false,
            }
    }

    /// `A=1 B=2`.
    fn assignments(&mut self) {
        loop {
            self.assignment(false);
            self.skip_blanks();
            if !self.more_words() {
                return;
            }
            if !self.assignment_ahead() {
                let start = self.pos;
                self.word(false);
                let what = format!("command {} after an assignment", self.quote(start));
                self.refuse_command(what, start, "write no blank after `=`, and quote a value that holds blanks");
                return;
            }
        }
    }

    /// `export A=1 B=2 C`.
    fn export(&mut self, start: usize) {
        self.skip_blanks();
        if !self.more_words() {
            self.pos = start + "export".len();
            return self.refuse("`export` without a name", start, USE_EXPORT);
        }
        while self.more_words() {
            if self.assignment_ahead() {
                self.assignment(true);
            } else {
                self.mark();
            }
            self.skip_blanks();
        }
    }

    /// `export A`.
    fn mark(&mut self) {
        let start = self.pos;
        let end = self.name_end(start);
        if end > start && end == self.bare_word_end() {
            self.pos = end;
            let variable = Variable { name: self.text[start..end].to_owned(), span: self.span(start) };
            return self.statements.push(Statement::Mark(variable));
        }
        self.word(true);
        let hint = if self.text[start..].starts_with('=') {
            "write no blanks around `=`"
        } else {
            "write `export NAME=value`, with quotes only around the value"
        };
        self.refuse(format!("{} after `export`", self.quote(start)), start, hint);
    }

    /// Whether the command has another word here.
    fn more_words(&self) -> bool {
        !self.at_word_end() && self.peek() != Some(b'#')
    }

    fn at_word_end(&self) -> bool {
        self.peek().is_none_or(ends_word) || self.line_end(self.pos) > 0
    }

    /// `NAME=value`.
    fn assignment(&mut self, exported: bool) {
        let start = self.pos;
        self.pos = self.name_end(start);
        let target = Variable { name: self.text[start..self.pos].to_owned(), span: self.span(start) };
        if self.looking_at("[") {
            self.word(false);
            return self.refuse(
                format!("array element {}", self.quote(start)),
                start,
                "give the element a name of its own",
            );
        }
        if self.eat("+") {
            self.pos += 1;
            self.refuse("`+=`", start, "write `NAME=\"${NAME}more\"`");
        } else {
            self.pos += 1;
        }
        let value = self.pos;
        if self.looking_at("(") {
            self.skip_nested("a `(`");
            return self.refuse(format!("array {}", self.quote(value)), value, "write one text in quotes");
        }
        let right = match self.mktemp() {
            true => Value::NewDocument,
            false => Value::Word(self.word(exported)),
        };
        let assign = Assign { target, value: right, value_span: self.span(value), line: self.line(start) };
        self.statements.push(Statement::Assign(assign));
    }

    /// Reads `$(mktemp)` with any arguments, in double quotes or without, when it is the whole value.
    fn mktemp(&mut self) -> bool {
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
    fn cat(&mut self, start: usize) {
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
            (Some((_, at)), None) => return self.refuse_command("a here-document without `> $X`", at, IDIOM),
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
            (None, _) => return self.refuse_command(format!("command {}", self.quote(start)), start, IDIOM),
        };
        if let Some((append, target)) = target {
            self.statements.push(Statement::Write(Write { target, append, content, line: self.line(start) }));
        }
    }

    /// Reads `<<` or `<<-` and the delimiter; the body follows at the next line.
    fn here_document(&mut self) {
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
                        return self.unterminated("a quote", word);
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
    fn bodies(&mut self) {
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
        // What of the delimiter the pieces of a continued line have matched; none when they have not.
        let mut open = Some(delimiter);
        let mut start = self.pos;
        while start < self.end {
            let rest = &self.text[start..self.end];
            let length = rest.find('\n').map_or(rest.len(), |i| i + 1);
            let mut line = rest[..length].trim_end_matches('\n');
            line = line.strip_suffix('\r').unwrap_or(line);
            if document.strip_tabs && start == line_start {
                line = line.trim_start_matches('\t');
            }
            let backslashes = line.len() - line.trim_end_matches('\\').len();
            let continued = joins && backslashes % 2 == 1;
            let piece = if continued { &line[..line.len() - 1] } else { line };
            open = open.and_then(|d| d.strip_prefix(piece));
            start += length;
            if !continued {
                if open == Some("") {
                    return Some((line_start, start));
                }
                open = Some(delimiter);
                line_start = start;
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

    /// Reads what is left of a command up to the separator; anything here is one error too many.
    fn rest(&mut self) {
        loop {
            self.skip_blanks();
            let start = self.pos;
            match self.peek() {
                Some(b'<' | b'>') => {
                    if self.looking_at("<<") && !self.looking_at("<<<") {
                        self.here_document();
                        self.refuse("a here-document for this command", start, IDIOM);
                    } else {
                        let length =
                            self.text[start..self.end].bytes().take(3).take_while(|b| matches!(b, b'<' | b'>')).count();
                        self.pos += length;
                        self.refuse(format!("redirection {}", self.quote(start)), start, QUOTE_VALUE);
                    }
                    self.muted = true;
                }
                Some(b'#') => return self.skip_line(),
                _ if self.more_words() => {
                    self.word(false);
                    self.invalid(format!("unexpected {}", self.quote(start)), start, ONLY_ASSIGNMENTS);
                    self.muted = true;
                }
                _ => return,
            }
        }
    }

    /// Reads what stands between two commands of a line.
    fn separator(&mut self) {
        let start = self.pos;
        match self.peek() {
            Some(b';') => {
                self.pos += 1;
                if self.eat(";") {
                    self.invalid("unexpected `;;`", start, "remove it");
                }
                self.muted = false;
            }
            Some(b'&') => {
                self.pos += 1;
                let construct = if self.eat("&") {
                    "`&&`"
                } else if self.eat(">") {
                    "redirection `&>`"
                } else {
                    "background `&`"
                };
                self.refuse(construct, start, OWN_LINE);
            }
            Some(b'|') => {
                self.pos += 1;
                let pipe = !self.eat("|");
                self.refuse(if pipe { "pipe `|`" } else { "`||`" }, start, OWN_LINE);
                self.muted |= pipe;
            }
            Some(b'(') => {
                self.pos += 1;
                self.invalid("unexpected `(`", start, QUOTE_VALUE);
                self.muted = true;
            }
            Some(b')') => {
                self.pos += 1;
                if self.closers.last() == Some(&")") {
                    self.closers.pop();
                    self.muted = true;
                } else {
                    self.invalid("unexpected `)`", start, QUOTE_VALUE);
                }
            }
            _ => {}
        }
    }
}

/// The variable of a word that is `$X` and nothing else.
fn sole_variable(mut word: Word) -> Option<Variable> {
    match (word.pop(), word.is_empty()) {
        (Some(Part::Expansion { variable, fallback: None }), true) => Some(variable),
        _ => None,
    }
}
