//! Expansion of a parsed shell scenario.

use super::{
    Assign, Assignment, Content, Evaluation, Fallback, IDIOM, LARGEST_EXPANSION, MOST_ERRORS, Part, Script, Statement,
    Text, Value, Variable, Write,
};
use crate::error::{Diagnostic, Errors, Problem};
use crate::source::Span;
use std::collections::{HashMap, HashSet};

pub(super) fn evaluate(script: &Script, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Evaluation, Errors> {
    let mut run = Run {
        lookup,
        variables: HashMap::new(),
        documents: Vec::new(),
        assigned: Vec::new(),
        notes: Vec::new(),
        errors: Errors::default(),
        spent: 0,
    };
    for statement in &script.statements {
        match statement {
            Statement::Assign(assigns) => run.assign(assigns),
            Statement::Write(write) => run.write(write),
            Statement::Mark(_) => {}
        }
        if run.spent > LARGEST_EXPANSION || run.errors.0.len() >= MOST_ERRORS {
            return Err(run.errors);
        }
    }
    run.note_marks(script);
    run.finish()
}

/// What a variable holds.
#[derive(Debug, Clone)]
enum Held {
    Text(String),
    /// The index of a document: variables share it as they would share the path of a file.
    Document(usize),
}

/// What a temporary file would hold.
struct Document {
    text: String,
    /// The place of the text; none until something fills it.
    filled: Option<Filled>,
    /// Where `$(mktemp)` was written.
    made: Span,
}

#[derive(Clone, Copy)]
struct Filled {
    span: Span,
    line: usize,
}

/// An assignment whose document may still change.
struct Assigned<'s> {
    assign: &'s Assign,
    held: Held,
    /// The value was built from the name's own value, which therefore is not lost.
    extends: bool,
}

struct Run<'s, 'l> {
    lookup: &'l dyn Fn(&str) -> Option<String>,
    variables: HashMap<&'s str, Held>,
    documents: Vec<Document>,
    assigned: Vec<Assigned<'s>>,
    notes: Vec<Diagnostic>,
    errors: Errors,
    /// Bytes that expansions have produced.
    spent: usize,
}

