//! The types of settings: what a value may be, how it is read from text and from YAML, how it is written back.
//!
//! A value comes from one of three notations: the text of a variable or flag, the text of a file or here-document, or
//! a YAML node. All three give the same typed value, and [`Setting::value`] gives it back in one canonical notation.

use super::payload::Tree;
use super::picker;
use super::variables;
use crate::check::names;
use crate::error::{Diagnostic, Problem};
use crate::source::{SourceId, Sources, Span};
use crate::tree::{Map, Value};
use crate::yaml::{Kind, Node, quote_short};
use indexmap::IndexMap;
use std::collections::HashMap;

/// A value before it is typed.
#[derive(Debug, Clone)]
pub enum Raw {
    /// The text of a variable, flag or `--set` of a variable name.
    Text(String),
    /// The text of a file or here-document, with the source that holds it.
    Document(String, SourceId),
    /// A node of a YAML scenario, of the defaults or of a `--set` path.
    Node(Node),
}

/// What reading a value may look at besides the value.
pub struct Reading<'a> {
    /// All texts, for values that are documents themselves.
    pub sources: &'a Sources,
    /// Other names that the scenario assigns, for `REPLACE_ENV_NAME` and for lists of variable names.
    pub locals: &'a HashMap<String, String>,
}

/// Why a value is not of its type.
#[derive(Debug)]
pub struct Fault {
    /// The problem, when it is another than "takes X, not Y".
    pub problem: Option<Problem>,
    /// What was found, for "takes X, not Y".
    pub found: String,
    /// What is expected there, when it is narrower than the whole type.
    pub expected: Option<String>,
    /// The exact place, when it is narrower than the value.
    pub span: Option<Span>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Fault {
    /// "takes X, not `found`".
    pub fn found(found: impl Into<String>) -> Self {
        Self { problem: None, found: found.into(), expected: None, span: None, hint: None }
    }

    /// Narrows what is expected.
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// Narrows the place.
    pub fn at(mut self, span: Span) -> Self {
        self.span = self.span.or(Some(span));
        self
    }

    /// Adds what to do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The fault as an error of a setting.
    pub fn into_diagnostic(self, setting: &str, expected: &str, span: Option<Span>) -> Diagnostic {
        let problem = self.problem.unwrap_or_else(|| Problem::WrongValue {
            setting: setting.to_owned(),
            expected: self.expected.unwrap_or_else(|| expected.to_owned()),
            found: self.found,
        });
        Diagnostic { hint: self.hint, ..Diagnostic::error(problem, self.span.or(span)) }
    }
}

impl From<Diagnostic> for Fault {
    fn from(d: Diagnostic) -> Self {
        Self { problem: Some(d.problem), found: String::new(), expected: None, span: d.span, hint: d.hint }
    }
}

/// A type that a setting can have.
pub trait Setting: Sized {
    /// What the type takes, as in "takes {}".
    fn expects() -> String;
    /// Reads a value.
    ///
    /// # Errors
    /// A [`Fault`] when the value is not of this type.
    fn read(raw: &Raw, reading: &Reading<'_>) -> Result<Self, Fault>;
    /// The value in its canonical notation.
    fn value(&self) -> Value;
    /// Whether a setting of this type may be left without a value.
    const OPTIONAL: bool = false;
    /// Whether an empty text is a value (an empty list, for one) and not a blank to fill in.
    const EMPTY_IS_A_VALUE: bool = false;
    /// Whether the text may be the path of a file that holds the value.
    const FROM_FILE: bool = false;
    /// Whether the value is a list or mapping in YAML.
    const STRUCTURED: bool = false;
    /// Whether a text is YAML itself.
    const YAML: bool = false;
    /// The value that stands for "none given", where there is one.
    fn none() -> Option<Self> {
        None
    }
}

impl<T: Setting> Setting for Option<T> {
    fn expects() -> String {
        T::expects()
    }
    fn read(raw: &Raw, reading: &Reading<'_>) -> Result<Self, Fault> {
        T::read(raw, reading).map(Some)
    }
    fn value(&self) -> Value {
        self.as_ref().map_or(Value::Null, Setting::value)
    }
    const OPTIONAL: bool = true;
    const EMPTY_IS_A_VALUE: bool = T::EMPTY_IS_A_VALUE;
    const FROM_FILE: bool = T::FROM_FILE;
    const STRUCTURED: bool = T::STRUCTURED;
    const YAML: bool = T::YAML;
    fn none() -> Option<Self> {
        Some(None)
    }
}

/// The text of a scalar, in whatever notation; what no reader takes is refused here once for all types.
fn scalar(raw: &Raw) -> Result<&str, Fault> {
    let text = match raw {
        Raw::Text(t) | Raw::Document(t, _) => t,
        Raw::Node(node) => match &node.kind {
            Kind::Scalar { text, .. } => text,
            _ => return Err(Fault::found(node.describe())),
        },
    };
    refuse_unreadable(text)?;
    Ok(text)
}

/// Refuses the characters that some reader on the way to the cluster loses: NUL can be part of no argument, and kustomize
/// cannot read the others back whatever notation they are written in.
pub(super) fn refuse_unreadable(text: &str) -> Result<(), Fault> {
    let what = match text.chars().find(|c| matches!(c, '\0' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}')) {
        None => return Ok(()),
        Some('\0') => "the character NUL",
        Some('\u{7f}'..='\u{9f}') => "a control character between U+007F and U+009F",
        Some(_) => "the character U+FFFE or U+FFFF",
    };
    Err(Fault { problem: Some(Problem::ForbiddenCharacter { what }), ..Fault::found(what) })
}

/// Implements [`Setting`] for a type with one scalar: what it expects, how its text is read, its canonical value.
macro_rules! scalar_setting {
    ($type:ty, $expects:expr, |$text:ident| $read:expr, |$this:ident| $value:expr $(, $empty:literal)?) => {
        impl Setting for $type {
            fn expects() -> String {
                $expects.to_string()
            }
            fn read(raw: &Raw, _: &Reading<'_>) -> Result<Self, Fault> {
                let $text = scalar(raw)?;
                $read
            }
            fn value(&self) -> Value {
                let $this = self;
                $value
            }
            $(const EMPTY_IS_A_VALUE: bool = $empty;)?
        }
    };
}

fn bad(text: &str) -> Fault {
    Fault::found(quote_short(text))
}

/// A newtype over a checked string.
macro_rules! text_setting {
    ($(#[$doc:meta])* $type:ident, $expects:expr, |$text:ident| $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(pub String);
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
        scalar_setting!($type, $expects, |$text| {
            let check: Result<(), String> = $check;
            match check {
                Ok(()) => Ok(Self($text.to_owned())),
                Err(why) => Err(bad($text).hint(why)),
            }
        }, |this| Value::from(this.0.as_str()));
    };
}

text_setting!(
    /// A DNS-1123 label, at most 63 characters: the name of a namespace.
    DnsLabel, "a DNS label (lower case letters, digits and `-`, at most 63 characters)", |text| names::dns_label(text)
);
text_setting!(
    /// A DNS-1123 subdomain, at most 253 characters: the name of most Kubernetes objects.
    ObjectName, "an object name (lower case letters, digits, `-` and `.`, at most 253 characters)", |text| names::dns_subdomain(text)
);
text_setting!(
    /// A Helm release suffix and value of our labels: a DNS label of at most 40 characters.
    ReleaseName, "a release name (a DNS label of at most 40 characters that starts with a letter)", |text| {
        names::dns_label(text).and_then(|()| match text.len() {
            41.. => Err(format!("it has {} characters", text.len())),
            _ if !text.starts_with(|c: char| c.is_ascii_lowercase()) => {
                Err("names of Services are made from it, and they start with a letter".into())
            }
            _ => Ok(()),
        })
    }
);
text_setting!(
    /// A name in a Secret's data.
    SecretKey, "a Secret key (letters, digits, `-`, `_` and `.`)", |text| names::config_key(text)
);
text_setting!(
    /// An extended resource such as `nvidia.com/gpu`.
    ResourceName, "an extended resource name such as `nvidia.com/gpu`", |text| {
        names::qualified_name(text).and_then(|()| if text.contains('/') { Ok(()) } else { Err("an extended resource has a domain, as in `nvidia.com/gpu`".into()) })
    }
);
text_setting!(
    /// The name of a resource, of Kubernetes itself or extended.
    AnyResourceName, "a resource name such as `ephemeral-storage`", |text| names::qualified_name(text)
);
text_setting!(
    /// A Kubernetes quantity of memory or storage.
    Quantity, "a quantity such as `40Gi` or `500M`", |text| names::quantity(text)
);
text_setting!(
    /// A Kubernetes quantity of CPU.
    CpuQuantity, "an amount of CPU such as `4` or `500m`", |text| names::quantity(text)
);
text_setting!(
    /// An absolute path inside a container.
    ContainerPath, "an absolute path", |text| names::container_path(text)
);
text_setting!(
    /// Host and port of a registry.
    Registry, "a registry host such as `docker.io`", |text| names::registry(text)
);
text_setting!(
    /// The path of an image in its registry, without the last part.
    Repository, "an image path of lower case letters, digits, `.`, `_`, `-` and `/`", |text| names::image_path(text)
);
text_setting!(
    /// Tag of an image, or `tag@sha256:…`.
    Tag, "an image tag such as `v0.26.0`, with or without `@sha256:` and 64 hex digits", |text| names::image_tag(text)
);
text_setting!(
    /// A DNS suffix with its leading dot.
    DomainSuffix, "a DNS suffix such as `.svc.cluster.local`", |text| {
        text.strip_prefix('.').ok_or_else(|| "it starts with a dot".to_owned()).and_then(names::host_name)
    }
);
text_setting!(
    /// A host name for HTTP routes.
    HostName, "a host name", |text| names::host_name(text.strip_prefix("*.").unwrap_or(text))
);
text_setting!(
    /// URL of an API server or a repository.
    Url, "a URL such as `https://api.example.com:6443`", |text| names::url(text)
);
text_setting!(
    /// Reference of a Helm chart: `oci://…` or a name.
    ChartName, "a chart name or `oci://` reference", |text| names::chart_name(text)
);
text_setting!(
    /// Version of a Helm chart.
    ChartVersion, "a chart version such as `v1.4.0`", |text| names::semver(text)
);
text_setting!(
    /// A duration as Prometheus writes it.
    Duration, "a duration such as `30s` or `1m`", |text| {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_lowercase());
        match (&text[digits.len()..], digits.parse::<u32>()) {
            ("ms" | "s" | "m" | "h", Ok(n)) if n > 0 => Ok(()),
            _ => Err("a whole number and one of `ms`, `s`, `m`, `h`".into()),
        }
    }
);
text_setting!(
    /// Words without a narrower form.
    Word, "a word without white space", |text| {
        if text.is_empty() || text.contains(|c: char| c.is_whitespace() || c.is_control()) { Err("no white space is allowed".into()) } else { Ok(()) }
    }
);
text_setting!(
    /// Text that is passed on as it is.
    FreeText, "a text", |_text| Ok(())
);
text_setting!(
    /// A fraction, kept in the notation it was written with.
    Fraction, "a number above 0 and at most 1", |text| {
        match text.parse::<f64>() {
            Ok(n) if n > 0.0 && n <= 1.0 && text.bytes().all(|b| b.is_ascii_digit() || b == b'.') => Ok(()),
            _ => Err("write it like `0.95`".into()),
        }
    }
);
text_setting!(
    /// A whole image reference: registry (Docker Hub where it has none), path and tag or digest.
    ImageReference, "an image such as `docker.io/vllm/vllm-openai:v0.26.0`", |text| names::split_image(text).map(|_| ())
);
text_setting!(
    /// Selectors of labels, `key=value` with commas between.
    LabelSelector, "label selectors such as `key=value,key=value`", |text| {
        text.split(',').try_for_each(|pair| match pair.trim().split_once('=') {
            Some((key, value)) => names::qualified_name(key).and_then(|()| names::label_value(value)),
            None => Err(format!("`{pair}` has no `=`")),
        })
    }
);

/// What a model server computes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AcceleratorResource {
    /// The processor; no device is asked for.
    Cpu,
    /// An extended resource.
    Device(String),
}

/// Kinds of accelerators as the llm-d charts name them, and their resources.
const ACCELERATORS: &[(&str, &str)] = &[
    ("nvidia", "nvidia.com/gpu"),
    ("amd", "amd.com/gpu"),
    ("google", "google.com/tpu"),
    ("intel-gaudi", "habana.ai/gaudi"),
    ("intel-i915", "gpu.intel.com/i915"),
    ("intel-xe", "gpu.intel.com/xe"),
    ("rebellions-atom", "rebellions.ai/ATOM"),
];

impl AcceleratorResource {
    /// The device to ask for.
    pub fn device(&self) -> Option<&str> {
        match self {
            Self::Cpu => None,
            Self::Device(name) => Some(name),
        }
    }

