//! `list`: the scenarios and workload profiles at hand.

use super::{cli, input, print, table};
use crate::error::Errors;
use crate::plan::profiles;
use crate::source::Sources;

pub(super) fn run(args: &cli::List, _: &mut Sources) -> Result<(), Errors> {
    if args.profiles {
        let row = |p: &profiles::Shipped| vec![p.harness.to_owned(), p.name.to_owned(), about(p.text)];
        let rows: Vec<_> = profiles::shipped().iter().map(row).collect();
        return print(&table::show(args.format, &["load generator", "profile", "about"], &rows));
    }
    let mut rows = Vec::new();
    for path in input::own() {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        rows.push(vec![path.file_stem().unwrap_or_default().to_owned(), path.to_string(), about(&text)]);
    }
    let mut shipped: Vec<_> = input::SHIPPED.files().collect();
    shipped.sort_by_key(|f| f.path());
    for file in shipped {
        let name = file.path().file_stem().and_then(|n| n.to_str()).unwrap_or_default();
        if rows.iter().all(|r| r[0] != name) {
            rows.push(vec![name.to_owned(), "shipped".into(), about(file.contents_utf8().unwrap_or_default())]);
        }
    }
    print(&table::show(args.format, &["name", "from", "about"], &rows))
}

/// What the first comment of a scenario says.
fn about(text: &str) -> String {
    text.lines()
        .map_while(|l| l.strip_prefix('#'))
        .map(str::trim)
        .find(|l| !l.is_empty() && !l.starts_with('!'))
        .unwrap_or("")
        .trim_end_matches('.')
        .to_owned()
}
