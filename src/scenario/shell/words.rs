//! Words: quoting, expansions, and the bodies of here-documents.

use super::reader::{Reader, ends_word, is_name, push};
use super::{DEEPEST, Fallback, Part, Variable, Word};

const WRITE_VALUE: &str =
    "a scenario is read and never run: write the value itself, or `\\$` if the pod is to expand it";
const WRITE_DEFAULT: &str = "only `$NAME`, `${NAME}`, `${NAME:-default}` and `${NAME-default}` are expanded: write the value itself, or `\\$` if the pod is to expand it";
const QUOTE_IT: &str = "put the value in single quotes if this is text";

/// Which rules of quoting hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quoting {
    /// Outside of quotes.
    Bare,
    /// In double quotes or in the body of a here-document.
    Quoted,
    /// In the default of an expansion that itself is in double quotes or a here-document.
    QuotedDefault,
}

impl<'t> Reader<'t> {
    /// Reads a word up to the blank or operator that ends it. `export` expands braces, which plain assignments do not.
    pub fn word(&mut self, exported: bool) -> Word {
        let start = self.pos;
        let mut word = Word::new();
        let mut braces = Braces::default();
        while let Some(byte) = self.peek() {
            match byte {
                _ if ends_word(byte) || self.line_end(self.pos) > 0 => break,
                b'\'' => self.single_quotes(&mut word),
                b'"' => self.double_quotes(&mut word, 0),
                b'\\' => self.escape(&mut word),
                b'$' => self.dollar(&mut word, Quoting::Bare, 0),
                b'`' => self.back_ticks(),
                _ => {
                    let text = self.plain_or_character();
                    braces.feed(text);
                    push(&mut word, text);
                }
            }
        }
        if exported && braces.expand {
            self.refuse("brace expansion", start, QUOTE_IT);
        }
        word
    }

    /// Reads the body of a here-document whose delimiter is not quoted, up to the end of the reader.
    pub fn body(&mut self) -> Word {
        let mut word = Word::new();
        if self.strip_tabs {
            self.skip_tabs();
        }
        while let Some(byte) = self.peek() {
            match byte {
                b'\\' => self.escape_among(&mut word, b"$`\\"),
                b'$' => self.dollar(&mut word, Quoting::Quoted, 0),
                b'`' => self.back_ticks(),
                _ if self.newline() => push(&mut word, "\n"),
                _ => push(&mut word, self.plain_or_character()),
            }
        }
        word
    }

