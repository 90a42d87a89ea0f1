//! The one error type: what can go wrong, where, and what to do about it.
//!
//! A [`Problem`] names the phenomenon and holds data; its `Display` writes the sentence. A [`Diagnostic`] adds the
//! place and a hint. Phases collect diagnostics and stop at their end, so that one run reports all that is wrong.

use crate::credential;
use crate::source::{Sources, Span};
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use std::fmt;

/// What went wrong (or, for a note, what was noticed).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// A file cannot be read.
    Unreadable { path: String, reason: String },
    /// A file cannot be written.
    Unwritable { path: String, reason: String },
    /// The output directory holds things that no bundle of ours wrote.
    ForeignDirectory { path: String },
    /// A scenario name that is neither a file nor a shipped scenario.
    UnknownScenario { name: String, nearest: Option<String> },
    /// An edition of the defaults that is not shipped.
    UnknownEdition { name: String, known: String },
    /// A byte that no value may hold.
    ForbiddenCharacter { what: &'static str },
    /// A source larger than any scenario has reason to be.
    TooLarge { what: &'static str, limit: usize },

    /// A construct of the shell that is not part of the scenario language.
    ShellConstruct { construct: String },
    /// Text that is not valid shell.
    ShellSyntax { message: String },
    /// `$NAME` of a variable that nothing sets.
    UnsetVariable { name: String },
    /// Text that is not valid YAML.
    Yaml { message: String },
    /// The same key twice in one mapping.
    DuplicateKey { key: String, first_line: usize },

    /// A key of a YAML scenario, or a `--set` path, that is no setting.
    UnknownSetting { path: String, nearest: Option<String> },
    /// An `LLMDBENCH_` name that no edition had.
    UnknownVariable { name: String, nearest: Option<String> },
    /// A variable of another edition.
    OtherEdition { name: String, edition: String, instead: Option<String> },
    /// `--set` without `=`.
    MalformedSet { argument: String },
    /// A value that is not of the setting's type.
    WrongValue { setting: String, expected: String, found: String },
    /// A setting that must have a value has an empty one.
    EmptyValue { setting: String },
    /// A setting that must have a value has none in any layer.
    MissingValue { setting: String },
    /// `${path}` or `REPLACE_ENV_NAME` of something that has no value.
    UnresolvedReference { reference: String, nearest: Option<String> },
    /// Two values that cannot both hold.
    Conflict { message: String },
    /// A word that is not of a closed set: a key, a plugin type, the name of a plugin.
    UnknownWord { what: &'static str, name: String, nearest: Option<String> },
    /// A word that floats (`latest`, `auto`, a branch) where a version is needed.
    FloatingVersion { what: String, found: String },

    /// A name that Kubernetes would refuse.
    InvalidName { what: String, name: String, reason: String },
    /// Two objects with one identity.
    DuplicateObject { object: String },
    /// A reference to an object that the bundle does not hold.
    DanglingReference { from: String, to: String },
    /// Text in the output that looks like a credential.
    Credential { place: String, kind: &'static str },
    /// Something that this method or version cannot do.
    Unsupported { what: String },
    /// Helm cannot be run.
    HelmMissing { program: String, reason: String },
    /// Helm refuses a release.
    Helm { release: String, reason: String },
    /// A defect of this program.
    Internal { message: String },

    /// A setting that the selected methods do not use.
    Unused { setting: String, used_by: String },
    /// A variable that is known and has no effect here.
    NoEffect { variable: String, reason: String },
    /// A word such as `auto` was replaced by a documented fallback.
    Fallback { setting: String, word: String, used: String },
    /// A variable assigned more than once in one file, with different values.
    Reassigned { name: String, first_line: usize },
    /// Which edition a shell scenario belongs to.
    EditionChosen { edition: String, because: String },
    /// Free text for a note.
    Noted { message: String },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let near = |n: &Option<String>| n.as_ref().map_or(String::new(), |n| format!(", did you mean `{n}`?"));
        match self {
            Self::Unreadable { path, reason } => write!(f, "cannot read `{path}`: {reason}"),
            Self::Unwritable { path, reason } => write!(f, "cannot write `{path}`: {reason}"),
            Self::ForeignDirectory { path } => {
                write!(f, "`{path}` is not empty and holds no bundle of llmdbench")
            }
            Self::UnknownScenario { name, nearest } => write!(f, "no scenario `{name}`{}", near(nearest)),
            Self::UnknownEdition { name, known } => write!(f, "no edition `{name}` of the defaults; there are {known}"),
            Self::ForbiddenCharacter { what } => write!(f, "{what} cannot be part of a value"),
            Self::TooLarge { what, limit } => write!(f, "{what} is larger than {limit} bytes"),
            Self::ShellConstruct { construct } => {
                write!(f, "{construct} is not part of the scenario language")
            }
            Self::ShellSyntax { message } | Self::Yaml { message } => f.write_str(message),
            Self::UnsetVariable { name } => write!(f, "variable `{name}` has no value here"),
            Self::DuplicateKey { key, first_line } => {
                write!(f, "key `{key}` is given twice, first in line {first_line}")
            }
            Self::UnknownSetting { path, nearest } => write!(f, "unknown setting `{path}`{}", near(nearest)),
            Self::UnknownVariable { name, nearest } => write!(f, "unknown variable `{name}`{}", near(nearest)),
            Self::OtherEdition { name, edition, instead } => {
                write!(f, "variable `{name}` belongs to edition `{edition}`")?;
                instead.as_ref().map_or(Ok(()), |i| write!(f, "; {i}"))
            }
            Self::MalformedSet { argument } => write!(f, "`{argument}` is not of the form `path=value`"),
            Self::WrongValue { setting, expected, found } => {
                write!(f, "`{setting}` takes {expected}, not {found}")
            }
            Self::EmptyValue { setting } => write!(f, "`{setting}` is empty and must be filled in"),
            Self::MissingValue { setting } => write!(f, "`{setting}` has no value in any layer"),
            Self::UnresolvedReference { reference, nearest } => {
                write!(f, "reference `{reference}` has no value{}", near(nearest))
            }
            Self::UnknownWord { what, name, nearest } => write!(f, "unknown {what} `{name}`{}", near(nearest)),
            Self::Conflict { message } | Self::Noted { message } => f.write_str(message),
            Self::FloatingVersion { what, found } => {
                write!(f, "{what} has the floating version `{found}`, and the catalogue knows no other")
            }
            Self::InvalidName { what, name, reason } => write!(f, "{what} `{name}` {reason}"),
            Self::DuplicateObject { object } => write!(f, "the bundle would hold two objects {object}"),
            Self::DanglingReference { from, to } => write!(f, "{from} refers to {to}, which the bundle does not hold"),
            Self::Credential { place, kind } => write!(f, "{place} would hold what looks like {kind}"),
            Self::Unsupported { what } => f.write_str(what),
            Self::HelmMissing { program, reason } => write!(f, "cannot run `{program}`: {reason}"),
            Self::Helm { release, reason } => write!(f, "helm does not render release `{release}`: {reason}"),
            Self::Internal { message } => write!(f, "internal error: {message}"),
            Self::Unused { setting, used_by } => write!(f, "`{setting}` is not used here: {used_by}"),
            Self::NoEffect { variable, reason } => write!(f, "`{variable}` has no effect here: {reason}"),
            Self::Fallback { setting, word, used } => write!(f, "`{setting}` is `{word}`: {used}"),
            Self::Reassigned { name, first_line } => {
                write!(f, "`{name}` is set again; the value of line {first_line} is lost")
            }
            Self::EditionChosen { edition, because } => write!(f, "edition `{edition}`: {because}"),
        }
    }
}

/// How grave a diagnostic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The compilation fails.
    Error,
    /// The compilation goes on; the user should know.
    Note,
}

/// A problem with its place and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How grave it is.
    pub severity: Severity,
    /// What it is.
    pub problem: Problem,
    /// Where it is, when it is in a text.
    pub span: Option<Span>,
    /// What the user can do.
    pub hint: Option<String>,
    /// A second place that takes part, and what it is.
    pub also: Option<(Span, String)>,
}

