//! Versions that the tool vouches for.

pub mod catalogue;
