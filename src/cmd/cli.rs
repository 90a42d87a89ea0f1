//! The flags.

use camino::Utf8PathBuf;
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Compiles one scenario file into everything that a stack serving large language models needs on Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "llmdbench", version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Compile a scenario and emit manifests: to standard output in apply order, or to a directory.
    ///
    /// `llmdbench render -c NAME | kubectl apply -f -` puts a stack on a cluster. Notes go to standard error. Exit code 0:
    /// done; 2: something is wrong with the input and nothing was written; 1: the output could not be written.
    Render(Render),
    /// Print what removes a bundle, exactly: a script, or the plan as data.
    ///
    /// `llmdbench teardown stacks/prod | bash -s -- --context NAME` removes what a bundle put on a cluster. The record of the
    /// bundle is all that is read; a scenario is compiled first.
    Teardown(Teardown),
    /// Write a shell scenario in YAML, with the same meaning; notes on standard error say what has none.
    Convert(Convert),
    /// List the scenarios that ship with the tool and those of ./scenarios, or the workload profiles.
    List(List),
    /// Show every setting and every LLMDBENCH_ variable: type, defaults, meaning, effect.
    Variables(Variables),
}

/// Where settings come from.
#[derive(Debug, Clone, Args)]
pub struct Input {
    /// Scenario: a file (.yaml, .yml, .sh, .env), a name of ./scenarios or of a shipped scenario, or - for standard input.
    #[arg(short = 'c', long, value_name = "FILE|NAME|-")]
    pub scenario: Option<String>,
    /// Set one setting, by its path or its LLMDBENCH_ name; lists and mappings as YAML. May be given many times.
    #[arg(long, value_name = "PATH=VALUE")]
    pub set: Vec<String>,
    /// Edition of the defaults (2025-08, 2026-03, 2026-11), or a YAML file of defaults between the edition and the scenario.
    #[arg(long, value_name = "EDITION|FILE")]
    pub defaults: Vec<String>,
    /// Leave LLMDBENCH_ variables of the environment out.
    #[arg(long)]
    pub no_env: bool,
    /// Models to serve.
    #[arg(short = 'm', long, value_name = "MODEL,…")]
    pub models: Option<String>,
    /// Methods to deploy by: standalone, modelservice (or llm-d).
    #[arg(short = 't', long, value_name = "METHOD,…")]
    pub methods: Option<String>,
    /// Namespace of the stacks.
    #[arg(short = 'p', long)]
    pub namespace: Option<String>,
    /// Name that the objects of the bundle share.
    #[arg(short = 'r', long)]
    pub release: Option<String>,
    /// Label that nodes must carry.
    #[arg(short = 'a', long, value_name = "LABEL:VALUE")]
    pub affinity: Option<String>,
    /// Annotations of pods.
    #[arg(short = 'b', long, value_name = "KEY:VALUE,…")]
    pub annotations: Option<String>,
    /// Load generator.
    #[arg(short = 'l', long)]
    pub harness: Option<String>,
    /// Workload profile: a name, or the path of a file.
    #[arg(short = 'w', long)]
    pub workload: Option<String>,
    /// Parameters that replace those of the workload profile, by path or last part of it.
    #[arg(long, value_name = "NAME=VALUE,…")]
    pub overrides: Option<String>,
    /// Server that exists already, for runs to send their requests to.
    #[arg(long, value_name = "URL")]
    pub endpoint: Option<String>,
    /// Experiment file.
    #[arg(short = 'e', long, alias = "experiment")]
    pub experiments: Option<String>,
}

impl Input {
    /// The flags that stand for a setting: flag, path, text.
    pub fn flags(&self) -> Vec<(&'static str, &'static str, String)> {
        let all = [
            ("--models", "models", &self.models),
            ("--methods", "methods", &self.methods),
            ("--namespace", "namespace", &self.namespace),
            ("--release", "release", &self.release),
            ("--affinity", "pod.nodeLabels", &self.affinity),
            ("--annotations", "pod.annotations", &self.annotations),
            ("--harness", "harness.name", &self.harness),
            ("--workload", "harness.profile", &self.workload),
            ("--overrides", "harness.profileOverrides", &self.overrides),
            ("--endpoint", "harness.endpoint", &self.endpoint),
            ("--experiments", "harness.experiment", &self.experiments),
        ];
        all.into_iter().filter_map(|(flag, path, text)| Some((flag, path, text.clone()?))).collect()
    }
}

/// Flags of `render`.
#[derive(Debug, Args)]
pub struct Render {
    #[command(flatten)]
    pub input: Input,
    /// Directory to write the bundle to; without it the manifests go to standard output.
    #[arg(short = 'o', long, value_name = "DIR")]
    pub output: Option<Utf8PathBuf>,
    /// How the Helm releases of the llm-d method get into the output: as objects of Flux or Argo CD, or (standard output
    /// only) as the objects that `helm template` makes of them.
    #[arg(long, value_enum)]
    pub charts: Option<Charts>,
    /// With `--charts inflate`: a folder with charts, DIR/CHART/VERSION; without it helm gets them from where they are published.
    #[arg(long, value_name = "DIR")]
    pub charts_dir: Option<Utf8PathBuf>,
    /// Refuse words such as `auto` that a fallback would stand for.
    #[arg(long)]
    pub strict: bool,
    /// Print errors only.
    #[arg(short = 'q', long)]
    pub quiet: bool,
}

/// How Helm releases are part of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Charts {
    /// What `helm template` makes of them.
    Inflate,
    /// OCIRepository, HelmRepository and HelmRelease objects.
    Flux,
    /// Application objects.
    Argocd,
}

/// Flags of `teardown`.
#[derive(Debug, Args)]
pub struct Teardown {
    /// A bundle (its directory or its bundle.json), or a scenario.
    #[arg(value_name = "BUNDLE|SCENARIO")]
    pub target: Option<String>,
    #[command(flatten)]
    pub input: Input,
    /// What to print.
    #[arg(short = 'o', long, value_enum, default_value = "script")]
    pub output: PlanFormat,
    /// Remove volumes with models and results, the token and the namespaces of the bundle too.
    #[arg(short = 'd', long)]
    pub deep: bool,
}

/// How a delete plan is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PlanFormat {
    /// The script that carries it out.
    Script,
    /// What goes and what stays, in YAML.
    Yaml,
    /// The same in JSON.
    Json,
}

/// Flags of `convert`.
#[derive(Debug, Args)]
pub struct Convert {
    /// Shell scenario: a file (.sh, .env), a name of ./scenarios, or - for standard input.
    #[arg(value_name = "FILE")]
    pub scenario: String,
    /// File to write the YAML to; without it, it goes to standard output.
    #[arg(short = 'o', long, value_name = "FILE")]
    pub output: Option<Utf8PathBuf>,
    /// Edition that the scenario belongs to, where its names do not say so.
    #[arg(long, value_name = "EDITION")]
    pub defaults: Option<String>,
}

/// Flags of `list`.
#[derive(Debug, Args)]
pub struct List {
    /// List the workload profiles that ship with the tool.
    #[arg(long)]
    pub profiles: bool,
    /// How to print.
    #[arg(long, value_enum, default_value = "table")]
    pub format: Format,
}

/// Flags of `variables`.
#[derive(Debug, Args)]
pub struct Variables {
    /// How to print.
    #[arg(long, value_enum, default_value = "table")]
    pub format: Format,
    /// Print only settings and variables whose name or path holds this text.
    #[arg(value_name = "TEXT")]
    pub filter: Option<String>,
}

/// How a list is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns.
    Table,
    /// A Markdown table.
    Markdown,
    /// JSON.
    Json,
}
