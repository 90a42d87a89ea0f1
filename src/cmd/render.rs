//! `render`: compile and emit.

use super::{cli, input, print, tell};
use crate::compile::compile;
use crate::emit::{directory, stream};
use crate::error::Errors;
use crate::source::Sources;

pub(super) fn run(args: &cli::Render, sources: &mut Sources) -> Result<(), Errors> {
    let inputs = input::load(&args.input, sources)?;
    let compilation = compile(&inputs, args.strict, &input::Disk, sources)?;
    if !args.quiet {
        tell(&compilation.notes, sources);
    }
    let bundle = &compilation.bundle;
    match &args.output {
        None => print(&stream::text(bundle)),
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