    /// The name that the llm-d charts have for this kind of accelerator.
    pub fn kind(&self) -> Option<&'static str> {
        ACCELERATORS.iter().find(|(_, r)| Some(*r) == self.device()).map(|(k, _)| *k)
    }

    fn from_text(text: &str) -> Result<Self, String> {
        // Scenarios of November 2025 wrote the kind before the resource.
        let name = text.rsplit_once(':').map_or(text, |(_, resource)| resource);
        if name == "cpu" {
            return Ok(Self::Cpu);
        }
        if let Some((_, resource)) = ACCELERATORS.iter().find(|(k, _)| *k == name) {
            return Ok(Self::Device((*resource).to_owned()));
        }
        names::qualified_name(name)?;
        if name.contains('/') {
            Ok(Self::Device(name.to_owned()))
        } else {
            let kinds = ACCELERATORS.iter().map(|(k, _)| format!("`{k}`")).collect::<Vec<_>>().join(", ");
            Err(format!("an extended resource has a domain, as in `nvidia.com/gpu`; kinds are {kinds} and `cpu`"))
        }
    }
}

scalar_setting!(
    AcceleratorResource,
    "an extended resource such as `nvidia.com/gpu`, a kind of accelerator such as `amd`, or `cpu`",
    |text| Self::from_text(text).map_err(|why| bad(text).hint(why)),
    |this| Value::from(this.device().unwrap_or("cpu"))
);

