//! The shipped editions of the defaults. Adding one is adding its file and its row.

/// An edition.
#[derive(Debug, Clone, Copy)]
pub struct Edition {
    /// Its name, a month.
    pub name: &'static str,
    /// Its file, as YAML.
    pub text: &'static str,
}

impl Edition {
    /// What the file is called in messages and in `bundle.json`.
    pub fn file_name(&self) -> String {
        format!("scenarios/defaults/{}.yaml", self.name)
    }
}

/// The original of August 2025.
pub const OLD: &str = "2025-08";
/// The original of March 2026.
pub const LATER: &str = "2026-03";

/// All editions, oldest first; the last is the current one.
pub static ALL: &[Edition] = &[
    Edition { name: OLD, text: include_str!("../../scenarios/defaults/2025-08.yaml") },
    Edition { name: LATER, text: include_str!("../../scenarios/defaults/2026-03.yaml") },
    Edition { name: "2026-11", text: include_str!("../../scenarios/defaults/2026-11.yaml") },
];

/// The edition of a scenario that names none.
pub fn current() -> &'static Edition {
    &ALL[ALL.len() - 1]
}

/// The edition of this name.
pub fn find(name: &str) -> Option<&'static Edition> {
    ALL.iter().find(|e| e.name == name)
}

/// The names, for a message.
pub fn known() -> String {
    ALL.iter().map(|e| format!("`{}`", e.name)).collect::<Vec<_>>().join(", ")
}
