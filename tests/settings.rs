//! Every setting that claims to be used reaches an object, and every edition's defaults are complete.

use camino::Utf8Path;
use llmdbench::compile::{Compilation, Options, compile};
use llmdbench::scenario::World;
use llmdbench::settings::resolve::Inputs;
use llmdbench::settings::{Use, editions, fields};
use llmdbench::source::Sources;
use llmdbench::tree::Value;

struct NoFiles;
impl World for NoFiles {
    fn read(&self, _: &Utf8Path) -> std::io::Result<String> {
        Err(std::io::ErrorKind::NotFound.into())
    }
}

/// A bundle in which every setting that can be used is used.
const BASE: &[&str] = &[
    "methods=standalone",
    "models=[org/a, org/b]",
    "platform=openshift",
    "network.resource=rdma/ib",
    "standalone.httpRoute.enabled=true",
    "standalone.httpRoute.hostname=*.example.com",
    "harness.namespace=load",
    "serviceAccount=server",
    "images.modelServer.tag=v1.0.0",
    "standalone.launcher.enabled=true",
    "storage.extra.claimName=precompiled",
    "resources.ephemeralStorage=5Gi",
    "monitoring.podMonitor=true",
];

fn compiled(edition: &str, sets: &[String]) -> Compilation {
    let inputs = Inputs { edition: Some(edition.into()), sets: sets.to_vec(), ..Inputs::default() };
    let mut sources = Sources::default();
    compile(&inputs, Options::default(), &NoFiles, &mut sources)
        .unwrap_or_else(|e| panic!("{sets:?}: {}", e.0.iter().map(|d| d.render(&sources, false)).collect::<String>()))
}

/// The objects without the record of the settings, which every setting reaches, and the scripts.
fn objects(c: &Compilation) -> String {
    let record =
        |v: &Value| v.at(&["metadata", "name"]).and_then(Value::as_str).is_some_and(|n| n.ends_with("-bundle"));
    let all: String =
        c.bundle.manifests.iter().map(|m| &m.object.value).filter(|v| !record(v)).map(Value::to_yaml).collect();
    let scripts = c.bundle.files.iter().filter(|f| f.executable).map(|f| f.content.as_str());
    // Every setting reaches the id, which runs and scripts cite.
    scripts.fold(all, |all, script| all + script).replace(&c.bundle.id, "")
}

