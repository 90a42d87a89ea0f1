//! The scripts of a bundle: which parts each is made of.

use super::engine;
use crate::error::Diagnostic;

/// A script: its data, then parts of `templates/scripts/` that are plain shell.
pub(super) fn script(about: &str, data: &str, parts: &[&str]) -> Result<String, Diagnostic> {
    // The data and the parts are the same in several scripts, and not each of them uses all.
    let mut text = format!("#!/usr/bin/env bash\n# {about} Rendered by llmdbench; --help tells how to use it.\n");
    text.push_str("# shellcheck disable=SC2034,SC2100,SC2317,SC2329\nset -euo pipefail\n\n");
    text.push_str(data);
    for part in parts {
        text.push('\n');
        text.push_str(engine::file(&format!("scripts/{part}.sh"))?);
    }
    Ok(text)
}
