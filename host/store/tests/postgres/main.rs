//! What the PostgreSQL store does beyond what every store must (`store.rs`): several nodes, servers that fail, and
//! what other programs see.

#![allow(clippy::unwrap_used, clippy::panic)]

mod claims;
mod faults;
mod fencing;
mod maintenance;
mod notifications;
mod proxy;
mod requests;
mod schema;
mod support;
mod tls;
