//! Which servers may be reached: address ranges, rules and the policy made of them.

mod address;
mod policy;

pub use address::{InvalidNetwork, Network};
pub(crate) use policy::server;
pub use policy::{Denied, InvalidRule, Policy, Rule};
