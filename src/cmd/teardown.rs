//! `teardown`: the delete plan of a bundle or a scenario.

use super::cli::{self, PlanFormat};
use super::{input, print, tell};
use crate::bundle::FORMAT;
use crate::compile::{Options, compile};
use crate::error::{Diagnostic, Errors, Problem};
use crate::render::delete::DeletePlan;
use crate::render::scripts;
use crate::source::Sources;
use crate::tree::Value;
use crate::yaml;
use camino::{Utf8Path, Utf8PathBuf};

/// The record of a bundle, in its directory.
const RECORD: &str = "bundle.json";

pub(super) fn run(args: &cli::Teardown, sources: &mut Sources) -> Result<(), Errors> {
    let plan = match args.target.as_deref().and_then(record) {
        Some(path) => {
            if args.input.scenario.is_some() || !args.input.set.is_empty() || !args.input.flags().is_empty() {
                let what = format!("`{path}` is a bundle, which is removed as it was rendered");
                return Err(refused(what, "leave the flags of a scenario out"));
            }
            recorded(&path, sources)?
        }
        None => {
            let mut given = args.input.clone();
            match (&args.target, &given.scenario) {
                (Some(target), None) => given.scenario = Some(target.clone()),
                (Some(target), Some(scenario)) => {
                    return Err(refused(format!("`{target}` and `{scenario}` are two scenarios"), "name one"));
                }
                (None, None) => {
                    return Err(refused("no bundle and no scenario is named".into(), "name the directory of a bundle"));
                }
                (None, Some(_)) => {}
            }
            let inputs = input::load(&given, sources)?;
            let compilation = compile(&inputs, Options::default(), &input::Disk, sources)?;
            tell(&compilation.notes, sources);
            compilation.bundle.delete
        }
    };
    print(&match args.output {
        PlanFormat::Script => scripts::teardown(&plan, args.deep)?,
        PlanFormat::Yaml => plan.to_value(args.deep).to_yaml(),
        PlanFormat::Json => plan.to_value(args.deep).to_json(),
    })
}

/// The record of the bundle that a name stands for, if it stands for one.
fn record(target: &str) -> Option<Utf8PathBuf> {
    let path = Utf8Path::new(target);
    let inside = path.join(RECORD);
    if inside.is_file() {
        return Some(inside);
    }
    (path.extension() == Some("json") || path.is_dir()).then(|| if path.is_dir() { inside } else { path.to_owned() })
}

fn recorded(path: &Utf8Path, sources: &mut Sources) -> Result<DeletePlan, Errors> {
    let id = input::file(path, sources)?;
    let node = yaml::parse(sources, id)?;
    Ok(DeletePlan::from_bundle(&Value::from_node(&node), FORMAT)?)
}

fn refused(what: String, hint: &str) -> Errors {
    Diagnostic::error(Problem::Unsupported { what }, None).with_hint(hint).into()
}
