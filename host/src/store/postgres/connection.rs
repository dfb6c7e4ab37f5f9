use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgRow};
use sqlx::query::Query;
use sqlx::{Connection as _, Postgres};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::error::QueryError;
use crate::store::StoreError;

pub(super) type PgQuery<'q> = Query<'q, Postgres, PgArguments>;

/// What every connection needs. The server ends a statement a little before the host gives it up. An answer
/// means that a change is durable, whatever the database's default is. Plans depend on the indexes and not on
/// statistics, which a table that has just been filled does not have.
const SET_UP: &str = "SELECT set_config('statement_timeout', $1, false), \
     set_config('idle_in_transaction_session_timeout', $1, false), \
     set_config('synchronous_commit', \
         CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, \
         false), \
     set_config('plan_cache_mode', 'force_generic_plan', false), set_config('enable_seqscan', 'off', false), \
     set_config('jit', 'off', false)";

/// How a transaction ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    Commit,
    Rollback,
}

/// A connection on which no statement takes longer than it may.
pub(super) struct Connection {
    inner: PgConnection,
    limit: Duration,
    /// The last statement was answered. If not, the connection is of no use: the answer may still come.
    healthy: bool,
    /// It is in a transaction.
    busy: bool,
}

impl Connection {
    pub(super) async fn open(options: &PgConnectOptions, limit: Duration) -> Result<Self, QueryError> {
        let connecting = timeout(limit, PgConnection::connect_with(options));
        let inner = connecting.await.map_err(|_| QueryError::TimedOut(limit))??;
        let mut connection = Self { inner, limit, healthy: true, busy: false };
        let server_limit = (limit.as_millis() * 9 / 10).to_string();
        connection.all(sqlx::query(SET_UP).bind(server_limit)).await?;
        Ok(connection)
    }

    /// Whether somebody else may use it.
    pub(super) fn is_healthy(&self) -> bool {
        self.healthy && !self.busy
    }

    /// All rows of the answer.
    pub(super) async fn all(&mut self, query: PgQuery<'_>) -> Result<Vec<PgRow>, QueryError> {
        // Whoever waits for this may stop waiting.
        self.healthy = false;
        let answer = timeout(self.limit, query.fetch_all(&mut self.inner)).await;
        let rows = answer.map_err(|_| QueryError::TimedOut(self.limit))??;
        self.healthy = true;
        Ok(rows)
    }

    /// The first row of the answer.
    pub(super) async fn first(&mut self, query: PgQuery<'_>) -> Result<Option<PgRow>, QueryError> {
        Ok(self.all(query).await?.into_iter().next())
    }

    /// Statements without parameters, one after the other.
    pub(super) async fn batch(&mut self, statements: &'static str) -> Result<(), QueryError> {
        self.healthy = false;
        let running = sqlx::Executor::execute(&mut self.inner, sqlx::raw_sql(statements));
        timeout(self.limit, running).await.map_err(|_| QueryError::TimedOut(self.limit))??;
        self.healthy = true;
        Ok(())
    }

    /// Begins a transaction with these statements.
    pub(super) async fn begin(&mut self, statements: &'static str) -> Result<(), QueryError> {
        self.busy = true;
        self.batch(statements).await
    }

    pub(super) async fn finish(&mut self, end: End) -> Result<(), QueryError> {
        self.batch(match end {
            End::Commit => "COMMIT",
            End::Rollback => "ROLLBACK",
        })
        .await?;
        self.busy = false;
        Ok(())
    }

    pub(super) async fn close(self) {
        // The database notices either way.
        let _ = timeout(self.limit, self.inner.close()).await;
    }
}

/// Connections that are made when they are needed, and kept.
pub(super) struct Connections {
    options: PgConnectOptions,
    limit: Duration,
    places: Semaphore,
    idle: Mutex<Vec<Connection>>,
    closed: AtomicBool,
}

impl Connections {
    pub(super) fn new(options: PgConnectOptions, limit: Duration, most: u32) -> Self {
        let places = Semaphore::new(most.max(1) as usize);
        Self { options, limit, places, idle: Mutex::default(), closed: AtomicBool::new(false) }
    }

    /// Waits until one is free.
    pub(super) async fn take(&self) -> Result<Lent<'_>, StoreError> {
        let place = timeout(self.limit, self.places.acquire()).await;
        let place = place.map_err(|_| StoreError::from(QueryError::TimedOut(self.limit)))?;
        let place = place.map_err(|_| StoreError::Closed)?;
        let idle = self.idle().pop();
        let reused = idle.is_some();
        let connection = match idle {
            Some(connection) => connection,
            None => Connection::open(&self.options, self.limit).await?,
        };
        Ok(Lent { pool: self, connection: Some(connection), reused, _place: place })
    }

    /// All rows of an answer. The query is one that may be asked twice: it is, if the server was
    /// restarted since the connection was made.
    pub(super) async fn all<'q>(&self, query: impl Fn() -> PgQuery<'q>) -> Result<Vec<PgRow>, StoreError> {
        let mut lent = self.take().await?;
        match lent.all(query()).await {
            Ok(rows) => Ok(rows),
            Err(error) if lent.reused && error.is_lost() && !matches!(error, QueryError::TimedOut(_)) => {
                // The others are as old as this one.
                self.idle().clear();
                lent.renew().await?;
                Ok(lent.all(query()).await?)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The first row of an answer; see [`Connections::all`].
    pub(super) async fn first<'q>(
        &self,
        query: impl Fn() -> PgQuery<'q>,
    ) -> Result<Option<PgRow>, StoreError> {
        Ok(self.all(query).await?.into_iter().next())
    }

    pub(super) async fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.places.close();
        let idle = std::mem::take(&mut *self.idle());
        for connection in idle {
            connection.close().await;
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection of [`Connections`], which gets it back unless something went wrong with it.
pub(super) struct Lent<'c> {
    pool: &'c Connections,
    connection: Option<Connection>,
    /// It was made for an earlier use.
    reused: bool,
    _place: SemaphorePermit<'c>,
}

impl Lent<'_> {
    pub(super) async fn all(&mut self, query: PgQuery<'_>) -> Result<Vec<PgRow>, QueryError> {
        self.connection().await?.all(query).await
    }

    /// The connection, made anew if it is gone.
    pub(super) async fn connection(&mut self) -> Result<&mut Connection, QueryError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(&self.pool.options, self.pool.limit).await?,
        };
        Ok(self.connection.insert(connection))
    }

    async fn renew(&mut self) -> Result<(), QueryError> {
        self.connection = None;
        self.reused = false;
        self.connection().await.map(|_| ())
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        if connection.is_healthy() && !self.pool.closed.load(Ordering::Acquire) {
            self.pool.idle().push(connection);
        }
    }
}
