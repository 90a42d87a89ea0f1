//! What Kubernetes accepts as a name, a label, a quantity; what a registry accepts as an image.
//!
//! Each check returns what is wrong as a clause, to be shown as a hint. Rules are those of
//! `k8s.io/apimachinery/pkg/util/validation` and of the distribution reference grammar.

type Check = Result<(), String>;

fn no(why: &str) -> Check {
    Err(why.to_owned())
}

fn lower_alnum(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit()
}

/// A DNS-1123 label: at most 63 characters.
pub fn dns_label(text: &str) -> Check {
    if text.len() > 63 {
        return Err(format!("a DNS label has at most 63 characters, this one has {}", text.len()));
    }
    if text.is_empty() || !text.bytes().all(|b| lower_alnum(b) || b == b'-') {
        return no("a DNS label takes lower case letters, digits and `-`");
    }
    if text.starts_with('-') || text.ends_with('-') {
        return no("a DNS label starts and ends with a letter or digit");
    }
    Ok(())
}

/// A DNS-1123 subdomain: labels joined by dots, at most 253 characters.
pub fn dns_subdomain(text: &str) -> Check {
    if text.len() > 253 {
        return Err(format!("a DNS name has at most 253 characters, this one has {}", text.len()));
    }
    let label = |l: &str| {
        !l.is_empty() && l.bytes().all(|b| lower_alnum(b) || b == b'-') && !l.starts_with('-') && !l.ends_with('-')
    };
    if text.split('.').all(label) {
        Ok(())
    } else {
        no("lower case letters, digits, `-` and `.` are allowed, with a letter or digit at both ends of each part")
    }
}

/// A host name: DNS labels joined by dots.
pub fn host_name(text: &str) -> Check {
    dns_subdomain(text)?;
    text.split('.').try_for_each(dns_label)
}

/// The key of a label or annotation: an optional DNS prefix, `/`, a name of at most 63 characters.
pub fn qualified_name(text: &str) -> Check {
    let name = match text.split_once('/') {
        Some((prefix, name)) => {
            dns_subdomain(prefix)?;
            name
        }
        None => text,
    };
    label_word(name)
}

fn label_word(text: &str) -> Check {
    if text.is_empty() || text.len() > 63 {
        return no("the name part has 1 to 63 characters");
    }
    let ends = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        || !ends(text.bytes().next())
        || !ends(text.bytes().last())
    {
        return no("letters, digits, `-`, `_` and `.` are allowed, with a letter or digit at both ends");
    }
    Ok(())
}

/// The value of a label: empty, or as the name part of a key.
pub fn label_value(text: &str) -> Check {
    if text.is_empty() { Ok(()) } else { label_word(text) }
}

/// A key of a ConfigMap or Secret.
pub fn config_key(text: &str) -> Check {
    if text.is_empty() || text.len() > 253 || text == "." || text == ".." {
        return no("a key has 1 to 253 characters");
    }
    if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
        return no("letters, digits, `-`, `_` and `.` are allowed");
    }
    Ok(())
}

/// The name of an environment variable that a shell and a kubelet both take.
pub fn env_name(text: &str) -> Check {
    let first = text.bytes().next();
    if !first.is_some_and(|b| b.is_ascii_alphabetic() || b"_.-".contains(&b))
        || !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
    {
        return no("letters, digits, `_`, `-` and `.` are allowed, not starting with a digit");
    }
    Ok(())
}

/// A Kubernetes quantity, not negative.
pub fn quantity(text: &str) -> Check {
    let digits = text.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
    let (number, suffix) = text.split_at(digits);
    let number_ok = number.bytes().any(|b| b.is_ascii_digit()) && number.matches('.').count() <= 1;
    let exponent = |s: &str| {
        let rest = s.strip_prefix(['e', 'E']).map(|r| r.strip_prefix(['+', '-']).unwrap_or(r));
        rest.is_some_and(|r| !r.is_empty() && r.bytes().all(|b| b.is_ascii_digit()))
    };
    let suffix_ok = matches!(
        suffix,
        "" | "n" | "u" | "m" | "k" | "M" | "G" | "T" | "P" | "E" | "Ki" | "Mi" | "Gi" | "Ti" | "Pi" | "Ei"
    ) || exponent(suffix);
    if number_ok && suffix_ok { Ok(()) } else { no("write it like `40Gi`, `500m` or `4`") }
}

/// An absolute path in a container, without `:` and `..`.
pub fn container_path(text: &str) -> Check {
    if !text.starts_with('/') {
        return no("it starts with `/`");
    }
    if text.contains([':', '\n', '\0']) || text.split('/').any(|p| p == "..") {
        return no("`:`, line breaks and `..` are not allowed");
    }
    Ok(())
}

/// Host and optional port of a registry.
pub fn registry(text: &str) -> Check {
    let (host, port) = text.split_once(':').unwrap_or((text, "443"));
    if host.is_empty() || port.parse::<u16>().is_err() {
        return no("a registry is a host with an optional port");
    }
    host_name(&host.to_lowercase())
}

