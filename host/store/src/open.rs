use std::sync::Arc;

use super::database::{Database, LogLimits, NodeConfig};
use super::postgres::{PostgresOptions, PostgresStore};
use super::sqlite::SqliteStore;
use super::{Store, StoreError};

/// Opens a database as this node, and applies pending migrations.
///
/// # Errors
/// [`StoreError`] if the database cannot be opened.
pub async fn open(
    database: &Database,
    node: &NodeConfig,
    log: LogLimits,
) -> Result<Arc<dyn Store>, StoreError> {
    Ok(match database {
        Database::Sqlite(path) => Arc::new(SqliteStore::open_with(path, log).await?),
        Database::Postgres(url) => {
            let NodeConfig { name, lease, connections, timeout } = node.clone();
            let options = PostgresOptions { url: url.clone(), node: name, lease, connections, timeout };
            Arc::new(PostgresStore::open(&options).await?)
        }
    })
}

/// Applies pending migrations, and returns their versions.
///
/// # Errors
/// [`StoreError`] if the database cannot be opened or changed.
pub async fn migrate(database: &Database) -> Result<Vec<i32>, StoreError> {
    match database {
        Database::Sqlite(path) => {
            let (store, applied) = SqliteStore::open_and_migrate(path, LogLimits::default()).await?;
            store.close().await;
            Ok(applied)
        }
        Database::Postgres(url) => PostgresStore::migrate(url.clone()).await,
    }
}
