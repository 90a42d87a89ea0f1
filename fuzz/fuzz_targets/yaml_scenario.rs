//! Any text, read as YAML, ends in a tree or in an error that can be shown.
#![no_main]

use libfuzzer_sys::fuzz_target;
use llmdbench::source::Sources;

fuzz_target!(|text: &str| {
    let mut sources = Sources::default();
    let id = sources.add("fuzz.yaml", text);
    if let Err(error) = llmdbench::yaml::parse(&sources, id) {
        error.render(&sources, false);
    }
});
