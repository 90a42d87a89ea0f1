//! Values that no layer gives, made from other settings after all layers are merged.

use super::resolve::{Layer, Origin, Resolved};
use super::sections::Settings;
use super::types::{AcceleratorResource, Count, ObjectName, Port, Positive, ProfileName, ResourceName};
use crate::error::{Diagnostic, Errors, Problem};
use indexmap::IndexMap;

/// The network device that `auto` stands for.
const RDMA: &str = "rdma/ib";

type Origins = IndexMap<String, Origin>;

/// Fills in what is not set.
///
/// # Errors
/// Values that cannot both hold.
pub fn derive(resolved: &mut Resolved) -> Result<(), Errors> {
    let mut errors = Errors::default();
    let s = &mut resolved.settings;
    let o = &mut resolved.origins;
    let asked = |path: &str| resolved.words.iter().any(|(p, word, _)| p == path && word == "auto");

    if s.accelerator.resource.is_none() {
        s.accelerator.resource = Some(AcceleratorResource::Device("nvidia.com/gpu".into()));
    }
    if s.accelerator.resource == Some(AcceleratorResource::Cpu) && s.accelerator.count.is_none() {
        fill(&mut s.accelerator.count, Some(Count(0)), o, "accelerator.count", "accelerator.resource");
    }
    // Each of the two is made from the other; where neither is given, one accelerator.
    let ranks = s.parallelism.data_local.0;
    match (s.accelerator.count, s.parallelism.tensor) {
        (Some(count), None) if ranks > count.0 && layer(o, "parallelism.dataLocal") > layer(o, "accelerator.count") => {
            s.accelerator.count = Some(Count(ranks));
            derived(o, "accelerator.count", "parallelism.dataLocal");
            fill(&mut s.parallelism.tensor, Some(Count(1)), o, "parallelism.tensor", "parallelism.dataLocal");
        }
        (Some(count), None) => fill(
            &mut s.parallelism.tensor,
            Some(Count((count.0 / ranks).max(1))),
            o,
            "parallelism.tensor",
            "accelerator.count",
        ),
        (None, Some(tensor)) => fill(
            &mut s.accelerator.count,
            Some(Count(tensor.0.saturating_mul(ranks))),
            o,
            "accelerator.count",
            "parallelism.tensor",
        ),
        (None, None) => {
            fill(&mut s.parallelism.tensor, Some(Count(1)), o, "parallelism.tensor", "parallelism.dataLocal");
            fill(&mut s.accelerator.count, Some(Count(ranks)), o, "accelerator.count", "parallelism.dataLocal");
        }
        // Tensor parallelism that a higher layer asks for is not held back by a default number of accelerators.
        (Some(count), Some(tensor))
            if tensor.0.saturating_mul(ranks) > count.0
                && layer(o, "parallelism.tensor") > layer(o, "accelerator.count") =>
        {
            s.accelerator.count = Some(Count(tensor.0.saturating_mul(ranks)));
            derived(o, "accelerator.count", "parallelism.tensor");
        }
        (Some(count), Some(tensor)) if count.0 != 0 && tensor.0.saturating_mul(ranks) > count.0 => {
            let span = o.get("parallelism.tensor").and_then(|o| o.span);
            let message = format!(
                "tensor parallelism {tensor} times {ranks} local data parallel ranks needs {} accelerators; a pod has {count}",
                tensor.0.saturating_mul(ranks)
            );
            errors.push(Diagnostic::error(Problem::Conflict { message }, span));
        }
        (Some(_), Some(_)) => {}
    }

    for (path, resource) in [
        ("network.resource", &mut s.network.resource),
        ("decode.networkResource", &mut s.decode.network_resource),
        ("prefill.networkResource", &mut s.prefill.network_resource),
    ] {
        if asked(path) {
            *resource = Some(ResourceName(RDMA.into()));
        }
    }
    if s.network.resource.is_some() {
        fill(&mut s.network.count, Some(Count(1)), o, "network.count", "network.resource");
    } else if s.network.count.is_some_and(|c| c.0 > 0) {
        let span = o.get("network.count").and_then(|o| o.span);
        let message = "`network.count` without `network.resource`".to_owned();
        errors.push(
            Diagnostic::error(Problem::Conflict { message }, span)
                .with_hint("name the device, as in `network.resource: rdma/ib`"),
        );
    }

    inherit(
        &mut s.standalone.shared_memory,
        &s.resources.shared_memory,
        o,
        "standalone.sharedMemory",
        "resources.sharedMemory",
    );
    inherit(
        &mut s.standalone.ephemeral_storage,
        &s.resources.ephemeral_storage,
        o,
        "standalone.ephemeralStorage",
        "resources.ephemeralStorage",
    );

    fill(&mut s.standalone.port, Some(Port(s.vllm.port.0)), o, "standalone.port", "vllm.port");
    fill(&mut s.standalone.peer_labels, s.pod.peer_labels.clone(), o, "standalone.peerLabels", "pod.peerLabels");
    override_by(
        &mut s.standalone.preprocess,
        Some(s.vllm.preprocess.clone()),
        o,
        "standalone.preprocess",
        "vllm.preprocess",
    );
    if s.gateway.class_name.0 == "gke" {
        s.gateway.class_name.0 = "gke-l7-regional-external-managed".to_owned();
    }
    fill(&mut s.modelservice.http_route, Some(s.modelservice.route), o, "modelservice.httpRoute", "modelservice.route");
    probes(s, o);
    for name in ["decode", "prefill"] {
        role(s, name, o, &mut errors);
    }

    fill(&mut s.harness.namespace, Some(s.namespace.clone()), o, "harness.namespace", "namespace");
    let runner = ObjectName(format!("{}-{}-runner", s.release, s.harness.name.word()));
    fill(&mut s.harness.service_account, Some(runner), o, "harness.serviceAccount", "harness.name");
    fill(
        &mut s.harness.dataset_dir,
        Some(s.harness.workspace_dir.clone()),
        o,
        "harness.datasetDir",
        "harness.workspaceDir",
    );
    // A profile that nobody chose is not held against a load generator that has no such profile.
    if layer(o, "harness.profile") < layer(o, "harness.name") && layer(o, "harness.profile") <= Some(Layer::OwnDefaults)
    {
        s.harness.profile = ProfileName(format!("{}.yaml", s.harness.name.default_profile()));
        derived(o, "harness.profile", "harness.name");
    }
    errors.into_result()
}

