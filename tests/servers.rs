//! What the settings of model servers come to, by both methods: asserted on the values and objects that are rendered.

use camino::Utf8Path;
use llmdbench::compile::{Compilation, Options, compile};
use llmdbench::error::Errors;
use llmdbench::scenario::World;
use llmdbench::settings::resolve::{Inputs, Language};
use llmdbench::source::Sources;
use llmdbench::tree::Value;

struct NoFiles;
impl World for NoFiles {
    fn read(&self, _: &Utf8Path) -> std::io::Result<String> {
        Err(std::io::ErrorKind::NotFound.into())
    }
}

/// Compiles a shell scenario. `V_`, `S_` and `C_` stand for the prefixes of variables of the llm-d method, of the
/// standalone one and of both.
fn attempt(text: &str, sets: &[&str]) -> (Result<Compilation, Errors>, Sources) {
    let mut sources = Sources::default();
    let text = text
        .replace("$V_", "$LLMDBENCH_VLLM_MODELSERVICE_")
        .replace("$C_", "$LLMDBENCH_VLLM_COMMON_")
        .replace("$S_", "$LLMDBENCH_VLLM_STANDALONE_")
        .replace("export V_", "export LLMDBENCH_VLLM_MODELSERVICE_")
        .replace("export S_", "export LLMDBENCH_VLLM_STANDALONE_")
        .replace("export C_", "export LLMDBENCH_VLLM_COMMON_");
    let id = sources.add_file("scenario.sh", text);
    let inputs = Inputs {
        scenario: Some((id, Language::Shell)),
        sets: sets.iter().map(|s| (*s).to_owned()).collect(),
        edition: Some("2026-03".into()),
        ..Inputs::default()
    };
    let result = compile(&inputs, Options::default(), &NoFiles, &mut sources);
    (result, sources)
}

fn compiled(text: &str, sets: &[&str]) -> Compilation {
    let (result, sources) = attempt(text, sets);
    result.unwrap_or_else(|e| panic!("{}", e.0.iter().map(|d| d.render(&sources, false)).collect::<String>()))
}

fn refused(text: &str, sets: &[&str]) -> String {
    let (result, sources) = attempt(text, sets);
    let errors = result.err().unwrap_or_else(|| panic!("compiles: {text}"));
    errors.0.iter().map(|d| d.render(&sources, false)).collect()
}

fn notes(c: &Compilation) -> String {
    c.notes.iter().map(|d| format!("{}\n", d.problem)).collect()
}

const LLMD: &str = "export LLMDBENCH_DEPLOY_METHODS=modelservice\nexport LLMDBENCH_DEPLOY_MODEL_LIST=org/model\n";
const ALONE: &str = "export LLMDBENCH_DEPLOY_METHODS=standalone\nexport LLMDBENCH_DEPLOY_MODEL_LIST=org/model\n";

/// The values of one role.
fn role<'c>(c: &'c Compilation, name: &str) -> &'c Value {
    let release = c.bundle.releases.iter().find(|r| r.name.ends_with("-ms")).expect("a release of servers");
    release.values.get(name).expect("the role")
}

fn container(role: &Value) -> &Value {
    &role.get("containers").expect("containers").items()[0]
}

/// The Deployment of the standalone server.
fn deployment(c: &Compilation) -> &Value {
    let server = |v: &&Value| {
        v.get("kind").and_then(Value::as_str) == Some("Deployment")
            && v.at(&["metadata", "labels", "app.kubernetes.io/component"]).and_then(Value::as_str)
                == Some("model-server")
    };
    c.bundle.manifests.iter().map(|m| &m.object.value).find(server).expect("a Deployment")
}

fn named<'v>(list: Option<&'v Value>, name: &str) -> Option<&'v Value> {
    list?.items().iter().find(|v| v.get("name").and_then(Value::as_str) == Some(name))
}

fn env(container: &Value, name: &str) -> Option<String> {
    named(container.get("env"), name)?.get("value").and_then(Value::as_str).map(str::to_owned)
}

fn limit(container: &Value, name: &str) -> Option<String> {
    container.at(&["resources", "limits"])?.get(name).and_then(Value::as_str).map(str::to_owned)
}

/// `export NAME=$(mktemp)` with a here-document.
fn document(name: &str, body: &str) -> String {
    format!("export {name}=$(mktemp)\ncat << EOF > ${name}\n{body}\nEOF\n")
}

