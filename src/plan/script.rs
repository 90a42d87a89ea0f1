//! Shell words and shell scripts: quoting, and telling whether a script needs a shell at all.
//!
//! A scenario's script is kept as its author wrote it, with every reference put in as one quoted piece of data. Where
//! the script comes to a single simple command, it becomes a list of arguments instead, since a list has no quoting to
//! get wrong and the server is then the container's first process.

use crate::error::Problem;
use crate::settings::template::{Referent, Scope, Segment, Template};
use std::collections::HashMap;

/// One shell word that means exactly `text`.
pub fn quote(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "_-./:=,+@%".contains(c);
    if !text.is_empty() && text.chars().all(safe) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// The variables of a container, with their values where those are known.
pub type Env = HashMap<String, Option<String>>;

/// A text that the kubelet gives back as it is: the kubelet takes `$$` for one dollar sign, and `$(NAME)` for the value of
/// a variable that the container has.
pub fn kubelet_literal(text: &str, env: &Env) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if rest.starts_with("$$") {
            out.push_str("$$$$");
            rest = &rest[2..];
            continue;
        }
        if variable(rest, env).is_some() {
            out.push('$');
        }
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    out
}

/// The name in `$(NAME)` at the start of a text, where the container has that variable.
fn variable<'t>(text: &'t str, env: &Env) -> Option<&'t str> {
    let (name, _) = text.strip_prefix("$(")?.split_once(')')?;
    env.contains_key(name).then_some(name)
}

/// One shell word that means an argument as Kubernetes writes it: `$(NAME)` of a container's variable is expanded, here by
/// the shell; `$$` stays for the kubelet, which takes it for one dollar sign in scripts as well.
pub fn quote_with_variables(text: &str, env: &Env) -> String {
    let mut out = String::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if rest.starts_with("$$") {
            literal.push_str("$$");
            rest = &rest[2..];
            continue;
        }
        let name =
            rest.strip_prefix("$(").and_then(|t| t.split_once(')')).map(|(n, _)| n).filter(|n| env.contains_key(*n));
        match name {
            Some(name) => {
                if !literal.is_empty() {
                    out.push_str(&quote(&literal));
                    literal.clear();
                }
                out.push_str(&format!("\"${{{name}}}\""));
                rest = &rest[name.len() + 3..];
            }
            None => {
                literal.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    if !literal.is_empty() || out.is_empty() {
        out.push_str(&quote(&literal));
    }
    out
}

/// A script with its references put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lowered {
    /// The text for `bash -c`.
    pub script: String,
    /// The same as a list of arguments, where no shell is needed.
    pub words: Option<Vec<String>>,
    /// The words of the command that starts the server, quotes removed; `None` for a word that only a shell can tell.
    pub server: Vec<Option<String>>,
}

/// A piece of a script on its way through the lexer.
#[derive(Debug, Clone)]
enum Piece {
    Char(char),
    Data(String),
    /// A variable of the scenario's own: script where a command starts, data anywhere else.
    Own(String),
}

/// The pieces of a script; references to other scripts are replaced by those.
fn pieces(script: &Template, scope: &dyn Scope, depth: usize) -> Result<Vec<Piece>, Problem> {
    let mut out = Vec::new();
    for segment in &script.0 {
        match segment {
            Segment::Text(t) => out.extend(t.chars().map(Piece::Char)),
            Segment::Own(t) => out.push(Piece::Own(t.clone())),
            Segment::Reference { path, default } => {
                match crate::settings::template::referent(path, default.as_deref(), scope)? {
                    Referent::Data(t) => out.push(Piece::Data(t)),
                    Referent::Script(inner) if depth < DEEPEST => out.extend(closed(pieces(&inner, scope, depth + 1)?)),
                    Referent::Script(_) => {
                        let message = format!("`{path}` refers to itself");
                        return Err(Problem::Conflict { message });
                    }
                }
            }
        }
    }
    Ok(out)
}

/// Deepest nesting of scripts in scripts.
const DEEPEST: usize = 8;

/// A script such that what follows it becomes part of no comment and of no unfinished line.
fn closed(script: Vec<Piece>) -> Vec<Piece> {
    let open = |p: &Piece| match p {
        Piece::Char(c) => matches!(c, '#' | '\n'),
        Piece::Own(t) => t.contains(['#', '\n']),
        Piece::Data(_) => false,
    };
    if !script.iter().any(open) {
        return script;
    }
    let chars = |text: &'static str| text.chars().map(Piece::Char);
    chars("{ ").chain(script).chain(chars("\n}")).collect()
}

/// Puts the references into a script and looks at what it comes to. `env` holds the container's variables, with their
/// values where those are known.
///
/// # Errors
/// A reference without a value, a quote that is not closed.
pub fn lower(script: &Template, scope: &dyn Scope, env: &Env) -> Result<Lowered, Problem> {
    let pieces = pieces(script, scope, 0)?;
    let mut lexer = Lexer {
        pieces,
        at: 0,
        out: String::new(),
        commands: vec![Vec::new()],
        word: None,
        env,
        plain: true,
        open: None,
    };
    lexer.read();
    match lexer.open {
        Some(quote) => Err(Problem::ShellSyntax { message: format!("a quote `{quote}` of the script is not closed") }),
        None => Ok(lexer.finish()),
    }
}

/// A part of a word.
#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(String),
    /// A variable of the container.
    Variable(String),
    /// Something that only a shell can tell.
    Opaque,
}

