//! All settings: one definition each, with its type, its meaning and who uses it.
//!
//! The list below is the only one. The structure that the rest of the program reads, the keys of a YAML scenario, the
//! paths of `--set`, the reference printed by `variables` and the meaning shown for it all come from here; defaults are
//! in `scenarios/defaults/`, names of variables in [`super::variables`].

use super::helm::HelmSets;
use super::payload::{Fragment, Objects};
use super::picker::{Flags, PluginFiles};
use super::template::{Command, EnvList, Script};
use super::types::*;
use super::{Field, Use};
use crate::settings::resolve::Reader;
use crate::tree::{Map, Value};

/// A group of settings under one key.
pub trait Section: Sized {
    /// Lists the settings of the group, with their paths under `prefix`.
    fn describe(prefix: &str, out: &mut Vec<Field>);
    /// Reads every setting of the group; `None` when one of them failed.
    fn read(prefix: &str, reader: &mut Reader<'_>) -> Option<Self>;
    /// Writes every setting of the group under its path.
    fn write(&self, prefix: &str, out: &mut Map);
}

fn join(prefix: &str, key: &str) -> String {
    if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") }
}

/// Defines a section. `set` is a setting, with who uses it and, where a word such as `auto` means "none given", that
/// word and what is rendered then. `sub` is a section in the section.
macro_rules! section {
    ($(#[doc = $doc:literal])* $name:ident {
        $($(#[doc = $fdoc:literal])* $kind:ident $field:ident : $type:ty = $key:literal $(by $used:ident)? $(, $word:literal means $meaning:literal)*;)*
    }) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name {
            $($(#[doc = $fdoc])* pub $field: $type,)*
        }
        impl Section for $name {
            fn describe(prefix: &str, out: &mut Vec<Field>) {
                $(section!(@describe $kind, $type, prefix, out, $key, concat!($($fdoc),*) $(, $used)?, [$(($word, $meaning)),*]);)*
            }
            fn read(prefix: &str, reader: &mut Reader<'_>) -> Option<Self> {
                $(let $field = section!(@read $kind, $type, prefix, reader, $key);)*
                Some(Self { $($field: $field?,)* })
            }
            fn write(&self, prefix: &str, out: &mut Map) {
                $(section!(@write $kind, self.$field, prefix, out, $key);)*
            }
        }
    };
    (@describe set, $type:ty, $prefix:ident, $out:ident, $key:literal, $doc:expr, $used:ident, [$($word:expr),*]) => {
        $out.push(Field {
            path: join($prefix, $key),
            doc: $doc,
            expects: <$type as Setting>::expects,
            optional: <$type as Setting>::OPTIONAL,
            empty_is_a_value: <$type as Setting>::EMPTY_IS_A_VALUE,
            from_file: <$type as Setting>::FROM_FILE,
            structured: <$type as Setting>::STRUCTURED,
            yaml: <$type as Setting>::YAML,
            used_by: Use::$used,
            words: &[$($word),*],
        })
    };
    (@describe sub, $type:ty, $prefix:ident, $out:ident, $key:literal, $doc:expr, [$($word:expr),*]) => {
        <$type as Section>::describe(&join($prefix, $key), $out)
    };
    (@read set, $type:ty, $prefix:ident, $reader:ident, $key:literal) => {
        $reader.setting::<$type>(&join($prefix, $key))
    };
    (@read sub, $type:ty, $prefix:ident, $reader:ident, $key:literal) => {
        <$type as Section>::read(&join($prefix, $key), $reader)
    };
    (@write set, $value:expr, $prefix:ident, $out:ident, $key:literal) => {
        $out.insert(join($prefix, $key), Setting::value(&$value))
    };
    (@write sub, $value:expr, $prefix:ident, $out:ident, $key:literal) => {
        $value.write(&join($prefix, $key), $out)
    };
}

section! {
    /// Everything that a scenario says.
    Settings {
        /// Edition of the defaults that the scenario was written for.
        set edition: Word = "edition" by All;
        /// Kind of cluster. Decides which platform objects are rendered: Routes and security context constraints on OpenShift only.
        set platform: Platform = "platform" by All;
        /// Methods to deploy by.
        set methods: Methods = "methods" by All;
        /// Models to serve, one stack each: `organisation/repository`, with `:name` after it where it is served under another name.
        set models: Models = "models" by All;
        /// Namespace of the stacks.
        set namespace: DnsLabel = "namespace" by All;
        /// Name that all objects of the bundle share; the suffix of the gateway release of the llm-d method.
        set release: ReleaseName = "release" by All;
        /// Replicas of the standalone server, and of each llm-d role that sets no other number.
        set replicas: Count = "replicas" by All;
        /// Service account of the model servers. On OpenShift it is granted the security context constraints `anyuid` and `privileged`.
        set service_account: ObjectName = "serviceAccount" by Standalone;
        sub cluster: Cluster = "cluster";
        sub hugging_face: HuggingFace = "huggingFace";
        sub storage: Storage = "storage";
        sub accelerator: Accelerator = "accelerator";
        sub parallelism: Parallelism = "parallelism";
        sub network: Network = "network";
        sub resources: Resources = "resources";
        sub pod: Pod = "pod";
        sub probes: CommonProbes = "probes";
        sub timeouts: Timeouts = "timeouts";
        sub vllm: Vllm = "vllm";
        sub standalone: Standalone = "standalone";
        sub decode: Role = "decode";
        sub prefill: Role = "prefill";
        sub modelservice: Modelservice = "modelservice";
        sub routing_sidecar: RoutingSidecar = "routingSidecar";
        sub gateway: Gateway = "gateway";
        sub pool: Pool = "pool";
        sub endpoint_picker: EndpointPicker = "endpointPicker";
        sub monitoring: Monitoring = "monitoring";
        sub prerequisites: Prerequisites = "prerequisites";
        sub charts: Charts = "charts";
        sub images: Images = "images";
        sub harness: HarnessSection = "harness";
        sub openshift: OpenShift = "openshift";
    }
}

section! {
    /// The cluster.
    Cluster {
        /// URL of the API server. Without a host name for HTTP routes, theirs is made from it: `https://api.DOMAIN` gives `apps.DOMAIN`.
        set url: Option<Url> = "url" by HttpRoute, "auto" means "";
        /// DNS suffix of Services inside the cluster.
        set domain: DomainSuffix = "domain" by Run;
    }
}

section! {
    /// Access to Hugging Face. The token itself is never an input; manifests refer to a Secret.
    HuggingFace {
        /// Name of the Secret that holds the token.
        set secret_name: ObjectName = "secretName" by All;
        /// Key of the token in that Secret.
        set secret_key: SecretKey = "secretKey" by All;
    }
}

section! {
    /// Volumes.
    Storage {
        /// StorageClass of the claims.
        set storage_class: Option<ObjectName> = "storageClass" by All, "default" means "no class is named, so the default class of the cluster is used", "auto" means "no class is named, so the default class of the cluster is used";
        /// Access mode of the claims.
        set access_mode: AccessMode = "accessMode" by All;
        sub model: ModelVolume = "model";
        sub extra: ExtraVolume = "extra";
    }
}

section! {
    /// A further claim, for what the scenario's own volumes mount.
    ExtraVolume {
        /// Name of the claim; none is made without one.
        set claim_name: Option<ObjectName> = "claimName" by All, "" means "";
        /// Size of the claim.
        set size: Quantity = "size" by All;
    }
}

section! {
    /// The volume that holds the models.
    ModelVolume {
        /// Name of the claim.
        set claim_name: ObjectName = "claimName" by All;
        /// Size of the claim.
        set size: Quantity = "size" by All;
        /// Where the volume is mounted in the standalone server and in the data-access Pod.
        set mount_path: ContainerPath = "mountPath" by All;
        /// Seconds that a download may take before the servers that wait for it count as failed.
        set download_timeout: Positive = "downloadTimeout" by Standalone;
        sub download_image: Image = "downloadImage";
    }
}

section! {
    /// A container image. Also written as one text, `registry/repository/name:tag`.
    Image {
        /// Registry host.
        set registry: Registry = "registry" by Image;
        /// Path of the image in the registry, without its last part.
        set repository: Option<Repository> = "repository" by Image;
        /// Last part of the image's path.
        set name: Repository = "name" by Image;
        /// Tag, or tag and digest.
        set tag: Option<Tag> = "tag" by Image, "auto" means "the version catalogue decides", "latest" means "the version catalogue decides";
    }
}

section! {
    /// Accelerators of a model server.
    Accelerator {
        /// Extended resource to ask for, or the kind of accelerator; `cpu` for none.
        set resource: Option<AcceleratorResource> = "resource" by All, "auto" means "`nvidia.com/gpu` is used", "" means "`nvidia.com/gpu` is used";
        /// Accelerators of each pod. Not set: tensor parallelism times local data parallelism.
        set count: Option<Count> = "count" by All, "auto" means "", "" means "";
        /// Memory of one accelerator, in gigabytes.
        set memory: Option<Positive> = "memory" by Capacity, "auto" means "", "" means "";
        /// Whether pods claim accelerators by dynamic resource allocation instead of an extended resource.
        set dynamic: Switch = "dynamicResourceAllocation" by Modelservice;
    }
}

section! {
    /// How a model is spread over accelerators.
    Parallelism {
        /// Tensor parallel size. Not set: accelerators of each local data parallel rank.
        set tensor: Option<Count> = "tensor" by All, "" means "";
        /// Data parallel ranks in one pod.
        set data_local: Positive = "dataLocal" by All;
        /// Data parallel ranks of one replica. Not set: those of one pod times the pods of one replica.
        set data: Option<Positive> = "data" by Modelservice, "" means "";
        /// Pods of one replica, a group of a LeaderWorkerSet.
        set workers: Positive = "workers" by Modelservice;
    }
}

section! {
    /// A network device such as RDMA.
    Network {
        /// Extended resource to ask for.
        set resource: Option<ResourceName> = "resource" by All, "" means "", "auto" means "`rdma/ib` is used";
        /// How many of it each pod asks for. Not set: 1 where a resource is set.
        set count: Option<Count> = "count" by All, "" means "", "auto" means "";
    }
}

section! {
    /// Compute resources of a model server; requests equal limits.
    Resources {
        /// CPU of each pod.
        set cpu: CpuQuantity = "cpu" by All;
        /// Memory of each pod.
        set memory: Quantity = "memory" by All;
        /// Size of `/dev/shm`, for every server that sets no other.
        set shared_memory: Option<Quantity> = "sharedMemory" by All;
        /// Local scratch space of each pod, for every server that sets no other.
        set ephemeral_storage: Option<Quantity> = "ephemeralStorage" by All, "" means "";
        /// Resource that scratch space is asked for by.
        set ephemeral_storage_resource: AnyResourceName = "ephemeralStorageResource" by All;
    }
}

section! {
    /// Where and how pods run.
    Pod {
        /// Labels that a node must carry, normally one that names the accelerator.
        set node_labels: Option<NodeLabels> = "nodeLabels" by All, "auto" means "pods run on any node that has the accelerators";
        /// Scheduler that places the pods.
        set scheduler_name: ObjectName = "schedulerName" by All;
        /// Annotations of the pods of model servers.
        set annotations: Annotations = "annotations" by All, "auto" means "";
        /// Further annotations of the pods of model servers, such as the networks that they join.
        set extra_annotations: Annotations = "extraAnnotations" by All, "auto" means "";
        /// Priority class of the pods of model servers.
        set priority_class: Option<ObjectName> = "priorityClassName" by All, "none" means "", "None" means "", "NONE" means "", "" means "";
        /// Secret with the credentials of the registry that images come from. It is not made here.
        set pull_secret: Option<ObjectName> = "pullSecret" by All, "" means "";
        /// Secret with a kubeconfig, for volumes that the scenario writes. It is not made here.
        set context_secret: ObjectName = "contextSecret" by Reference;
        /// Labels of the peers of a pod, which its preprocess script looks for.
        set peer_labels: Option<LabelSelector> = "peerLabels" by All, "" means "";
        sub extra: Extras = "extra";
    }
}

section! {
    /// Parts of pods that a scenario writes itself. Those of `pod`, of the method and of the role are put together.
    Extras {
        /// Volumes of the pod.
        set volumes: Objects = "volumes" by Server;
        /// Mounts of the server's container.
        set mounts: Objects = "volumeMounts" by Server;
        /// Further fields of the server's container.
        set container: Fragment = "container" by Server;
        /// Further fields of the pod.
        set pod: Fragment = "pod" by Server;
        /// Containers that run before the server's.
        set init_containers: Objects = "initContainers" by Server;
    }
}

section! {
    /// Probes of every model server.
    CommonProbes {
        /// Seconds before the first startup probe.
        set initial_delay: Seconds = "startupInitialDelay" by All;
        /// Failures of the startup probe in a row after which a server is started again.
        set failure_threshold: Option<Positive> = "startupFailureThreshold" by All;
        /// Path of the startup probe.
        set startup_path: Option<ContainerPath> = "startupPath" by All;
        /// Path of the readiness probe.
        set readiness_path: Option<ContainerPath> = "readinessPath" by All;
    }
}

section! {
    /// How long things may take.
    Timeouts {
        /// Seconds within which the pods of the standalone server must be ready, once the model is there; the Deployment reports
        /// failure afterwards.
        set ready: Positive = "ready" by Standalone;
        /// Seconds that the standup script waits for other objects.
        set wait: Seconds = "wait" by Scripts;
    }
}

section! {
    /// The model server. A setting that the server's arguments do not refer to, and that the scenario sets, reaches the
    /// pod as an environment variable.
    Vllm {
        /// Port that the server answers on.
        set port: Port = "port" by All;
        /// Port of a server that stands behind a routing sidecar; its metrics are there.
        set metrics_port: Port = "metricsPort" by Env;
        /// Port over which servers agree on transfers of KV caches.
        set nixl_port: Port = "nixlSideChannelPort" by Env;
        /// Longest context, in tokens.
        set max_model_len: Positive = "maxModelLen" by All;
        /// Size of a block of the KV cache, in tokens.
        set block_size: Positive = "blockSize" by All;
        /// Most tokens in one batch.
        set max_num_batched_tokens: Positive = "maxNumBatchedTokens" by All;
        /// Most sequences in one batch.
        set max_num_seqs: Positive = "maxNumSeqs" by Env;
        /// Memory of the host that offloaded KV caches may take, in bytes.
        set cpu_bytes: Bytes = "cpuBytesToUse" by Reference;
        /// Blocks of the KV cache in the memory of the host.
        set cpu_blocks: Count = "numCpuBlocks" by Reference;
        /// Share of accelerator memory that the server may use.
        set gpu_memory_utilization: Fraction = "gpuMemoryUtilization" by All;
        /// How weights are loaded.
        set load_format: LoadFormat = "loadFormat" by Standalone;
        /// Level of the server's log.
        set logging_level: LogLevel = "loggingLevel" by All;
        /// Extra configuration of the model loader.
        set model_loader_extra_config: JsonObject = "modelLoaderExtraConfig" by Standalone;
        /// Whether a context longer than the model's own is allowed.
        set allow_long_max_model_len: Switch = "allowLongMaxModelLen" by Env;
        /// Whether the endpoints for developers (sleep, wake up) are served.
        set server_dev_mode: Switch = "serverDevMode" by Env;
        /// Whether the server can be put to sleep (its `--enable-sleep-mode`).
        set sleep_mode: Switch = "enableSleepMode" by All;
        /// Folder of the server's caches.
        set cache_root: ContainerPath = "cacheRoot" by Env;
        /// How the server starts its workers.
        set worker_method: WorkerMethod = "workerMultiprocMethod" by Env;
        /// Transports of UCX for KV caches.
        set ucx_tls: Word = "ucxTls" by Env;
        /// Transport of UCX for sockets.
        set ucx_priority: Word = "ucxSockaddrTlsPriority" by Env;
        /// Script that runs before the server starts, for every server that sets no other; `true` for none.
        set preprocess: Script = "preprocess" by All;
        /// Environment variables that every server has. A name in `env` takes the value given there.
        set standard_env: EnvList = "standardEnv" by All;
        /// Environment variables of the server. A name that the tool sets too takes the value given here.
        set env: EnvList = "env" by All;
    }
}

section! {
    /// The standalone method.
    Standalone {
        sub image: Image = "image";
        /// Script that runs before the server starts; `true` for none. Scripts of the tool are in `/setup/preprocess`.
        set preprocess: Script = "preprocess" by Standalone;
        /// Port that the server answers on. Not set: `vllm.port`.
        set port: Option<Port> = "port" by Standalone;
        /// Environment variables of this server; a name that `vllm.env` sets too takes the value given here.
        set env: EnvList = "env" by Standalone;
        /// Labels of the peers of a pod, which its preprocess script looks for.
        set peer_labels: Option<LabelSelector> = "peerLabels" by Standalone, "" means "";
        /// What the container runs: a list of arguments (of `vllm serve MODEL` where the first is an option), or a shell script.
        set args: Command = "args" by Standalone;
        /// Local scratch space of each pod.
        set ephemeral_storage: Option<Quantity> = "ephemeralStorage" by Standalone, "" means "";
        /// Size of `/dev/shm`.
        set shared_memory: Option<Quantity> = "sharedMemory" by Standalone;
        /// Whether an OpenShift Route leads to the server.
        set route: Switch = "route" by OpenShift;
        sub http_route: HttpRoute = "httpRoute";
        sub probes: Probes = "probes";
        sub extra: Extras = "extra";
        sub launcher: Launcher = "launcher";
    }
}

section! {
    /// A second container beside the standalone server that starts and stops servers on request.
    Launcher {
        /// Whether it exists.
        set enabled: Switch = "enabled" by Standalone;
        /// Port of its API.
        set port: Port = "port" by Launcher;
        /// Port of the server that it starts.
        set vllm_port: Port = "vllmPort" by Launcher;
        /// What it runs: a list of arguments, or a shell script.
        set args: Command = "args" by Launcher;
    }
}

section! {
    /// A Gateway API route to the standalone server.
    HttpRoute {
        /// Whether the route exists.
        set enabled: Switch = "enabled" by Standalone;
        /// Host name; not set: made from `cluster.url`. Several models need `*.` at its start or no host name here.
        set hostname: Option<HostName> = "hostname" by HttpRoute;
        /// Name of the Gateway.
        set gateway_name: ObjectName = "gatewayName" by HttpRoute;
        /// Namespace of the Gateway.
        set gateway_namespace: DnsLabel = "gatewayNamespace" by HttpRoute;
    }
}

section! {
    /// Probes of one server.
    Probes {
        /// Path that answers when the server is healthy.
        set path: ContainerPath = "path" by Probe;
        sub startup: StartupProbe = "startup";
        sub liveness: ProbeTimes = "liveness";
        sub readiness: ReadinessProbe = "readiness";
    }
}

section! {
    /// The probe that waits for the server to start.
    StartupProbe {
        /// Seconds before the first probe.
        set initial_delay: Option<Seconds> = "initialDelay" by Probe;
        /// Path, where it is another than that of all probes.
        set path: Option<ContainerPath> = "path" by Probe;
        /// Seconds between two probes.
        set period: Positive = "period" by Probe;
        /// Seconds after which a probe counts as failed.
        set timeout: Positive = "timeout" by Probe;
        /// Failures in a row after which the server is started again.
        set failure_threshold: Positive = "failureThreshold" by Probe;
    }
}

section! {
    /// The probe that tells whether the server takes requests.
    ReadinessProbe {
        /// Path, where it is another than that of all probes.
        set path: Option<ContainerPath> = "path" by Probe;
        /// Seconds between two probes.
        set period: Positive = "period" by Probe;
        /// Seconds after which a probe counts as failed.
        set timeout: Positive = "timeout" by Probe;
        /// Failures in a row after which the server gets no requests.
        set failure_threshold: Positive = "failureThreshold" by Probe;
    }
}

section! {
    /// Times of one probe.
    ProbeTimes {
        /// Seconds between two probes.
        set period: Positive = "period" by Probe;
        /// Seconds after which a probe counts as failed.
        set timeout: Positive = "timeout" by Probe;
        /// Failures in a row after which the probe acts.
        set failure_threshold: Positive = "failureThreshold" by Probe;
    }
}

section! {
    /// One role of the llm-d method.
    Role {
        /// Replicas; 0 for none of this role.
        set replicas: Option<Count> = "replicas" by Modelservice, "NA" means "";
        /// Accelerators of each pod. Not set: tensor parallelism times local data parallelism.
        set accelerators: Option<Count> = "accelerators" by Modelservice, "auto" means "", "NA" means "", "" means "";
        /// Extended resource to ask for, or the kind of accelerator; `cpu` for none.
        set accelerator_resource: Option<AcceleratorResource> = "acceleratorResource" by Modelservice, "auto" means "", "" means "";
        sub parallelism: RoleParallelism = "parallelism";
        /// Share of accelerator memory that the server may use.
        set gpu_memory_utilization: Option<Fraction> = "gpuMemoryUtilization" by Modelservice;
        /// Network device to ask for.
        set network_resource: Option<ResourceName> = "networkResource" by Modelservice, "" means "", "auto" means "`rdma/ib` is used";
        /// How many of it each pod asks for.
        set network_count: Option<Count> = "networkCount" by Modelservice, "" means "", "auto" means "";
        /// CPU of each pod.
        set cpu: Option<CpuQuantity> = "cpu" by Modelservice;
        /// Memory of each pod.
        set memory: Option<Quantity> = "memory" by Modelservice;
        /// Size of `/dev/shm`.
        set shared_memory: Option<Quantity> = "sharedMemory" by Modelservice;
        /// Local scratch space of each pod.
        set ephemeral_storage: Option<Quantity> = "ephemeralStorage" by Modelservice, "" means "";
        /// Image, where it is another than `images.modelServer`.
        set image: Option<ImageReference> = "image" by Modelservice, "" means "";
        /// Script that runs before the server starts; `true` for none.
        set preprocess: Option<Script> = "preprocess" by Modelservice;
        /// Environment variables of this role; a name that `vllm.env` sets too takes the value given here.
        set env: EnvList = "env" by Modelservice;
        /// Annotations of the pods of this role.
        set annotations: Annotations = "annotations" by Modelservice, "auto" means "";
        /// Labels of the peers of a pod, which its preprocess script looks for.
        set peer_labels: Option<LabelSelector> = "peerLabels" by Modelservice, "" means "";
        /// How the command is made.
        set model_command: ModelCommand = "modelCommand" by Modelservice;
        /// Arguments of the server.
        set args: Command = "args" by Modelservice;
        /// Port that the server answers on.
        set port: Option<Port> = "port" by Modelservice;
        sub probes: Probes = "probes";
        sub extra: Extras = "extra";
    }
}

section! {
    /// How a model is spread over the accelerators of one role.
    RoleParallelism {
        /// Tensor parallel size. Not set: that of `parallelism`, or accelerators of each local data parallel rank.
        set tensor: Option<Count> = "tensor" by Modelservice, "" means "";
        /// Data parallel ranks of one replica.
        set data: Option<Positive> = "data" by Modelservice, "" means "";
        /// Data parallel ranks in one pod.
        set data_local: Option<Positive> = "dataLocal" by Modelservice, "" means "";
        /// Pods of one replica, a group of a LeaderWorkerSet.
        set workers: Option<Positive> = "workers" by Modelservice, "" means "";
    }
}

section! {
    /// The llm-d method.
    Modelservice {
        /// Where pods take the model from.
        set uri_protocol: UriProtocol = "uriProtocol" by Modelservice;
        /// Whether each replica is a LeaderWorkerSet group of several pods instead of one pod of a Deployment.
        set multinode: Switch = "multinode" by Modelservice;
        /// Whether pods mount the volume with the model.
        set mount_model: Option<Switch> = "mountModelVolume" by Modelservice, "" means "";
        sub extra: Extras = "extra";
        /// Whether, on OpenShift, a Route leads to the gateway.
        set route: Switch = "route" by Modelservice;
        /// Whether an HTTPRoute leads from the gateway to the pool. Not set: as `modelservice.route` says.
        set http_route: Option<Switch> = "httpRoute" by Modelservice;
        /// Whether the modelservice chart makes an endpoint picker of its own.
        set endpoint_picker: Switch = "endpointPicker" by Modelservice;
        /// Whether an InferenceModel is made.
        set inference_model: Switch = "inferenceModel" by Modelservice;
        /// Whether the modelservice chart makes the InferencePool.
        set inference_pool: Switch = "inferencePool" by Modelservice;
        /// Further Helm values of the modelservice chart, merged last: the path of a file, or the values.
        set values_file: Fragment = "valuesFile" by Modelservice;
        /// Further Helm values of the modelservice chart, as `--set` takes them.
        set additional_sets: HelmSets = "additionalSets" by Modelservice;
    }
}

section! {
    /// The proxy before each decode server, which has the prefill done elsewhere.
    RoutingSidecar {
        /// Whether it exists. Without it, decode answers on `vllm.port` itself.
        set enabled: Switch = "enabled" by Modelservice;
        /// Protocol by which KV caches are transferred.
        set connector: Word = "connector" by Modelservice;
        /// Level of its log, 0 for the least.
        set log_level: Option<Count> = "logLevel" by Modelservice;
    }
}

section! {
    /// The gateway of the llm-d method.
    Gateway {
        /// GatewayClass of the gateway; `gke` stands for `gke-l7-regional-external-managed`.
        set class_name: ObjectName = "className" by Modelservice;
        /// Type of the Service before its proxy. Not set: the chart decides.
        set service_type: Option<ServiceType> = "serviceType" by Modelservice;
        /// CPU that its proxy asks for. Not set: the chart decides.
        set cpu_request: Option<CpuQuantity> = "cpuRequest" by Modelservice;
        /// CPU that its proxy may use. Not set: the chart decides.
        set cpu_limit: Option<CpuQuantity> = "cpuLimit" by Modelservice;
        /// Memory that its proxy asks for. Not set: the chart decides.
        set memory_request: Option<Quantity> = "memoryRequest" by Modelservice;
        /// Memory that its proxy may use. Not set: the chart decides.
        set memory_limit: Option<Quantity> = "memoryLimit" by Modelservice;
    }
}

section! {
    /// The pool of model servers of one model.
    Pool {
        /// API of the InferencePool. Not set: that of the chart's version.
        set api: Option<PoolApi> = "api" by Modelservice;
        /// What the gateway does with traffic to the endpoint picker: `destinationRule` with the `host` and
        /// `trafficPolicy` of Istio.
        set provider_config: Fragment = "providerConfig" by Modelservice;
    }
}

section! {
    /// The endpoint picker of the llm-d method.
    EndpointPicker {
        /// Its plugin configuration: the name of a preset or of one of `customPlugins`, the path of a file, the
        /// configuration itself, or `default-plugins` for that of the chart.
        set preset: Preset = "preset" by Modelservice;
        /// Plugin configurations by file name; one of them goes before a shipped preset of the same name.
        set custom_plugins: PluginFiles = "customPlugins" by Modelservice;
        /// Further flags of its program.
        set flags: Flags = "flags" by Modelservice;
        /// Verbosity of its log. A flag `v` goes before it. Not set: the chart decides.
        set verbosity: Option<Count> = "verbosity" by Modelservice;
        /// Further ports of its container.
        set container_ports: Objects = "containerPorts" by Modelservice;
        /// Further ports of its Service.
        set service_ports: Objects = "servicePorts" by Modelservice;
        /// Further volumes of its pod.
        set volumes: Objects = "volumes" by Modelservice;
        /// Further mounts of its container.
        set volume_mounts: Objects = "volumeMounts" by Modelservice;
        sub sidecar: PickerSidecar = "sidecar";
        sub monitoring: PickerMonitoring = "monitoring";
    }
}

section! {
    /// The tokenizer beside the endpoint picker. Its image is `images.tokenizer`.
    PickerSidecar {
        /// Whether it exists.
        set enabled: Switch = "enabled" by Modelservice;
        /// Name of its container.
        set name: DnsLabel = "name" by Sidecar;
        /// Its environment.
        set env: EnvList = "env" by Sidecar;
        /// Its mounts.
        set volume_mounts: Objects = "volumeMounts" by Sidecar;
    }
}

section! {
    /// How Prometheus reads the metrics of the endpoint picker.
    PickerMonitoring {
        /// Whether a ServiceMonitor exists.
        set prometheus: Switch = "prometheus" by Modelservice;
        /// Whether the metrics take a token.
        set auth: Switch = "auth" by Modelservice;
        /// Time between two reads.
        set interval: Duration = "interval" by Modelservice;
    }
}

section! {
    /// How Prometheus reads the metrics of the model servers.
    Monitoring {
        /// Whether a PodMonitor exists.
        set pod_monitor: Switch = "podMonitor" by All;
        /// Time between two reads.
        set interval: Duration = "interval" by Monitor;
        /// Path of the metrics.
        set path: ContainerPath = "path" by Monitor;
    }
}

section! {
    /// What the cluster must have before a bundle of the llm-d method is applied, with the version that it is meant for.
    /// Nothing of it is in the bundle: it belongs to the whole cluster.
    Prerequisites {
        /// Version of the custom resources of the Gateway API.
        set gateway_api: ChartVersion = "gatewayApi" by Prerequisite;
        /// Version of the custom resources of the inference extension. Not set: that of its chart.
        set inference_extension: Option<ChartVersion> = "inferenceExtension" by Prerequisite;
        sub kgateway: PrerequisiteChart = "kgateway";
        sub istio: PrerequisiteChart = "istio";
        sub leader_worker_set: PrerequisiteChart = "leaderWorkerSet";
    }
}

section! {
    /// A chart that an administrator installs.
    PrerequisiteChart {
        /// Its version.
        set version: ChartVersion = "version" by Prerequisite;
        /// Where it comes from: an `oci://` folder, or the URL of a repository.
        set repository: Url = "repository" by Prerequisite;
        /// Namespace that it is installed in.
        set namespace: DnsLabel = "namespace" by Prerequisite;
    }
}

section! {
    /// Helm charts of the llm-d method.
    Charts {
        sub infra: Chart = "infra";
        sub inference_pool: Chart = "inferencePool";
        sub modelservice: Chart = "modelservice";
        /// Alias of the Helm repository of the gateway chart, where its name is no `oci://` reference.
        set infra_repository: Word = "infraRepository" by Modelservice;
        /// URL of the Helm repository of the gateway chart.
        set infra_repository_url: Url = "infraRepositoryUrl" by Modelservice;
        /// Alias of the Helm repository of the modelservice chart.
        set modelservice_repository: Word = "modelserviceRepository" by Modelservice;
        /// URL of the Helm repository of the modelservice chart.
        set modelservice_repository_url: Url = "modelserviceRepositoryUrl" by Modelservice;
    }
}

section! {
    /// One chart.
    Chart {
        /// Name of the chart, or its `oci://` reference.
        set name: ChartName = "name" by Modelservice;
        /// Version of the chart.
        set version: Option<ChartVersion> = "version" by Modelservice, "auto" means "the version catalogue decides";
    }
}

section! {
    /// Images that serve more than one purpose.
    Images {
        sub benchmark: Image = "benchmark";
        sub model_server: Image = "modelServer";
        sub endpoint_picker: Image = "endpointPicker";
        sub routing_sidecar: Image = "routingSidecar";
        sub evaluation: Image = "evaluation";
        sub tokenizer: Image = "tokenizer";
    }
}

section! {
    /// The load generator and its results.
    HarnessSection {
        /// Which load generator runs; names its Role and, where nothing else is set, its service account.
        set name: Harness = "name" by All;
        /// Namespace of the load generator. Not set: that of the stacks.
        set namespace: Option<DnsLabel> = "namespace" by All;
        /// Service account of the load generator. Not set: release, harness name and `runner`, with dashes between.
        set service_account: Option<ObjectName> = "serviceAccount" by All;
        /// Name of the claim that holds results.
        set claim_name: ObjectName = "claimName" by All;
        /// Size of that claim.
        set size: Quantity = "size" by All;
        /// Workload profile of the load generator.
        set profile: ProfileName = "profile" by Run;
        /// Parameters that replace those of the profile.
        set profile_overrides: Parameters = "profileOverrides" by Run;
        /// File that describes an experiment: factors, levels, treatments.
        set experiment: Option<FreeText> = "experiment" by Experiment, "" means "";
        /// Program that the launcher pod runs.
        set executable: FreeText = "executable" by Run;
        /// CPU of the launcher pod.
        set cpu: CpuQuantity = "cpu" by Run;
        /// Memory of the launcher pod.
        set memory: Quantity = "memory" by Run;
        /// Seconds that a run may take; 0 to start it and not wait.
        set wait_timeout: Seconds = "waitTimeout" by Scripts;
        /// Folder of results in the pods of the harness.
        set results_dir: ContainerPath = "resultsDir" by All;
        /// URL of a server that exists already; runs send their requests there and not to the stacks of the bundle.
        set endpoint: Option<EndpointUrl> = "endpoint" by Run, "" means "";
        /// Folder with workload profiles of your own, `HARNESS/NAME.yaml`; it goes before the shipped ones.
        set profiles_dir: Option<FreeText> = "profilesDir" by Run, "" means "";
        /// Pods that generate load at the same time, each with the whole profile.
        set parallelism: Positive = "parallelism" by Run;
        /// Where results are copied to besides the machine that runs: `local` for nowhere, `gs://…` or `s3://…`.
        set output: ResultsOutput = "output" by Scripts;
        /// Label `app` of the pods that generate load.
        set pod_label: LabelValue = "podLabel" by Run;
        /// Working folder of the load generator in its image; profiles are mounted below it.
        set workspace_dir: ContainerPath = "workspaceDir" by Run;
        /// Recorded requests to replay; the load generator downloads them.
        set dataset_url: Option<Url> = "datasetUrl" by Run, "" means "";
        /// Folder of the recorded requests in the load generator's pod. Not set: the workspace.
        set dataset_dir: Option<ContainerPath> = "datasetDir" by Run, "" means "";
        /// What the names of runs start with; the time of their start follows.
        set run_prefix: Option<RunPrefix> = "runPrefix" by Scripts, "" means "";
        /// Variables whose values the load generator's pod gets too: starts of `LLMDBENCH_` names.
        set variables: VariablePrefixes = "variables" by Run;
        /// Threads of the tokenizer of inference-perf. Not set: what its library chooses.
        set tokenizer_threads: Option<Positive> = "tokenizerThreads" by Run, "" means "";
        /// Whether metrics of the model servers are collected while load is generated, and their logs after it.
        set scrape_metrics: Switch = "scrapeMetrics" by Run;
    }
}

section! {
    /// What is done on OpenShift only.
    OpenShift {
        /// Whether monitoring of user workloads is switched on for the cluster (ConfigMap `cluster-monitoring-config`).
        set user_workload_monitoring: Switch = "userWorkloadMonitoring" by OpenShift;
    }
}

impl Extras {
    /// The paths of settings that the parts refer to.
    pub fn references(&self) -> Vec<&str> {
        let lists = [&self.volumes, &self.mounts, &self.init_containers];
        let listed = lists.into_iter().flat_map(|l| &l.0).flat_map(|(_, tree)| tree.references());
        let fields = [&self.container, &self.pod].into_iter().flat_map(|f| &f.0).flat_map(|p| p.value.references());
        listed.chain(fields).collect()
    }
}

/// The value of a setting in the text that a reference to it stands for.
pub fn reference_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(b) => if *b { "1" } else { "0" }.to_owned(),
        Value::Number(n) => n.clone(),
        Value::String(s) => s.clone(),
        Value::List(items) => items.iter().map(reference_text).collect::<Vec<_>>().join(","),
        Value::Map(map) => map.iter().map(|(k, v)| format!("{k}:{}", reference_text(v))).collect::<Vec<_>>().join(","),
    }
}