/// Another value for a setting, from the one it has.
fn other(path: &str, value: &Value) -> String {
    let by_path = match path {
        "platform" => "kubernetes",
        "models" => "[org/c]",
        "methods" | "edition" => return String::new(),
        "cluster.url" => return String::new(),
        "storage.storageClass" => "fast",
        "storage.accessMode" => "ReadWriteOnce",
        "accelerator.resource" => "example.com/gpu",
        "network.resource" => "example.com/nic",
        "network.count" => "3",
        "pod.nodeLabels" => "{a/b: c}",
        "pod.annotations" => "{a/b: c}",
        "vllm.gpuMemoryUtilization" => "0.5",
        "vllm.loadFormat" => "tensorizer",
        "vllm.loggingLevel" => "DEBUG",
        "vllm.modelLoaderExtraConfig" => "{\"a\": 1}",
        "storage.extra.claimName" | "pod.priorityClassName" | "pod.pullSecret" => "another",
        "resources.ephemeralStorageResource" => "example.com/scratch",
        "pod.extraAnnotations" | "decode.annotations" | "prefill.annotations" => "{a/c: d}",
        "probes.startupFailureThreshold" => "77",
        "vllm.workerMultiprocMethod" => "fork",
        "vllm.preprocess" => "echo early",
        p if p.ends_with(".peerLabels") || p == "pod.peerLabels" => "a=b",
        p if p.ends_with(".port") && *value == Value::Null => "8123",
        p if p.ends_with("Path") || p.ends_with(".path") => "/other",
        p if p.ends_with(".initialDelay") => "77",
        p if p.ends_with("extra.volumes") => "[{name: v, emptyDir: {}}]",
        p if p.ends_with("extra.volumeMounts") => "[{name: shm, mountPath: /other}]",
        p if p.ends_with("extra.container") => "{tty: true}",
        p if p.ends_with("extra.pod") => "{hostIPC: true}",
        p if p.ends_with("extra.initContainers") => "[{name: i, image: 'example.com/i:1'}]",
        p if p.ends_with(".env") => "[{name: B, value: c}]",
        "vllm.standardEnv" => "[{name: B, value: c}]",
        "monitoring.interval" => "45s",
        "vllm.env" => "[{name: A, value: b}]",
        "standalone.preprocess" => "echo hello",
        "standalone.launcher.args" => "[other]",
        "standalone.args" => "[--other]",
        "standalone.httpRoute.hostname" => "*.other.example.com",
        "harness.name" => "guidellm",
        "harness.profile" => "chatbot_synthetic",
        "harness.profileOverrides" => "{load.stages.0.rate: 7}",
        "harness.endpoint" => "http://other.example.com:8000",
        "harness.output" => "s3://bucket/results",
        "harness.runPrefix" => "nightly",
        "harness.datasetUrl" => "https://example.com/recorded.json",
        "harness.variables" => "[LLMDBENCH_VLLM_COMMON_]",
        "harness.tokenizerThreads" => "7",
        // Names a folder; tests/acceptance/test_run.py has one.
        "harness.profilesDir" => return String::new(),
        _ => "",
    };
    if !by_path.is_empty() {
        return by_path.to_owned();
    }
    match value {
        Value::Bool(b) => (!b).to_string(),
        Value::Number(n) => (n.parse::<u64>().unwrap() + 1).to_string(),
        Value::Null => "7Gi".to_owned(),
        Value::String(s) if s.ends_with("Gi") => "7Gi".to_owned(),
        Value::String(s) if s.parse::<u64>().is_ok() => "7".to_owned(),
        Value::String(s) if s.starts_with('/') => format!("{s}-other"),
        Value::String(s) if path.ends_with(".tag") => format!("{s}-other"),
        Value::String(s) => format!("{s}-other"),
        other => panic!("{path}: no other value for {other:?}"),
    }
}

#[test]
fn every_used_setting_reaches_an_object() {
    let base: Vec<String> = BASE.iter().map(|s| (*s).to_owned()).collect();
    for edition in editions::ALL {
        let before = compiled(edition.name, &base);
        let flat = before.resolved.flat();
        let before = objects(&before);
        let mut without_effect = Vec::new();
        for field in fields() {
            let image_in_use = ["standalone.image", "images.benchmark", "storage.model.downloadImage"]
                .iter()
                .any(|p| field.path.starts_with(p));
            let used = match field.used_by {
                // By a reference only, or for a check that rendering does not make.
                Use::Reference | Use::Capacity => false,
                Use::Server | Use::Probe => field.path.starts_with("standalone.") || field.path.starts_with("pod."),
                Use::Modelservice | Use::Experiment | Use::Sidecar | Use::Prerequisite => false,
                Use::Image => image_in_use,
                _ => true,
            };
            if !used {
                continue;
            }
            let value = other(&field.path, &flat[&field.path]);
            // The default arguments of this edition say it already.
            let said = edition.name == editions::OLD && field.path == "vllm.enableSleepMode";
            if value.is_empty() || said {
                continue;
            }
            let mut sets = base.clone();
            sets.push(format!("{}={value}", field.path));
            // An image other than the known one needs a version of its own.
            if field.used_by == Use::Image && !field.path.ends_with(".tag") {
                let image = field.path.rsplit_once('.').unwrap().0;
                sets.push(format!("{image}.tag=v1.0.0"));
            }
            // A particular setting hides the general one.
            let particular: &[&str] = match field.path.as_str() {
                "accelerator.count" => &["parallelism.tensor=1"],
                "harness.datasetDir" => &["harness.datasetUrl=https://example.com/recorded.json"],
                _ => &[],
            };
            sets.extend(particular.iter().map(|s| (*s).to_owned()));
            let before = if particular.is_empty() {
                before.clone()
            } else {
                let base = base.iter().cloned().chain(particular.iter().map(|s| (*s).to_owned()));
                objects(&compiled(edition.name, &base.collect::<Vec<_>>()))
            };
            if objects(&compiled(edition.name, &sets)) == before {
                without_effect.push(field.path.clone());
            }
        }
        assert!(without_effect.is_empty(), "edition {}: no object changes with {without_effect:?}", edition.name);
    }
}