impl Diagnostic {
    /// An error.
    pub fn error(problem: Problem, span: impl Into<Option<Span>>) -> Self {
        Self { severity: Severity::Error, problem, span: span.into(), hint: None, also: None }
    }

    /// Something the user should know that stops nothing.
    pub fn note(problem: Problem, span: impl Into<Option<Span>>) -> Self {
        Self { severity: Severity::Note, problem, span: span.into(), hint: None, also: None }
    }

    /// Adds what the user can do.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a second place that takes part, where it is known.
    pub fn with_place(mut self, span: Option<Span>, what: impl Into<String>) -> Self {
        self.also = span.map(|s| (s, what.into()));
        self
    }

    /// The diagnostic as text: sentence, place, the line itself, hint.
    pub fn render(&self, sources: &Sources, color: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Note => Level::NOTE,
        };
        let title = self.problem.to_string();
        let mut group = annotate_snippets::Group::with_title(level.primary_title(&title));
        let window;
        if let Some(span) = self.span {
            let source = sources.get(span.source);
            window = Window::around(&source.text, span.start, span.end);
            group = group.element(
                Snippet::source(window.text.as_str())
                    .line_start(window.first_line)
                    .path(source.name.as_str())
                    .annotation(AnnotationKind::Primary.span(window.start..window.end)),
            );
        }
        let second;
        if let Some((span, what)) = &self.also {
            let source = sources.get(span.source);
            second = Window::around(&source.text, span.start, span.end);
            group = group.element(
                Snippet::source(second.text.as_str())
                    .line_start(second.first_line)
                    .path(source.name.as_str())
                    .annotation(AnnotationKind::Context.span(second.start..second.end).label(what.as_str())),
            );
        }
        if let Some(hint) = &self.hint {
            group = group.element(Level::HELP.message(hint.as_str()));
        }
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&[group])
    }
}

