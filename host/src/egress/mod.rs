//! HTTP out: the only way in which a workflow touches the world.

mod client;
mod message;

pub use client::{Egress, EgressError};
pub use message::{Body, HttpRequest, HttpResponse};
