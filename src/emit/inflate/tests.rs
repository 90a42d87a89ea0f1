use super::*;
use crate::render::releases::samples::{oci, repository};
use camino::Utf8PathBuf;
use std::fs;
use tempfile::TempDir;

fn utf8(dir: &TempDir) -> &Utf8Path {
    dir.path().try_into().unwrap()
}

/// A program that stands for Helm: it records its arguments and its input, and then does what `body` says.
///
/// A shell of its own writes it, so that no descriptor open for writing is inherited by a process of another test.
fn fake(dir: &TempDir, body: &str) -> OsString {
    let path = dir.path().join("helm");
    let script =
        format!("#!/bin/sh\nd='{}'\necho \"$@\" >> \"$d/arguments\"\ncat > \"$d/$2.values\"\n{body}\n", utf8(dir));
    let mut shell = Command::new("sh")
        .args(["-c", "cat > \"$1\" && chmod 755 \"$1\"", "sh"])
        .arg(&path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    shell.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(shell.wait().unwrap().success());
    path.into()
}

/// What comes of releases for which Helm does what `body` says.
fn inflated(releases: &[Release], body: &str) -> (Result<Vec<Value>, Errors>, Sources) {
    let dir = tempfile::tempdir().unwrap();
    let program = fake(&dir, body);
    let mut sources = Sources::default();
    let result = inflate_with(releases, "demo", None, &mut sources, &program);
    (result, sources)
}

/// What comes of one release for which Helm writes `text`.
fn written(text: &str) -> Result<Vec<Value>, Errors> {
    inflated(&[oci("infra", &[])], &format!("cat << 'END'\n{text}\nEND")).0
}

fn one(text: &str) -> Problem {
    let mut errors = written(text).unwrap_err().0;
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors.remove(0).problem
}

fn object(kind: &str, name: &str, more: &str) -> String {
    format!("---\n# Source: c/templates/{name}.yaml\napiVersion: v1\nkind: {kind}\nmetadata:\n  name: {name}\n{more}")
}

fn identities(objects: &[Value]) -> Vec<String> {
    objects.iter().map(identity).collect()
}

#[test]
fn helm_gets_name_chart_version_namespace_and_values_in_order_of_needs() {
    let dir = tempfile::tempdir().unwrap();
    let program = fake(&dir, "");
    let releases = [repository("ms", &["infra"]), oci("infra", &[])];
    inflate_with(&releases, "demo", None, &mut Sources::default(), &program).unwrap();
    let arguments = fs::read_to_string(dir.path().join("arguments")).unwrap();
    assert_eq!(
        arguments,
        "template infra oci://ghcr.io/llm-d-incubation/llm-d-infra/llm-d-infra --version v1.4.0 \
         --namespace ns --values - --skip-tests\n\
         template ms llm-d-modelservice --repo https://llm-d-incubation.github.io/llm-d-modelservice/ \
         --version v0.4.12 --namespace ns --values - --skip-tests\n"
    );
    assert_eq!(fs::read_to_string(dir.path().join("ms.values")).unwrap(), releases[0].values.to_yaml());
}

#[test]
fn objects_get_namespace_and_our_labels_and_keep_theirs_elsewhere() {
    let text = object(
        "Deployment",
        "d",
        "  labels:\n    app.kubernetes.io/managed-by: Helm\n    app.kubernetes.io/instance: infra\nspec:\n  \
         selector:\n    matchLabels:\n      app.kubernetes.io/managed-by: Helm\n  template:\n    metadata:\n      \
         labels:\n        app.kubernetes.io/managed-by: Helm\n",
    ) + &object("ClusterRole", "r", "")
        + &object("ConfigMap", "c", "  namespace: other\n  labels:\n");
    let objects = written(&text).unwrap();
    assert_eq!(identities(&objects), ["Deployment ns/d", "ClusterRole r", "ConfigMap other/c"]);
    let key = "app.kubernetes.io/managed-by";
    for object in &objects {
        assert_eq!(object.at(&["metadata", "labels", key]), Some(&"llmdbench".into()));
        assert_eq!(object.at(&["metadata", "labels", "app.kubernetes.io/part-of"]), Some(&"demo".into()));
    }
    let deployment = &objects[0];
    assert_eq!(deployment.at(&["metadata", "labels", "app.kubernetes.io/instance"]), Some(&"infra".into()));
    assert_eq!(deployment.at(&["spec", "selector", "matchLabels"]), Some(&[(key, "Helm")].into()));
    assert_eq!(deployment.at(&["spec", "template", "metadata", "labels"]), Some(&[(key, "Helm")].into()));
}

#[test]
fn plain_scalars_mean_what_they_mean_to_kubectl() {
    let objects = written(&object("ConfigMap", "c", "mode: 0644\nanswer: yes\ntext: \"yes\"\n")).unwrap();
    assert_eq!(objects[0].get("mode"), Some(&420_u64.into()));
    assert_eq!(objects[0].get("answer"), Some(&true.into()));
    assert_eq!(objects[0].get("text"), Some(&"yes".into()));
}

#[test]
fn fields_without_a_value_are_left_out() {
    let text =
        object("Pod", "p", "  annotations:\nspec:\n  initContainers:\n    - name: a\n      env:\n  volumes: []\n");
    let objects = written(&text).unwrap();
    assert_eq!(objects[0].at(&["metadata", "annotations"]), None);
    let spec = objects[0].get("spec").unwrap();
    assert_eq!(spec.to_yaml(), "initContainers:\n- name: a\nvolumes: []\n");
}

#[test]
fn a_list_is_its_items_and_empty_documents_are_nothing() {
    let list = "---\n# Source: c/templates/l.yaml\n---\napiVersion: v1\nkind: List\nitems:\n  - apiVersion: v1\n    \
                kind: Secret\n    metadata: {name: s}\n";
    assert_eq!(identities(&written(list).unwrap()), ["Secret ns/s"]);
    assert!(written("").unwrap().is_empty());
}

#[test]
fn a_key_twice_is_an_error_that_names_release_line_and_template() {
    let text = object("ConfigMap", "a", "") + &object("ConfigMap", "b", "data:\n  k: 1\n  k: 2\n");
    let (result, sources) = inflated(&[oci("infra", &[])], &format!("cat << 'END'\n{text}\nEND"));
    let errors = result.unwrap_err();
    assert!(matches!(&errors.0[0].problem, Problem::DuplicateKey { key, .. } if key == "k"));
    let shown = errors.0[0].render(&sources, false);
    assert!(shown.contains("helm template infra:15:3"), "{shown}");
    assert!(shown.contains("release `infra`, from template `c/templates/b.yaml`"), "{shown}");
}

#[test]
fn a_hook_around_an_installation_is_an_object_before_or_after_the_others() {
    let hook = |name: &str, events: &str, weight: i32| {
        let more = format!("  annotations:\n    helm.sh/hook: {events}\n    helm.sh/hook-weight: \"{weight}\"\n");
        object("ConfigMap", name, &more)
    };
    let text = hook("late", "post-install,post-upgrade", 5)
        + &hook("soon", "post-install, post-upgrade", -5)
        + &hook("tested", "test", 0)
        + &object("ConfigMap", "plain", "")
        + &hook("early", "pre-install", 0);
    let objects = written(&text).unwrap();
    assert_eq!(
        identities(&objects),
        ["ConfigMap ns/early", "ConfigMap ns/plain", "ConfigMap ns/soon", "ConfigMap ns/late"]
    );
    assert!(objects.iter().all(|o| o.at(&["metadata", "annotations"]).is_none()));
}

#[test]
fn a_hook_that_runs_or_goes_away_or_is_for_another_time_is_refused() {
    let hook = |kind: &str, more: &str| object(kind, "h", &format!("  annotations:\n    helm.sh/hook: {more}\n"));
    for text in [
        hook("Job", "post-install"),
        hook("ConfigMap", "pre-delete"),
        hook("ConfigMap", "pre-install,post-install"),
        hook("ConfigMap", "post-upgrade"),
        hook("ConfigMap", "pre-install\n    helm.sh/hook-delete-policy: hook-succeeded"),
    ] {
        let problem = one(&text);
        assert!(matches!(&problem, Problem::Unsupported { what } if what.contains("`infra`")), "{problem:?}");
    }
}

#[test]
fn what_is_no_object_and_what_is_not_yaml_is_refused() {
    assert!(matches!(one("a: 1"), Problem::Unsupported { .. }));
    assert!(matches!(one("kind: ConfigMap\napiVersion: v1\nmetadata: {generateName: x}"), Problem::Unsupported { .. }));
    assert!(matches!(one("a: [1"), Problem::Yaml { .. }));
}

#[test]
fn an_object_of_two_releases_and_a_credential_are_refused() {
    let body = format!("cat << 'END'\n{}\nEND", object("Secret", "s", ""));
    let (result, _) = inflated(&[oci("a", &[]), oci("b", &[])], &body);
    let error = &result.unwrap_err().0[0];
    assert!(matches!(&error.problem, Problem::DuplicateObject { object } if object == "Secret ns/s"));
    assert!(error.hint.as_ref().unwrap().contains("`a` and `b`"));

    let token = format!("hf_{}", "a1".repeat(20));
    let problem = one(&object("Secret", "s", &format!("stringData:\n  token: {token}\n")));
    assert!(matches!(problem, Problem::Credential { .. }));
}

#[test]
fn helm_that_fails_is_quoted_for_every_release_and_input_is_at_fault() {
    let (result, _) = inflated(&[oci("a", &[]), oci("b", &[])], "echo \"Error: no chart $2\" >&2; exit 1");
    let errors = result.unwrap_err();
    assert!(!errors.is_ours());
    let shown: Vec<String> = errors.0.iter().map(|d| d.problem.to_string()).collect();
    assert_eq!(shown, ["helm does not render release `a`: no chart a", "helm does not render release `b`: no chart b"]);
}

#[test]
fn helm_that_ends_before_it_has_read_its_values_is_quoted_too() {
    let dir = tempfile::tempdir().unwrap();
    let program = fake(&dir, "");
    Command::new("sh")
        .args(["-c", "printf '#!/bin/sh\\necho Error: early >&2\\nexit 3\\n' > \"$1\"", "sh"])
        .arg(&program)
        .status()
        .unwrap();
    let mut release = oci("a", &[]);
    release.values = Value::from([("long", "x".repeat(1 << 20))]);
    let errors = inflate_with(&[release], "demo", None, &mut Sources::default(), &program).unwrap_err();
    assert!(matches!(&errors.0[0].problem, Problem::Helm { reason, .. } if reason == "early"));
}

#[test]
fn a_value_that_helm_drops_is_an_error() {
    let line = "coalesce.go:298: warning: cannot overwrite table with non table for c.gateway (map[])";
    let (result, _) = inflated(&[oci("a", &[])], &format!("echo '{line}' >&2"));
    assert!(matches!(&result.unwrap_err().0[0].problem, Problem::Helm { reason, .. } if reason == line));
}

#[test]
fn helm_that_is_missing_is_said_once_with_what_to_do() {
    let program = OsStr::new("/nonexistent/helm");
    let releases = [oci("a", &[]), oci("b", &[])];
    let errors = inflate_with(&releases, "demo", None, &mut Sources::default(), program).unwrap_err();
    assert_eq!(errors.0.len(), 1);
    assert_eq!(errors.0[0].problem.to_string(), "cannot run `/nonexistent/helm`: not found");
    assert!(errors.0[0].hint.as_ref().unwrap().contains("`HELM`"));
    assert!(!errors.is_ours());
}

#[test]
fn a_chart_that_the_folder_lacks_is_named_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let program = fake(&dir, "");
    let result = inflate_with(&[oci("a", &[])], "demo", Some(utf8(&dir)), &mut Sources::default(), &program);
    let error = result.unwrap_err().0.remove(0);
    let Problem::Unreadable { path, .. } = &error.problem else { panic!("{error:?}") };
    assert!(path.ends_with("llm-d-infra/v1.4.0/Chart.yaml"), "{path}");
    assert!(error.hint.unwrap().contains("oci://ghcr.io/llm-d-incubation/llm-d-infra/llm-d-infra"));
}

