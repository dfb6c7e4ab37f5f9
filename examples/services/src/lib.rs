//! The services that the example workflows call: inventory, payments, users, customers and
//! mail, all in memory behind one small HTTP server.
//!
//! Two features serve tests of a workflow engine:
//!
//! - **Idempotency keys** ([`idempotency`]). Every request that changes data needs the header
//!   `Idempotency-Key`. The first request with a key performs its effect, a repeat gets the same response
//!   and performs nothing.
//! - **A ledger** ([`ledger`]) of every such request in order of arrival. With `GET /ledger` a test checks
//!   that each effect happened once.
//!
//! Tests can inject faults into later requests ([`faults`]): errors, delays, lost responses.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use forge_example_services::{Services, serve};
//!
//! let services = Services::default();
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! tokio::spawn(serve(listener, services.clone()));
//!
//! // Wait for the first charge without polling.
//! services.ledger.until(|entries| entries.iter().any(|e| e.effect == "charge_card")).await;
//! # Ok(()) }
//! ```
#![deny(missing_docs)]

pub mod answer;
pub mod customers;
pub mod effects;
pub mod faults;
pub mod idempotency;
pub mod inventory;
pub mod ledger;
pub mod mail;
pub mod payments;
pub mod users;

use std::io;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;

/// The state of all services. Clones share it.
#[derive(Clone, Default)]
pub struct Services(Arc<Resources>);

/// The shared state of [`Services`], with one field per module.
#[derive(Default)]
pub struct Resources {
    /// Stock levels and reservations.
    pub inventory: inventory::Inventory,
    /// Card charges.
    pub payments: payments::Payments,
    /// User accounts.
    pub users: users::Users,
    /// Customers of the payment provider.
    pub customers: customers::Customers,
    /// The messages that were sent.
    pub mail: mail::Mail,
    /// Every mutating request, in order of arrival.
    pub ledger: ledger::Ledger,
    /// The faults of later requests.
    pub faults: faults::Faults,
    /// The responses to earlier requests, by `Idempotency-Key`.
    pub keys: idempotency::Keys,
}

impl Deref for Services {
    type Target = Resources;

    fn deref(&self) -> &Resources {
        &self.0
    }
}

/// All routes of all resources.
pub fn router(services: Services) -> Router {
    Router::new()
        .merge(inventory::router(&services))
        .merge(payments::router(&services))
        .merge(users::router(&services))
        .merge(customers::router(&services))
        .merge(mail::router(&services))
        .merge(effects::router(&services))
        .merge(ledger::router())
        .merge(faults::router())
        .with_state(services)
}

/// Serves [`router`] on `listener` until the future is dropped.
pub async fn serve(listener: TcpListener, services: Services) -> io::Result<()> {
    // Answers are small: without this they wait for the client's delayed acknowledgement.
    let listener = listener.tap_io(|stream| _ = stream.set_nodelay(true));
    axum::serve(listener, router(services)).await
}

/// Locks a table. A handler that panicked while it held the lock spoils only its own request.
fn lock<T>(table: &Mutex<T>) -> MutexGuard<'_, T> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}