#[test]
fn what_is_said_of_all_servers_reaches_every_one() {
    let common = "export C_CPU_NR=7\nexport C_SHM_MEM=3Gi\nexport C_TENSOR_PARALLELISM=2\nexport C_EPHEMERAL_STORAGE=9Gi\n\
                  export C_PODANNOTATIONS=a.example/net:fast\nexport C_POD_LABELS=k=v\nexport C_PULL_SECRET=registry\n\
                  export C_PRIORITY_CLASS_NAME=high\n";
    let common = format!("{common}{}", document("C_ENVVARS_TO_YAML", "- name: A\n  value: \"1\""));
    let llmd = compiled(&format!("{LLMD}{common}"), &[]);
    for name in ["decode", "prefill"] {
        let role = role(&llmd, name);
        let server = container(role);
        assert_eq!(limit(server, "cpu").as_deref(), Some("7"));
        assert_eq!(limit(server, "nvidia.com/gpu").as_deref(), Some("2"));
        assert_eq!(limit(server, "ephemeral-storage").as_deref(), Some("9Gi"));
        assert_eq!(env(server, "A").as_deref(), Some("1"));
        assert_eq!(env(server, "LLMDBENCH_POD_LABELS").as_deref(), Some("k=v"));
        assert_eq!(role.at(&["parallelism", "tensor"]), Some(&Value::from(2u32)));
        assert_eq!(role.at(&["podAnnotations", "a.example/net"]), Some(&Value::from("fast")));
        assert_eq!(role.get("priorityClassName"), Some(&Value::from("high")));
        assert_eq!(
            role.at(&["extraConfig", "imagePullSecrets"]).unwrap().items()[0].get("name"),
            Some(&Value::from("registry"))
        );
        let shm = named(role.get("volumes"), "shm").unwrap();
        assert_eq!(shm.at(&["emptyDir", "sizeLimit"]), Some(&Value::from("3Gi")));
    }
    let alone = compiled(&format!("{ALONE}{common}"), &[]);
    let pod = deployment(&alone).at(&["spec", "template"]).unwrap();
    let server = &pod.at(&["spec", "containers"]).unwrap().items()[0];
    assert_eq!(limit(server, "nvidia.com/gpu").as_deref(), Some("2"));
    assert_eq!(limit(server, "ephemeral-storage").as_deref(), Some("9Gi"));
    assert_eq!(env(server, "A").as_deref(), Some("1"));
    assert_eq!(env(server, "VLLM_TENSOR_PARALLELISM").as_deref(), Some("2"));
    assert_eq!(pod.at(&["metadata", "annotations", "a.example/net"]), Some(&Value::from("fast")));
    assert_eq!(pod.at(&["spec", "priorityClassName"]), Some(&Value::from("high")));
    let shm = named(pod.at(&["spec", "volumes"]), "shm").unwrap();
    assert_eq!(shm.at(&["emptyDir", "sizeLimit"]), Some(&Value::from("3Gi")));
}

#[test]
fn accelerators_follow_from_parallelism_and_parallelism_from_accelerators() {
    let gpus = |text: &str, name: &str| {
        let c = compiled(&format!("{LLMD}{text}"), &[]);
        let role = role(&c, name);
        let tensor = role.at(&["parallelism", "tensor"]).cloned().unwrap_or(Value::from(1u32));
        (limit(container(role), "nvidia.com/gpu").unwrap_or_default(), tensor)
    };
    let spread = "export V_DECODE_TENSOR_PARALLELISM=2\nexport V_DECODE_DATA_LOCAL_PARALLELISM=4\n";
    assert_eq!(gpus(spread, "decode"), ("8".into(), Value::from(2u32)));
    assert_eq!(gpus(spread, "prefill"), ("1".into(), Value::from(1u32)));
    assert_eq!(gpus("export V_DECODE_ACCELERATOR_NR=4\n", "decode"), ("4".into(), Value::from(4u32)));
    // None for all servers is none for a role that says nothing else.
    let none = "export C_ACCELERATOR_NR=0\nexport V_DECODE_TENSOR_PARALLELISM=0\n";
    assert_eq!(gpus(none, "decode").0, "");
    let few = refused(&format!("{LLMD}{spread}export V_DECODE_ACCELERATOR_NR=4\n"), &[]);
    assert!(few.contains("needs 8 accelerators; a pod has 4"), "{few}");
}

#[test]
fn the_variables_of_a_role_are_those_of_the_role() {
    let text = "export V_DECODE_TENSOR_PARALLELISM=4\nexport V_PREFILL_TENSOR_PARALLELISM=2\nexport C_MAX_NUM_SEQ=9\n";
    let common = document("C_ENVVARS_TO_YAML", "- name: A\n  value: common\n- name: B\n  value: common");
    let own = document(
        "V_DECODE_ENVVARS_TO_YAML",
        "- name: B\n  value: own\n- name: IP\n  valueFrom:\n    fieldRef:\n      fieldPath: status.podIP",
    );
    let c = compiled(&format!("{LLMD}{text}{common}{own}"), &[]);
    let decode = container(role(&c, "decode"));
    assert_eq!(env(decode, "VLLM_TENSOR_PARALLELISM").as_deref(), Some("4"));
    assert_eq!(env(container(role(&c, "prefill")), "VLLM_TENSOR_PARALLELISM").as_deref(), Some("2"));
    assert_eq!(env(decode, "VLLM_MAX_NUM_SEQ").as_deref(), Some("9"));
    assert_eq!((env(decode, "A").as_deref(), env(decode, "B").as_deref()), (Some("common"), Some("own")));
    assert_eq!(env(container(role(&c, "prefill")), "B").as_deref(), Some("common"));
    let ip = named(decode.get("env"), "IP").unwrap();
    assert_eq!(ip.at(&["valueFrom", "fieldRef", "fieldPath"]), Some(&Value::from("status.podIP")));
    let names: Vec<_> = decode.get("env").unwrap().items().iter().map(|e| e.get("name").cloned()).collect();
    let distinct: std::collections::HashSet<_> = names.iter().map(|n| format!("{n:?}")).collect();
    assert_eq!(names.len(), distinct.len(), "a variable twice");
}

