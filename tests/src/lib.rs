//! The helpers of the end-to-end tests in `tests/`.
//!
//! A test goes through the real binary and real HTTP: [`Host`] is a `forge serve` process that can be
//! killed and started again, [`Services`] are what the workflows call, and count every effect,
//! [`Api`] is a client of the host, [`Cli`] runs its other commands, [`Terminal`] runs them as a person sees them,
//! [`Database`] reads its file with plain SQL.
//! Workflows are mostly written as programs ([`program`]) for one guest that interprets them.
//!
//! - `FORGE_SEED=n cargo test -p forge-tests` repeats a test with the seed that it printed
//! - `FORGE_BINARY=path cargo test -p forge-tests` tests another binary than the one of this repository
//!
//! The helpers do not return errors: they panic with a message that says what was expected.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "all of this runs in tests")]

mod api;
pub mod binary;
mod cli;
pub mod clients;
mod clock;
mod cluster;
pub mod components;
mod crashes;
mod database;
mod described;
mod eventually;
mod execution;
pub mod expensive_components;
mod guests;
mod host;
pub mod limited_host;
mod live;
pub mod parts;
pub mod payments;
mod process;
mod proxy;
pub mod random;
pub mod raw_service;
mod services;
mod shim;
mod stepped_clock;
mod terminal;
mod watched_store;

pub use api::{Answer, Api, choose_tls};
pub use cli::{Cli, Output};
pub use cluster::{Cluster, ClusterBuilder};
pub use crashes::{Crashes, Kill};
pub use database::{Argument, Database};
pub use eventually::{PATIENCE, eventually, eventually_some};
pub use execution::Execution;
pub use guests::{component, example};
pub use host::{Host, HostBuilder, Refused};
pub use limited_host::LimitedHost;
pub use live::{LiveSocket, Replica, is_as_documented};
pub use parts::Parts;
pub use process::{Log as ProcessLog, Process};
pub use program;
pub use proxy::Proxy;
pub use services::Services;
pub use shim::{failing_writes, skewed_clock};
pub use stepped_clock::SteppedClock;
pub use terminal::Terminal;
pub use watched_store::{Watch, WatchedStore};
