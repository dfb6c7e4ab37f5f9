//! The SDK's sources, as this binary brings them along.

/// Their names below `.forge/`, and their text. The build script lists them.
pub(super) const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/sdk.rs"));