/// A JSON object, kept as it was written; YAML may also give it as a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonObject(pub String);

impl Setting for JsonObject {
    const STRUCTURED: bool = true;
    fn expects() -> String {
        "a JSON object such as `{}`".into()
    }
    fn read(raw: &Raw, _: &Reading<'_>) -> Result<Self, Fault> {
        if let Raw::Node(node @ Node { kind: Kind::Map(_), .. }) = raw {
            return Ok(Self(Value::from_node(node).to_json_line()));
        }
        let text = scalar(raw)?;
        match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(e) => Err(bad(text).hint(format!("not a JSON object: {e}"))),
        }
    }
    fn value(&self) -> Value {
        Value::from(self.0.as_str())
    }
}

text_setting!(
    /// A workload profile: a name, with or without `.yaml`, or the path of a file.
    ProfileName, "the name of a workload profile, or the path of a file", |text| {
        if text.is_empty() || text.contains([' ', '\n', '\t', ',']) {
            Err("white space and `,` are not allowed".into())
        } else {
            Ok(())
        }
    }
);
text_setting!(
    /// Base URL of a server of models, in characters that mean nothing to YAML and the shell.
    EndpointUrl, "a URL such as `http://host:8000` or `https://host/path`", |text| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._~:/-".contains(&b);
        if text.starts_with("oci://") || !text.bytes().all(plain) {
            Err("`http://` or `https://`, then letters, digits and `.`, `_`, `~`, `:`, `/`, `-`".into())
        } else {
            names::url(text)
        }
    }
);
text_setting!(
    /// The value of a label.
    LabelValue, "a label value (letters, digits, `-`, `_` and `.`, at most 63 characters)", |text| names::label_value(text)
);
text_setting!(
    /// What the names of runs start with; part of names of folders and of objects.
    RunPrefix, "the start of a name (lower case letters, digits and `-`, at most 10 characters)", |text| {
        names::dns_label(text).and_then(|()| if text.len() <= 10 { Ok(()) } else { Err(format!("it has {} characters", text.len())) })
    }
);
text_setting!(
    /// Where results go besides the machine that runs: nowhere, or a bucket.
    ResultsOutput, "`local`, `gs://BUCKET/…` or `s3://BUCKET/…`", |text| {
        let path = ["gs://", "s3://"].iter().find_map(|s| text.strip_prefix(s));
        let plain = |p: &str| p.starts_with(|c: char| c.is_ascii_alphanumeric()) && p.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b));
        if text == "local" || path.is_some_and(plain) { Ok(()) } else { Err("letters, digits, `-`, `_`, `.` and `/` are allowed after `gs://` or `s3://`".into()) }
    }
);

