//! `convert`: a shell scenario to YAML.

use super::{cli, input, print, tell};
use crate::convert::convert;
use crate::error::{Diagnostic, Errors, Problem};
use crate::settings::resolve::Language;
use crate::source::Sources;

pub(super) fn run(args: &cli::Convert, sources: &mut Sources) -> Result<(), Errors> {
    let (id, language) = input::scenario(&args.scenario, sources)?;
    if language == Language::Yaml {
        let what = format!("`{}` is a YAML scenario already", sources.get(id).name);
        return Err(Diagnostic::error(Problem::Unsupported { what }, None).into());
    }
    let converted = convert(id, args.defaults.clone(), &input::Disk, sources)?;
    tell(&converted.notes, sources);
    match &args.output {
        None => print(&converted.text),
        Some(path) => std::fs::write(path, converted.text).map_err(|e| {
            let problem = Problem::Unwritable { path: path.to_string(), reason: e.to_string() };
            Diagnostic::error(problem, None).into()
        }),
    }
}
