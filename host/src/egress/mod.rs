//! HTTP out: the only way in which a workflow touches the world.

mod client;
mod connector;
mod hop;
mod message;
#[cfg(test)]
mod tests;

pub use client::{Egress, EgressError};
pub use message::{Body, HttpRequest, HttpResponse};
