use std::sync::Arc;

use super::sqlite::SqliteStore;
use super::{Store, StoreError};
use crate::config::{Database, NodeConfig};

/// What became of a database's schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated {
    /// Its version now.
    pub version: i64,
    /// What was applied to come there.
    pub applied: Vec<i64>,
}

/// Opens a database as this node, and brings its schema up to date.
///
/// # Errors
/// [`StoreError`] if it cannot be opened.
pub async fn open(database: &Database, node: &NodeConfig) -> Result<Arc<dyn Store>, StoreError> {
    Ok(match database {
        Database::Sqlite(path) => Arc::new(SqliteStore::open(path).await?),
        Database::Postgres(url) => todo!(),
    })
}

/// Brings a database's schema up to date, and does nothing else.
///
/// # Errors
/// [`StoreError`] if it cannot be opened or changed.
pub async fn migrate(database: &Database, node: &NodeConfig) -> Result<Migrated, StoreError> {
    match database {
        Database::Sqlite(path) => {
            let (store, migrated) = SqliteStore::open_and_migrate(path).await?;
            store.close().await;
            Ok(migrated)
        }
        Database::Postgres(url) => todo!(),
    }
}
