//! Names of what a bundle holds: valid, stable, readable, and different for different models.

use sha2::{Digest, Sha256};

/// Longest readable part of a model's short name.
const READABLE: usize = 40;

/// The short name of a model: the readable part of its name and eight digits of the hash of all of it, so that no two
/// models share one and no model's name depends on which others are in the bundle.
pub fn label(model: &str) -> String {
    let readable = slug(model.split(':').next_back().unwrap_or(model).rsplit('/').next().unwrap_or(model), READABLE);
    format!("{readable}-{}", &hash(model)[..8])
}

/// Lower case letters, digits and single dashes, at most `longest` characters, starting with a letter.
pub fn slug(text: &str, longest: usize) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if c.is_ascii_alphanumeric() {
            out.push(c.to_ascii_lowercase());
        } else if !out.is_empty() && !out.ends_with('-') {
            out.push('-');
        }
    }
    out.truncate(longest);
    let out = out.trim_matches('-');
    match out.chars().next() {
        Some(c) if c.is_ascii_alphabetic() => out.to_owned(),
        Some(_) => format!("m-{}", &out[..out.len().min(longest.saturating_sub(2))]).trim_end_matches('-').to_owned(),
        None => "model".to_owned(),
    }
}

/// A name cut to a length, with a hash of the whole in place of what was cut.
pub fn fit(name: &str, longest: usize) -> String {
    if name.len() <= longest {
        return name.to_owned();
    }
    let head = name[..longest - 9].trim_end_matches(['-', '.']);
    format!("{head}-{}", &hash(name)[..8])
}

/// Name of the Deployment and Service that lead to the results.
pub fn data_access(release: &str) -> String {
    fit(&format!("{release}-data-access"), 63)
}

/// Hex SHA-256 of a text.
pub fn hash(text: &str) -> String {
    use std::fmt::Write;
    Sha256::digest(text.as_bytes()).iter().fold(String::with_capacity(64), |mut out, byte| {
        // Writing to a string has no way to fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// The hash of a text as records write it: `sha256:` and 64 hex digits.
pub fn digest(text: &str) -> String {
    format!("sha256:{}", hash(text))
}

/// The domain of applications of a cluster whose API server is at `https://api.DOMAIN`.
pub fn apps_domain(url: &str) -> Option<String> {
    let host = url.split_once("://")?.1.split(['/', ':']).next()?;
    host.strip_prefix("api.").map(|domain| format!("apps.{domain}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::names::dns_label;

    #[test]
    fn labels_are_valid_and_different() {
        let models = [
            "meta-llama/Llama-3.1-70B-Instruct",
            "RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic",
            "meta-llama/Llama-3.3-70B-Instruct",
            "other/Llama-3.3-70B-Instruct",
            "Qwen/Qwen3-30B-A3B",
            "Qwen/Qwen3-0.6B",
            "mistralai/Mixtral-8x7B-v0.1",
            "facebook/opt-125m:my-name",
            "facebook/opt-125m",
            "gpt2",
            "a/0123",
            "a/___",
            "x/y-very-long-name-that-has-more-characters-than-any-label-of-kubernetes-can-ever-take-in",
        ];
        let labels: std::collections::HashSet<String> = models.iter().map(|m| label(m)).collect();
        assert_eq!(labels.len(), models.len());
        for l in &labels {
            assert!(dns_label(&format!("download-{l}")).is_ok(), "{l}");
            assert!(dns_label(&format!("vllm-{l}-route")).is_ok(), "{l}");
            assert!(l.starts_with(|c: char| c.is_ascii_alphabetic()), "{l}");
        }
        assert_eq!(label("meta-llama/Llama-3.1-8B-Instruct"), "llama-3-1-8b-instruct-08a20b29");
    }

    #[test]
    fn a_domain_comes_from_the_api_server() {
        assert_eq!(apps_domain("https://api.c.example.com:6443").as_deref(), Some("apps.c.example.com"));
        assert_eq!(apps_domain("https://10.0.0.1"), None);
    }
}
