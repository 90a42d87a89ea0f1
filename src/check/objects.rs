//! Checks of a whole bundle: one object an identity, names that Kubernetes takes, references that resolve, selectors that
//! select, mounts that do not hide each other.

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

/// Checks all objects of a bundle against each other; `outside` are objects that may be named and come from elsewhere.
///
/// # Errors
/// Everything that is wrong.
pub fn check(objects: &[&Value], outside: &HashSet<String>) -> Result<(), Errors> {
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
        mounts(object, &mut errors);
    }
    references(objects, outside, &mut errors);
    errors.into_result()
}

/// Everything that an object names must be in the bundle, or be known to come from elsewhere (Secrets, Gateways,
/// ClusterRoles and the account `default`).
fn references(objects: &[&Value], outside: &HashSet<String>, errors: &mut Errors) {
    let here: HashSet<String> = objects.iter().map(|o| identity(o)).collect();
    let mut need = |from: &Value, kind: &str, namespace: &str, name: Option<&str>| {
        let Some(name) = name else { return };
        let to = format!("{kind} {namespace}/{name}");
        if !here.contains(&to) && !outside.contains(&to) {
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
        let made_by_gateway = text(object, &["spec", "to", "name"]).is_some_and(|n| n.contains("-inference-gateway"));
        if text(object, &["spec", "to", "kind"]).as_deref() == Some("Service") && !made_by_gateway {
            need(object, "Service", namespace, text(object, &["spec", "to", "name"]).as_deref());
        }
        for rule in object.at(&["spec", "rules"]).map_or(&[][..], Value::items) {
            let service = |b: &&Value| b.get("kind").and_then(Value::as_str).is_none_or(|k| k == "Service");
            for backend in rule.get("backendRefs").map_or(&[][..], Value::items).iter().filter(service) {
                need(object, "Service", namespace, text(backend, &["name"]).as_deref());
            }
        }
        let selector = match object.get("kind").and_then(Value::as_str) {
            Some("Service") => object.at(&["spec", "selector"]),
            Some("Deployment") => object.at(&["spec", "selector", "matchLabels"]),
            _ => None,
        };
        // Pods of a Helm release are no objects of the bundle.
        let ours = |s: &crate::tree::Map| s.contains_key("app.kubernetes.io/part-of");
        if let Some(Value::Map(selector)) = selector
            && ours(selector)
        {
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

/// No two volumes of a container are mounted at one path.
fn mounts(object: &Value, errors: &mut Errors) {
    let Some(spec) = pod_spec(object) else { return };
    let containers = ["initContainers", "containers"].iter().flat_map(|k| spec.get(k).map_or(&[][..], Value::items));
    for container in containers {
        let mut seen = HashSet::new();
        for mount in container.get("volumeMounts").map_or(&[][..], Value::items) {
            let path = mount.get("mountPath").and_then(Value::as_str).unwrap_or_default().trim_end_matches('/');
            if !seen.insert(path) {
                let message = format!("{} would mount two volumes at `{path}`", identity(object));
                errors.push(
                    fail(Problem::Conflict { message })
                        .with_hint("change `storage.model.mountPath` or `harness.resultsDir`"),
                );
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

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
        let errors = check(&[&a, &a], &HashSet::new()).unwrap_err();
        assert!(matches!(errors.0[0].problem, Problem::DuplicateObject { .. }));
    }

    #[test]
    fn a_reference_to_nothing_is_refused() {
        let mut binding = object("RoleBinding", "b");
        binding.map_mut().insert("roleRef".into(), Value::from([("kind", "Role"), ("name", "gone")]));
        let errors = check(&[&binding], &HashSet::new()).unwrap_err();
        assert!(matches!(&errors.0[0].problem, Problem::DanglingReference { to, .. } if to == "Role n/gone"));
    }
}