/// A chart of one ConfigMap, as `charts/llm-d-infra/v1.4.0` of a folder.
fn chart(dir: &TempDir) -> Utf8PathBuf {
    let chart = utf8(dir).join("charts/llm-d-infra/v1.4.0");
    fs::create_dir_all(chart.join("templates")).unwrap();
    fs::write(chart.join("Chart.yaml"), "apiVersion: v2\nname: llm-d-infra\nversion: 1.4.0\n").unwrap();
    let template = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-c\n  labels:\n    \
                    app.kubernetes.io/managed-by: {{ .Release.Service }}\ndata:\n  provider: {{ .Values.gateway.provider }}\n";
    fs::write(chart.join("templates/c.yaml"), template).unwrap();
    utf8(dir).join("charts")
}

/// With the real Helm where there is one, otherwise with a program that writes what Helm would.
#[test]
fn a_chart_of_a_folder_is_rendered_with_the_values_of_the_release() {
    let dir = tempfile::tempdir().unwrap();
    let charts = chart(&dir);
    let real = std::env::var_os("HELM").filter(|p| !p.is_empty()).unwrap_or_else(|| HELM.into());
    let works = Command::new(&real).arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let program = if works.is_ok_and(|s| s.success()) {
        real
    } else {
        let text = object("ConfigMap", "infra-c", "  labels:\n    app.kubernetes.io/managed-by: Helm\ndata:\n");
        fake(&dir, &format!("cat << 'END'\n{text}END\ngrep provider \"$d/$2.values\""))
    };
    let mut sources = Sources::default();
    let objects = inflate_with(&[oci("infra", &[])], "demo", Some(&charts), &mut sources, &program).unwrap();
    assert_eq!(identities(&objects), ["ConfigMap ns/infra-c"]);
    assert_eq!(objects[0].at(&["data", "provider"]), Some(&"istio".into()));
    assert_eq!(objects[0].at(&["metadata", "labels", "app.kubernetes.io/managed-by"]), Some(&"llmdbench".into()));
}
