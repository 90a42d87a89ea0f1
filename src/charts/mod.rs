//! Versions that the tool vouches for.

pub mod catalogue;
pub mod contract;
pub mod presets;
