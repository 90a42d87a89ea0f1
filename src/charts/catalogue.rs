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

/// Spelling of an option of `vllm serve` that changed, for the server of this image tag.
///
/// `--disable-log-requests` is known up to 0.16.0 and `--no-enable-log-requests` from 0.10.1 on (read in the source
/// packages of vLLM on PyPI). A tag that is no version leaves the option as it is.
pub fn vllm_option<'o>(option: &'o str, tag: &str) -> &'o str {
    let Some(version) = version(tag) else { return option };
    match option {
        "--disable-log-requests" if version >= (0, 10, 1) => "--no-enable-log-requests",
        "--no-enable-log-requests" if version < (0, 10, 1) => "--disable-log-requests",
        other => other,
    }
}

fn version(tag: &str) -> Option<(u32, u32, u32)> {
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
        assert_eq!(spelled("v0.10.1"), "--no-enable-log-requests");
        assert_eq!(spelled("v0.26.0"), "--no-enable-log-requests");
        assert_eq!(spelled("my-build"), "--disable-log-requests");
    }
}
