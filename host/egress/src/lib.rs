//! HTTP out: the only way in which a workflow touches the world, and the secrets that its requests may use.

mod client;
mod connections;
mod connector;
#[cfg(test)]
mod forbidden;
mod guard;
mod headers;
mod hop;
mod limits;
#[cfg(test)]
mod reuse;
mod rules;
#[cfg(test)]
mod secrecy;
pub mod secrets;
#[cfg(test)]
mod tests;
mod tls;
mod traffic;

pub use client::Egress;
pub use guard::Lookups;
pub use limits::EgressLimits;
pub use rules::{Denied, InvalidNetwork, InvalidRule, Network, Policy, Rule};
pub use tls::{EgressError, Tls};
