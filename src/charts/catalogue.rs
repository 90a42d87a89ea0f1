//! The version catalogue: which version stands for `auto` and `latest`.
//!
//! Source of the versions: the table of upstream dependencies of llm-d-benchmark 0.8.0 (2026-08-19). An image that is
//! not listed has no version to stand for `auto`; the scenario must then name one.

/// Image (registry, repository and name) and its tag.
static IMAGES: &[(&str, &str)] = &[
    ("docker.io/vllm/vllm-openai", "v0.26.0"),
    ("ghcr.io/llm-d/llm-d-benchmark", "v0.8.0"),
    ("ghcr.io/llm-d/llm-d-router-disagg-sidecar", "v0.9.0"),
    ("ghcr.io/llm-d/llm-d-router-endpoint-picker", "v0.10.0"),
];

/// Tags that move: words for "the newest", and branches.
static FLOATING: &[&str] =
    &["latest", "auto", "main", "master", "nightly", "dev", "develop", "edge", "stable", "head", "trunk"];

/// The tag that stands for `auto` and `latest` of an image.
pub fn image_tag(image: &str) -> Option<&'static str> {
    IMAGES.iter().find(|(name, _)| *name == image).map(|(_, tag)| *tag)
}

/// Whether a tag without a digest names a different image from day to day.
pub fn is_floating(tag: &str) -> bool {
    FLOATING.iter().any(|f| f.eq_ignore_ascii_case(tag))
}

/// Major, minor and patch number.
type Version = (u32, u32, u32);

/// Options of `vllm serve` that were renamed: the old one with the first version that lacks it, the new one with the
/// first version that has it (read in the source packages of vLLM on PyPI).
static RENAMED: &[(&str, Version, &str, Version)] =
    &[("--disable-log-requests", (0, 17, 0), "--no-enable-log-requests", (0, 10, 1))];

/// The spelling of an option that the server of this image tag knows; a tag that is no version leaves it as it is.
pub fn vllm_option(option: &str, tag: &str) -> String {
    let Some(version) = version(tag) else { return option.to_owned() };
    let known = RENAMED.iter().find_map(|(old, gone, new, since)| match option {
        o if o == *old && version >= *gone => Some(*new),
        o if o == *new && version < *since => Some(*old),
        _ => None,
    });
    known.unwrap_or(option).to_owned()
}

/// As [`vllm_option`], for every option in a script.
pub fn vllm_options_in(script: &str, tag: &str) -> String {
    script.split_inclusive([' ', '\n']).fold(String::with_capacity(script.len()), |mut out, piece| {
        let word = piece.trim_end_matches([' ', '\n']);
        out.push_str(&vllm_option(word, tag));
        out.push_str(&piece[word.len()..]);
        out
    })
}

fn version(tag: &str) -> Option<Version> {
    let core = tag.strip_prefix('v').unwrap_or(tag).split(['-', '+', '@']).next()?;
    let mut parts = core.split('.').map(|p| p.parse().ok());
    match (parts.next()??, parts.next()??, parts.next().unwrap_or(Some(0))?) {
        (a, b, c) if parts.next().is_none() => Some((a, b, c)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_follows_the_version_of_the_image() {
        let spelled = |tag| vllm_option("--disable-log-requests", tag);
        assert_eq!(spelled("v0.8.5"), "--disable-log-requests");
        assert_eq!(spelled("v0.10.0"), "--disable-log-requests");
        assert_eq!(spelled("v0.16.0"), "--disable-log-requests");
        assert_eq!(spelled("v0.17.0"), "--no-enable-log-requests");
        assert_eq!(vllm_option("--no-enable-log-requests", "v0.9.0"), "--disable-log-requests");
        assert_eq!(
            vllm_options_in("a --disable-log-requests \\\n  --b", "v0.26.0"),
            "a --no-enable-log-requests \\\n  --b"
        );
        assert_eq!(spelled("v0.26.0"), "--no-enable-log-requests");
        assert_eq!(spelled("my-build"), "--disable-log-requests");
    }
}
