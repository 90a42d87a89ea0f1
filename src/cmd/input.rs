//! The loader: the one place that reads files, standard input and the environment.

use super::cli;
use crate::error::{Diagnostic, Errors, Problem, nearest};
use crate::scenario::World;
use crate::settings::editions;
use crate::settings::resolve::{Inputs, Language};
use crate::settings::variables::PREFIX;
use crate::source::{SourceId, Sources};
use camino::{Utf8Path, Utf8PathBuf};
use include_dir::{Dir, include_dir};
use std::io::{self, Read};

/// Largest file that is read as a scenario or as the value of a setting, in bytes.
const LARGEST: usize = 4 << 20;

/// The scenarios that ship with the tool.
pub static SHIPPED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/scenarios");

/// The folder of the user's own scenarios.
pub const OWN: &str = "scenarios";

/// Extensions of a scenario, in the order they are tried.
const EXTENSIONS: &[&str] = &["yaml", "yml", "sh", "env"];

/// The file system.
pub struct Disk;

impl World for Disk {
    fn read(&self, path: &Utf8Path) -> io::Result<String> {
        read_file(path)
    }
}

fn read_file(path: &Utf8Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(LARGEST as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > LARGEST {
        return Err(io::Error::other(format!("it is larger than {LARGEST} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"))
}

/// Reads everything that the flags name.
///
/// # Errors
/// A scenario or defaults file that is not there or cannot be read.
pub fn load(args: &cli::Input, sources: &mut Sources) -> Result<Inputs, Errors> {
    let mut errors = Errors::default();
    let mut inputs = Inputs { sets: args.set.clone(), flags: args.flags(), ..Inputs::default() };
    if let Some(name) = &args.scenario {
        match scenario(name, sources) {
            Ok(found) => inputs.scenario = Some(found),
            Err(d) => errors.push(d),
        }
    }
    for name in &args.defaults {
        if editions::find(name).is_some() {
            inputs.edition = Some(name.clone());
        } else if name.contains(['/', '.']) || Utf8Path::new(name).exists() {
            match read_file(Utf8Path::new(name)) {
                Ok(text) => inputs.defaults.push(sources.add_file(name.as_str(), text)),
                Err(e) => errors.push(unreadable(name, &e)),
            }
        } else {
            let problem = Problem::UnknownEdition { name: name.clone(), known: editions::known() };
            errors.push(Diagnostic::error(problem, None).with_hint("a file of defaults has a `/` or `.` in its name"));
        }
    }
    if !args.no_env {
        for (name, value) in std::env::vars_os() {
            let Some(name) = name.to_str().filter(|n| n.starts_with(PREFIX)) else { continue };
            match value.into_string() {
                Ok(value) => inputs.environment.push((name.to_owned(), value)),
                Err(_) => errors.push(Diagnostic::error(
                    Problem::Unreadable { path: name.to_owned(), reason: "its value is not UTF-8 text".into() },
                    None,
                )),
            }
        }
        inputs.environment.sort();
    }
    errors.into_result().map(|()| inputs)
}

fn unreadable(path: &str, error: &io::Error) -> Diagnostic {
    Diagnostic::error(Problem::Unreadable { path: path.to_owned(), reason: error.to_string() }, None)
}

/// The scenario of a name, a path or `-`.
///
/// # Errors
/// A scenario that is not there or cannot be read.
pub fn scenario(name: &str, sources: &mut Sources) -> Result<(SourceId, Language), Diagnostic> {
    if name == "-" {
        let mut bytes = Vec::new();
        io::stdin()
            .lock()
            .take(LARGEST as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(|e| unreadable("standard input", &e))?;
        if bytes.len() > LARGEST {
            return Err(Diagnostic::error(Problem::TooLarge { what: "standard input", limit: LARGEST }, None));
        }
        let text = String::from_utf8(bytes).map_err(|_| {
            Diagnostic::error(
                Problem::Unreadable { path: "standard input".into(), reason: "it is not UTF-8 text".into() },
                None,
            )
        })?;
        let language = guess(&text);
        return Ok((sources.add_file("standard input", text), language));
    }
    let path = Utf8Path::new(name);
    if name.contains('/') || path.is_file() {
        return from_file(path, sources);
    }
    let candidates = || std::iter::once(name.to_owned()).chain(EXTENSIONS.iter().map(|e| format!("{name}.{e}")));
    for candidate in candidates() {
        let path = Utf8PathBuf::from(OWN).join(candidate);
        if path.is_file() {
            return from_file(&path, sources);
        }
    }
    // A shipped scenario answers to the name of the shell file that it was written after, too.
    let stem = path.file_stem().filter(|_| path.extension().is_some_and(|e| EXTENSIONS.contains(&e))).unwrap_or(name);
    if let Some(text) = SHIPPED.get_file(format!("{stem}.yaml")).and_then(|f| f.contents_utf8()) {
        return Ok((sources.add_file(format!("{OWN}/{stem}.yaml"), text), Language::Yaml));
    }
    let known = names();
    let nearest = nearest(stem, known.iter().map(String::as_str));
    let problem = Problem::UnknownScenario { name: name.to_owned(), nearest };
    Err(Diagnostic::error(problem, None).with_hint("`llmdbench list` shows the names; a file is written with its path"))
}

/// A file that is no scenario.
///
/// # Errors
/// One that is not there or cannot be read.
pub fn file(path: &Utf8Path, sources: &mut Sources) -> Result<SourceId, Diagnostic> {
    let text = read_file(path).map_err(|e| unreadable(path.as_str(), &e))?;
    Ok(sources.add_file(path.as_str(), text))
}

fn from_file(path: &Utf8Path, sources: &mut Sources) -> Result<(SourceId, Language), Diagnostic> {
    let text = read_file(path).map_err(|e| unreadable(path.as_str(), &e))?;
    let language = match path.extension() {
        Some("sh" | "env" | "bash") => Language::Shell,
        Some("yaml" | "yml" | "json") => Language::Yaml,
        _ => guess(&text),
    };
    Ok((sources.add_file(path.as_str(), text), language))
}

/// The language of a text without an extension: its first line that is no comment says.
fn guess(text: &str) -> Language {
    let first = text.lines().map(str::trim).find(|l| !l.is_empty() && !l.starts_with('#')).unwrap_or("");
    let name = first.split('=').next().unwrap_or("");
    let assignment =
        first.contains('=') && !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if assignment || first.starts_with("export ") { Language::Shell } else { Language::Yaml }
}

/// Names of all scenarios, the user's own first.
pub fn names() -> Vec<String> {
    let mut all: Vec<String> = own().into_iter().map(|p| p.file_stem().unwrap_or_default().to_owned()).collect();
    all.extend(SHIPPED.files().filter_map(|f| f.path().file_stem()?.to_str().map(str::to_owned)));
    all.sort();
    all.dedup();
    all
}

/// Files of the user's own scenarios, sorted.
pub fn own() -> Vec<Utf8PathBuf> {
    let Ok(entries) = Utf8Path::new(OWN).read_dir_utf8() else { return Vec::new() };
    let mut all: Vec<_> = entries
        .filter_map(|e| Some(e.ok()?.into_path()))
        .filter(|p| p.is_file() && p.extension().is_some_and(|e| EXTENSIONS.contains(&e)))
        .collect();
    all.sort();
    all
}