/// Paths and thresholds of probes that stand for every server.
fn probes(s: &mut Settings, o: &mut Origins) {
    let common = s.probes.clone();
    for (name, probes) in
        [("standalone", &mut s.standalone.probes), ("decode", &mut s.decode.probes), ("prefill", &mut s.prefill.probes)]
    {
        let path = |key: &str| format!("{name}.probes.{key}");
        let startup = &mut probes.startup;
        let delay = Some(common.initial_delay);
        fill(&mut startup.initial_delay, delay, o, &path("startup.initialDelay"), "probes.startupInitialDelay");
        inherit(&mut startup.path, &common.startup_path, o, &path("startup.path"), "probes.startupPath");
        let (threshold, from) = (common.failure_threshold, "probes.startupFailureThreshold");
        override_by(&mut startup.failure_threshold, threshold, o, &path("startup.failureThreshold"), from);
        inherit(&mut probes.readiness.path, &common.readiness_path, o, &path("readiness.path"), "probes.readinessPath");
    }
}

/// What a role of the llm-d method takes from the settings of all servers.
fn role(s: &mut Settings, name: &str, o: &mut Origins, errors: &mut Errors) {
    let path = |key: &str| format!("{name}.{key}");
    let port = match name {
        "decode" if s.routing_sidecar.enabled.0 => (Port(s.vllm.metrics_port.0), "vllm.metricsPort"),
        _ => (Port(s.vllm.port.0), "vllm.port"),
    };
    // Nothing stands before a decode server without its sidecar, so it answers where requests arrive.
    let no_sidecar = name == "decode" && !s.routing_sidecar.enabled.0;
    let role = if name == "decode" { &mut s.decode } else { &mut s.prefill };
    if no_sidecar && layer(o, "decode.port") <= Some(Layer::OwnDefaults) {
        role.port = None;
    }
    fill(&mut role.replicas, Some(s.replicas), o, &path("replicas"), "replicas");
    let resource = s.accelerator.resource.clone();
    fill(&mut role.accelerator_resource, resource, o, &path("acceleratorResource"), "accelerator.resource");
    let p = &mut role.parallelism;
    let local = Some(s.parallelism.data_local);
    fill(&mut p.data_local, local, o, &path("parallelism.dataLocal"), "parallelism.dataLocal");
    fill(&mut p.data, s.parallelism.data, o, &path("parallelism.data"), "parallelism.data");
    fill(&mut p.workers, Some(s.parallelism.workers), o, &path("parallelism.workers"), "parallelism.workers");
    let local = p.data_local.map_or(1, |l| l.0);
    let workers = p.workers.map_or(1, |w| w.0);
    fill(
        &mut p.data,
        Some(Positive(local.saturating_mul(workers))),
        o,
        &path("parallelism.data"),
        &path("parallelism.dataLocal"),
    );

    let (tensor, count) = (path("parallelism.tensor"), path("accelerators"));
    let asks_for_spread = p.tensor.is_some() || is_set(o, &path("parallelism.dataLocal"));
    match (p.tensor, role.accelerators) {
        // The particular number of accelerators says more than a default of the general tensor parallel size.
        (None, Some(given)) if !is_set(o, "parallelism.tensor") => {
            fill(&mut p.tensor, Some(Count((given.0 / local).max(1))), o, &tensor, &count);
        }
        _ => fill(&mut p.tensor, s.parallelism.tensor, o, &tensor, "parallelism.tensor"),
    }
    let none = s.accelerator.count.filter(|c| c.0 == 0);
    if role.accelerator_resource == Some(AcceleratorResource::Cpu) {
        fill(&mut role.accelerators, Some(Count(0)), o, &count, &path("acceleratorResource"));
    } else if asks_for_spread && none.is_none() {
        let product = p.tensor.map(|t| Count(t.0.saturating_mul(local)));
        fill(&mut role.accelerators, product, o, &count, &tensor);
    }
    fill(&mut role.accelerators, s.accelerator.count, o, &count, "accelerator.count");
    let (Some(size), Some(given)) = (p.tensor, role.accelerators) else { return };
    // A chip of these has several cores, and each of them can be a rank.
    let cores = role.accelerator_resource.as_ref().and_then(AcceleratorResource::kind) == Some("google");
    if asks_for_spread && !cores && given.0 != 0 && size.0.saturating_mul(local) > given.0 {
        let message = format!(
            "tensor parallelism {size} times {local} local data parallel ranks of {name} needs {} accelerators; a pod has {given}",
            size.0.saturating_mul(local)
        );
        let span = o.get(&tensor).and_then(|o| o.span);
        errors.push(Diagnostic::error(Problem::Conflict { message }, span));
    }

    let share = Some(s.vllm.gpu_memory_utilization.clone());
    fill(&mut role.gpu_memory_utilization, share, o, &path("gpuMemoryUtilization"), "vllm.gpuMemoryUtilization");
    fill(&mut role.network_resource, s.network.resource.clone(), o, &path("networkResource"), "network.resource");
    fill(&mut role.network_count, s.network.count, o, &path("networkCount"), "network.count");
    if role.network_resource.is_some() {
        fill(&mut role.network_count, Some(Count(1)), o, &path("networkCount"), &path("networkResource"));
    }
    fill(&mut role.cpu, Some(s.resources.cpu.clone()), o, &path("cpu"), "resources.cpu");
    fill(&mut role.memory, Some(s.resources.memory.clone()), o, &path("memory"), "resources.memory");
    let shared = &s.resources.shared_memory;
    inherit(&mut role.shared_memory, shared, o, &path("sharedMemory"), "resources.sharedMemory");
    let scratch = &s.resources.ephemeral_storage;
    inherit(&mut role.ephemeral_storage, scratch, o, &path("ephemeralStorage"), "resources.ephemeralStorage");
    fill(&mut role.preprocess, Some(s.vllm.preprocess.clone()), o, &path("preprocess"), "vllm.preprocess");
    fill(&mut role.peer_labels, s.pod.peer_labels.clone(), o, &path("peerLabels"), "pod.peerLabels");
    fill(&mut role.port, Some(port.0), o, &path("port"), port.1);
}

