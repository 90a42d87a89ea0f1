//! The pipeline: sources and layers become settings, a plan, objects and a bundle.
//!
//! Pure: no clock, no user name, no environment is read here or below; what a value names is read through [`World`].

use crate::bundle::{self, Bundle};
use crate::check;
use crate::credential;
use crate::error::{Diagnostic, Errors, Problem, Severity};
use crate::plan::{self, Plan};
use crate::render::manifests;
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
    /// What is emitted.
    pub bundle: Bundle,
    /// What the user should know.
    pub notes: Vec<Diagnostic>,
}

/// Compiles a scenario. With `strict`, a word such as `auto` that a fallback stands for is an error.
///
/// # Errors
/// Everything that is wrong in the first phase that something is wrong in.
pub fn compile(inputs: &Inputs, strict: bool, world: &dyn World, sources: &mut Sources) -> Result<Compilation, Errors> {
    let resolved = resolve::resolve(inputs, world, sources)?;
    let plan = plan::plan(&resolved)?;
    let notes: Vec<Diagnostic> = resolved.notes.iter().chain(&plan.notes).cloned().collect();
    if strict {
        refuse_fallbacks(&notes)?;
    }
    let objects = manifests::objects(&resolved, &plan)?;
    let bundle = bundle::bundle(&resolved, &plan, objects, sources)?;
    for file in &bundle.files {
        if let Some((_, kind)) = credential::find(&file.content) {
            let problem = Problem::Credential { place: format!("`{}`", file.path), kind };
            return Err(Diagnostic::error(problem, None).into());
        }
    }
    let values: Vec<_> = bundle.manifests.iter().map(|m| &m.object.value).collect();
    check::objects::check(&values)?;
    Ok(Compilation { resolved, plan, bundle, notes })
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
