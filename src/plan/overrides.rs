//! The user's own Helm values for llm-d-modelservice, checked against the contract of its version.

use super::Planner;
use crate::charts::contract::Modelservice;
use crate::charts::overrides::Overrides;
use crate::error::Diagnostic;
use crate::settings::helm::{Path, Step};
use crate::settings::payload::{Fragment, Tree};
use crate::settings::template::Scope;
use crate::source::Span;

impl Planner<'_> {
    /// What the user adds to the values of one stack; errors are collected.
    pub(super) fn overrides(&mut self, scope: &dyn Scope, chart: Modelservice) -> Overrides {
        let s = &self.resolved.settings.modelservice;
        let [file, sets] = ["modelservice.valuesFile", "modelservice.additionalSets"].map(|p| self.resolved.span(p));
        let values = match s.values_file.expand(scope) {
            Ok(values) => values,
            Err(problem) => {
                self.once(Diagnostic::error(problem, file));
                return Overrides::default();
            }
        };
        let overrides = Overrides { values, sets: s.additional_sets.0.clone() };
        for (path, problem, hint) in overrides.refused(chart.0, s.multinode.0) {
            let diagnostic = Diagnostic::error(problem, place(&s.values_file, &path).or(sets).or(file));
            self.once(match hint {
                Some(hint) => diagnostic.with_hint(hint),
                None => diagnostic,
            });
        }
        overrides
    }
}

/// Where the key of a path stands in a file of values.
fn place(values: &Fragment, path: &Path) -> Option<Span> {
    let (Step::Key(first), rest) = path.0.split_first()? else { return None };
    let pair = values.0.iter().find(|p| p.key == *first)?;
    let (mut tree, mut span) = (&pair.value, pair.span);
    for step in rest {
        match (step, tree) {
            (Step::Key(key), Tree::Map(pairs)) => {
                let pair = pairs.iter().find(|p| p.key == *key)?;
                (tree, span) = (&pair.value, pair.span);
            }
            (Step::Index(n), Tree::List(items)) => tree = items.get(*n)?,
            _ => return None,
        }
    }
    Some(span)
}