#[test]
fn variables_that_the_chart_writes_are_not_written_twice() {
    let text = "export V_DECODE_DATA_LOCAL_PARALLELISM=8\n";
    let same = document("V_DECODE_ENVVARS_TO_YAML", "- name: DP_SIZE_LOCAL\n  value: \"8\"");
    let c = compiled(&format!("{LLMD}{text}{same}"), &[]);
    assert_eq!(env(container(role(&c, "decode")), "DP_SIZE_LOCAL"), None);
    let other = document("V_DECODE_ENVVARS_TO_YAML", "- name: DP_SIZE_LOCAL\n  value: \"4\"");
    let refusal = refused(&format!("{LLMD}{text}{other}"), &[]);
    assert!(refusal.contains("`DP_SIZE_LOCAL`") && refusal.contains("decode.parallelism.dataLocal"), "{refusal}");
}

#[test]
fn volumes_of_several_settings_become_one_list() {
    let common =
        document("C_EXTRA_VOLUMES", "- name: dshm\n  emptyDir: {sizeLimit: REPLACE_ENV_LLMDBENCH_VLLM_COMMON_SHM_MEM}");
    let mounts = document("C_EXTRA_VOLUME_MOUNTS", "- name: dshm\n  mountPath: /dev/shm");
    let method = document("V_EXTRA_VOLUMES", "- name: method\n  emptyDir: {}");
    let own =
        document("V_DECODE_EXTRA_VOLUMES", "- name: own\n  emptyDir: {}\n- name: dshm\n  emptyDir: {sizeLimit: 16Gi}");
    let c = compiled(&format!("{LLMD}{common}{mounts}{method}{own}"), &[]);
    let names = |name: &str| -> Vec<String> {
        let volumes = role(&c, name).get("volumes").unwrap().items();
        volumes.iter().map(|v| v.get("name").and_then(Value::as_str).unwrap().to_owned()).collect()
    };
    assert_eq!(names("decode"), ["metrics-volume", "torch-compile-cache", "dshm", "method", "own"]);
    assert_eq!(names("prefill"), ["metrics-volume", "torch-compile-cache", "dshm", "method"]);
    let at_shm: Vec<_> = container(role(&c, "decode"))
        .get("volumeMounts")
        .unwrap()
        .items()
        .iter()
        .filter(|m| m.get("mountPath") == Some(&Value::from("/dev/shm")))
        .collect();
    assert_eq!(at_shm.len(), 1);
    let other = document("V_DECODE_EXTRA_VOLUMES", "- name: dshm\n  emptyDir: {sizeLimit: 1Gi}");
    let refusal = refused(&format!("{LLMD}{common}{other}"), &[]);
    for part in
        ["`LLMDBENCH_VLLM_COMMON_EXTRA_VOLUMES`", "`LLMDBENCH_VLLM_MODELSERVICE_DECODE_EXTRA_VOLUMES`", "`dshm`"]
    {
        assert!(refusal.contains(part), "{refusal}");
    }
    assert_eq!(refusal.matches("here-document of line").count(), 2, "both places: {refusal}");
}