/// A whole number.
macro_rules! number_setting {
    ($(#[$doc:meta])* $type:ident($inner:ty), $expects:expr, $range:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $type(pub $inner);
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
        scalar_setting!($type, $expects, |text| {
            match text.parse::<$inner>() {
                Ok(n) if ($range).contains(&n) && n.to_string() == text => Ok(Self(n)),
                _ => Err(bad(text)),
            }
        }, |this| Value::from(this.0));
    };
}

number_setting!(
    /// How many, zero included.
    Count(u32), "a whole number, 0 or more", 0..=i32::MAX as u32
);
number_setting!(
    /// How many, at least one.
    Positive(u32), "a whole number, 1 or more", 1..=i32::MAX as u32
);
number_setting!(
    /// A number of bytes.
    Bytes(u64), "a number of bytes", 0..=i64::MAX as u64
);
number_setting!(
    /// A TCP port.
    Port(u16), "a port (1 to 65535)", 1..=u16::MAX
);
number_setting!(
    /// A duration in seconds.
    Seconds(u32), "a number of seconds", 0..=i32::MAX as u32
);

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switch(pub bool);
scalar_setting!(
    Switch,
    "`true` or `false` (or `1` or `0`)",
    |text| match text {
        "1" | "true" | "True" | "TRUE" => Ok(Self(true)),
        "0" | "false" | "False" | "FALSE" => Ok(Self(false)),
        _ => Err(bad(text)),
    },
    |this| Value::Bool(this.0)
);

/// An enumeration with one word a variant; further words may be accepted for the same variant.
macro_rules! word_setting {
    ($(#[$doc:meta])* $type:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal $(| $other:literal)*,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $type { $($(#[$vdoc])* $variant,)* }
        impl $type {
            /// The words that the type takes, canonical ones only.
            pub const WORDS: &'static [&'static str] = &[$($word),*];
            /// The canonical word.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
            fn from_word(text: &str) -> Option<Self> {
                match text { $($word $(| $other)* => Some(Self::$variant),)* _ => None }
            }
        }
        scalar_setting!($type, one_of(Self::WORDS), |text| {
            Self::from_word(text).ok_or_else(|| {
                let fault = bad(text);
                match crate::error::nearest(text, Self::WORDS.iter().copied()) {
                    Some(n) => fault.hint(format!("did you mean `{n}`?")),
                    None => fault,
                }
            })
        }, |this| Value::from(this.word()));
    };
}

fn one_of(words: &[&str]) -> String {
    format!("one of {}", words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", "))
}