/// A bundle of the llm-d method in which what it can express is used.
const LLMD_BASE: &[&str] = &[
    "methods=modelservice",
    "models=[org/a, org/b]",
    "network.resource=rdma/ib",
    "decode.port=8200",
    "prefill.replicas=1",
    "charts.modelservice.version=v0.4.12",
    "modelservice.multinode=true",
];

/// The whole values of all releases, and their versions.
fn releases(c: &Compilation) -> String {
    c.bundle.releases.iter().map(|r| format!("{:?} {}\n{}", r.chart, r.version, r.values.to_yaml())).collect()
}

#[test]
fn every_setting_of_a_role_reaches_the_values_of_a_release() {
    for edition in editions::ALL {
        let base: Vec<String> = LLMD_BASE.iter().map(|s| (*s).to_owned()).collect();
        let plain = compiled(edition.name, &base);
        let flat = plain.resolved.flat();
        let plain = releases(&plain);
        let mut without_effect = Vec::new();
        for field in fields() {
            let role = ["decode.", "prefill."].iter().find_map(|r| field.path.strip_prefix(r));
            let Some(setting) = role else { continue };
            // Prefill answers on `vllm.port`, whatever the chart; another port is an error.
            if field.path == "prefill.port" {
                continue;
            }
            // It reaches the server by a reference, and without one the user is told.
            let by_reference = setting == "gpuMemoryUtilization";
            let value = match setting {
                "replicas" => "3".to_owned(),
                "accelerators" | "networkCount" => "2".to_owned(),
                "extra.volumeMounts" => "[{name: shm, mountPath: /other}]".to_owned(),
                "networkResource" => "example.com/nic".to_owned(),
                "gpuMemoryUtilization" => "0.5".to_owned(),
                "acceleratorResource" => "amd".to_owned(),
                "parallelism.tensor" | "parallelism.data" | "parallelism.dataLocal" | "parallelism.workers" => {
                    "2".to_owned()
                }
                "ephemeralStorage" => "9Gi".to_owned(),
                "image" => "example.com/server:v1".to_owned(),
                "preprocess" => "echo early".to_owned(),
                "cpu" => "7".to_owned(),
                "modelCommand" => "imageDefault".to_owned(),
                "args" => "[--other]".to_owned(),
                "port" if field.path.starts_with("decode") => "8300".to_owned(),
                _ => other(&field.path, &flat[&field.path]),
            };
            let role = field.path.split('.').next().unwrap_or_default();
            let mut sets = base.clone();
            let mut before = plain.clone();
            if setting == "preprocess" {
                // The chart's own command has no shell to run it in.
                sets.push(format!("{role}.modelCommand=custom"));
                before = releases(&compiled(edition.name, &sets));
            }
            sets.push(format!("{}={value}", field.path));
            if by_reference {
                let told = format!("{:?}", compiled(edition.name, &sets).notes);
                assert!(told.contains(&format!("refers to `{}`", field.path)), "{}: {told}", field.path);
                sets.push(format!("{role}.args=[--gpu-memory-utilization, '${{{}}}']", field.path));
            }
            let after = releases(&compiled(edition.name, &sets));
            if after == before || by_reference && !after.contains("0.5") {
                without_effect.push(field.path.clone());
            }
        }
        assert!(without_effect.is_empty(), "edition {}: no values change with {without_effect:?}", edition.name);
    }
}

