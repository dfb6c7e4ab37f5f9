//! Egress: the HTTP requests of workflows, the rules on which servers they reach, and the secrets that they use.

mod client;
#[cfg(test)]
mod connection_reuse;
mod connections;
mod connector;
mod content_encoding;
#[cfg(test)]
mod dead_addresses;
mod departure;
mod guard;
mod headers;
mod hop;
mod inspection;
mod limits;
mod race;
mod responses;
#[cfg(test)]
mod revocation;
mod rules;
#[cfg(test)]
mod secret_redaction;
pub mod secrets;
#[cfg(test)]
mod ssrf;
mod terms;
#[cfg(test)]
mod tests;
mod tls;
#[cfg(test)]
mod tls_servers;
mod traffic;
mod wire;
mod workers;

pub use client::Egress;
pub use departure::{MayLeave, Withheld};
pub use guard::Lookups;
pub use limits::EgressLimits;
pub use responses::Responses;
pub use rules::{Denied, InvalidNetwork, InvalidRule, Network, Policy, Rule};
pub use tls::{EgressError, Tls};
pub use workers::Workers;
