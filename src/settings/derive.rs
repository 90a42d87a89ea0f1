//! Values that no layer gives, made from other settings after all layers are merged.

use super::resolve::{Layer, Origin, Resolved};
use super::types::{Count, ObjectName, Port, ProfileName, ResourceName};
use crate::error::{Diagnostic, Errors, Problem};
use indexmap::IndexMap;

type Origins = IndexMap<String, Origin>;

/// Fills in what is not set.
///
/// # Errors
/// Values that cannot both hold.
pub fn derive(resolved: &mut Resolved) -> Result<(), Errors> {
    let mut errors = Errors::default();
    let s = &mut resolved.settings;
    let o = &mut resolved.origins;

    if s.accelerator.resource.is_none() {
        s.accelerator.resource = Some(ResourceName("nvidia.com/gpu".into()));
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
        (None, Some(tensor)) => {
            fill(&mut s.accelerator.count, Some(Count(tensor.0 * ranks)), o, "accelerator.count", "parallelism.tensor")
        }
        (None, None) => {
            fill(&mut s.parallelism.tensor, Some(Count(1)), o, "parallelism.tensor", "parallelism.dataLocal");
            fill(&mut s.accelerator.count, Some(Count(ranks)), o, "accelerator.count", "parallelism.dataLocal");
        }
        // Tensor parallelism that a higher layer asks for is not held back by a default number of accelerators.
        (Some(count), Some(tensor))
            if tensor.0 * ranks > count.0 && layer(o, "parallelism.tensor") > layer(o, "accelerator.count") =>
        {
            s.accelerator.count = Some(Count(tensor.0 * ranks));
            derived(o, "accelerator.count", "parallelism.tensor");
        }
        (Some(count), Some(tensor)) if count.0 != 0 && tensor.0 * ranks > count.0 => {
            let span = o.get("parallelism.tensor").and_then(|o| o.span);
            let message = format!(
                "tensor parallelism {tensor} times {ranks} local data parallel ranks needs {} accelerators; a pod has {count}",
                tensor.0 * ranks
            );
            errors.push(Diagnostic::error(Problem::Conflict { message }, span));
        }
        (Some(_), Some(_)) => {}
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

    let (replicas, count, network_count) = (s.replicas, s.accelerator.count, s.network.count);
    for (name, role) in [("decode", &mut s.decode), ("prefill", &mut s.prefill)] {
        let path = |key: &str| format!("{name}.{key}");
        fill(&mut role.replicas, Some(replicas), o, &path("replicas"), "replicas");
        fill(&mut role.accelerators, count, o, &path("accelerators"), "accelerator.count");
        fill(
            &mut role.gpu_memory_utilization,
            Some(s.vllm.gpu_memory_utilization.clone()),
            o,
            &path("gpuMemoryUtilization"),
            "vllm.gpuMemoryUtilization",
        );
        fill(&mut role.network_resource, s.network.resource.clone(), o, &path("networkResource"), "network.resource");
        fill(&mut role.network_count, network_count, o, &path("networkCount"), "network.count");
        fill(&mut role.cpu, Some(s.resources.cpu.clone()), o, &path("cpu"), "resources.cpu");
        fill(&mut role.memory, Some(s.resources.memory.clone()), o, &path("memory"), "resources.memory");
        inherit(
            &mut role.shared_memory,
            &s.resources.shared_memory,
            o,
            &path("sharedMemory"),
            "resources.sharedMemory",
        );
        fill(&mut role.port, Some(Port(s.vllm.port.0)), o, &path("port"), "vllm.port");
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

/// The layer that a setting's value comes from.
fn layer(origins: &Origins, path: &str) -> Option<Layer> {
    origins.get(path).map(|o| o.layer)
}

fn derived(origins: &mut Origins, path: &str, from: &str) {
    let Some(source) = origins.get(from) else { return };
    let origin = Origin { derived_from: Some(from.to_owned()), ..source.clone() };
    origins.insert(path.to_owned(), origin);
}