struct Lexer<'p> {
    pieces: Vec<Piece>,
    at: usize,
    out: String,
    /// The commands so far, each a list of words; operators end a command.
    commands: Vec<Vec<Vec<Part>>>,
    word: Option<Vec<Part>>,
    env: &'p Env,
    /// Whether only `;` and line ends stood between commands.
    plain: bool,
    /// The quote that the script ends in.
    open: Option<char>,
}

impl Lexer<'_> {
    fn peek(&self) -> Option<&Piece> {
        self.pieces.get(self.at)
    }

    fn peek_char(&self, ahead: usize) -> Option<char> {
        match self.pieces.get(self.at + ahead) {
            Some(Piece::Char(c)) => Some(*c),
            _ => None,
        }
    }

    fn push(&mut self, part: Part) {
        let word = self.word.get_or_insert_with(Vec::new);
        match (word.last_mut(), part) {
            (Some(Part::Text(t)), Part::Text(more)) => t.push_str(&more),
            (_, part) => word.push(part),
        }
    }

    fn end_word(&mut self) {
        if let (Some(word), Some(command)) = (self.word.take(), self.commands.last_mut()) {
            command.push(word);
        }
    }

    fn end_command(&mut self) {
        self.end_word();
        if self.commands.last().is_some_and(|c| !c.is_empty()) {
            self.commands.push(Vec::new());
        }
    }

    fn read(&mut self) {
        while self.peek().is_some() {
            self.unquoted();
        }
        self.end_command();
        self.commands.pop();
    }

    fn finish(self) -> Lowered {
        let script = self.out.trim().to_owned();
        let words = self.simple();
        let server = self
            .commands
            .iter()
            .map(|c| without_prefix(c))
            .find(|c| {
                c.windows(2).any(|w| is_text(&w[0], "vllm") && is_text(&w[1], "serve"))
                    || c.iter().any(|w| is_text(w, SERVER_MODULE))
            })
            .map(|c| c.iter().map(argument_of).collect())
            .unwrap_or_default();
        Lowered { script, words, server }
    }

    fn unquoted(&mut self) {
        let c = match &self.pieces[self.at] {
            Piece::Own(text) if self.word.is_none() && self.commands.last().is_some_and(Vec::is_empty) => {
                let script = closed(text.trim().chars().map(Piece::Char).collect());
                self.pieces.splice(self.at..=self.at, script);
                return;
            }
            Piece::Data(text) | Piece::Own(text) => {
                let text = text.clone();
                self.out.push_str(&quote(&kubelet_literal(&text, self.env)));
                self.push(Part::Text(text));
                self.at += 1;
                return;
            }
            Piece::Char(c) => *c,
        };
        self.at += 1;
        match c {
            ' ' | '\t' => {
                self.end_word();
                while matches!(self.peek_char(0), Some(' ' | '\t')) {
                    self.at += 1;
                }
                let option = self.peek_char(0) == Some('-')
                    && self.peek_char(1) == Some('-')
                    && self.peek_char(2).is_some_and(|c| c.is_ascii_alphabetic());
                // One option a line, for whoever reads the script.
                self.out.push_str(if option { " \\\n  " } else { " " });
            }
            '\n' | ';' => {
                self.out.push(c);
                self.end_command();
            }
            '&' | '|' | '<' | '>' | '(' | ')' | '`' | '{' | '}' | '*' | '?' | '[' | ']' | '~' | '!' => {
                self.out.push(c);
                self.plain = false;
                match c {
                    '&' | '|' | '(' | ')' => self.end_command(),
                    _ => self.push(Part::Opaque),
                }
            }
            '#' if self.word.is_none() => {
                self.out.push('#');
                while let Some(piece) = self.pieces.get(self.at) {
                    match piece {
                        Piece::Char('\n') => break,
                        Piece::Char(c) => self.out.push(*c),
                        Piece::Data(text) | Piece::Own(text) => self.out.push_str(&text.replace(['\n', '\r'], " ")),
                    }
                    self.at += 1;
                }
            }
            '\\' => match self.peek() {
                Some(Piece::Char('\n')) => {
                    self.at += 1;
                    // The lines are one; the next break is ours.
                    if !self.out.ends_with(' ') {
                        self.out.push_str("\\\n");
                    }
                }
                Some(Piece::Char(next)) => {
                    let next = *next;
                    self.at += 1;
                    self.escaped(next);
                }
                _ => {
                    self.out.push('\\');
                    self.push(Part::Opaque);
                }
            },
            '\'' => self.single(),
            '"' => self.double(),
            '$' => self.dollar(false),
            c => {
                self.out.push(c);
                self.push(Part::Text(c.to_string()));
            }
        }
    }

    /// A character after a backslash; a dollar sign that the kubelet would take is kept from it.
    fn escaped(&mut self, c: char) {
        self.out.extend(['\\', c]);
        let ahead: String = (0..64).map_while(|i| self.peek_char(i)).collect();
        if c == '$' && (ahead.starts_with('$') || variable(&format!("${ahead}"), self.env).is_some()) {
            self.out.push('$');
        }
        self.push(Part::Text(c.to_string()));
    }

    /// Between single quotes nothing is a shell's; `$(NAME)` of the container is the kubelet's there too.
    fn single(&mut self) {
        self.out.push('\'');
        self.push(Part::Text(String::new()));
        while let Some(piece) = self.pieces.get(self.at).cloned() {
            self.at += 1;
            match piece {
                Piece::Char('\'') => {
                    self.out.push('\'');
                    return;
                }
                Piece::Char('$') => {
                    let ahead: String = (0..64).map_while(|i| self.peek_char(i)).collect();
                    let text = format!("${ahead}");
                    if let Some(name) = variable(&text, self.env) {
                        self.at += name.len() + 2;
                        self.out.push_str(&format!("$({name})"));
                        self.push(Part::Variable(name.to_owned()));
                    } else if ahead.starts_with('$') {
                        self.at += 1;
                        self.out.push_str("$$$$");
                        self.push(Part::Text("$$".into()));
                    } else {
                        self.out.push('$');
                        self.push(Part::Text("$".into()));
                    }
                }
                Piece::Char(c) => {
                    self.out.push(c);
                    self.push(Part::Text(c.to_string()));
                }
                Piece::Data(data) | Piece::Own(data) => {
                    self.out.push_str(&kubelet_literal(&data, self.env).replace('\'', r"'\''"));
                    self.push(Part::Text(data));
                }
            }
        }
        self.open = Some('\'');
    }

    fn double(&mut self) {
        self.out.push('"');
        self.push(Part::Text(String::new()));
        while let Some(piece) = self.pieces.get(self.at).cloned() {
            self.at += 1;
            match piece {
                Piece::Char('"') => {
                    self.out.push('"');
                    return;
                }
                Piece::Char('\\') => match self.peek_char(0) {
                    Some(c @ ('$' | '`' | '"' | '\\')) => {
                        self.at += 1;
                        self.escaped(c);
                    }
                    Some('\n') => {
                        self.out.push_str("\\\n");
                        self.at += 1;
                    }
                    _ => {
                        self.out.push('\\');
                        self.push(Part::Text("\\".into()));
                    }
                },
                Piece::Char('$') => self.dollar(true),
                Piece::Char('`') => {
                    self.out.push('`');
                    self.plain = false;
                    self.push(Part::Opaque);
                }
                Piece::Char(c) => {
                    self.out.push(c);
                    self.push(Part::Text(c.to_string()));
                }
                Piece::Data(text) | Piece::Own(text) => {
                    let literal = kubelet_literal(&text, self.env);
                    if literal.contains(['$', '`', '"', '\\']) {
                        // Between two double-quoted pieces stands one that nothing is expanded in.
                        self.out.push_str(&format!("\"{}\"", quote(&literal)));
                    } else {
                        self.out.push_str(&literal);
                    }
                    self.push(Part::Text(text));
                }
            }
        }
        self.open = Some('"');
    }

    /// After a `$`: a variable of the container can be left to the kubelet, anything else needs a shell.
    fn dollar(&mut self, quoted: bool) {
        self.out.push('$');
        if self.peek_char(0) == Some('$') {
            // The shell's own number, which the kubelet would take for an escaped dollar sign.
            self.at += 1;
            self.out.push_str("$$$");
            self.plain = false;
            self.push(Part::Opaque);
            return;
        }
        let braced = self.peek_char(0) == Some('{');
        let mut name = String::new();
        let mut ahead = usize::from(braced);
        while let Some(c) = self.peek_char(ahead).filter(|c| c.is_ascii_alphanumeric() || *c == '_') {
            name.push(c);
            ahead += 1;
        }
        let closed = !braced || self.peek_char(ahead) == Some('}');
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !closed {
            // `$(NAME)` is the kubelet's own, everywhere.
            let inner: String = (1..64).map_while(|i| self.peek_char(i)).take_while(|c| *c != ')').collect();
            if self.peek_char(0) == Some('(') && self.env.contains_key(&inner) {
                self.out.push_str(&format!("({inner})"));
                self.at += inner.len() + 2;
                self.push(Part::Variable(inner));
                return;
            }
            if self.peek_char(0).is_none_or(|c| c.is_whitespace() || c == '"' && quoted) {
                self.push(Part::Text("$".into()));
                return;
            }
            self.plain = false;
            self.push(Part::Opaque);
            return;
        }
        self.at += ahead + usize::from(braced);
        self.out.push_str(&if braced { format!("{{{name}}}") } else { name.clone() });
        // Unquoted, a value with white space would be several words, or none.
        let one_word = match self.env.get(&name) {
            Some(Some(value)) => {
                !value.is_empty() && value.chars().all(|c| c.is_ascii_alphanumeric() || "_-./:=,+@%".contains(c))
            }
            _ => false,
        };
        if self.env.contains_key(&name) && (quoted || one_word) {
            self.push(Part::Variable(name));
        } else {
            self.push(Part::Opaque);
        }
    }

    /// The script as a list of arguments: no-ops and then one simple command of known words.
    fn simple(&self) -> Option<Vec<String>> {
        if !self.plain {
            return None;
        }
        let mut commands =
            self.commands.iter().skip_while(|c| c.len() == 1 && NO_OPS.iter().any(|n| is_text(&c[0], n)));
        let command = commands.next()?;
        if commands.next().is_some() {
            return None;
        }
        let program = text_of(command.first()?)?;
        if program.contains('=') || NEEDS_SHELL.contains(&program.as_str()) {
            return None;
        }
        command
            .iter()
            .map(|word| {
                let mut out = String::new();
                for part in word {
                    match part {
                        Part::Text(t) => out.push_str(&kubelet_literal(t, self.env)),
                        Part::Variable(n) => {
                            // A dollar sign before a reference would make it a literal text.
                            if out.ends_with('$') && !out.ends_with("$$") {
                                out.push('$');
                            }
                            out.push_str(&format!("$({n})"));
                        }
                        Part::Opaque => return None,
                    }
                }
                Some(out)
            })
            .collect()
    }
}