word_setting!(
    /// The kind of cluster; it decides which platform objects are rendered.
    Platform {
        /// Plain Kubernetes.
        Kubernetes = "kubernetes",
        /// OpenShift: Routes and security context constraints.
        OpenShift = "openshift",
        /// Google Kubernetes Engine.
        Gke = "gke",
        /// kind.
        Kind = "kind",
        /// minikube.
        Minikube = "minikube",
    }
);
word_setting!(
    /// How a model is served.
    Method {
        /// One Deployment and Service of vLLM.
        Standalone = "standalone",
        /// The llm-d charts.
        Modelservice = "modelservice" | "llm-d",
    }
);
word_setting!(
    /// A load generator.
    Harness {
        /// inference-perf.
        InferencePerf = "inference-perf",
        /// fmperf.
        Fmperf = "fmperf",
        /// GuideLLM.
        Guidellm = "guidellm",
        /// The benchmark script of vLLM.
        VllmBenchmark = "vllm-benchmark",
        /// InferenceMAX.
        InferenceMax = "inferencemax",
        /// No load: records how the server starts.
        Nop = "nop",
    }
);
impl Harness {
    /// The profile that is run where none is named.
    pub fn default_profile(self) -> &'static str {
        match self {
            Self::InferencePerf | Self::VllmBenchmark => "sanity_random",
            Self::Guidellm => "sanity_concurrent",
            Self::Fmperf => "sanity_short-input",
            Self::InferenceMax => "random_concurrent",
            Self::Nop => "nop",
        }
    }
}