/// The path of an image: components of lower case letters and digits with single separators.
pub fn image_path(text: &str) -> Check {
    let component = |c: &str| {
        !c.is_empty()
            && c.bytes().all(|b| lower_alnum(b) || b"._-".contains(&b))
            && c.starts_with(|c: char| c.is_ascii_alphanumeric())
            && c.ends_with(|c: char| c.is_ascii_alphanumeric())
    };
    if text.split('/').all(component) {
        Ok(())
    } else {
        no("each part takes lower case letters, digits, `.`, `_` and `-`, with a letter or digit at both ends")
    }
}

/// `tag`, `tag@sha256:…` or `@sha256:…`.
pub fn image_tag(text: &str) -> Check {
    let (tag, digest) = match text.split_once('@') {
        Some((t, d)) => (t, Some(d)),
        None => (text, None),
    };
    if let Some(d) = digest {
        let hex = d.strip_prefix("sha256:").unwrap_or("");
        if hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            return no("a digest is `sha256:` and 64 lower case hex digits");
        }
        if tag.is_empty() {
            return Ok(());
        }
    }
    let first = tag.bytes().next();
    if tag.len() > 128
        || !first.is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_')
        || !tag.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
    {
        return no("a tag takes letters, digits, `_`, `.` and `-`, at most 128");
    }
    Ok(())
}

/// Registry, repository, name and tag of an image reference; what the reference leaves out is what Docker takes for it.
pub fn split_image(text: &str) -> Result<Vec<(&'static str, String)>, String> {
    let (path, digest) = match text.split_once('@') {
        Some((p, d)) => (p, Some(d)),
        None => (text, None),
    };
    let (path, tag) = match path.rsplit_once(':') {
        Some((p, t)) if !t.contains('/') => (p, Some(t)),
        _ => (path, None),
    };
    let (host, path) = match path.split_once('/') {
        Some((h, p)) if h.contains(['.', ':']) || h == "localhost" => (h, p.to_owned()),
        Some(_) => ("docker.io", path.to_owned()),
        None => ("docker.io", format!("library/{path}")),
    };
    registry(host)?;
    image_path(&path)?;
    let (repository, name) = path.rsplit_once('/').unwrap_or(("", &path));
    let tag = match (tag, digest) {
        (Some(t), Some(d)) => format!("{t}@{d}"),
        (Some(t), None) => t.to_owned(),
        (None, Some(d)) => format!("@{d}"),
        (None, None) => return Err("the tag is missing".into()),
    };
    image_tag(&tag)?;
    Ok(vec![
        ("registry", host.to_owned()),
        ("repository", repository.to_owned()),
        ("name", name.to_owned()),
        ("tag", tag),
    ])
}

/// An absolute `http`, `https` or `oci` URL without white space.
pub fn url(text: &str) -> Check {
    let rest = ["https://", "http://", "oci://"].iter().find_map(|s| text.strip_prefix(s));
    let host = rest.unwrap_or("").split(['/', ':', '?']).next().unwrap_or("");
    if rest.is_none() || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return no("it starts with `https://` and holds no white space");
    }
    host_name(&host.to_lowercase())
}

/// A chart name, `repository/name` or an `oci://` reference.
pub fn chart_name(text: &str) -> Check {
    let path = match text.strip_prefix("oci://") {
        Some(rest) => {
            url(text)?;
            rest
        }
        None => text,
    };
    if !path.is_empty() && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./:".contains(&b)) {
        Ok(())
    } else {
        no("letters, digits, `-`, `_`, `.` and `/` are allowed")
    }
}

/// A semantic version, with or without `v`.
pub fn semver(text: &str) -> Check {
    let core = text.strip_prefix('v').unwrap_or(text);
    let core = core.split(['-', '+']).next().unwrap_or("");
    let parts: Vec<&str> = core.split('.').collect();
    if parts.len() == 3 && parts.iter().all(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit())) {
        Ok(())
    } else {
        no("a version has three numbers, as in `v1.4.0`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_those_of_kubernetes() {
        for good in ["4", "0.5", "500m", "40Gi", "1Ti", "1e3", "2E-3", "100Mi", "1E"] {
            assert!(quantity(good).is_ok(), "{good}");
        }
        for bad in ["", "banana", "40GB", "-1", "1.2.3", "Gi", "4 Gi", "1e"] {
            assert!(quantity(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn images_follow_the_reference_grammar() {
        assert!(image_tag("v0.2.0@sha256:a623a0752af0a71b7b05ebf95517848b5dbc3d8d235c1897035905632d5b7d80").is_ok());
        for bad in ["", "a b", "v1@sha256:12", "-x", "a/b"] {
            assert!(image_tag(bad).is_err(), "{bad}");
        }
        assert!(image_path("llm-d/llm-d").is_ok());
        assert!(image_path("LLM").is_err());
        assert!(registry("localhost:5000").is_ok());
    }
}