/// The Python module that is the server as well.
pub const SERVER_MODULE: &str = "vllm.entrypoints.openai.api_server";

/// Commands that do nothing.
const NO_OPS: &[&str] = &["true", ":", "/bin/true"];

/// First words that a shell takes for itself.
const NEEDS_SHELL: &[&str] = &[
    "if", "then", "else", "elif", "fi", "for", "while", "until", "do", "done", "case", "esac", "function", "select",
    "time", "source", ".", "export", "set", "unset", "eval", "exec", "cd", "trap", "ulimit", "umask", "declare",
    "local", "readonly", "alias", "wait", "exit", "return", "shift", "read", "test",
];

fn is_text(word: &[Part], text: &str) -> bool {
    matches!(word, [Part::Text(t)] if t == text)
}

fn text_of(word: &Vec<Part>) -> Option<String> {
    match word.as_slice() {
        [Part::Text(t)] => Some(t.clone()),
        _ => None,
    }
}

/// A word as an argument that Kubernetes reads, where it is text or one variable.
fn argument_of(word: &Vec<Part>) -> Option<String> {
    match word.as_slice() {
        [Part::Variable(name)] => Some(format!("$({name})")),
        _ => text_of(word),
    }
}

/// A command without `exec` and assignments before it.
fn without_prefix(command: &[Vec<Part>]) -> &[Vec<Part>] {
    let skip = command
        .iter()
        .take_while(|w| {
            is_text(w, "exec") || matches!(w.first(), Some(Part::Text(t)) if t.contains('=') && !t.starts_with('-'))
        })
        .count();
    &command[skip..]
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;
    impl Scope for Fixed {
        fn resolve(&self, path: &str) -> Option<Referent> {
            match path {
                "vllm.port" => Some(Referent::Data("8000".into())),
                "model.name" => Some(Referent::Data("it's \"$HOME\" & more".into())),
                "standalone.preprocess" => {
                    Some(Referent::Script(Template(vec![Segment::Text("source /a.sh ; /b.py".into())])))
                }
                _ => None,
            }
        }
        fn paths(&self) -> Vec<String> {
            Vec::new()
        }
    }

    fn reference(path: &str) -> Segment {
        Segment::Reference { path: path.into(), default: None }
    }

    fn env() -> Env {
        HashMap::from([("POD_IP".to_owned(), None), ("PORT".to_owned(), Some("8200".to_owned()))])
    }

    fn lowered(segments: Vec<Segment>) -> Lowered {
        lower(&Template(segments), &Fixed, &env()).unwrap()
    }

    #[test]
    fn a_simple_command_needs_no_shell() {
        let l = lowered(vec![Segment::Text("true ; vllm serve m --port ".into()), reference("vllm.port")]);
        assert_eq!(l.words.unwrap(), ["vllm", "serve", "m", "--port", "8000"]);
    }

    #[test]
    fn container_variables_go_to_the_kubelet() {
        let l = lowered(vec![Segment::Text(r#"vllm serve m --x "{\"t\":\"kv@${POD_IP}@m\"}" --port $PORT"#.into())]);
        assert_eq!(l.words.unwrap(), ["vllm", "serve", "m", "--x", r#"{"t":"kv@$(POD_IP)@m"}"#, "--port", "$(PORT)"]);
    }

    #[test]
    fn anything_else_of_a_shell_stays_a_script() {
        for script in [
            "vllm serve $(hostname)",
            "a && b",
            "vllm serve m > /tmp/x",
            "A=1 vllm serve m",
            "vllm serve *",
            "cd /x ; vllm serve m",
            "vllm serve $UNKNOWN",
            "vllm serve $$",
        ] {
            assert_eq!(lowered(vec![Segment::Text(script.into())]).words, None, "{script}");
        }
    }

    #[test]
    fn data_is_one_word_wherever_it_stands() {
        for (before, after) in [("printf %s ", ""), ("printf %s \"", "\""), ("printf %s '", "'"), ("printf %s a", "b")]
        {
            let l = lowered(vec![
                reference("standalone.preprocess"),
                Segment::Text(format!(" ; {before}")),
                reference("model.name"),
                Segment::Text(after.into()),
            ]);
            let script = l.script.replacen("source /a.sh ; /b.py", "true", 1);
            let out = std::process::Command::new("bash").args(["-c", &script]).output().expect("bash runs");
            let text = String::from_utf8(out.stdout).unwrap();
            assert_eq!(text.trim_matches(['a', 'b']), "it's \"$HOME\" & more", "{script}");
        }
    }

    #[test]
    fn preprocess_stays_script() {
        let l = lowered(vec![reference("standalone.preprocess"), Segment::Text(" ; vllm serve m --port 1".into())]);
        assert_eq!(l.script, "source /a.sh ; /b.py ; vllm serve m \\\n  --port 1");
        assert_eq!(l.words, None);
        assert_eq!(l.server[4].as_deref(), Some("1"));
    }

    #[test]
    fn a_quote_that_is_not_closed_is_an_error() {
        for script in ["vllm serve 'm", "vllm serve \"m"] {
            let template = Template(vec![Segment::Text(script.into())]);
            assert!(matches!(lower(&template, &Fixed, &env()), Err(Problem::ShellSyntax { .. })), "{script}");
        }
    }

    #[test]
    fn an_own_variable_is_script_where_a_command_starts_and_data_elsewhere() {
        let l = lowered(vec![
            Segment::Own("source /a.sh ; /b.py".into()),
            Segment::Text(" ; vllm serve m --x ".into()),
            Segment::Own("a & b".into()),
        ]);
        assert_eq!(l.script, "source /a.sh ; /b.py ; vllm serve m \\\n  --x 'a & b'");
    }

    #[test]
    fn nothing_that_is_text_is_left_to_the_kubelet() {
        let l = lowered(vec![Segment::Text(
            r#"vllm serve m --a 'a$$b' --b '$$(POD_IP)' --c "\$(POD_IP)" --d '$(hostname)'"#.into(),
        )]);
        assert_eq!(
            l.words.unwrap()[3..],
            ["--a", "a$$$$b", "--b", "$$$$(POD_IP)", "--c", "$$(POD_IP)", "--d", "$(hostname)"]
        );
    }

    #[test]
    fn variables_of_the_container_are_the_kubelets_between_single_quotes_too() {
        let l = lowered(vec![Segment::Text(r#"a && vllm serve m --x '{"t":"kv@$(POD_IP)@m"}'"#.into())]);
        assert!(l.script.contains(r#"'{"t":"kv@$(POD_IP)@m"}'"#), "{}", l.script);
        let l = lowered(vec![Segment::Text("vllm serve m --x 'kv@$(POD_IP)@m'".into())]);
        assert_eq!(l.words.unwrap()[4], "kv@$(POD_IP)@m");
    }

    #[test]
    fn a_script_that_ends_in_a_comment_ends_there() {
        let l = lowered(vec![Segment::Own("export A=1 # note".into()), Segment::Text(" ; vllm serve m".into())]);
        let out = std::process::Command::new("bash").args(["-n", "-c", &l.script]).output().expect("bash runs");
        assert!(out.status.success(), "{}", l.script);
        assert!(l.script.contains("# note\n"), "{}", l.script);
    }
}