word_setting!(
    /// How the command of a llm-d model server is made.
    ModelCommand {
        /// The chart writes `vllm serve`.
        VllmServe = "vllmServe",
        /// The command of the image.
        ImageDefault = "imageDefault",
        /// The command of the scenario.
        Custom = "custom",
    }
);
word_setting!(
    /// Where llm-d pods take the model from.
    UriProtocol {
        /// A volume that holds the model.
        Pvc = "pvc",
        /// Hugging Face, at start.
        Hf = "hf",
    }
);
word_setting!(
    /// Type of a Service.
    ServiceType {
        /// A port of every node.
        NodePort = "NodePort",
        /// Inside the cluster only.
        ClusterIp = "ClusterIP",
        /// An address of a load balancer.
        LoadBalancer = "LoadBalancer",
    }
);
word_setting!(
    /// API of InferencePool objects.
    PoolApi {
        /// The stable one.
        V1 = "inference.networking.k8s.io/v1",
        /// The experimental one before it.
        V1Alpha2 = "inference.networking.x-k8s.io/v1alpha2",
    }
);
word_setting!(
    /// How vLLM loads weights (its `--load-format`).
    LoadFormat {
        /// vLLM decides.
        Auto = "auto",
        /// PyTorch files.
        Pt = "pt",
        /// safetensors files.
        Safetensors = "safetensors",
        /// PyTorch files with a NumPy cache.
        Npcache = "npcache",
        /// Random weights.
        Dummy = "dummy",
        /// One file written by tensorizer.
        Tensorizer = "tensorizer",
        /// Streaming by Run:ai.
        RunaiStreamer = "runai_streamer",
        /// Streaming by Run:ai, one file a rank.
        RunaiStreamerSharded = "runai_streamer_sharded",
        /// bitsandbytes quantisation.
        Bitsandbytes = "bitsandbytes",
        /// One file a rank.
        ShardedState = "sharded_state",
        /// GGUF files.
        Gguf = "gguf",
        /// Mistral's own format.
        Mistral = "mistral",
        /// fastsafetensors.
        Fastsafetensors = "fastsafetensors",
    }
);
word_setting!(
    /// Log level of vLLM.
    LogLevel {
        /// Everything.
        Debug = "DEBUG" | "debug" | "Debug",
        /// What happens.
        Info = "INFO" | "info" | "Info",
        /// What may be wrong.
        Warning = "WARNING" | "warning" | "Warning" | "WARN" | "warn",
        /// What is wrong.
        Error = "ERROR" | "error" | "Error",
        /// What stops the server.
        Critical = "CRITICAL" | "critical" | "Critical",
    }
);
word_setting!(
    /// How vLLM starts its workers.
    WorkerMethod {
        /// New processes.
        Spawn = "spawn",
        /// Copies of the parent.
        Fork = "fork",
        /// Copies of a small server.
        Forkserver = "forkserver",
    }
);
word_setting!(
    /// Access mode of a volume claim.
    AccessMode {
        /// Many nodes read and write.
        ReadWriteMany = "ReadWriteMany",
        /// One node reads and writes.
        ReadWriteOnce = "ReadWriteOnce",
        /// One pod reads and writes.
        ReadWriteOncePod = "ReadWriteOncePod",
    }
);

/// A list given as a YAML list or as text with commas.
fn list<'r, T>(raw: &'r Raw, read: impl Fn(&'r str) -> Result<T, Fault>) -> Result<Vec<T>, Fault> {
    match raw {
        Raw::Node(Node { kind: Kind::List(items), .. }) => items
            .iter()
            .map(|node| match &node.kind {
                Kind::Scalar { text, .. } if !node.is_null() => {
                    refuse_unreadable(text).and_then(|()| read(text)).map_err(|f| f.at(node.span))
                }
                _ => Err(Fault::found(node.describe()).at(node.span)),
            })
            .collect(),
        _ => scalar(raw)?.split(',').map(str::trim).filter(|t| !t.is_empty()).map(read).collect(),
    }
}

/// The methods to render, in the order given, none twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Methods(pub Vec<Method>);

impl Setting for Methods {
    const STRUCTURED: bool = true;
    fn expects() -> String {
        format!("a list of methods, each {}", Method::expects())
    }
    fn read(raw: &Raw, _: &Reading<'_>) -> Result<Self, Fault> {
        let mut methods = Vec::new();
        for m in list(raw, |t| {
            Method::from_word(t).ok_or_else(|| match crate::error::nearest(t, Method::WORDS.iter().copied()) {
                Some(n) => bad(t).hint(format!("did you mean `{n}`?")),
                None => bad(t),
            })
        })? {
            if !methods.contains(&m) {
                methods.push(m);
            }
        }
        if methods.is_empty() { Err(Fault::found("nothing")) } else { Ok(Self(methods)) }
    }
    fn value(&self) -> Value {
        Value::from(self.0.iter().map(|m| m.word()).collect::<Vec<_>>())
    }
}

/// A model: its name on Hugging Face, and the name it is served under where that is another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Model {
    /// `organisation/repository`, or a name without an organisation.
    pub name: String,
    /// The served name, after a `:`.
    pub alias: Option<String>,
}

