//! The commands: each wires flags to the library and prints; none decides anything.

pub mod cli;
mod convert;
pub mod input;
mod list;
mod render;
mod table;
mod teardown;
mod variables;

use crate::error::{Diagnostic, Errors, Problem};
use crate::source::Sources;
use clap::Parser;
use indexmap::IndexMap;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

/// The input is wrong and nothing was written.
const BAD_INPUT: u8 = 2;
/// The input is right and something of ours is wrong.
const OURS: u8 = 1;

/// Runs the command line and gives the exit code.
pub fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let mut sources = Sources::default();
    let result = match cli.command {
        cli::Command::Render(args) => render::run(&args, &mut sources),
        cli::Command::Teardown(args) => teardown::run(&args, &mut sources),
        cli::Command::Convert(args) => convert::run(&args, &mut sources),
        cli::Command::List(args) => list::run(&args, &mut sources),
        cli::Command::Variables(args) => variables::run(&args, &mut sources),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(errors) => {
            report(&errors.0, &sources);
            ExitCode::from(if errors.is_ours() { OURS } else { BAD_INPUT })
        }
    }
}

fn color() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// Prints errors with their snippets.
fn report(errors: &[Diagnostic], sources: &Sources) {
    let color = color();
    let mut text = String::new();
    for d in errors {
        text.push_str(&d.render(sources, color));
        text.push_str("\n\n");
    }
    // Standard error may be closed; there is nobody left to tell.
    let _ = io::stderr().write_all(text.trim_end().as_bytes()).and_then(|()| io::stderr().write_all(b"\n"));
}

/// Prints notes, one line for each reason.
fn tell(notes: &[Diagnostic], sources: &Sources) {
    let mut text = String::new();
    let mut groups: IndexMap<String, Vec<String>> = IndexMap::new();
    for d in notes {
        // What is said of many settings for one reason is said once.
        let grouped = match &d.problem {
            Problem::Unused { setting, used_by } => Some((format!("not used here, {used_by}"), setting)),
            Problem::NoEffect { variable, reason } => Some((format!("no effect here, {reason}"), variable)),
            _ => None,
        };
        match grouped {
            Some((reason, name)) => {
                let line = d.span.map_or(String::new(), |s| format!(" (line {})", sources.position(s).line));
                groups.entry(reason).or_default().push(format!("{name}{line}"));
            }
            None => {
                let place = d.span.map_or(String::new(), |s| format!(" ({})", sources.locate(s)));
                text.push_str(&format!("note: {}{place}\n", d.problem));
            }
        }
    }
    for (reason, names) in groups {
        text.push_str(&format!("note: {reason}: {}\n", names.join(", ")));
    }
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Prints the result; a reader that stops reading is no error.
fn print(text: &str) -> Result<(), Errors> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            let problem = Problem::Unwritable { path: "standard output".into(), reason: e.to_string() };
            Err(Diagnostic::error(problem, None).into())
        }
        _ => Ok(()),
    }
}
