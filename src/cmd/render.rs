//! `render`: compile and emit.

use super::cli::Charts;
use super::{cli, input, print, tell};
use crate::compile::{Options, compile};
use crate::emit::{directory, inflate, stream};
use crate::error::{Diagnostic, Errors, Problem};
use crate::render::ReleasesAs;
use crate::source::Sources;

pub(super) fn run(args: &cli::Render, sources: &mut Sources) -> Result<(), Errors> {
    if args.output.is_some() && args.charts == Some(Charts::Inflate) {
        return Err(unsupported(
            "`--charts inflate` makes a stream, and `--output` a directory",
            "the directory holds values and a helmfile",
        ));
    }
    let inputs = input::load(&args.input, sources)?;
    let releases_as = match args.charts {
        Some(Charts::Flux) => ReleasesAs::Flux,
        Some(Charts::Argocd) => ReleasesAs::ArgoCd,
        Some(Charts::Inflate) | None => ReleasesAs::Values,
    };
    let options = Options { strict: args.strict, releases_as };
    let compilation = compile(&inputs, options, &input::Disk, sources)?;
    let bundle = &compilation.bundle;
    if args.output.is_none() && args.charts.is_none() && !bundle.releases.is_empty() {
        let what = format!("the stream would lack {} Helm releases", bundle.releases.len());
        let hint = "choose `--charts inflate`, `flux` or `argocd`, or write a directory with `--output`";
        return Err(unsupported(&what, hint));
    }
    if !args.quiet {
        tell(&compilation.notes, sources);
    }
    match &args.output {
        None => {
            let mut objects: Vec<_> =
                bundle.of_stacks().map(|m| (m.path.to_string(), m.object.value.clone())).collect();
            if args.charts == Some(Charts::Inflate) {
                let part_of = &compilation.resolved.settings.release.0;
                let inflated = inflate::inflate(&bundle.releases, part_of, args.charts_dir.as_deref(), sources)?;
                objects.extend(inflated.into_iter().map(|o| ("helm template".to_owned(), o)));
            }
            print(&stream::text(&objects))
        }
        Some(dir) => {
            let report = directory::write(dir, &bundle.files)?;
            if !args.quiet {
                eprintln!(
                    "{dir}: {} files written, {} unchanged, {} removed; {}",
                    report.written, report.unchanged, report.removed, bundle.id
                );
            }
            Ok(())
        }
    }
}

fn unsupported(what: &str, hint: &str) -> Errors {
    Diagnostic::error(Problem::Unsupported { what: what.to_owned() }, None).with_hint(hint).into()
}