impl Model {
    fn read(text: &str) -> Result<Self, Fault> {
        let (name, alias) = match text.split_once(':') {
            Some((n, a)) => (n, Some(a)),
            None => (text, None),
        };
        let part = |p: &str| {
            !p.is_empty()
                && p.len() <= 96
                && p.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
                && !p.starts_with(['.', '-'])
        };
        let parts: Vec<&str> = name.split('/').collect();
        if parts.len() > 2 || !parts.iter().all(|p| part(p)) {
            return Err(bad(text).hint("a model is written `organisation/repository`, as on Hugging Face"));
        }
        match alias {
            Some(a) if a.is_empty() || !a.split('/').all(part) => {
                Err(bad(text).hint("the served name after `:` takes letters, digits, `.`, `_`, `-` and `/`"))
            }
            _ => Ok(Self { name: name.to_owned(), alias: alias.map(str::to_owned) }),
        }
    }

    /// The name that clients ask for.
    pub fn served_name(&self) -> &str {
        self.alias.as_deref().unwrap_or(&self.name)
    }
}

/// The models to serve, one stack each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Models(pub Vec<Model>);

impl Setting for Models {
    const STRUCTURED: bool = true;
    fn expects() -> String {
        "a list of models, each `organisation/repository` or `organisation/repository:served-name`".into()
    }
    fn read(raw: &Raw, _: &Reading<'_>) -> Result<Self, Fault> {
        let models = list(raw, Model::read)?;
        for (i, m) in models.iter().enumerate() {
            if models[..i].iter().any(|o| o.served_name() == m.served_name()) {
                return Err(Fault::found(format!("`{}` twice", m.served_name())));
            }
        }
        if models.is_empty() { Err(Fault::found("nothing")) } else { Ok(Self(models)) }
    }
    fn value(&self) -> Value {
        Value::from(
            self.0
                .iter()
                .map(|m| m.alias.as_ref().map_or(m.name.clone(), |a| format!("{}:{a}", m.name)))
                .collect::<Vec<_>>(),
        )
    }
}

/// A mapping given as YAML or as text `key:value,key:value`, each pair split at its first colon.
fn pairs(raw: &Raw, check: impl Fn(&str, &str) -> Result<(), String>) -> Result<IndexMap<String, String>, Fault> {
    let mut all = IndexMap::new();
    let mut add = |k: &str, v: &str, span: Option<Span>| {
        refuse_unreadable(v)?;
        let fault = match check(k, v) {
            Ok(()) if all.insert(k.to_owned(), v.to_owned()).is_none() => return Ok(()),
            Ok(()) => Fault::found(format!("`{k}` twice")),
            Err(why) => bad(&format!("{k}: {v}")).hint(why),
        };
        Err(match span {
            Some(s) => fault.at(s),
            None => fault,
        })
    };
    match raw {
        Raw::Node(Node { kind: Kind::Map(entries), .. }) => {
            for (key, node) in entries {
                match &node.kind {
                    Kind::Scalar { text, .. } if !node.is_null() => add(&key.text, text, Some(node.span))?,
                    _ => return Err(Fault::found(node.describe()).expected("a text for each key").at(node.span)),
                }
            }
        }
        _ => {
            for pair in scalar(raw)?.split(',').map(str::trim).filter(|p| !p.is_empty()) {
                let Some((k, v)) = pair.split_once(':') else {
                    return Err(bad(pair).hint("write `key:value`"));
                };
                add(k.trim(), v.trim(), None)?;
            }
        }
    }
    Ok(all)
}

fn pairs_value(map: &IndexMap<String, String>) -> Value {
    Value::Map(map.iter().map(|(k, v)| (k.clone(), Value::from(v.as_str()))).collect::<Map>())
}

/// Labels that a node must carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeLabels(pub IndexMap<String, String>);

impl Setting for NodeLabels {
    const STRUCTURED: bool = true;
    fn expects() -> String {
        "node labels, as `label:value` or a mapping".into()
    }
    fn read(raw: &Raw, _: &Reading<'_>) -> Result<Self, Fault> {
        let labels = pairs(raw, |k, v| names::qualified_name(k).and_then(|()| names::label_value(v)))?;
        if labels.is_empty() { Err(Fault::found("nothing")) } else { Ok(Self(labels)) }
    }
    fn value(&self) -> Value {
        pairs_value(&self.0)
    }
}