    fn plain_or_character(&mut self) -> &'t str {
        match self.plain() {
            "" => self.bump(),
            text => text,
        }
    }

    /// A backslash outside of quotes.
    fn escape(&mut self, word: &mut Word) {
        if self.continuation() {
            return;
        }
        self.pos += 1;
        match self.bump() {
            // The last character of the file.
            "" => push(word, "\\"),
            character => push(word, character),
        }
    }

    /// A backslash that takes the meaning from `these` and is a backslash before anything else.
    fn escape_among(&mut self, word: &mut Word, these: &[u8]) {
        if self.continuation() {
            return;
        }
        self.pos += 1;
        match self.peek() {
            Some(byte) if these.contains(&byte) => push(word, self.bump()),
            _ => push(word, "\\"),
        }
    }

    fn single_quotes(&mut self, word: &mut Word) {
        let start = self.pos;
        self.pos += 1;
        loop {
            let rest = &self.text[self.pos..self.end];
            let stop = rest.bytes().position(|b| matches!(b, b'\'' | b'\n' | b'\r')).unwrap_or(rest.len());
            push(word, &rest[..stop]);
            self.pos += stop;
            match self.peek() {
                None => return self.unterminated("a single quote", start),
                Some(b'\'') => break,
                Some(_) => self.quoted_newline(word, start),
            }
        }
        self.pos += 1;
    }

    fn double_quotes(&mut self, word: &mut Word, depth: usize) {
        let start = self.pos;
        self.pos += 1;
        loop {
            match self.peek() {
                None => return self.unterminated("a double quote", start),
                Some(b'"') => break,
                Some(b'\\') => self.escape_among(word, b"$`\"\\"),
                Some(b'$') => self.dollar(word, Quoting::Quoted, depth),
                Some(b'`') => self.back_ticks(),
                Some(b'\n' | b'\r') => self.quoted_newline(word, start),
                Some(_) => push(word, self.plain_or_character()),
            }
        }
        self.pos += 1;
    }

    /// A `$` and what belongs to it.
    fn dollar(&mut self, word: &mut Word, quoting: Quoting, depth: usize) {
        let start = self.pos;
        let after = start + 1;
        let literal = quoting == Quoting::Quoted;
        match self.at(after) {
            Some(b'{') => self.braced(word, quoting, depth),
            Some(b'(') => {
                let arithmetic = self.looking_at("$((");
                self.skip_nested("a `$(`");
                let what = if arithmetic { "arithmetic" } else { "command substitution" };
                let hint = instead(&self.text[start..self.pos]);
                self.refuse(format!("{what} {}", self.quote(start)), start, hint);
            }
            Some(b'[') => {
                self.pos = after + 1;
                self.refuse("arithmetic `$[`", start, WRITE_VALUE);
            }
            Some(b'\'') if !literal => {
                self.pos = after + 1;
                self.skip_to_quote(b'\'', start);
                self.refuse(
                    format!("quoting {}", self.quote(start)),
                    start,
                    "write the text in single quotes, a line end as a line end",
                );
            }
            Some(b'"') if !literal => {
                self.pos = after + 1;
                self.skip_to_quote(b'"', start);
                self.refuse(format!("translation {}", self.quote(start)), start, "leave the `$` out");
            }
            Some(b'0'..=b'9' | b'@' | b'*' | b'#' | b'?' | b'$' | b'!' | b'-') => {
                self.pos = after + 1;
                self.refuse(format!("special parameter {}", self.quote(start)), start, WRITE_VALUE);
            }
            Some(byte) if is_name(byte) => {
                self.pos = self.name_end(after);
                let variable = self.variable(after, start);
                word.push(Part::Expansion { variable, fallback: None });
                self.split_name(start);
            }
            _ => {
                self.pos = after;
                push(word, "$");
                if self.continuation_at(after) > 0 {
                    self.invalid("a line ends between `$` and what belongs to it", start, "write both in one line");
                }
            }
        }
    }

    /// A name that goes on behind a line continuation is one name to a shell and two to a reader.
    fn split_name(&mut self, start: usize) {
        let mut next = self.pos;
        while self.continuation_at(next) > 0 {
            next += self.continuation_at(next);
        }
        if next > self.pos && self.at(next).is_some_and(is_name) {
            self.invalid("a variable name goes on in the next line", start, "write `${NAME}` to end the name");
        }
    }

    fn variable(&self, name: usize, start: usize) -> Variable {
        Variable { name: self.text[name..self.name_end(name)].to_owned(), span: self.span(start) }
    }

    /// `${…}`.
    fn braced(&mut self, word: &mut Word, quoting: Quoting, depth: usize) {
        let start = self.pos;
        let name = start + 2;
        self.pos = self.name_end(name);
        let named = self.pos > name;
        let when_empty = match self.peek() {
            Some(b'}') if named => {
                self.pos += 1;
                let variable = self.variable(name, start);
                return word.push(Part::Expansion { variable, fallback: None });
            }
            Some(b'-') if named => false,
            Some(b':') if named && self.at(self.pos + 1) == Some(b'-') => true,
            _ => return self.other_braced(start),
        };
        if depth >= DEEPEST {
            self.pos = start;
            self.skip_nested("a `${`");
            let what = format!("nesting of `${{…}}` deeper than {DEEPEST}");
            return self.refuse(what, start, WRITE_DEFAULT);
        }
        self.pos += if when_empty { 2 } else { 1 };
        let fallback = match quoting {
            Quoting::Bare => self.bare_default(start, depth + 1),
            Quoting::Quoted | Quoting::QuotedDefault => self.quoted_default(start, depth + 1),
        };
        let variable = self.variable(name, start);
        word.push(Part::Expansion { variable, fallback: Some(Fallback { when_empty, word: fallback }) });
    }

    /// Names what a `${…}` does that is neither a plain expansion nor a default.
    fn other_braced(&mut self, start: usize) {
        let operator = &self.text[self.pos..self.end];
        let hint = match operator.trim_start_matches(':').as_bytes().first() {
            Some(b'=' | b'?' | b'+') => "write `${NAME:-default}`, or the value itself",
            _ => WRITE_DEFAULT,
        };
        self.pos = start;
        self.skip_nested("a `${`");
        self.refuse(format!("parameter expansion {}", self.quote(start)), start, hint);
    }

    /// The default of an expansion outside of quotes.
    fn bare_default(&mut self, brace: usize, depth: usize) -> Word {
        let mut word = Word::new();
        loop {
            match self.peek() {
                None => {
                    self.unterminated("a `${`", brace);
                    return word;
                }
                Some(b'}') => break,
                Some(b'\'') => self.single_quotes(&mut word),
                Some(b'"') => self.double_quotes(&mut word, depth),
                Some(b'\\') => self.escape(&mut word),
                Some(b'$') => self.dollar(&mut word, Quoting::Bare, depth),
                Some(b'`') => self.back_ticks(),
                Some(b'<' | b'>') if self.at(self.pos + 1) == Some(b'(') => {
                    let start = self.pos;
                    self.pos += 1;
                    self.skip_nested("a `(`");
                    self.refuse(format!("process substitution {}", self.quote(start)), start, WRITE_VALUE);
                }
                Some(b'\n' | b'\r') => self.quoted_newline(&mut word, brace),
                Some(_) => push(&mut word, self.plain_or_character()),
            }
        }
        self.pos += 1;
        word
    }

    /// The default of an expansion in double quotes or a here-document. Quotes inside it are where shells differ, so
    /// only what has one meaning is accepted.
    fn quoted_default(&mut self, brace: usize, depth: usize) -> Word {
        let mut word = Word::new();
        let mut inner = false;
        loop {
            match self.peek() {
                None => {
                    self.unterminated("a `${`", brace);
                    return word;
                }
                Some(b'}') if !inner => break,
                Some(b'"') => {
                    self.pos += 1;
                    inner = !inner;
                }
                Some(b'\'') if !inner => self.quotes_as_text(&mut word),
                Some(b'\\') if !inner && self.at(self.pos + 1) == Some(b'\'') => {
                    let start = self.pos;
                    self.pos += 2;
                    self.refuse_single_quote(start);
                }
                Some(b'\\') if inner => {
                    let start = self.pos;
                    self.escape_among(&mut word, b"$`\"\\");
                    if self.pos == start + 1 {
                        self.refuse("a backslash in quotes inside quotes", start, "double it");
                    }
                }
                Some(b'\\') => self.escape_among(&mut word, b"$`\"\\}"),
                Some(b'$') => self.dollar(&mut word, Quoting::QuotedDefault, depth),
                Some(b'`') => self.back_ticks(),
                Some(b'\n' | b'\r') => self.quoted_newline(&mut word, brace),
                Some(_) => push(&mut word, self.plain_or_character()),
            }
        }
        self.pos += 1;
        word
    }

    /// Single quotes in double quotes are text, but shells disagree about what they protect.
    fn quotes_as_text(&mut self, word: &mut Word) {
        let start = self.pos;
        let rest = &self.text[start..self.end];
        let stops = |b| matches!(b, b'\'' | b'}' | b'"' | b'$' | b'`' | b'\\' | b'\n');
        let stop = rest.bytes().skip(1).position(stops).map(|i| i + 1);
        match stop.filter(|&i| rest.as_bytes()[i] == b'\'') {
            Some(end) => {
                self.pos += end + 1;
                push(word, &rest[..=end]);
            }
            None => {
                self.pos += 1;
                self.refuse_single_quote(start);
            }
        }
    }

    fn refuse_single_quote(&mut self, start: usize) {
        let hint = "shells disagree about it: assign the default to a variable of its own";
        self.refuse("a single quote in the default of a quoted `${…}`", start, hint);
    }

    fn back_ticks(&mut self) {
        let start = self.pos;
        self.pos += 1;
        self.skip_to_quote(b'`', start);
        let inside = self.text[start + 1..self.pos].trim_start();
        let hint = if inside.starts_with("mktemp") { "write `$(mktemp)`" } else { WRITE_VALUE };
        self.refuse("command substitution in back-ticks", start, hint);
    }

    /// Reads up to and with an unescaped `quote`.
    fn skip_to_quote(&mut self, quote: u8, start: usize) {
        while let Some(byte) = self.peek() {
            self.bump();
            if byte == quote {
                return;
            }
            if byte == b'\\' {
                self.bump();
            }
        }
        self.unterminated("a quote", start);
    }

    /// Reads `$(…)`, `${…}` or `(…)` up to its end, whatever is in it; needs no recursion.
    pub fn skip_nested(&mut self, what: &str) {
        let start = self.pos;
        let mut open: Vec<u8> = Vec::new();
        while let Some(byte) = self.peek() {
            let top = open.last().copied();
            let quoted = top == Some(b'"');
            match (byte, self.at(self.pos + 1)) {
                (b'\\', _) => {
                    self.bump();
                }
                _ if top == Some(byte) => {
                    open.pop();
                }
                (b'$', Some(b'{')) => {
                    self.pos += 1;
                    open.push(b'}');
                }
                (b'$', Some(b'(')) => {
                    self.pos += 1;
                    open.push(b')');
                }
                (b'(', _) if matches!(top, None | Some(b')')) => open.push(b')'),
                (b'"' | b'`', _) => open.push(byte),
                (b'\'', _) if !quoted => {
                    let rest = &self.text[self.pos + 1..self.end];
                    let Some(length) = rest.find('\'') else { break };
                    self.pos += length + 1;
                }
                _ => {}
            }
            self.bump();
            if open.is_empty() {
                return;
            }
        }
        self.unterminated(what, start);
    }
}