/// Another value for each setting of what stands before the model servers.
const BEFORE_SERVERS: &[(&str, &str)] = &[
    ("routingSidecar.enabled", "false"),
    ("routingSidecar.connector", "lmcache"),
    ("routingSidecar.logLevel", "7"),
    ("gateway.className", "kgateway"),
    ("gateway.serviceType", "LoadBalancer"),
    ("gateway.cpuRequest", "7"),
    ("gateway.cpuLimit", "70"),
    ("gateway.memoryRequest", "7Gi"),
    ("gateway.memoryLimit", "70Gi"),
    ("pool.api", "inference.networking.x-k8s.io/v1alpha2"),
    ("pool.providerConfig", "{destinationRule: {trafficPolicy: {connectionPool: {tcp: {maxConnections: 7}}}}}"),
    ("endpointPicker.preset", "pd-config"),
    (
        "endpointPicker.customPlugins",
        "{balanced: {apiVersion: llm-d.ai/v1alpha1, kind: EndpointPickerConfig, plugins: [{type: queue-scorer}]}}",
    ),
    ("endpointPicker.flags", "{refresh-metrics-interval: 7ms}"),
    ("endpointPicker.verbosity", "7"),
    ("endpointPicker.containerPorts", "[{name: more, containerPort: 7777}]"),
    ("endpointPicker.servicePorts", "[{name: more, port: 7777}]"),
    ("endpointPicker.volumes", "[{name: more, emptyDir: {}}]"),
    ("endpointPicker.volumeMounts", "[{name: more, mountPath: /more}]"),
    ("endpointPicker.sidecar.enabled", "false"),
    ("endpointPicker.sidecar.name", "other"),
    ("endpointPicker.sidecar.env", "[{name: MORE, value: x}]"),
    ("endpointPicker.sidecar.volumeMounts", "[{name: more, mountPath: /more}]"),
    ("endpointPicker.monitoring.prometheus", "false"),
    ("endpointPicker.monitoring.auth", "false"),
    ("endpointPicker.monitoring.interval", "77s"),
    ("monitoring.podMonitor", "false"),
    ("monitoring.interval", "77s"),
    ("monitoring.path", "/other"),
    ("charts.infraRepository", "other"),
    ("charts.infraRepositoryUrl", "https://example.com/other/"),
    ("images.tokenizer", "example.com/a/b:v7"),
];

#[test]
fn every_setting_before_the_servers_reaches_the_values_of_a_release() {
    let base: Vec<String> = LLMD_BASE
        .iter()
        .chain(&[
            "charts.infra.name=llm-d-infra",
            "charts.infra.version=v1.4.0",
            "charts.inferencePool.name=oci://registry.k8s.io/gateway-api-inference-extension/charts/inferencepool",
            "charts.inferencePool.version=v1.4.0",
            "charts.modelservice.version=v0.4.12",
            "gateway.className=istio",
            "images.endpointPicker.tag=v0.6.0",
            "endpointPicker.preset=balanced",
            "endpointPicker.sidecar.enabled=true",
            "endpointPicker.monitoring.prometheus=true",
            "monitoring.podMonitor=true",
        ])
        .map(|s| (*s).to_owned())
        .collect();
    let named = |prefix: &str| BEFORE_SERVERS.iter().any(|(p, _)| *p == prefix || prefix.starts_with(&format!("{p}.")));
    let sections = ["routingSidecar.", "gateway.", "pool.", "endpointPicker.", "monitoring.", "images.tokenizer."];
    for field in fields().iter().filter(|f| sections.iter().any(|s| f.path.starts_with(s))) {
        assert!(named(&field.path), "`{}` has no row in the table of this test", field.path);
    }
    for edition in editions::ALL {
        let before = releases(&compiled(edition.name, &base));
        for (path, value) in BEFORE_SERVERS {
            let mut sets = base.clone();
            if *path == "routingSidecar.enabled" {
                sets.retain(|s| !s.starts_with("decode.port"));
            }
            sets.push(format!("{path}={value}"));
            assert_ne!(releases(&compiled(edition.name, &sets)), before, "{}: `{path}` changes nothing", edition.name);
        }
    }
}

#[test]
fn every_edition_gives_every_setting_a_place() {
    for edition in editions::ALL {
        let c = compiled(edition.name, &["methods=standalone".to_owned()]);
        for field in fields() {
            assert!(
                c.resolved.origins.contains_key(&field.path),
                "{}: `{}` is not in its defaults",
                edition.name,
                field.path
            );
        }
    }
}

#[test]
fn every_setting_has_a_meaning() {
    for field in fields() {
        assert!(field.doc.trim().len() > 10 && field.doc.trim().ends_with('.'), "`{}`: {:?}", field.path, field.doc);
    }
}
