//! Every shipped scenario, rendered by each method it runs, is a golden test: `golden/NAME.METHOD/` is exactly what
//! `llmdbench render -c NAME -t METHOD -o` writes.
//!
//! `UPDATE_GOLDENS=1 cargo test --test golden` rewrites them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The methods that this version renders.
const METHODS: &[&str] = &["standalone", "modelservice"];

/// What a scenario leaves for its user to fill in.
fn filled_in(scenario: &str) -> &'static [&'static str] {
    match scenario {
        "kubernetes_A100_standalone_llama-3b" => &[
            "--set=namespace=filled-in",
            "--set=storage.storageClass=filled-in",
            "--set=images.benchmark=ghcr.io/llm-d/llm-d-benchmark:v0.8.0",
        ],
        _ => &[],
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(dir: &Path) -> BTreeMap<PathBuf, String> {
    let mut all = BTreeMap::new();
    let mut stack = vec![dir.to_owned()];
    while let Some(at) = stack.pop() {
        let Ok(entries) = std::fs::read_dir(&at) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                stack.push(path);
            } else {
                let text = std::fs::read_to_string(&path).unwrap();
                all.insert(path.strip_prefix(dir).unwrap().to_owned(), text);
            }
        }
    }
    all
}

fn scenarios() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(root().join("scenarios"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "yaml"))
        .map(|p| p.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    assert!(names.len() >= 11, "the shipped scenarios are gone");
    names
}

#[test]
fn shipped_scenarios_render_to_their_goldens() {
    let update = std::env::var_os("UPDATE_GOLDENS").is_some();
    let mut wanted = Vec::new();
    let mut differences = String::new();
    for scenario in scenarios() {
        for method in METHODS {
            let name = format!("{scenario}.{method}");
            let golden = root().join("golden").join(&name);
            let scratch = tempfile::tempdir().unwrap();
            let out = scratch.path().join("bundle");
            let result = Command::new(env!("CARGO_BIN_EXE_llmdbench"))
                .args(["render", "--no-env", "--quiet", "-c", &scenario, "-t", method, "-o"])
                .arg(&out)
                .args(filled_in(&scenario))
                .current_dir(scratch.path())
                .output()
                .unwrap();
            assert!(result.status.success(), "{name}: {}", String::from_utf8_lossy(&result.stderr));
            let (got, expected) = (files(&out), files(&golden));
            if update {
                let _ = std::fs::remove_dir_all(&golden);
                for (path, text) in &got {
                    let path = golden.join(path);
                    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                    std::fs::write(path, text).unwrap();
                }
            } else {
                for path in got.keys().chain(expected.keys()).collect::<std::collections::BTreeSet<_>>() {
                    let (old, new) =
                        (expected.get(path).map_or("", String::as_str), got.get(path).map_or("", String::as_str));
                    if old != new {
                        let diff = similar::TextDiff::from_lines(old, new);
                        let shown = diff.unified_diff().context_radius(2).header("golden", "rendered").to_string();
                        differences.push_str(&format!("{name}/{}\n{shown}\n", path.display()));
                    }
                }
            }
            wanted.push(name);
        }
    }
    assert!(differences.is_empty(), "{differences}\nUPDATE_GOLDENS=1 cargo test --test golden rewrites the goldens");
    for entry in std::fs::read_dir(root().join("golden")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(wanted.contains(&name), "golden/{name} belongs to no shipped scenario");
    }
}

/// A golden holds no moving reference. `auto` is only ever vLLM's word for the format of the files in the volume, which
/// the original passes by this name: `vllm serve --load-format auto`.
#[test]
fn goldens_hold_nothing_that_floats() {
    let all = files(&root().join("golden"));
    assert!(!all.is_empty());
    for (path, text) in all {
        let mut before = "";
        for line in text.lines() {
            let words = line.split(|c: char| !c.is_ascii_alphanumeric());
            if words.into_iter().any(|w| w == "auto") {
                let of_the_format = line.trim() == "vllm.loadFormat: auto"
                    || before.trim() == "- --load-format"
                    || before.contains("_LOAD_FORMAT")
                    || before.contains("\"vllm.loadFormat\"");
                assert!(of_the_format, "{}: {before}\n{line}", path.display());
            }
            before = line;
            let image =
                line.trim_start().strip_prefix("image: ").or_else(|| line.trim_start().strip_prefix("- image: "));
            if let Some(image) = image {
                let tag = image.trim_matches('"').rsplit_once(':').map_or("", |(_, t)| t);
                assert!(tag.starts_with('v') || tag.len() == 64, "{}: {line}", path.display());
            }
            for floating in ["latest", "main", "master", "nightly"] {
                let reference = [format!(":{floating}"), format!("tag: {floating}"), format!("version: {floating}")];
                let floats = reference.iter().any(|r| line.trim_end_matches('"').ends_with(r.as_str()));
                assert!(!floats, "{}: {line}", path.display());
            }
        }
    }
}
