//! What credentials look like, so that none gets into an output or a message.

/// A kind of credential: its name, what it starts with, how many characters follow at least, which ones.
struct Pattern {
    kind: &'static str,
    prefix: &'static str,
    least: usize,
}

/// What credentials look like, by their publishers' documented prefixes.
static PATTERNS: &[Pattern] = &[
    Pattern { kind: "a Hugging Face token", prefix: "hf_", least: 30 },
    Pattern { kind: "a GitHub token", prefix: "ghp_", least: 36 },
    Pattern { kind: "a GitHub token", prefix: "github_pat_", least: 40 },
    Pattern { kind: "an OpenShift token", prefix: "sha256~", least: 40 },
    Pattern { kind: "an AWS access key", prefix: "AKIA", least: 16 },
    Pattern { kind: "an API key", prefix: "sk-", least: 40 },
    Pattern { kind: "a Slack token", prefix: "xoxb-", least: 20 },
    Pattern { kind: "a JSON web token", prefix: "eyJhbGciOi", least: 40 },
];

/// The first credential in a text: its place and its kind.
pub fn find(text: &str) -> Option<(std::ops::Range<usize>, &'static str)> {
    if let Some(at) = text.find("PRIVATE KEY-----") {
        return Some((at..text.len(), "a private key"));
    }
    let word = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '~');
    PATTERNS.iter().find_map(|p| {
        text.match_indices(p.prefix).find_map(|(start, _)| {
            // The letter of an escape such as `\n` is no part of a word.
            let mut before = text[..start].chars().rev();
            let before = before.next().filter(|_| before.next() != Some('\\'));
            let after = text[start + p.prefix.len()..].chars().take_while(word).count();
            let found = after >= p.least && !before.is_some_and(|c| c.is_ascii_alphanumeric());
            found.then_some((start..start + p.prefix.len() + after, p.kind))
        })
    })
}

/// A text in which credentials, and what is assigned to a name that ends in `TOKEN`, are hidden; lengths stay.
pub fn hide(text: &str) -> String {
    let mut out = text.to_owned();
    for (i, _) in text.match_indices("TOKEN=") {
        let start = i + "TOKEN=".len();
        // A quoted value goes on behind a space.
        let end = text[start..].find('\n').map_or(text.len(), |e| start + e);
        out.replace_range(start..end, &"*".repeat(end - start));
    }
    while let Some((range, _)) = find(&out) {
        out.replace_range(range.clone(), &"*".repeat(range.len()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_seen_and_words_are_not() {
        assert!(find(&format!("--token=hf_{}", "a1".repeat(17))).is_some());
        assert!(find(&format!("-----BEGIN {} KEY-----", "RSA PRIVATE")).is_some());
        for word in ["llm-d-hf-token", "sha256~short", "task-one-two-three-four-five-six-seven-eight-nine-ten-eleven"] {
            assert!(find(word).is_none(), "{word}");
        }
    }

    #[test]
    fn what_is_hidden_keeps_its_length() {
        let token = format!("hf_{}", "b2".repeat(17));
        let text = format!("a {token} LLMDBENCH_HF_TOKEN=secret end");
        let hidden = hide(&text);
        assert_eq!(hidden.len(), text.len());
        assert!(!hidden.contains(&token) && !hidden.contains("secret") && hidden.starts_with("a *"));
    }
}
