//! Where scenarios come from, and their shell language.

pub mod shell;

use camino::Utf8Path;

/// The one door through which a compilation reads what a value names: the files of argument lists and environment lists.
pub trait World {
    /// The text of a file, relative to where the user stands.
    ///
    /// # Errors
    /// What the operating system says.
    fn read(&self, path: &Utf8Path) -> std::io::Result<String>;
}
