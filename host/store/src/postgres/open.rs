use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::connection::{Connection, Connections};
use super::decode::Columns;
use super::lease::{self, Identity};
use super::migrate::{cannot_open, connect, migrate};
use super::notices::{self, Notifier};
use super::options::PostgresOptions;
use super::{PostgresStore, Shared};
use crate::StoreError;

/// The channel of this schema: a database may have more than one Forge.
const CHANNEL: &str = "SELECT 'forge_' || current_schema()::regnamespace::oid";

impl PostgresStore {
    /// Connects, brings the schema up to date, and makes this process the node that the options name: a process
    /// that has the name loses it. Call it within a Tokio runtime, in which the node keeps its lease.
    ///
    /// # Errors
    /// [`StoreError`] if the database cannot be reached or used, or is from a newer version.
    pub async fn open(options: &PostgresOptions) -> Result<Self, StoreError> {
        let (connect_options, limit) = (options.connect()?, options.timeout);
        let database = options.url.to_string();
        let mut connection = connect(&connect_options, &database, limit).await?;
        migrate(&mut connection, &database).await?;
        let failed = |error| cannot_open(&database, error);
        let channel = connection.first(sqlx::query(CHANNEL)).await.map_err(failed)?;
        let channel = match &channel {
            Some(row) => Columns::new("a schema", row).text()?.to_string(),
            None => "forge".to_owned(),
        };
        // First, so that nothing that happens from the node's first moment on is missed.
        let listener = notices::connect(&connect_options, &channel, limit).await.map_err(failed)?;
        let identity = Identity::new(options);
        let epoch =
            lease::register(&mut connection, &channel, &identity).await.map_err(|error| match error {
                StoreError::Unavailable(why) => StoreError::CannotOpen { database: database.clone(), why },
                error => error,
            })?;
        connection.close().await;

        let (notices, heard) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            voice: Notifier::new(epoch, channel),
            readers: Connections::new(connect_options.clone(), limit, options.connections),
            writer: tokio::sync::Mutex::default(),
            options: connect_options.clone(),
            limit,
            doubtful: AtomicBool::new(false),
            lost_claim: AtomicBool::new(false),
            notices,
            heard: Mutex::new(Some(heard)),
            answered: watch::Sender::new(()),
            replaced: Notify::new(),
            given: Mutex::new(HashSet::new()),
        });
        // Beats may not be late because a statement is.
        let beat_limit = limit.min(identity.lease);
        let beating = Connection::open(&connect_options, beat_limit).await.map_err(failed)?;
        let stop = CancellationToken::new();
        let keeping =
            lease::keep(Arc::clone(&shared), identity, connect_options.clone(), beating, beat_limit);
        tokio::spawn(stop.clone().run_until_cancelled_owned(keeping));
        let listening = notices::listen(Arc::clone(&shared), connect_options, limit, listener);
        tokio::spawn(stop.clone().run_until_cancelled_owned(listening));
        Ok(Self { shared, stop: stop.drop_guard() })
    }
}
