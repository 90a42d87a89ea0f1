//! Any text, read as a shell scenario, ends in values or in errors that have a place.
#![no_main]

use libfuzzer_sys::fuzz_target;
use llmdbench::scenario::shell;
use llmdbench::source::Sources;

fuzz_target!(|text: &str| {
    let mut sources = Sources::default();
    let id = sources.add("fuzz.sh", text);
    let lookup = |name: &str| name.starts_with("LLMDBENCH_").then(|| "x".to_owned());
    match shell::parse(&sources, id).and_then(|script| script.evaluate(&lookup)) {
        Ok(evaluation) => {
            for assignment in &evaluation.assignments {
                assert_eq!(sources.slice(assignment.name_span), assignment.name);
            }
            for note in &evaluation.notes {
                note.render(&sources, false);
            }
        }
        Err(errors) => {
            assert!(!errors.0.is_empty());
            for error in &errors.0 {
                let span = error.span.expect("an error of a text has a place");
                assert!(text.get(span.start..span.end).is_some(), "{error:?}");
                error.render(&sources, false);
            }
        }
    }
});