/// Annotations of pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotations(pub IndexMap<String, String>);

impl Setting for Annotations {
    const STRUCTURED: bool = true;
    fn expects() -> String {
        "annotations, as `key:value,key:value` or a mapping".into()
    }
    fn read(raw: &Raw, reading: &Reading<'_>) -> Result<Self, Fault> {
        let raw = match raw {
            // The text of a file or here-document is a mapping, or the pairs of the short notation.
            Raw::Document(text, id) => match crate::yaml::parse(reading.sources, *id)? {
                node @ Node { kind: Kind::Map(_), .. } => &Raw::Node(node),
                _ => &Raw::Text(text.trim().to_owned()),
            },
            raw => raw,
        };
        pairs(raw, |k, _| names::qualified_name(k)).map(Self)
    }
    fn none() -> Option<Self> {
        Some(Self(IndexMap::new()))
    }
    fn value(&self) -> Value {
        pairs_value(&self.0)
    }
    const EMPTY_IS_A_VALUE: bool = true;
    const FROM_FILE: bool = true;
}

/// The plugin configuration of an endpoint picker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Preset {
    /// The name of a shipped one.
    Named(String),
    /// The configuration itself, checked.
    Inline(Tree),
}

impl Setting for Preset {
    const STRUCTURED: bool = true;
    const FROM_FILE: bool = true;
    fn expects() -> String {
        "the name of a preset, the path of a file, or an EndpointPickerConfig".into()
    }
    fn read(raw: &Raw, reading: &Reading<'_>) -> Result<Self, Fault> {
        let checked = |node: &Node| picker::checked(node, reading).map(Self::Inline);
        match raw {
            Raw::Document(_, id) => checked(&crate::yaml::parse(reading.sources, *id)?),
            Raw::Node(node @ Node { kind: Kind::Map(_), .. }) => checked(node),
            _ => {
                let name = scalar(raw)?;
                let name = name.strip_suffix(".yaml").unwrap_or(name);
                if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
                    return Err(bad(name));
                }
                Ok(Self::Named(name.to_owned()))
            }
        }
    }
    fn value(&self) -> Value {
        match self {
            Self::Named(name) => Value::from(name.as_str()),
            Self::Inline(config) => config.value(),
        }
    }
}

/// Parameters of a workload profile, as `name=value,name=value` or a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters(pub IndexMap<String, String>);

impl Setting for Parameters {
    const STRUCTURED: bool = true;
    fn expects() -> String {
        "parameters, as `name=value,name=value` or a mapping".into()
    }
    fn read(raw: &Raw, _: &Reading<'_>) -> Result<Self, Fault> {
        if let Raw::Node(Node { kind: Kind::Map(_), .. }) = raw {
            let short =
                |k: &str| if k.len() <= 253 { Ok(()) } else { Err("a name has at most 253 characters".to_owned()) };
            return pairs(raw, |k, _| short(k)).map(Self);
        }
        let mut all = IndexMap::new();
        for pair in scalar(raw)?.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            let Some((k, v)) = pair.split_once('=') else {
                return Err(bad(pair).hint("write `name=value`"));
            };
            all.insert(k.to_owned(), v.to_owned());
        }
        Ok(Self(all))
    }
    fn value(&self) -> Value {
        pairs_value(&self.0)
    }
    const EMPTY_IS_A_VALUE: bool = true;
}

/// Starts of `LLMDBENCH_` names, as a list or with commas between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariablePrefixes(pub Vec<String>);

impl Setting for VariablePrefixes {
    const STRUCTURED: bool = true;
    fn expects() -> String {
        "a list of starts of `LLMDBENCH_` names".into()
    }
    fn read(raw: &Raw, _: &Reading<'_>) -> Result<Self, Fault> {
        list(raw, |text| {
            let known = text.starts_with(variables::PREFIX) && variables::names().any(|n| n.starts_with(text));
            if known {
                return Ok(text.to_owned());
            }
            let near = crate::error::nearest(text, variables::names());
            let fault = bad(text);
            Err(match near {
                Some(n) => fault.hint(format!("no name starts so; did you mean `{n}`?")),
                None => fault.hint("no name starts so"),
            })
        })
        .map(Self)
    }
    fn value(&self) -> Value {
        Value::from(self.0.clone())
    }
    const EMPTY_IS_A_VALUE: bool = true;
}
