//! The comments of a shell scenario, and which setting each belongs to.

use crate::source::{Sources, Span};

/// The comment of one setting.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Comment {
    /// The lines above the assignment, without their `#`.
    pub above: Vec<String>,
    /// What stands behind the value.
    pub beside: Option<String>,
}

/// All lines of a scenario.
pub(super) struct Comments<'t> {
    lines: Vec<&'t str>,
    /// Lines of the block at the start, which is about the file.
    header: usize,
}

impl<'t> Comments<'t> {
    pub fn new(text: &'t str) -> Self {
        let lines: Vec<&str> = text.lines().collect();
        let block = lines.iter().take_while(|l| l.trim_start().starts_with('#')).count();
        // A comment right above the first assignment is about that.
        let followed = lines.get(block).is_some_and(|l| !l.trim().is_empty());
        Self { header: if followed { 0 } else { block }, lines }
    }

    /// The comment about the file, as YAML.
    pub fn header(&self) -> String {
        prose(&self.lines[..self.header]).iter().map(|l| line(l)).collect()
    }

    /// The comment of the assignment whose value stands at `span`: the lines right above it, or above one empty line,
    /// and what is behind the value.
    pub fn of(&self, sources: &Sources, span: Span) -> Comment {
        let first = sources.position(span).line - 1;
        let last = sources.position(Span { start: span.end.max(span.start + 1) - 1, ..span }).line - 1;
        let is_comment = |i: &usize| self.lines[*i].trim_start().starts_with('#');
        let gap = usize::from(first > 0 && self.lines[first - 1].trim().is_empty());
        let above = (self.header..first - gap.min(first)).rev().take_while(is_comment).count();
        let end = first - gap;
        let text = &sources.get(span.source).text;
        let rest = text[span.end..].lines().next().unwrap_or("");
        // Where the value is empty, the place is that of the name.
        let rest = rest.strip_prefix('=').unwrap_or(rest);
        let beside = rest.trim_start().strip_prefix('#').filter(|_| rest.starts_with([' ', '\t']) && first <= last);
        Comment {
            above: prose(&self.lines[end - above..end]),
            beside: beside.map(clean).filter(|t| !t.is_empty()).map(str::to_owned),
        }
    }
}

/// A comment line of YAML.
pub(super) fn line(text: &str) -> String {
    if text.is_empty() { "#\n".to_owned() } else { format!("# {text}\n") }
}

/// The lines that say something: no rulers, no assignments and here-documents that are commented out, nothing that
/// asks to uncomment those.
fn prose(lines: &[&str]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut document = false;
    for raw in lines {
        if raw.starts_with("#!") {
            continue;
        }
        let text = clean(raw.trim_start().trim_start_matches('#'));
        if document {
            document = text.trim() != "EOF";
        } else if text.trim_start().starts_with("cat <<") || text.trim_start().starts_with("cat  <<") {
            document = true;
        } else if !is_ruler(text) && !is_disabled(text.trim_start()) && !text.to_lowercase().contains("uncomment") {
            all.push(text.to_owned());
        }
    }
    let is_blank = |l: &String| l.trim().is_empty();
    while all.last().is_some_and(is_blank) {
        all.pop();
    }
    let blanks = all.iter().take_while(|l| is_blank(l)).count();
    all.split_off(blanks)
}

/// A comment without the space after `#`, and without what YAML does not allow in a comment.
fn clean(text: &str) -> &str {
    let text = text.strip_prefix(' ').unwrap_or(text).trim_end();
    if text.chars().any(|c| c != '\t' && (c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}'))) { "" } else { text }
}

fn is_ruler(text: &str) -> bool {
    let text = text.trim();
    !text.is_empty() && text.chars().all(|c| matches!(c, '=' | '-' | '#' | '*' | '_' | '~' | ' '))
}

/// An assignment that is commented out.
fn is_disabled(text: &str) -> bool {
    let text = text.trim_start_matches(['#', ' ']);
    let name = text.split('=').next().unwrap_or("");
    text.starts_with("export ") || (text.contains('=') && name.starts_with("LLMDBENCH_") && !name.contains(' '))
}
