//! HTTP out: the only way in which a workflow touches the world.

mod address;
mod client;
mod connector;
#[cfg(test)]
mod forbidden;
mod guard;
mod hop;
mod message;
mod policy;
#[cfg(test)]
mod tests;

pub use address::{InvalidNetwork, Network};
pub use client::{Egress, EgressError};
pub use message::{Body, HttpRequest, HttpResponse};
pub(crate) use policy::server;
pub use policy::{Denied, InvalidRule, Policy, Rule};
