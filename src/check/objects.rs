//! Checks of a whole bundle: one object an identity, references that resolve, selectors that select, no credentials,
//! nothing that floats.

use crate::error::{Diagnostic, Errors, Problem};
use crate::tree::Value;
use std::collections::{HashMap, HashSet};

/// `Kind namespace/name` of an object.
pub fn identity(object: &Value) -> String {
    let text = |path: &[&str]| object.at(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (kind, namespace, name) = (text(&["kind"]), text(&["metadata", "namespace"]), text(&["metadata", "name"]));
    if namespace.is_empty() { format!("{kind} {name}") } else { format!("{kind} {namespace}/{name}") }
}

fn fail(problem: Problem) -> Diagnostic {
    Diagnostic::error(problem, None)
}

/// Checks all objects of a bundle against each other.
///
/// # Errors
/// Everything that is wrong.
pub fn check(objects: &[&Value]) -> Result<(), Errors> {
    let mut errors = Errors::default();
    let mut seen = HashSet::new();
    for object in objects {
        let id = identity(object);
        let name = object.at(&["metadata", "name"]).and_then(Value::as_str).unwrap_or_default();
        let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
        let result = match kind {
            // RFC 1035: the DNS name of a Service starts with a letter.
            "Service" if name.starts_with(|c: char| c.is_ascii_digit()) => Err("starts with a digit".to_owned()),
            "Service" | "Namespace" | "Deployment" | "Job" => super::names::dns_label(name),
            // Names of roles take almost anything; ours stay plain.
            _ => super::names::dns_subdomain(name),
        };
        if let Err(reason) = result {
            errors.push(fail(Problem::InvalidName {
                what: kind.to_owned(),
                name: name.to_owned(),
                reason: format!("is refused by Kubernetes: {reason}"),
            }));
        }
        if !seen.insert((object.get("apiVersion").and_then(Value::as_str), id.clone())) {
            errors.push(fail(Problem::DuplicateObject { object: id }));
        }
        credentials(object, &mut errors);
    }
    references(objects, &mut errors);
    errors.into_result()
}

/// Everything that an object names must be in the bundle, or be known to come from elsewhere (Secrets, Gateways,
/// ClusterRoles and the account `default`).
fn references(objects: &[&Value], errors: &mut Errors) {
    let here: HashSet<String> = objects.iter().map(|o| identity(o)).collect();
    let mut need = |from: &Value, kind: &str, namespace: &str, name: Option<&str>| {
        let Some(name) = name else { return };
        let to = format!("{kind} {namespace}/{name}");
        if !here.contains(&to) {
            errors.push(fail(Problem::DanglingReference { from: identity(from), to }));
        }
    };
    let pods: Vec<(&str, HashMap<&str, &str>)> = objects.iter().filter_map(|o| pod_labels(o)).collect();
    let mut unselective = Vec::new();
    for object in objects {
        let namespace = object.at(&["metadata", "namespace"]).and_then(Value::as_str).unwrap_or_default();
        let text = |v: &Value, path: &[&str]| v.at(path).and_then(Value::as_str).map(str::to_owned);
        if let Some(spec) = pod_spec(object) {
            if let Some(account) = text(spec, &["serviceAccountName"]).filter(|a| a != "default") {
                need(object, "ServiceAccount", namespace, Some(&account));
            }
            for volume in spec.get("volumes").map_or(&[][..], Value::items) {
                need(
                    object,
                    "PersistentVolumeClaim",
                    namespace,
                    text(volume, &["persistentVolumeClaim", "claimName"]).as_deref(),
                );
                need(object, "ConfigMap", namespace, text(volume, &["configMap", "name"]).as_deref());
            }
        }
        for subject in object.get("subjects").map_or(&[][..], Value::items) {
            if let Some(account) = text(subject, &["name"]).filter(|a| a != "default") {
                let namespace = text(subject, &["namespace"]).unwrap_or_else(|| namespace.to_owned());
                need(object, "ServiceAccount", &namespace, Some(&account));
            }
        }
        if text(object, &["roleRef", "kind"]).as_deref() == Some("Role") {
            need(object, "Role", namespace, text(object, &["roleRef", "name"]).as_deref());
        }
        if text(object, &["spec", "to", "kind"]).as_deref() == Some("Service") {
            need(object, "Service", namespace, text(object, &["spec", "to", "name"]).as_deref());
        }
        for rule in object.at(&["spec", "rules"]).map_or(&[][..], Value::items) {
            for backend in rule.get("backendRefs").map_or(&[][..], Value::items) {
                need(object, "Service", namespace, text(backend, &["name"]).as_deref());
            }
        }
        let selector = match object.get("kind").and_then(Value::as_str) {
            Some("Service") => object.at(&["spec", "selector"]),
            Some("Deployment") => object.at(&["spec", "selector", "matchLabels"]),
            _ => None,
        };
        if let Some(Value::Map(selector)) = selector {
            let selected = pods.iter().filter(|(ns, labels)| {
                *ns == namespace && selector.iter().all(|(k, v)| labels.get(k.as_str()).copied() == v.as_str())
            });
            let count = selected.count();
            if count != 1 {
                unselective.push(format!(
                    "the selector of {} selects the pods of {count} objects, not of one",
                    identity(object)
                ));
            }
        }
    }
    for message in unselective {
        errors.push(fail(Problem::Conflict { message }));
    }
}

/// The pod specification of an object that runs pods.
fn pod_spec(object: &Value) -> Option<&Value> {
    match object.get("kind").and_then(Value::as_str)? {
        "Pod" => object.get("spec"),
        "Deployment" | "Job" | "StatefulSet" => object.at(&["spec", "template", "spec"]),
        _ => None,
    }
}

/// Namespace and labels of the pods of an object that runs pods.
fn pod_labels(object: &Value) -> Option<(&str, HashMap<&str, &str>)> {
    pod_spec(object)?;
    let metadata = match object.get("kind").and_then(Value::as_str)? {
        "Pod" => object.get("metadata")?,
        _ => object.at(&["spec", "template", "metadata"])?,
    };
    let namespace = object.at(&["metadata", "namespace"]).and_then(Value::as_str)?;
    let Some(Value::Map(labels)) = metadata.get("labels") else { return Some((namespace, HashMap::new())) };
    Some((namespace, labels.iter().filter_map(|(k, v)| Some((k.as_str(), v.as_str()?))).collect()))
}

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

/// The kind of credential that a text holds, if any.
pub fn credential(text: &str) -> Option<&'static str> {
    if text.contains("PRIVATE KEY-----") {
        return Some("a private key");
    }
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '~');
    PATTERNS.iter().find_map(|p| {
        text.match_indices(p.prefix)
            .any(|(i, _)| {
                let before = text[..i].chars().next_back();
                let after = text[i + p.prefix.len()..].chars().take_while(|c| word(*c)).count();
                after >= p.least && !before.is_some_and(|c| c.is_ascii_alphanumeric())
            })
            .then_some(p.kind)
    })
}

