//! The house has floors, and imports only go down: `use crate::X` in a file of one floor names a lower one.

use std::path::{Path, PathBuf};

/// The floors from the top to the ground; modules of one floor do not import each other.
const FLOORS: &[&[&str]] = &[
    &["main"],
    &["cmd"],
    &["convert"],
    &["compile"],
    &["emit"],
    &["bundle"],
    &["render"],
    &["plan"],
    &["charts"],
    &["settings"],
    &["scenario", "check"],
    &["tree"],
    &["yaml"],
    &["error"],
    &["source", "credential"],
];

fn floor(module: &str) -> usize {
    FLOORS
        .iter()
        .position(|f| f.contains(&module))
        .unwrap_or_else(|| panic!("`{module}` has no floor in tests/floors.rs"))
}

fn rust_files(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// The modules that a text imports or names by `crate::`, with their lines.
fn imports(text: &str) -> Vec<(usize, String)> {
    let mut all = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or("");
        for (i, _) in code.match_indices("crate::") {
            let rest = &code[i + "crate::".len()..];
            let names: Vec<&str> = match rest.strip_prefix('{') {
                Some(list) => list.split(['{', '}', ',']).map(str::trim).collect(),
                None => vec![rest],
            };
            for name in names {
                let word: String = name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if word.starts_with(|c: char| c.is_lowercase())
                    && !(rest.starts_with('{') && !name.contains("::") && floor_or_none(&word).is_none())
                {
                    all.push((number + 1, word));
                }
            }
        }
    }
    all
}

fn floor_or_none(module: &str) -> Option<usize> {
    FLOORS.iter().position(|f| f.contains(&module))
}

#[test]
fn imports_go_down() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    assert!(files.len() > 20);
    let mut wrong = Vec::new();
    for file in files {
        let relative = file.strip_prefix(&src).unwrap();
        let module = relative.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs");
        if module == "lib" {
            continue;
        }
        let own = floor(module);
        for (line, import) in imports(&std::fs::read_to_string(&file).unwrap()) {
            if import != module && floor(&import) <= own {
                wrong.push(format!("src/{}:{line} imports `{import}`", relative.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "imports that go up:\n{}", wrong.join("\n"));
}

#[test]
fn an_import_that_goes_up_is_seen() {
    let seen = imports("use crate::cmd::cli;\nuse crate::{bundle, error::Errors};\nlet x = crate::plan::plan();\n");
    let names: Vec<&str> = seen.iter().map(|(_, n)| n.as_str()).collect();
    assert_eq!(names, ["cmd", "bundle", "error", "plan"]);
}
