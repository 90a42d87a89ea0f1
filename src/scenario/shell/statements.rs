//! Statements: assignments, and the naming of everything that is none.

use super::reader::{Reader, ends_word};
use super::{Assign, IDIOM, Statement, Value, Variable};

const ONLY_ASSIGNMENTS: &str =
    "a scenario is read and never run: it holds `export NAME=value` lines and `cat << EOF > $X`";
const NO_CONTROL: &str = "write the assignments that hold for this scenario, and a scenario file for each other case";
const USE_EXPORT: &str = "write `export NAME=value`";
const OWN_LINE: &str = "write each assignment in a line of its own; quote a value that holds this character";
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
    pub fn refuse_command(&mut self, construct: impl Into<String>, start: usize, hint: &str) {
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
            let assign = self.assignment(false);
            self.statements.extend(assign.map(|a| Statement::Assign(vec![a])));
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
        let mut assigns = Vec::new();
        while self.more_words() {
            if self.assignment_ahead() {
                assigns.extend(self.assignment(true));
            } else {
                self.mark();
            }
            self.skip_blanks();
        }
        self.statements.push(Statement::Assign(assigns));
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
    pub fn more_words(&self) -> bool {
        !self.at_word_end() && self.peek() != Some(b'#')
    }

    pub fn at_word_end(&self) -> bool {
        self.peek().is_none_or(ends_word) || self.line_end(self.pos) > 0
    }

    /// `NAME=value`; none when it is of a form that the language does not have.
    fn assignment(&mut self, exported: bool) -> Option<Assign> {
        let start = self.pos;
        self.pos = self.name_end(start);
        let target = Variable { name: self.text[start..self.pos].to_owned(), span: self.span(start) };
        if self.looking_at("[") {
            self.word(false);
            let what = format!("array element {}", self.quote(start));
            self.refuse(what, start, "give the element a name of its own");
            return None;
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
            let what = format!("array {}", self.quote(value));
            self.refuse(what, value, "write one text in quotes");
            return None;
        }
        let right = if self.mktemp() { Value::NewDocument } else { Value::Word(self.word(exported)) };
        Some(Assign { target, value: right, value_span: self.span(value), line: self.line(start) })
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
