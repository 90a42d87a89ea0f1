//! Manifests as one text, in the order they are applied.

use crate::bundle::Bundle;

/// The documents of a bundle for `kubectl apply -f -`, each with the file that the directory form has it in.
pub fn text(bundle: &Bundle) -> String {
    let mut out = String::new();
    for manifest in &bundle.manifests {
        out.push_str(&format!("---\n# {}\n", manifest.path));
        out.push_str(&manifest.object.value.to_yaml());
    }
    out
}
