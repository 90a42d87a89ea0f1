//! Writes what a compilation made. Nothing else of the library writes, and only [`inflate`] runs another program.

pub mod directory;
pub mod inflate;
pub mod stream;
