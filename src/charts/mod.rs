//! Versions that the tool vouches for.

pub mod catalogue;
pub mod contract;
pub mod keys;
pub mod overrides;
pub mod presets;
