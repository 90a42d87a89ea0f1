//! `variables`: the reference of settings and of the original's variables.

use super::{cli, print, table};
use crate::error::{Diagnostic, Errors, Problem, nearest};
use crate::settings::resolve::{Inputs, resolve};
use crate::settings::sections::reference_text;
use crate::settings::variables::{self, Editions, Effect};
use crate::settings::{Use, editions, fields};
use crate::source::Sources;
use crate::tree::Map;
use camino::Utf8Path;

/// Defaults name no files.
struct Nothing;
impl crate::scenario::World for Nothing {
    fn read(&self, _: &Utf8Path) -> std::io::Result<String> {
        Err(std::io::ErrorKind::NotFound.into())
    }
}

pub(super) fn run(args: &cli::Variables, sources: &mut Sources) -> Result<(), Errors> {
    let mut defaults = Vec::new();
    for edition in editions::ALL {
        let inputs = Inputs { edition: Some(edition.name.into()), ..Inputs::default() };
        defaults.push((edition.name, resolve(&inputs, &Nothing, sources)?.flat()));
    }
    let wanted = |texts: &[&str]| {
        args.filter.as_ref().is_none_or(|f| texts.iter().any(|t| t.to_lowercase().contains(&f.to_lowercase())))
    };
    let mut rows = Vec::new();
    for field in fields() {
        let names: Vec<_> = variables::all()
            .iter()
            .filter(|v| match v.effect {
                Effect::Sets(path) => path == field.path,
                Effect::Image(path) => field.path.strip_prefix(path).is_some_and(|p| p.starts_with('.')),
                Effect::Platform(_) => field.path == "platform",
                _ => false,
            })
            .collect();
        let default = default_of(&field.path, &defaults);
        let meaning = field.doc.trim().to_owned();
        let used = used_by(field.used_by);
        if names.is_empty() && wanted(&[&field.path]) {
            rows.push(row("", &field.path, "", &(field.expects)(), &default, used, &meaning));
        }
        for v in names {
            if wanted(&[&field.path, v.name]) {
                rows.push(row(
                    v.name,
                    &field.path,
                    in_editions(v.editions),
                    &(field.expects)(),
                    &default,
                    used,
                    &meaning,
                ));
            }
        }
    }
    for v in variables::all() {
        let (effect, meaning) = match v.effect {
            Effect::None(reason) | Effect::Secret(reason) => ("no effect here", reason.to_owned()),
            Effect::Current(path) => {
                ("no effect here", format!("stands for `${{{path}}}` in templates and is never set"))
            }
            Effect::Own => {
                ("lists that name it", "a name of the scenario's own, for lists of environment variables".to_owned())
            }
            Effect::Refused(reason) => ("not supported", reason.to_owned()),
            _ => continue,
        };
        if wanted(&[v.name]) {
            rows.push(row(v.name, "", in_editions(v.editions), "", "", effect, &meaning));
        }
    }
    if let (Some(filter), true) = (&args.filter, rows.is_empty()) {
        let known = fields().iter().map(|f| f.path.as_str()).chain(variables::names());
        let problem = Problem::UnknownSetting { path: filter.clone(), nearest: nearest(filter, known) };
        return Err(Diagnostic::error(problem, None).into());
    }
    let headings = ["variable", "setting", "editions", "takes", "default", "used by", "meaning"];
    if args.format == cli::Format::Table {
        return print(&blocks(&headings, &rows));
    }
    print(&table::show(args.format, &headings, &rows))
}

fn row(
    variable: &str,
    setting: &str,
    editions: &str,
    takes: &str,
    default: &str,
    used: &str,
    meaning: &str,
) -> Vec<String> {
    [variable, setting, editions, takes, default, used, meaning].map(str::to_owned).to_vec()
}

/// Seven columns fit no terminal: a block a row.
fn blocks(headings: &[&str], rows: &[Vec<String>]) -> String {
    let mut out = String::new();
    for row in rows {
        let title: Vec<&str> = row[..2].iter().map(String::as_str).filter(|c| !c.is_empty()).collect();
        out.push_str(&format!("{}\n", title.join("  ")));
        for (heading, cell) in headings.iter().zip(row).skip(2).filter(|(_, c)| !c.is_empty()) {
            out.push_str(&format!("    {heading:<9} {cell}\n"));
        }
    }
    out
}

/// The default, once where all editions agree.
fn default_of(path: &str, defaults: &[(&str, Map)]) -> String {
    let texts: Vec<(&str, String)> =
        defaults.iter().map(|(name, flat)| (*name, flat.get(path).map_or(String::new(), reference_text))).collect();
    let show = |t: &str| if t.is_empty() { "none".to_owned() } else { t.to_owned() };
    if texts.iter().all(|(_, t)| *t == texts[0].1) {
        return show(&texts[0].1);
    }
    texts.iter().map(|(n, t)| format!("{n}: {}", show(t))).collect::<Vec<_>>().join("; ")
}

fn in_editions(e: Editions) -> &'static str {
    match e {
        Editions::Old => editions::OLD,
        Editions::Later => editions::LATER,
        Editions::Both => "2025-08, 2026-03",
    }
}

fn used_by(used: Use) -> &'static str {
    match used {
        Use::All => "both methods",
        Use::Standalone => "standalone",
        Use::Modelservice => "modelservice",
        Use::HttpRoute => "standalone with an HTTPRoute",
        Use::OpenShift => "OpenShift",
        Use::Scripts => "scripts",
        Use::Run => "runs of a load generator",
        Use::Experiment => "experiments",
        Use::Probe => "the server whose probe it is",
        Use::Image => "whatever runs the image",
        Use::Sidecar => "the sidecar of the endpoint picker",
        Use::Monitor => "PodMonitors",
        Use::Prerequisite => "the list of what a cluster must have",
        Use::Env => "environment variables that refer to it",
        Use::Server => "the server that it stands under",
        Use::Reference => "texts that refer to it",
        Use::Capacity => "checks against a cluster",
        Use::Launcher => "standalone with a launcher",
    }
}