impl<'s> Run<'s, '_> {
    fn assign(&mut self, assigns: &'s [Assign]) {
        let first = self.assigned.len();
        for assign in assigns {
            let mut extends = false;
            let held = match &assign.value {
                Value::NewDocument => self.new_document(assign.value_span),
                Value::Word(word) => {
                    extends = mentions(word, &assign.target.name);
                    self.word(word, assign.value_span)
                }
            };
            self.assigned.push(Assigned { assign, held, extends });
        }
        for Assigned { assign, held, .. } in &self.assigned[first..] {
            self.variables.insert(&assign.target.name, held.clone());
        }
    }

    fn new_document(&mut self, made: Span) -> Held {
        self.documents.push(Document { text: String::new(), filled: None, made });
        Held::Document(self.documents.len() - 1)
    }

    /// Expands a word; a word that is one document stays that document.
    fn word(&mut self, word: &'s [Part], place: Span) -> Held {
        let mut text = String::new();
        let mut document = None;
        for part in word {
            let piece = match part {
                Part::Text(piece) => Held::Text(piece.clone()),
                Part::Expansion { variable, fallback } => self.expand(variable, fallback.as_ref(), place),
            };
            match piece {
                Held::Text(piece) => {
                    self.spend(piece.len(), place);
                    text.push_str(&piece);
                }
                Held::Document(index) if document.is_none() => document = Some((index, part)),
                Held::Document(_) => self.refuse_path(part),
            }
            if self.spent > LARGEST_EXPANSION {
                break;
            }
        }
        match document {
            None => Held::Text(text),
            Some((index, _)) if text.is_empty() => Held::Document(index),
            Some((_, part)) => {
                self.refuse_path(part);
                Held::Text(text)
            }
        }
    }

    fn expand(&mut self, variable: &'s Variable, fallback: Option<&'s Fallback>, place: Span) -> Held {
        let held = match self.variables.get(variable.name.as_str()) {
            Some(held) => Some(held.clone()),
            None => (self.lookup)(&variable.name).map(Held::Text),
        };
        let empty = matches!(&held, Some(Held::Text(text)) if text.is_empty());
        match (held, fallback) {
            (None, Some(fallback)) => self.word(&fallback.word, place),
            (Some(_), Some(fallback)) if empty && fallback.when_empty => self.word(&fallback.word, place),
            (Some(held), _) => held,
            (None, None) => {
                let name = variable.name.clone();
                let hint = format!("write `${{{name}:-default}}`, or `\\${name}` if the pod is to expand it");
                let problem = Problem::UnsetVariable { name };
                self.error(Diagnostic::error(problem, variable.span).with_hint(hint));
                Held::Text(String::new())
            }
        }
    }

    fn write(&mut self, write: &'s Write) {
        let content = match &write.content {
            Content::HereDocument { body, span } => match self.word(body, *span) {
                Held::Text(text) => Some((text, *span)),
                // A body ends with a line end, so it is more than the path of a document.
                Held::Document(_) => None,
            },
            Content::Documents(variables) => self.concatenate(variables, &write.target),
        };
        let (Some((text, span)), Some(index)) = (content, self.document(&write.target)) else {
            return;
        };
        let document = &mut self.documents[index];
        match document.filled {
            Some(_) if write.append => document.text.push_str(&text),
            before => {
                if let Some(before) = before.filter(|_| document.text != text) {
                    let problem = Problem::Reassigned { name: write.target.name.clone(), first_line: before.line };
                    self.notes.push(Diagnostic::note(problem, write.target.span));
                }
                document.text = text;
                document.filled = Some(Filled { span, line: write.line });
            }
        }
    }

    /// What `cat $A $B` writes, and the place of its first piece.
    fn concatenate(&mut self, variables: &[Variable], target: &Variable) -> Option<(String, Span)> {
        let mut text = String::new();
        let mut first = None;
        for variable in variables {
            let index = self.document(variable)?;
            let itself = matches!(self.variables.get(target.name.as_str()), Some(Held::Document(i)) if *i == index);
            let document = &self.documents[index];
            let why = match document.filled {
                Some(_) if itself => "into itself",
                Some(filled) => {
                    first = first.or(Some(filled.span));
                    let bytes = document.text.len();
                    if self.spent + bytes <= LARGEST_EXPANSION {
                        text.push_str(&document.text);
                    }
                    self.spend(bytes, variable.span);
                    continue;
                }
                None => "before something fills it",
            };
            self.refuse(format!("`cat` of `${}` {why}", variable.name), variable.span);
            return None;
        }
        first.map(|span| (text, span))
    }

    /// The document that a variable holds; an error when it holds none.
    fn document(&mut self, variable: &Variable) -> Option<usize> {
        if let Some(Held::Document(index)) = self.variables.get(variable.name.as_str()) {
            return Some(*index);
        }
        self.refuse(format!("a file `${}` that is no `$(mktemp)`", variable.name), variable.span);
        None
    }

    fn refuse(&mut self, construct: String, span: Span) {
        let problem = Problem::ShellConstruct { construct };
        self.error(Diagnostic::error(problem, span).with_hint(IDIOM));
    }

    /// The path of a temporary file means nothing in a bundle, so it cannot be part of a text.
    fn refuse_path(&mut self, part: &Part) {
        let Part::Expansion { variable: Variable { name, span }, .. } = part else {
            return;
        };
        let construct = format!("the path of a temporary file (`${name}`) inside a text");
        let hint = "a document can only be a whole value: `export Y=$X`";
        self.error(Diagnostic::error(Problem::ShellConstruct { construct }, *span).with_hint(hint));
    }

    fn error(&mut self, error: Diagnostic) {
        if self.errors.0.len() < MOST_ERRORS {
            self.errors.push(error);
        }
    }

    fn spend(&mut self, bytes: usize, place: Span) {
        let before = self.spent <= LARGEST_EXPANSION;
        self.spent = self.spent.saturating_add(bytes);
        if before && self.spent > LARGEST_EXPANSION {
            let problem = Problem::TooLarge { what: "the expanded scenario", limit: LARGEST_EXPANSION };
            let hint = "a variable is expanded inside itself again and again here";
            self.error(Diagnostic::error(problem, place).with_hint(hint));
        }
    }

    /// `export X` of a name that the file never sets does nothing.
    fn note_marks(&mut self, script: &'s Script) {
        let set: HashSet<&str> = script.names().map(|(name, _)| name).collect();
        for statement in &script.statements {
            if let Statement::Mark(Variable { name, span }) = statement
                && !set.contains(name.as_str())
            {
                let reason = "`export` without `=` sets nothing".to_owned();
                self.notes.push(Diagnostic::note(Problem::NoEffect { variable: name.clone(), reason }, *span));
            }
        }
    }

    /// Gives every assignment the final text of its document.
    fn finish(mut self) -> Result<Evaluation, Errors> {
        let unfilled: Vec<Span> = self.documents.iter().filter(|d| d.filled.is_none()).map(|d| d.made).collect();
        for made in unfilled {
            let problem = Problem::ShellConstruct { construct: "`$(mktemp)` that no here-document fills".to_owned() };
            let hint = "fill it with `cat << EOF > $X`, or write the value in place";
            self.error(Diagnostic::error(problem, made).with_hint(hint));
        }
        let mut assignments: Vec<Assignment> = Vec::with_capacity(self.assigned.len());
        let mut latest: HashMap<&str, (usize, usize)> = HashMap::new();
        for assigned in std::mem::take(&mut self.assigned) {
            let Assigned { assign, held, extends } = assigned;
            let Variable { name, span: name_span } = &assign.target;
            let Some(value) = self.text(held, assign.value_span) else {
                break;
            };
            if let Some(&(before, first_line)) = latest.get(name.as_str())
                && !extends
                && !assignments[before].value.same(&value)
            {
                let problem = Problem::Reassigned { name: name.clone(), first_line };
                self.notes.push(Diagnostic::note(problem, *name_span));
            }
            latest.insert(name, (assignments.len(), assign.line));
            assignments.push(Assignment {
                name: name.clone(),
                name_span: *name_span,
                value,
                value_span: assign.value_span,
            });
        }
        let place = |d: &Diagnostic| d.span.map(|s| s.start);
        self.errors.0.sort_by_key(place);
        self.notes.sort_by_key(place);
        self.errors.into_result()?;
        Ok(Evaluation { assignments, notes: self.notes })
    }

    /// The final text of a value; none when the scenario has grown too large.
    fn text(&mut self, held: Held, place: Span) -> Option<Text> {
        let index = match held {
            Held::Text(text) => return Some(Text::Inline(text)),
            Held::Document(index) => index,
        };
        self.spend(self.documents[index].text.len(), place);
        let Document { text, filled, made } = &self.documents[index];
        (self.spent <= LARGEST_EXPANSION)
            .then(|| Text::Document { text: text.clone(), body_span: filled.map_or(*made, |f| f.span) })
    }
}

/// Whether a word expands a name.
fn mentions(word: &[Part], name: &str) -> bool {
    word.iter().any(|part| match part {
        Part::Text(_) => false,
        Part::Expansion { variable, fallback } => {
            variable.name == name || fallback.as_ref().is_some_and(|f| mentions(&f.word, name))
        }
    })
}
