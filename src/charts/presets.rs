//! Shipped plugin configurations of endpoint pickers.

use crate::check::picker;
use crate::error::{Errors, Problem, nearest};
use crate::source::Sources;
use crate::tree::Value;
use include_dir::{Dir, include_dir};

static PRESETS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/scenarios/presets");

/// Names of all presets, sorted.
pub fn names() -> Vec<&'static str> {
    let mut all: Vec<_> = PRESETS.files().filter_map(|f| f.path().file_stem()?.to_str()).collect();
    all.sort_unstable();
    all
}

/// The configuration of this name.
///
/// # Errors
/// A name that no preset has.
pub fn find(name: &str) -> Result<Value, Problem> {
    let text = PRESETS.get_file(format!("{name}.yaml")).and_then(|f| f.contents_utf8());
    let Some(text) = text else {
        return Err(Problem::UnknownWord { what: "preset", name: name.to_owned(), nearest: nearest(name, names()) });
    };
    read(name, text).map_err(|e| Problem::Internal { message: format!("preset `{name}`: {:?}", e.0) })
}

fn read(name: &str, text: &str) -> Result<Value, Errors> {
    let mut sources = Sources::default();
    let id = sources.add(name, text);
    let node = crate::yaml::parse(&sources, id)?;
    picker::check(&node)?;
    Ok(Value::from_node(&node))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_valid_and_found_by_its_name() {
        assert!(names().len() >= 4);
        for name in names() {
            assert!(find(name).is_ok(), "{name}");
        }
        assert!(matches!(find("defaul"), Err(Problem::UnknownWord { nearest: Some(n), .. }) if n == "default"));
    }
}