fn credentials(object: &Value, errors: &mut Errors) {
    let id = identity(object);
    object.each_string(&mut Vec::new(), &mut |path, text| {
        if let Some(kind) = credential(text) {
            let place = format!("{id} at `{}`", path.join("."));
            errors.push(
                fail(Problem::Credential { place, kind })
                    .with_hint("put it into a Secret and refer to that with `valueFrom.secretKeyRef`"),
            );
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_seen_and_words_are_not() {
        assert!(credential(&format!("--token=hf_{}", "a1".repeat(17))).is_some());
        assert!(credential("-----BEGIN RSA PRIVATE KEY-----").is_some());
        assert!(credential("llm-d-hf-token").is_none());
        assert!(credential("sha256~short").is_none());
        assert!(credential("task-one-two-three-four-five-six-seven-eight-nine-ten-eleven").is_none());
    }

    fn object(kind: &str, name: &str) -> Value {
        Value::from([
            ("apiVersion", Value::from("v1")),
            ("kind", Value::from(kind)),
            ("metadata", Value::from([("name", name), ("namespace", "n")])),
        ])
    }

    #[test]
    fn two_objects_of_one_identity_are_refused() {
        let a = object("ConfigMap", "a");
        let errors = check(&[&a, &a]).unwrap_err();
        assert!(matches!(errors.0[0].problem, Problem::DuplicateObject { .. }));
    }

    #[test]
    fn a_reference_to_nothing_is_refused() {
        let mut binding = object("RoleBinding", "b");
        binding.map_mut().insert("roleRef".into(), Value::from([("kind", "Role"), ("name", "gone")]));
        let errors = check(&[&binding]).unwrap_err();
        assert!(matches!(&errors.0[0].problem, Problem::DanglingReference { to, .. } if to == "Role n/gone"));
    }
}
