use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::connection::{Connection, Connections, Endpoint};
use super::decode::Columns;
use super::exposure;
use super::lease::{self, Identity, Lease};
use super::migrate::{cannot_open, connect, migrate};
use super::notifications::{self, Notifier};
use super::options::PostgresOptions;
use super::pooler;
use super::{PostgresStore, Shared};
use crate::StoreError;
use forge_clock::Monotonic;
use forge_scheduling::Attempts;

/// Returns the channel of this schema: other schemas of the database may have nodes of their own.
const CHANNEL: &str = "SELECT 'forge_' || current_schema()::regnamespace::oid";

impl PostgresStore {
    /// Connects, applies pending migrations, and registers this process under the node name of the options. Another process
    /// with this name loses its lease. Must be called within a Tokio runtime; tasks there renew the lease.
    ///
    /// # Errors
    /// [`StoreError`] if the database cannot be reached or used, or a newer version has written it.
    pub async fn open(options: &PostgresOptions) -> Result<Self, StoreError> {
        let (endpoint, limit) = (Endpoint::new(options.connect()?), options.timeout);
        let database = options.url.to_string();
        let mut connection = connect(&endpoint, &database, limit).await?;
        let failed = |error| cannot_open(&database, error);
        pooler::refuse(&mut connection, &endpoint, limit).await.map_err(failed)?;
        migrate(&mut connection, &database).await?;
        exposure::warn(&mut connection, endpoint.options()).await.map_err(failed)?;
        let channel = connection.first(sqlx::query(CHANNEL)).await.map_err(failed)?;
        let channel = match &channel {
            Some(row) => Columns::new("a schema", row).string()?,
            None => "forge".to_owned(),
        };
        // Before the registration, so that the node misses no message.
        let listener = notifications::connect(endpoint.options(), &channel, limit).await.map_err(failed)?;
        let identity = Identity::new(options);
        let sent = Monotonic::now();
        let epoch =
            lease::register(&mut connection, &channel, &identity).await.map_err(|error| match error {
                StoreError::Unavailable(why) => StoreError::CannotOpen { database: database.clone(), why },
                error => error,
            })?;
        connection.close().await;

        let (notifications, receiver) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            notifier: Notifier::new(epoch, channel),
            readers: Connections::new(endpoint.clone(), limit, options.connections),
            writer: tokio::sync::Mutex::default(),
            endpoint: endpoint.clone(),
            limit,
            lease: watch::Sender::new(Lease::since(sent, epoch, &identity)),
            outcome_unknown: AtomicBool::new(false),
            fencing_off: Attempts::default(),
            lost_claim: AtomicBool::new(false),
            notifications,
            receiver: Mutex::new(Some(receiver)),
            responded: watch::Sender::new(()),
            directory_revision: Mutex::default(),
            replaced: Notify::new(),
            returned: Mutex::new(HashSet::new()),
        });
        // A slow statement must not delay the next renewal beyond the lease.
        let renewal_limit = limit.min(identity.lease);
        let renewing = Connection::open(&endpoint, renewal_limit).await.map_err(failed)?;
        let stop = CancellationToken::new();
        let keeping = lease::keep(Arc::clone(&shared), identity, renewing, renewal_limit);
        tokio::spawn(stop.clone().run_until_cancelled_owned(keeping));
        let listening = notifications::listen(Arc::clone(&shared), limit, listener);
        tokio::spawn(stop.clone().run_until_cancelled_owned(listening));
        Ok(Self { shared, stop: stop.drop_guard() })
    }
}
