//! Objects as one text, in the order they are applied.

use crate::tree::Value;

/// Documents for `kubectl apply -f -`, each with where it comes from.
pub fn text(objects: &[(String, Value)]) -> String {
    let mut out = String::new();
    for (source, object) in objects {
        out.push_str(&format!("---\n# {source}\n"));
        out.push_str(&object.to_yaml());
    }
    out
}