/// Sets what is not set.
fn fill<T>(slot: &mut Option<T>, value: Option<T>, origins: &mut Origins, path: &str, from: &str) {
    if slot.is_none() && value.is_some() {
        *slot = value;
        derived(origins, path, from);
    }
}

/// Takes the general value where the particular one is not set, or is only a default while a higher layer set the
/// general one.
fn inherit<T: Clone>(slot: &mut Option<T>, general: &Option<T>, origins: &mut Origins, path: &str, from: &str) {
    if general.is_some() && (slot.is_none() || layer(origins, from) > layer(origins, path)) {
        slot.clone_from(general);
        derived(origins, path, from);
    }
}

/// Takes the general value where a higher layer gives that one.
fn override_by<T>(slot: &mut T, general: Option<T>, origins: &mut Origins, path: &str, from: &str) {
    if let Some(value) = general
        && layer(origins, from) > layer(origins, path)
    {
        *slot = value;
        derived(origins, path, from);
    }
}

/// Whether a layer above the defaults gives the value.
fn is_set(origins: &Origins, path: &str) -> bool {
    origins.get(path).is_some_and(|o| o.layer > Layer::OwnDefaults && o.derived_from.is_none())
}

/// The layer that a setting's value comes from.
fn layer(origins: &Origins, path: &str) -> Option<Layer> {
    origins.get(path).map(|o| o.layer)
}

fn derived(origins: &mut Origins, path: &str, from: &str) {
    let Some(source) = origins.get(from) else { return };
    let origin = Origin { derived_from: Some(from.to_owned()), ..source.clone() };
    origins.insert(path.to_owned(), origin);
}
