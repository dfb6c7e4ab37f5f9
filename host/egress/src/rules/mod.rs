//! The rules on which servers workflows reach: ranges of addresses, rules for servers, and the policy.

mod address;
mod policy;

pub use address::{InvalidNetwork, Network};
pub(crate) use policy::server;
pub use policy::{Denied, InvalidRule, Policy, Rule};
