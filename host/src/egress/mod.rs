//! HTTP out: the only way in which a workflow touches the world.

mod address;
mod client;
mod connections;
mod connector;
#[cfg(test)]
mod forbidden;
mod guard;
mod headers;
mod hop;
mod message;
mod policy;
#[cfg(test)]
mod reuse;
#[cfg(test)]
mod secrecy;
#[cfg(test)]
mod tests;
mod tls;
mod traffic;

pub use address::{InvalidNetwork, Network};
pub use client::Egress;
pub use guard::Lookups;
pub use message::{Body, HttpRequest, HttpResponse};
pub(crate) use policy::server;
pub use policy::{Denied, InvalidRule, Policy, Rule};
pub use tls::{EgressError, Tls};
