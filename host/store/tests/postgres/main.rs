//! Tests of the PostgreSQL store beyond those of every store (`store.rs`): several nodes, failing servers, and the interface
//! for other programs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod claims;
mod db;
mod failover;
mod faults;
mod fencing;
mod maintenance;
mod notifications;
mod pooler;
mod proxy;
mod requests;
mod schema;
mod support;
mod tls;
