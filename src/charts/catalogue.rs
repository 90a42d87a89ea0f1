//! The version catalogue: which version stands for `auto` and `latest`.
//!
//! Source of the versions: the table of upstream dependencies of llm-d-benchmark 0.8.0 (2026-08-19). An image that is
//! not listed has no version to stand for `auto`; the scenario must then name one.

/// A version of an image or chart, for one edition or for all that have no row of their own.
type Row = (&'static str, Option<&'static str>, &'static str);

/// Images: registry, repository and name; edition; tag.
///
/// Other sources: values of llm-d-modelservice v0.2.7 (scheduler, sidecar and simulator of 2025-08); the pins that
/// llm-d-benchmark had in March 2026; the stable version of BusyBox; the tokenizer is of the release of its picker.
static IMAGES: &[Row] = &[
    ("docker.io/vllm/vllm-openai", None, "v0.26.0"),
    ("docker.io/library/busybox", None, "1.37.0"),
    ("ghcr.io/llm-d/llm-d-benchmark", None, "v0.8.0"),
    ("ghcr.io/llm-d/llm-d", None, "v0.2.0"),
    ("ghcr.io/llm-d/llm-d-cuda", None, "v0.5.1"),
    ("ghcr.io/llm-d/llm-d-inference-sim", None, "v0.3.0"),
    ("ghcr.io/llm-d/llm-d-inference-scheduler", Some("2025-08"), "v0.2.1"),
    ("ghcr.io/llm-d/llm-d-inference-scheduler", None, "v0.6.0"),
    ("ghcr.io/llm-d/llm-d-routing-sidecar", Some("2025-08"), "v0.2.0"),
    ("ghcr.io/llm-d/llm-d-routing-sidecar", None, "v0.6.0"),
    ("ghcr.io/llm-d/llm-d-uds-tokenizer", None, "v0.6.0"),
    ("ghcr.io/llm-d/llm-d-router-disagg-sidecar", None, "v0.9.0"),
    ("ghcr.io/llm-d/llm-d-router-endpoint-picker", None, "v0.10.0"),
];

/// Charts: name; edition; version. The original of 2025-08 took the newest modelservice chart of its day.
static CHARTS: &[Row] = &[
    ("llm-d-infra", None, "v1.4.0"),
    ("llm-d-modelservice", Some("2025-08"), "v0.2.7"),
    ("llm-d-modelservice", None, "v0.4.12"),
    ("inferencepool", None, "v1.5.0"),
    ("llm-d-router-gateway", None, "v0.10.0"),
];

fn row(rows: &[Row], name: &str, edition: &str) -> Option<&'static str> {
    let found = |wanted: Option<&str>| rows.iter().find(|(n, e, _)| *n == name && *e == wanted).map(|(.., v)| *v);
    found(Some(edition)).or_else(|| found(None))
}

/// The version that stands for `auto` of a chart.
pub fn chart_version(chart: &str, edition: &str) -> Option<&'static str> {
    row(CHARTS, chart, edition)
}

/// Tags that move: words for "the newest", and branches.
static FLOATING: &[&str] =
    &["latest", "auto", "main", "master", "nightly", "dev", "develop", "edge", "stable", "head", "trunk"];

/// The tag that stands for `auto` and `latest` of an image.
pub fn image_tag(image: &str, edition: &str) -> Option<&'static str> {
    row(IMAGES, image, edition)
}

/// Whether a tag without a digest names a different image from day to day.
pub fn is_floating(tag: &str) -> bool {
    FLOATING.iter().any(|f| f.eq_ignore_ascii_case(tag))
}

/// The part of an image's reference that names another image from day to day, or says that there is none that does not.
pub fn floating_part(image: &str) -> Option<&str> {
    let last = image.rsplit('/').next().unwrap_or(image);
    match last.rsplit_once(':') {
        _ if image.contains('@') => None,
        Some((_, tag)) => Some(tag).filter(|t| is_floating(t)),
        None => Some("no tag"),
    }
}

/// Major, minor and patch number.
pub type Version = (u32, u32, u32);

/// Options of `vllm serve` that were renamed: the old one with the first version that lacks it, the new one with the
/// first version that has it (read in the source packages of vLLM on PyPI).
static RENAMED: &[(&str, Version, &str, Version)] =
    &[("--disable-log-requests", (0, 17, 0), "--no-enable-log-requests", (0, 10, 1))];

/// vLLM in the images of llm-d, by the first release of llm-d that has it (the component tables of its releases; the
/// original of 2025-08 for the oldest). What the releases between hold reads every spelling.
static OF_LLMD: &[(Version, &str)] =
    &[((0, 9, 0), "v0.26.0"), ((0, 8, 0), "v0.23.0"), ((0, 7, 0), "v0.19.1"), ((0, 3, 0), ""), ((0, 0, 0), "v0.10.0")];

/// The version of vLLM in an image, as a tag; empty where its name and tag do not say.
pub fn vllm_version(image: &str) -> &str {
    let Some((name, tag)) = image.rsplit('/').next().and_then(|last| last.split_once(':')) else { return "" };
    if name.contains("vllm") {
        return tag;
    }
    let release = if name == "llm-d" || name.starts_with("llm-d-") { version(tag) } else { None };
    let known = OF_LLMD.iter().find(|(since, _)| release.is_some_and(|r| r >= *since));
    known.map_or("", |(_, vllm)| vllm)
}

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

/// The version that a tag names, where it names one.
pub fn version(tag: &str) -> Option<Version> {
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
        assert_eq!(vllm_version("docker.io/vllm/vllm-openai:v0.8.5@sha256:0"), "v0.8.5@sha256:0");
        assert_eq!(vllm_version("ghcr.io/llm-d/llm-d-cuda:v0.8.1"), "v0.23.0");
        assert_eq!(vllm_version("ghcr.io/llm-d/llm-d:v0.2.0"), "v0.10.0");
        assert_eq!(vllm_version("ghcr.io/llm-d/llm-d-cuda:v0.5.1"), "");
        assert_eq!(vllm_version("localhost:5000/server"), "");
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