#[test]
fn fields_of_the_scenario_join_those_of_the_tool_and_never_replace_a_setting() {
    let fields = "securityContext: {runAsUser: 0}\nports:\n- containerPort: REPLACE_ENV_LLMDBENCH_VLLM_COMMON_METRICS_PORT\n  name: metrics";
    let common = document("C_EXTRA_CONTAINER_CONFIG", fields);
    let own = document("V_DECODE_EXTRA_CONTAINER_CONFIG", "securityContext: {privileged: true}");
    let pod = document("C_EXTRA_POD_CONFIG", "nodeSelector: {a.example/b: 'true'}\nhostNetwork: true");
    let c = compiled(&format!("{LLMD}{common}{own}{pod}"), &[]);
    let decode = container(role(&c, "decode")).get("extraConfig").unwrap();
    assert_eq!(decode.at(&["securityContext", "runAsUser"]), Some(&Value::from(0u32)));
    assert_eq!(decode.at(&["securityContext", "privileged"]), Some(&Value::Bool(true)));
    assert_eq!(decode.get("ports").unwrap().items()[0].get("containerPort"), Some(&Value::from(8200u32)));
    assert_eq!(role(&c, "prefill").at(&["extraConfig", "hostNetwork"]), Some(&Value::Bool(true)));
    let alone = compiled(&format!("{ALONE}{common}{pod}"), &[]);
    let spec = deployment(&alone).at(&["spec", "template", "spec"]).unwrap();
    let server = &spec.get("containers").unwrap().items()[0];
    assert_eq!(spec.at(&["nodeSelector", "a.example/b"]), Some(&Value::from("true")));
    assert_eq!(server.get("ports").unwrap().items().len(), 2);
    assert_eq!(server.at(&["securityContext", "runAsUser"]), Some(&Value::from(0u32)));

    let group =
        document("V_DECODE_EXTRA_CONTAINER_CONFIG", "hostIPC: true\nsecurityContext: {runAsUser: 0, fsGroup: 107}");
    let c = compiled(&format!("{LLMD}{group}"), &[]);
    let decode = role(&c, "decode");
    assert_eq!(decode.at(&["extraConfig", "hostIPC"]), Some(&Value::Bool(true)));
    assert_eq!(decode.at(&["extraConfig", "securityContext", "fsGroup"]), Some(&Value::from(107u32)));
    let security = container(decode).at(&["extraConfig", "securityContext"]).unwrap();
    assert_eq!(security.to_json_line(), r#"{"runAsUser":0}"#);
    assert!(notes(&c).contains("`fsGroup`") && notes(&c).contains("goes there"), "{}", notes(&c));
    let slip = document("C_EXTRA_POD_CONFIG", "nodeSelecter: {a: b}");
    assert!(refused(&format!("{LLMD}{slip}"), &[]).contains("did you mean `nodeSelector`?"));

    let env = document("C_EXTRA_CONTAINER_CONFIG", "env: [{name: A, value: b}]");
    let refusal = refused(&format!("{LLMD}{env}"), &[]);
    assert!(refusal.contains("`LLMDBENCH_VLLM_COMMON_EXTRA_CONTAINER_CONFIG` gives `env`"), "{refusal}");
    assert!(refusal.contains("decode.env"), "{refusal}");
}

#[test]
fn a_probe_of_the_scenario_takes_the_place_of_the_default_one_and_not_of_one_that_is_set() {
    let probe = document("V_DECODE_EXTRA_CONTAINER_CONFIG", "startupProbe: {exec: {command: [ready]}}");
    let c = compiled(&format!("{LLMD}{probe}"), &[]);
    let server = container(role(&c, "decode"));
    assert_eq!(server.get("startupProbe"), None);
    assert!(server.at(&["extraConfig", "startupProbe", "exec"]).is_some());
    assert!(server.get("readinessProbe").is_some());
    let set = "export C_STARTUP_PROBE_PATH=/v1/models\n";
    let refusal = refused(&format!("{LLMD}{set}{probe}"), &[]);
    assert!(refusal.contains("LLMDBENCH_VLLM_MODELSERVICE_DECODE_EXTRA_CONTAINER_CONFIG"), "{refusal}");
    assert!(refusal.contains("LLMDBENCH_VLLM_COMMON_STARTUP_PROBE_PATH"), "{refusal}");
    assert!(refusal.contains("scenario.sh:3"), "the place of the other: {refusal}");
}

#[test]
fn probes_have_the_paths_and_times_that_are_said() {
    let text = "export C_STARTUP_PROBE_PATH=/v1/models\nexport C_STARTUP_PROBE_INITIAL_DELAY=240\n\
                export V_PREFILL_STARTUP_PROBE_FAILURE_THRESHOLD=9\nexport V_DECODE_READINESS_PROBE_PATH=/ready\n";
    let c = compiled(&format!("{LLMD}{text}"), &[]);
    let (decode, prefill) = (container(role(&c, "decode")), container(role(&c, "prefill")));
    for server in [decode, prefill] {
        assert_eq!(server.at(&["startupProbe", "httpGet", "path"]), Some(&Value::from("/v1/models")));
        assert_eq!(server.at(&["startupProbe", "initialDelaySeconds"]), Some(&Value::from(240u32)));
    }
    assert_eq!(decode.at(&["startupProbe", "failureThreshold"]), Some(&Value::from(60u32)));
    assert_eq!(prefill.at(&["startupProbe", "failureThreshold"]), Some(&Value::from(9u32)));
    assert_eq!(decode.at(&["readinessProbe", "httpGet", "path"]), Some(&Value::from("/ready")));
    assert_eq!(prefill.at(&["readinessProbe", "httpGet", "path"]), Some(&Value::from("/health")));
}

#[test]
fn probes_follow_the_port_of_the_arguments() {
    let args = |port: &str| {
        format!(
            "export V_PREFILL_MODEL_COMMAND=custom\n{}",
            document("V_PREFILL_EXTRA_ARGS", &format!("vllm serve org/model --port {port}"))
        )
    };
    let c = compiled(&format!("{LLMD}{}", args("8200")), &[]);
    let port = |c: &Compilation| container(role(c, "prefill")).at(&["livenessProbe", "tcpSocket", "port"]).cloned();
    assert_eq!(port(&c), Some(Value::from(8200u32)));
    assert!(notes(&c).contains("prefill answers on port 8200"), "{}", notes(&c));
    let c = compiled(&format!("{LLMD}{}", args("\\$VLLM_METRICS_PORT")), &[]);
    assert_eq!(port(&c), Some(Value::from(8200u32)));
    let refusal = refused(&format!("{LLMD}{}export V_PREFILL_INFERENCE_PORT=8000\n", args("8200")), &[]);
    assert!(refusal.contains("`--port 8200`, and `prefill.port` is 8000"), "{refusal}");
}

#[test]
fn a_script_before_the_server_runs_where_there_is_a_shell() {
    let before = "export C_PREPROCESS=\"source /shared/env.sh\"\n";
    let c = compiled(&format!("{LLMD}{before}"), &["decode.modelCommand=custom", "decode.args=[--x, y]"]);
    let decode = container(role(&c, "decode"));
    assert_eq!(decode.get("command").unwrap().items()[0], Value::from("/bin/bash"));
    let script = decode.get("args").unwrap().items()[0].as_str().unwrap().to_owned();
    assert!(script.contains("source /shared/env.sh\nexec vllm serve org/model --x y"), "{script}");
    assert!(notes(&c).contains("`prefill.preprocess` does not run"), "{}", notes(&c));
    let own = document(
        "V_DECODE_EXTRA_ARGS",
        "REPLACE_ENV_LLMDBENCH_VLLM_MODELSERVICE_DECODE_PREPROCESS; vllm serve org/model --port 8200",
    );
    let c = compiled(&format!("{LLMD}{before}export V_DECODE_MODEL_COMMAND=custom\n{own}"), &[]);
    let script = container(role(&c, "decode")).get("args").unwrap().items()[0].as_str().unwrap().to_owned();
    assert_eq!(script.matches("source /shared/env.sh").count(), 1, "{script}");
}

#[test]
fn a_script_that_starts_the_server_is_the_whole_command() {
    let args = document("V_DECODE_EXTRA_ARGS", "export A=1; vllm serve org/model --port \\$VLLM_METRICS_PORT");
    let c = compiled(&format!("{LLMD}{args}"), &[]);
    assert_eq!(container(role(&c, "decode")).get("modelCommand"), Some(&Value::from("custom")));
    assert!(notes(&c).contains("taken as `custom`"), "{}", notes(&c));
    let refusal = refused(&format!("{LLMD}{args}export V_DECODE_MODEL_COMMAND=vllmServe\n"), &[]);
    assert!(refusal.contains("starts the server itself"), "{refusal}");
}

#[test]
fn groups_of_pods_need_a_chart_that_makes_them() {
    let text = format!(
        "{LLMD}export V_MULTINODE=true\nexport C_NUM_WORKERS_PARALLELISM=2\nexport C_DATA_LOCAL_PARALLELISM=8\n"
    );
    let c = compiled(&text, &["charts.modelservice.version=v0.4.9"]);
    let release = c.bundle.releases.iter().find(|r| r.name.ends_with("-ms")).unwrap();
    assert_eq!(release.values.get("multinode"), Some(&Value::Bool(true)));
    let spread = role(&c, "prefill").get("parallelism").unwrap();
    for (key, value) in [("workers", 2u32), ("dataLocal", 8), ("data", 16), ("tensor", 1)] {
        assert_eq!(spread.get(key), Some(&Value::from(value)), "{key}");
    }
    let old = refused(&text, &["charts.modelservice.version=v0.3.5"]);
    assert!(old.contains("v0.3.6") && old.contains("LeaderWorkerSet"), "{old}");
    let init = document("C_EXTRA_INIT_CONTAINER_CONFIG", "- name: i\n  image: example.com/i:1");
    let broken = refused(&format!("{text}{init}"), &["charts.modelservice.version=v0.4.5"]);
    assert!(broken.contains("v0.4.9"), "{broken}");
    let single = compiled(&format!("{LLMD}export C_NUM_WORKERS_PARALLELISM=2\n"), &[]);
    assert!(notes(&single).contains("`modelservice.multinode` makes groups"), "{}", notes(&single));
}

#[test]
fn init_containers_keep_their_order_and_name_a_version() {
    let image = "- name: first\n  image: \"REPLACE_ENV_LLMDBENCH_IMAGE\"\n- name: second\n  image: busybox";
    let init = document("C_EXTRA_INIT_CONTAINER_CONFIG", image);
    let c = compiled(&format!("{LLMD}{init}"), &[]);
    let images: Vec<_> = role(&c, "decode")
        .get("initContainers")
        .unwrap()
        .items()
        .iter()
        .map(|i| i.get("image").and_then(Value::as_str).unwrap().to_owned())
        .collect();
    assert!(images[1].starts_with("ghcr.io/llm-d/llm-d-benchmark:v"), "{images:?}");
    assert!(images[2].starts_with("docker.io/library/busybox:1."), "{images:?}");
    let alone = compiled(&format!("{ALONE}{init}"), &[]);
    let spec = deployment(&alone).at(&["spec", "template", "spec"]).unwrap();
    let names: Vec<_> = spec
        .get("initContainers")
        .unwrap()
        .items()
        .iter()
        .map(|i| i.get("name").and_then(Value::as_str).unwrap().to_owned())
        .collect();
    assert_eq!(names, ["wait-for-model", "first", "second"]);
    let old = refused(&format!("{LLMD}{init}"), &["charts.modelservice.version=v0.3.5"]);
    assert!(old.contains("v0.3.6"), "{old}");
    let floating = document("C_EXTRA_INIT_CONTAINER_CONFIG", "- name: i\n  image: example.com/unknown:latest");
    assert!(refused(&format!("{LLMD}{floating}"), &[]).contains("example.com/unknown"));
}

#[test]
fn accelerators_are_asked_for_by_their_resource_or_claimed() {
    let text = format!("{LLMD}export C_ACCELERATOR_RESOURCE=intel-gaudi\nexport V_DECODE_TENSOR_PARALLELISM=4\n");
    let c = compiled(&text, &[]);
    assert_eq!(limit(container(role(&c, "decode")), "habana.ai/gaudi").as_deref(), Some("4"));
    let claimed = format!("{text}export C_ACCELERATOR_USE_DRA=true\n");
    let c = compiled(&claimed, &["charts.modelservice.version=v0.4.5"]);
    let decode = role(&c, "decode");
    assert_eq!(limit(container(decode), "habana.ai/gaudi"), None);
    assert_eq!(decode.at(&["accelerator", "type"]), Some(&Value::from("intel-gaudi")));
    assert_eq!(decode.at(&["accelerator", "dra"]), Some(&Value::Bool(true)));
    let release = c.bundle.releases.iter().find(|r| r.name.ends_with("-ms")).unwrap();
    let template = release.values.at(&["accelerator", "resourceClaimTemplates", "intel-gaudi", "name"]).unwrap();
    assert!(template.as_str().unwrap().contains("-model-"), "the name tells the stack: {template:?}");
    let old = refused(&claimed, &["charts.modelservice.version=v0.4.0"]);
    assert!(old.contains("v0.4.1"), "{old}");
    let unknown = refused(&claimed, &["accelerator.resource=example.com/chip"]);
    assert!(unknown.contains("example.com/chip"), "{unknown}");
    let cpu = compiled(&format!("{LLMD}export C_ACCELERATOR_RESOURCE=cpu\n"), &[]);
    let limits = container(role(&cpu, "decode")).at(&["resources", "limits"]).unwrap().clone();
    assert_eq!(limits.get("cpu"), Some(&Value::from("4")));
    assert!(!limits.to_yaml().contains('/'), "{limits:?}");
}

#[test]
fn the_model_volume_is_mounted_as_told() {
    let mounted = |word: &str| {
        let c = compiled(&format!("{LLMD}export V_MOUNT_MODEL_VOLUME_OVERRIDE={word}\n"), &[]);
        container(role(&c, "decode")).get("mountModelVolume").cloned()
    };
    assert_eq!(mounted("false"), Some(Value::Bool(false)));
    assert_eq!(mounted("true"), Some(Value::Bool(true)));
    let own = format!(
        "{}{}",
        document("C_EXTRA_VOLUMES", "- name: models\n  emptyDir: {}"),
        document("C_EXTRA_VOLUME_MOUNTS", "- name: models\n  mountPath: /model-cache/")
    );
    let c = compiled(&format!("{LLMD}{own}"), &[]);
    assert_eq!(container(role(&c, "decode")).get("mountModelVolume"), Some(&Value::Bool(false)));
    let both = refused(&format!("{LLMD}{own}export V_MOUNT_MODEL_VOLUME_OVERRIDE=true\n"), &[]);
    assert!(both.contains("mounts the model at `/model-cache`"), "{both}");
    // The chart's own volume is the chart's to mount.
    let mount = "- name: model-storage\n  mountPath: /model-cache\n- name: model-storage\n  mountPath: /model-cache\n  readOnly: true";
    let c = compiled(&format!("{LLMD}{}", document("C_EXTRA_VOLUME_MOUNTS", mount)), &[]);
    let decode = container(role(&c, "decode"));
    assert_eq!(decode.get("mountModelVolume"), Some(&Value::Bool(true)));
    assert_eq!(named(decode.get("volumeMounts"), "model-storage"), None);
    let nothing = document("C_EXTRA_VOLUME_MOUNTS", "- name: forgotten\n  mountPath: /x");
    assert!(refused(&format!("{LLMD}{nothing}"), &[]).contains("mounts `forgotten`, and the pod has no such volume"));
    let elsewhere = document("C_EXTRA_VOLUME_MOUNTS", "- name: shm\n  mountPath: /dev/shm");
    let c = compiled(&format!("{LLMD}{elsewhere}"), &[]);
    assert!(named(role(&c, "decode").get("volumes"), "shm").is_some());
}

#[test]
fn numbers_that_no_cluster_has_are_an_error_and_no_overflow() {
    let text = "export V_DECODE_TENSOR_PARALLELISM=2147483647\nexport V_DECODE_DATA_LOCAL_PARALLELISM=2147483647\n\
                export V_DECODE_NUM_WORKERS_PARALLELISM=2147483647\nexport V_DECODE_ACCELERATOR_NR=8\n";
    assert!(refused(&format!("{LLMD}{text}"), &[]).contains("a pod has 8"));
}

#[test]
fn a_role_has_its_own_image_and_annotations() {
    let annotations = document("V_DECODE_PODANNOTATIONS", "a.example/list: |\n  [1]\na.example/word: 'x: y'");
    let text = format!("{LLMD}export V_DECODE_IMAGE=vllm/vllm-tpu:v0.13.2\n{annotations}");
    let c = compiled(&text, &[]);
    assert_eq!(container(role(&c, "decode")).get("image"), Some(&Value::from("docker.io/vllm/vllm-tpu:v0.13.2")));
    let annotations = role(&c, "decode").get("podAnnotations").unwrap();
    assert_eq!(annotations.get("a.example/list"), Some(&Value::from("[1]\n")));
    assert_eq!(annotations.get("a.example/word"), Some(&Value::from("x: y")));
    assert_eq!(role(&c, "prefill").get("podAnnotations"), None);
    let floating = refused(&format!("{LLMD}export V_DECODE_IMAGE=vllm/vllm-tpu:latest\n"), &[]);
    assert!(floating.contains("vllm-tpu"), "{floating}");
}

#[test]
fn a_launcher_is_a_second_container_with_ports_of_its_own() {
    let text =
        format!("{ALONE}export S_LAUNCHER=true\nexport S_LAUNCHER_PORT=8111\nexport S_LAUNCHER_VLLM_PORT=8112\n");
    let c = compiled(&text, &[]);
    let containers = deployment(&c).at(&["spec", "template", "spec", "containers"]).unwrap().items();
    let launcher = containers.iter().find(|c| c.get("name") == Some(&Value::from("launcher"))).unwrap();
    let args = launcher.get("args").unwrap().to_yaml();
    assert!(args.contains("8111"), "{args}");
    assert_eq!(launcher.at(&["livenessProbe", "tcpSocket", "port"]), Some(&Value::from(8111u32)));
    let service = c
        .bundle
        .manifests
        .iter()
        .map(|m| &m.object.value)
        .find(|v| {
            v.get("kind") == Some(&Value::from("Service")) && v.at(&["spec", "ports"]).unwrap().items().len() == 3
        })
        .expect("a Service with three ports");
    let targets: Vec<_> =
        service.at(&["spec", "ports"]).unwrap().items().iter().map(|p| p.get("targetPort").cloned()).collect();
    assert_eq!(targets, [8000u32, 8111, 8112].map(|p| Some(Value::from(p))));
}

#[test]
fn sleep_mode_is_one_argument_by_both_methods() {
    let on = "export C_ENABLE_SLEEP_MODE=true\n";
    let c = compiled(&format!("{LLMD}{on}"), &[]);
    let option = Value::from("--enable-sleep-mode");
    assert!(container(role(&c, "decode")).get("args").unwrap().items().contains(&option));
    let c = compiled(&format!("{ALONE}{on}"), &[]);
    let server = deployment(&c).at(&["spec", "template", "spec", "containers"]).unwrap().items()[0].clone();
    assert!(server.get("args").unwrap().items().contains(&option));
    let script = document("S_ARGS", "cd /tmp; vllm serve org/model --port 8000");
    let c = compiled(&format!("{ALONE}{on}{script}"), &[]);
    let server = deployment(&c).at(&["spec", "template", "spec", "containers"]).unwrap().items()[0].clone();
    let text = server.get("args").unwrap().items()[0].as_str().unwrap().to_owned();
    assert!(text.trim_end().ends_with("--enable-sleep-mode"), "{text}");
}

#[test]
fn further_claims_and_scripts_exist_where_something_asks_for_them() {
    let volumes = document(
        "C_EXTRA_VOLUMES",
        "- name: preprocesses\n  configMap: {name: llm-d-benchmark-preprocesses, defaultMode: 0755}\n\
         - name: cache\n  persistentVolumeClaim: {claimName: REPLACE_ENV_LLMDBENCH_VLLM_COMMON_EXTRA_PVC_NAME}",
    );
    let text = format!(
        "{LLMD}export C_EXTRA_PVC_NAME=compiled\nexport C_EXTRA_PVC_SIZE=33Gi\nexport C_PVC_ACCESS_MODE=ReadWriteOnce\n{volumes}"
    );
    let c = compiled(&text, &[]);
    let find = |kind: &str, name: &str| {
        c.bundle.manifests.iter().map(|m| &m.object.value).find(|v| {
            v.get("kind") == Some(&Value::from(kind)) && v.at(&["metadata", "name"]) == Some(&Value::from(name))
        })
    };
    let claim = find("PersistentVolumeClaim", "compiled").expect("the claim");
    assert_eq!(claim.at(&["spec", "resources", "requests", "storage"]), Some(&Value::from("33Gi")));
    assert_eq!(claim.at(&["spec", "accessModes"]).unwrap().items(), [Value::from("ReadWriteOnce")]);
    let scripts = find("ConfigMap", "llm-d-benchmark-preprocesses").expect("the scripts");
    assert!(scripts.at(&["data", "set_llmdbench_environment.py"]).is_some());
    let mode = named(role(&c, "decode").get("volumes"), "preprocesses").unwrap().at(&["configMap", "defaultMode"]);
    assert_eq!(mode, Some(&Value::from(493u32)));
}

#[test]
fn pods_of_a_chart_that_run_as_root_get_the_rights_to() {
    let root = document("C_EXTRA_CONTAINER_CONFIG", "securityContext: {runAsUser: 0}");
    let accounts = |text: &str| -> Vec<String> {
        let c = compiled(&format!("{LLMD}{text}"), &["platform=openshift"]);
        let bindings = c.bundle.manifests.iter().map(|m| &m.object.value);
        let bindings = bindings.filter(|v| v.get("kind") == Some(&Value::from("RoleBinding")));
        bindings
            .flat_map(|v| v.get("subjects").unwrap().items())
            .map(|s| s.get("name").and_then(Value::as_str).unwrap().to_owned())
            .collect()
    };
    let release = compiled(LLMD, &[]).bundle.releases[2].values.get("fullnameOverride").cloned().unwrap();
    let account = release.as_str().unwrap().to_owned();
    assert!(accounts(&root).contains(&account), "{:?}", accounts(&root));
    assert!(!accounts("").contains(&account), "{:?}", accounts(""));
}

#[test]
fn lists_of_names_and_the_kubeconfig_word() {
    let text = format!(
        "{ALONE}export S_NCCL_IB_HCA=ibp\nexport _LD_LIBRARY_PATH=/usr/lib\n\
         export S_ENVVARS_TO_YAML=LLMDBENCH_VLLM_STANDALONE_NCCL_IB_HCA,_LD_LIBRARY_PATH,KUBECONFIG,LLMDBENCH_VLLM_COMMON_VLLM_CACHE_ROOT\n"
    );
    let c = compiled(&text, &[]);
    let server = deployment(&c).at(&["spec", "template", "spec", "containers"]).unwrap().items()[0].clone();
    assert_eq!(env(&server, "NCCL_IB_HCA").as_deref(), Some("ibp"));
    assert_eq!(env(&server, "LD_LIBRARY_PATH").as_deref(), Some("/usr/lib"));
    assert_eq!(env(&server, "KUBECONFIG").as_deref(), Some("/etc/kubeconfig/llmdbench-context"));
    assert_eq!(env(&server, "VLLM_CACHE_ROOT").as_deref(), Some("/tmp/vllm"));
    let unused = compiled(&format!("{ALONE}export S_NCCL_IB_HCA=ibp\n"), &[]);
    assert!(notes(&unused).contains("LLMDBENCH_VLLM_STANDALONE_NCCL_IB_HCA"), "{}", notes(&unused));
}

#[test]
fn a_renamed_name_is_an_error_that_gives_the_new_one() {
    let old = refused(&format!("{LLMD}export C_SHM=1Gi\n"), &[]);
    assert!(old.contains("LLMDBENCH_VLLM_COMMON_SHM_MEM"), "{old}");
    let old = refused(&format!("{LLMD}export C_INITIAL_DELAY_PROBE=5\n"), &[]);
    assert!(old.contains("LLMDBENCH_VLLM_COMMON_STARTUP_PROBE_INITIAL_DELAY"), "{old}");
}
