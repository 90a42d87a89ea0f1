//! Any text, compiled as a YAML scenario, ends in a bundle or in errors that can be shown.
#![no_main]

use libfuzzer_sys::fuzz_target;
use llmdbench::compile::{Options, compile};
use llmdbench::settings::resolve::{Inputs, Language};
use llmdbench::source::Sources;

struct NoFiles;

impl llmdbench::scenario::World for NoFiles {
    fn read(&self, _: &camino::Utf8Path) -> std::io::Result<String> {
        Err(std::io::ErrorKind::NotFound.into())
    }
}

fuzz_target!(|text: &str| {
    let mut sources = Sources::default();
    let id = sources.add("fuzz.yaml", text);
    let flags = vec![("--methods", "methods", "standalone".to_owned())];
    let inputs = Inputs { scenario: Some((id, Language::Yaml)), flags, ..Inputs::default() };
    match compile(&inputs, Options::default(), &NoFiles, &mut sources) {
        Ok(compilation) => {
            for note in &compilation.notes {
                note.render(&sources, false);
            }
            for manifest in &compilation.bundle.manifests {
                // What is written is read back.
                let yaml = manifest.object.value.to_yaml();
                let mut written = Sources::default();
                let id = written.add("object.yaml", yaml);
                let node = llmdbench::yaml::parse(&written, id).expect("an object is YAML");
                assert_eq!(llmdbench::tree::Value::from_node(&node), manifest.object.value);
            }
        }
        Err(errors) => {
            assert!(!errors.0.is_empty());
            for error in &errors.0 {
                assert!(!error.problem.to_string().contains("internal error"), "{error:?}");
                error.render(&sources, false);
            }
        }
    }
});
