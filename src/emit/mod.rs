//! Writes what a compilation made. Nothing else of the library writes.

pub mod directory;
pub mod stream;