/// Follows unquoted braces to see whether bash may expand them: `{a,b}`, `{1..3}`. Which brace closes which has
/// exceptions in bash, so any `{`, list and `}` in this order count.
#[derive(Default)]
struct Braces {
    opened: bool,
    listed: bool,
    last_was_dot: bool,
    expand: bool,
}

impl Braces {
    fn feed(&mut self, text: &str) {
        for byte in text.bytes() {
            match byte {
                b'{' => self.opened = true,
                b',' => self.listed |= self.opened,
                b'.' => self.listed |= self.opened && self.last_was_dot,
                b'}' => self.expand |= self.listed,
                _ => {}
            }
            self.last_was_dot = byte == b'.';
        }
    }
}

/// What to write instead of a command substitution.
fn instead(substitution: &str) -> &'static str {
    const KNOWN: &[(&[&str], &str)] = &[
        (&["id -un", "whoami", "$USER"], "output does not depend on who renders: write the name"),
        (
            &["echo $0", "basename $0", "$BASH_SOURCE"],
            "write the name of the scenario, or remove the line if nothing reads it",
        ),
        (&["date"], "output does not depend on when it is rendered: write the date"),
        (&["mktemp"], "`$(mktemp)` stands alone after `=` and without arguments"),
        (&["cat "], "write `export X=$(mktemp)` and then `cat << EOF > $X`"),
    ];
    let known = KNOWN.iter().find(|(commands, _)| commands.iter().any(|c| substitution.contains(c)));
    known.map_or(WRITE_VALUE, |(_, hint)| hint)
}
