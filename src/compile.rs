//! The pipeline: sources and layers become settings, a plan, objects and a bundle.
//!
//! Pure: no clock, no user name, no environment is read here or below; what a value names is read through [`World`].

use crate::bundle::{self, Bundle};
use crate::check;
use crate::credential;
use crate::error::{Diagnostic, Errors, Problem, Severity};
use crate::plan::run::Runs;
use crate::plan::{self, Plan};
use crate::render::{ReleasesAs, manifests};
use crate::scenario::World;
use crate::settings::resolve::{self, Inputs, Resolved};
use crate::source::Sources;

/// What a compilation comes to; every command reads the same one.
#[derive(Debug, Clone)]
pub struct Compilation {
    /// The settings and where they came from.
    pub resolved: Resolved,
    /// What is deployed.
    pub plan: Plan,
    /// What load is sent to it.
    pub runs: Runs,
    /// What is emitted.
    pub bundle: Bundle,
    /// What the user should know.
    pub notes: Vec<Diagnostic>,
}

/// What a compilation is asked for besides its inputs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// A word such as `auto` that a fallback stands for is an error.
    pub strict: bool,
    /// How Helm releases are part of the bundle.
    pub releases_as: ReleasesAs,
}

/// Compiles a scenario.
///
/// # Errors
/// Everything that is wrong in the first phase that something is wrong in.
pub fn compile(
    inputs: &Inputs,
    options: Options,
    world: &dyn World,
    sources: &mut Sources,
) -> Result<Compilation, Errors> {
    let resolved = resolve::resolve(inputs, world, sources)?;
    let plan = plan::plan(&resolved)?;
    let runs = plan::run::runs(&resolved, &plan, world, sources)?;
    let notes: Vec<Diagnostic> = resolved.notes.iter().chain(&plan.notes).chain(&runs.notes).cloned().collect();
    if options.strict {
        refuse_fallbacks(&notes)?;
    }
    let objects = manifests::objects(&resolved, &plan, &runs)?;
    let bundle = bundle::bundle(&resolved, &plan, &runs, options.releases_as, objects, sources)?;
    for file in &bundle.files {
        if let Some((_, kind)) = credential::find(&file.content) {
            let problem = Problem::Credential { place: format!("`{}`", file.path), kind };
            return Err(Diagnostic::error(problem, None).into());
        }
    }
    let values: Vec<_> = bundle.manifests.iter().map(|m| &m.object.value).collect();
    let namespace = &resolved.settings.namespace;
    let named = plan.servers().flat_map(|s| s.names_in_volumes());
    // Charts make the accounts of their pods.
    let accounts = plan.llmd.iter().flat_map(|l| &l.stacks).map(|s| ("ServiceAccount", s.name.as_str()));
    let outside = named.chain(accounts).map(|(kind, name)| format!("{kind} {namespace}/{name}")).collect();
    check::objects::check(&values, &outside)?;
    Ok(Compilation { resolved, plan, runs, bundle, notes })
}

fn refuse_fallbacks(notes: &[Diagnostic]) -> Result<(), Errors> {
    let fallbacks = notes
        .iter()
        .filter(|n| matches!(n.problem, Problem::Fallback { .. }))
        .map(|n| Diagnostic { severity: Severity::Error, ..n.clone() })
        .map(|d| d.with_hint("`--strict` takes no fallback; set a value"))
        .collect();
    Errors(fallbacks).into_result()
}
