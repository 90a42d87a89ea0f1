//! The fields of a pod and of a container, by the API of Kubernetes 1.37 (`PodSpec`, `Container`, their `securityContext`).

use crate::error::{Problem, nearest};

/// Where a field belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A container.
    Container,
    /// A pod.
    Pod,
}

impl Place {
    fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Container => CONTAINER,
            Self::Pod => POD,
        }
    }
}

static CONTAINER: &[&str] = &[
    "args",
    "command",
    "env",
    "envFrom",
    "image",
    "imagePullPolicy",
    "lifecycle",
    "livenessProbe",
    "name",
    "ports",
    "readinessProbe",
    "resizePolicy",
    "resources",
    "restartPolicy",
    "restartPolicyRules",
    "securityContext",
    "startupProbe",
    "stdin",
    "stdinOnce",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "tty",
    "volumeDevices",
    "volumeMounts",
    "workingDir",
];

static POD: &[&str] = &[
    "activeDeadlineSeconds",
    "affinity",
    "automountServiceAccountToken",
    "containers",
    "dnsConfig",
    "dnsPolicy",
    "enableServiceLinks",
    "ephemeralContainers",
    "hostAliases",
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "hostUsers",
    "hostname",
    "hostnameOverride",
    "imagePullSecrets",
    "initContainers",
    "nodeName",
    "nodeSelector",
    "os",
    "overhead",
    "preemptionPolicy",
    "priority",
    "priorityClassName",
    "readinessGates",
    "resourceClaims",
    "resources",
    "restartPolicy",
    "runtimeClassName",
    "schedulerName",
    "schedulingGates",
    "securityContext",
    "serviceAccount",
    "serviceAccountName",
    "setHostnameAsFQDN",
    "shareProcessNamespace",
    "subdomain",
    "terminationGracePeriodSeconds",
    "tolerations",
    "topologySpreadConstraints",
    "volumes",
];

/// Fields of the `securityContext` that only a pod has.
pub static POD_SECURITY: &[&str] = &[
    "fsGroup",
    "fsGroupChangePolicy",
    "seLinuxChangePolicy",
    "supplementalGroups",
    "supplementalGroupsPolicy",
    "sysctls",
];

/// The place of a field that the scenario writes into `wanted`: there, or in a pod where only pods have it.
///
/// # Errors
/// A field that neither has, or that only a container has and that is written into a pod.
pub fn place(field: &str, wanted: Place) -> Result<Place, Problem> {
    if wanted.fields().contains(&field) {
        return Ok(wanted);
    }
    if wanted == Place::Container && POD.contains(&field) {
        return Ok(Place::Pod);
    }
    let near = nearest(field, wanted.fields().iter().copied());
    let what = if wanted == Place::Pod { "field of a pod" } else { "field of a container" };
    Err(Problem::UnknownWord { what, name: field.to_owned(), nearest: near })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_has_its_place_and_an_unknown_one_is_named() {
        assert_eq!(place("tty", Place::Container).unwrap(), Place::Container);
        assert_eq!(place("hostNetwork", Place::Container).unwrap(), Place::Pod);
        assert_eq!(place("securityContext", Place::Container).unwrap(), Place::Container);
        let text = place("securtyContext", Place::Container).unwrap_err().to_string();
        assert!(text.contains("field of a container `securtyContext`, did you mean `securityContext`?"), "{text}");
        assert!(place("tty", Place::Pod).is_err());
    }
}