/// The one line that a snippet shows, cut to a readable width around the place.
struct Window {
    text: String,
    first_line: usize,
    start: usize,
    end: usize,
}

impl Window {
    /// Longest piece of a line to show, in bytes.
    const WIDTH: usize = 160;

    fn around(text: &str, start: usize, end: usize) -> Self {
        let floor = |mut i: usize| {
            i = i.min(text.len());
            while !text.is_char_boundary(i) {
                i -= 1;
            }
            i
        };
        let (start, end) = (floor(start), floor(end));
        let mut from = text[..start].rfind('\n').map_or(0, |i| i + 1);
        let first_line = text[..from].matches('\n').count() + 1;
        let mut to = text[start..].find('\n').map_or(text.len(), |i| start + i);
        if start - from > Self::WIDTH {
            from = floor(start - Self::WIDTH / 2);
        }
        if to - start > Self::WIDTH {
            to = floor(start + Self::WIDTH);
        }
        let end = end.clamp(start, to);
        let clean = credential::hide(&plain(&text[from..to]));
        Self { text: clean, first_line, start: start - from, end: end - from }
    }
}

/// A line without characters that a terminal would act on or that turn the order of the text around; lengths stay.
fn plain(line: &str) -> String {
    let misleading =
        |c: char| c.is_control() && c != '\t' || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    line.chars().fold(String::with_capacity(line.len()), |mut out, c| {
        if misleading(c) {
            out.extend(std::iter::repeat_n(' ', c.len_utf8()));
        } else {
            out.push(c);
        }
        out
    })
}

/// All errors of a phase; never empty where it is returned as an error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Errors(pub Vec<Diagnostic>);

impl From<Diagnostic> for Errors {
    fn from(d: Diagnostic) -> Self {
        Self(vec![d])
    }
}

impl Errors {
    /// `Ok` when nothing was collected.
    pub fn into_result(self) -> Result<(), Errors> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }

    /// Adds an error.
    pub fn push(&mut self, d: Diagnostic) {
        self.0.push(d);
    }

    /// Whether an error of our own making (not of the user's input) is among them.
    pub fn is_ours(&self) -> bool {
        self.0.iter().any(|d| matches!(d.problem, Problem::Internal { .. } | Problem::Unwritable { .. }))
    }
}

/// The known name that is nearest to `name`, when one is near enough to be meant.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let lower = name.to_lowercase();
    known
        .into_iter()
        .map(|k| (strsim::damerau_levenshtein(&lower, &k.to_lowercase()), k))
        .filter(|(d, k)| *d <= 2 + k.len().min(name.len()) / 6)
        .min_by_key(|(d, _)| *d)
        .map(|(_, k)| k.to_owned())
}
