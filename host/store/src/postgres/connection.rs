use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::TryStreamExt as _;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgRow};
use sqlx::query::Query;
use sqlx::{Connection as _, Postgres, Row as _};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

use super::error::QueryError;
use super::server::{IDENTIFY, Newest, Server};
use crate::StoreError;

pub(super) type PgQuery<'q> = Query<'q, Postgres, PgArguments>;

/// The settings of every connection. The server cancels a statement a little before the host stops waiting for it. A commit
/// is durable when it is acknowledged, whatever the default of the database is. Plans depend on the indexes and not on
/// statistics, which a table that was just filled does not have. Every search follows the order of its index, and ends when
/// it has enough rows. Names mean the objects of the schema that the first connection found, and of the server: not those of a
/// schema that is created later and would come first, such as one with the name of this role, and not temporary ones. `$2` is
/// that schema; NULL for the first connection. Returns the server's process, the schema, whether the server is a standby, and
/// whether it is read-only.
const SET_UP: &str = "SELECT pg_backend_pid() AS process, set_config('statement_timeout', $1, false), \
     set_config('idle_in_transaction_session_timeout', $1, false), \
     set_config('synchronous_commit', \
         CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, \
         false), \
     set_config('search_path', \
         coalesce(quote_ident(coalesce($2::TEXT, current_schema()::TEXT)) || ', pg_temp', current_setting('search_path')), false), \
     set_config('plan_cache_mode', 'force_generic_plan', false), set_config('enable_seqscan', 'off', false), \
     set_config('enable_bitmapscan', 'off', false), set_config('enable_sort', 'off', false), \
     set_config('jit', 'off', false), \
     coalesce($2::TEXT, current_schema()::TEXT) AS schema, \
     pg_is_in_recovery() AS standby, current_setting('transaction_read_only') = 'on' AS read_only";

/// How a transaction ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    Commit,
    Rollback,
}

/// The state of a connection's last statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Done,
    /// It was sent, and its future may have been dropped before the answer was read.
    Sent,
    Failed,
}

/// The server that a store connects to. Another server may answer at its address after a failover. Cheap to clone.
#[derive(Clone)]
pub(super) struct Endpoint {
    options: PgConnectOptions,
    /// Counts the errors after which another server may answer. A connection is used only if there was none since it was
    /// opened, because only opening one checks the server.
    doubts: Arc<AtomicU64>,
    newest: Arc<Newest>,
    /// The schema, once a connection has found it.
    schema: Arc<OnceLock<String>>,
}

impl Endpoint {
    pub(super) fn new(options: PgConnectOptions) -> Self {
        Self { options, doubts: Arc::default(), newest: Arc::default(), schema: Arc::default() }
    }

    pub(super) fn options(&self) -> &PgConnectOptions {
        &self.options
    }
}

/// A connection to a primary, with a time limit for statements.
pub(super) struct Connection {
    inner: PgConnection,
    limit: Duration,
    state: State,
    in_transaction: bool,
    doubts: Arc<AtomicU64>,
    /// The doubts when it was opened.
    opened_at: u64,
    /// The server's process.
    process: i32,
}

/// Stops the statement of a connection.
const CANCEL: &str = "SELECT pg_cancel_backend($1)";

impl Connection {
    /// Opens a connection. A standby is refused, because it may lag behind the primary, and so are a read-only server and a
    /// primary from before a failover.
    pub(super) async fn open(endpoint: &Endpoint, limit: Duration) -> Result<Self, QueryError> {
        let doubts = Arc::clone(&endpoint.doubts);
        let opened_at = doubts.load(Ordering::Acquire);
        let connecting = timeout(limit, PgConnection::connect_with(&endpoint.options));
        let inner = connecting.await.map_err(|_| QueryError::TimedOut(limit))??;
        let mut connection =
            Self { inner, limit, state: State::Done, in_transaction: false, doubts, opened_at, process: 0 };
        let server_limit = (limit.as_millis() * 9 / 10).to_string();
        let server =
            connection.first(sqlx::query(SET_UP).bind(server_limit).bind(endpoint.schema.get())).await?;
        let server = server.ok_or(sqlx::Error::RowNotFound)?;
        if server.try_get("standby")? {
            return Err(QueryError::Standby);
        }
        if server.try_get("read_only")? {
            return Err(QueryError::ReadOnly);
        }
        connection.process = server.try_get("process")?;
        // The schema of a database without one is NULL: migrating says that.
        if let Some(schema) = server.try_get("schema")? {
            endpoint.schema.get_or_init(|| schema);
        }
        if let Some(server) = connection.identify().await?
            && endpoint.newest.check(server)?
        {
            connection.doubt_others();
        }
        Ok(connection)
    }

    /// Returns the server; `None` if it does not tell.
    async fn identify(&mut self) -> Result<Option<Server>, QueryError> {
        let row = match self.first(sqlx::query(IDENTIFY)).await {
            Err(error) if error.is_answer() => {
                // The role may not ask, or the server has no timelines.
                tracing::debug!(%error, "the server does not tell its timeline");
                self.state = State::Done;
                return Ok(None);
            }
            row => row?.ok_or(sqlx::Error::RowNotFound)?,
        };
        Ok(Some(Server { system: row.try_get("system")?, timeline: row.try_get("timeline")? }))
    }

    /// Has all other connections opened again: they may lead to an older server.
    fn doubt_others(&mut self) {
        let before = self.doubts.fetch_add(1, Ordering::AcqRel);
        if before == self.opened_at {
            self.opened_at += 1;
        }
    }

    /// Whether the connection can be used for another statement.
    pub(super) fn is_healthy(&self) -> bool {
        let is_trusted = self.opened_at == self.doubts.load(Ordering::Acquire);
        self.state == State::Done && !self.in_transaction && is_trusted
    }

    /// Records the outcome of a statement.
    fn done<T>(&mut self, outcome: Result<T, QueryError>) -> Result<T, QueryError> {
        self.state = if outcome.is_ok() { State::Done } else { State::Failed };
        if outcome.as_ref().is_err_and(QueryError::casts_doubt) {
            self.doubts.fetch_add(1, Ordering::AcqRel);
        }
        outcome
    }

    /// Returns all rows of the answer.
    pub(super) async fn all(&mut self, query: PgQuery<'_>) -> Result<Vec<PgRow>, QueryError> {
        self.map(query, |row| row).await
    }

    /// Returns all rows of the answer, each decoded while the next rows are received.
    pub(super) async fn map<T>(
        &mut self,
        query: PgQuery<'_>,
        decode: fn(PgRow) -> T,
    ) -> Result<Vec<T>, QueryError> {
        self.state = State::Sent;
        let rows = query.fetch(&mut self.inner).map_ok(decode).try_collect();
        let answer = timeout(self.limit, rows).await;
        self.done(answer.map_err(|_| QueryError::TimedOut(self.limit)).and_then(|rows| Ok(rows?)))
    }

    /// Returns the first row of the answer.
    pub(super) async fn first(&mut self, query: PgQuery<'_>) -> Result<Option<PgRow>, QueryError> {
        Ok(self.all(query).await?.into_iter().next())
    }

    /// Executes statements without parameters.
    pub(super) async fn batch(&mut self, statements: &'static str) -> Result<(), QueryError> {
        self.state = State::Sent;
        let running = sqlx::Executor::execute(&mut self.inner, sqlx::raw_sql(statements));
        let done = timeout(self.limit, running).await;
        self.done(done.map_err(|_| QueryError::TimedOut(self.limit)).and_then(|done| Ok(done.map(|_| ())?)))
    }

    /// Begins a transaction by executing these statements.
    pub(super) async fn begin(&mut self, statements: &'static str) -> Result<(), QueryError> {
        self.in_transaction = true;
        self.batch(statements).await
    }

    pub(super) async fn finish(&mut self, end: End) -> Result<(), QueryError> {
        self.batch(match end {
            End::Commit => "COMMIT",
            End::Rollback => "ROLLBACK",
        })
        .await?;
        self.in_transaction = false;
        Ok(())
    }

    /// Sets the time limit of later statements on this side, and returns the previous one. The server's limit stays.
    pub(super) fn set_limit(&mut self, limit: Duration) -> Duration {
        std::mem::replace(&mut self.limit, limit)
    }

    /// Stops the statement whose future was dropped, by another connection, and reads its answer. `None` if it does not
    /// arrive in time.
    async fn drain(mut self, endpoint: &Endpoint, idle: &Idle) -> Option<Self> {
        let other = idle.connections().pop();
        let other = match other {
            Some(other) => Some(other),
            None => Self::open(endpoint, self.limit).await.ok(),
        };
        if let Some(mut other) = other
            && other.all(sqlx::query(CANCEL).bind(self.process)).await.is_ok()
        {
            idle.put(other);
        }
        let answer = timeout(self.limit, self.inner.ping()).await.ok()?;
        if answer.is_err() {
            // That was the error of the stopped statement.
            timeout(self.limit, self.inner.ping()).await.ok()?.ok()?;
        }
        self.state = State::Done;
        Some(self)
    }

    pub(super) async fn close(self) {
        // If it fails, the server notices the closed socket.
        let _ = timeout(self.limit, self.inner.close()).await;
    }
}

/// A pool of connections, opened on demand.
pub(super) struct Connections {
    endpoint: Endpoint,
    limit: Duration,
    permits: Arc<Semaphore>,
    /// The number of permits.
    most: usize,
    idle: Arc<Idle>,
}

#[derive(Default)]
struct Idle {
    connections: Mutex<Vec<Connection>>,
    closed: AtomicBool,
}

impl Idle {
    fn put(&self, connection: Connection) {
        if !self.closed.load(Ordering::Acquire) {
            self.connections().push(connection);
        }
    }

    /// Returns the connection that was used last. Connections that must not be used any more are dropped.
    fn take(&self) -> Option<Connection> {
        let mut connections = self.connections();
        connections.retain(Connection::is_healthy);
        connections.pop()
    }

    fn connections(&self) -> parking_lot::MutexGuard<'_, Vec<Connection>> {
        self.connections.lock()
    }
}

impl Connections {
    pub(super) fn new(endpoint: Endpoint, limit: Duration, most: u32) -> Self {
        let most = most.max(1) as usize;
        Self { endpoint, limit, permits: Arc::new(Semaphore::new(most)), most, idle: Arc::default() }
    }

    /// Returns the number of connections.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// Waits until a connection is free and open.
    pub(super) async fn take(&self) -> Result<Lent<'_>, StoreError> {
        let taken = timeout(self.limit, self.take_in_time()).await;
        taken.map_err(|_| QueryError::TimedOut(self.limit))?
    }

    async fn take_in_time(&self) -> Result<Lent<'_>, StoreError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let idle = self.idle.take();
        let (reused, permit, connection) = match idle {
            Some(connection) => (true, permit, connection),
            None => {
                let (permit, connection) = self.open(permit).await?;
                (false, permit, connection)
            }
        };
        Ok(Lent { pool: self, connection: Some(connection), reused, permit: Some(permit) })
    }

    /// Opens a connection. If the caller is dropped meanwhile, the connection becomes idle.
    async fn open(
        &self,
        permit: OwnedSemaphorePermit,
    ) -> Result<(OwnedSemaphorePermit, Connection), QueryError> {
        let (endpoint, limit, idle) = (self.endpoint.clone(), self.limit, Arc::clone(&self.idle));
        let (sender, opened) = oneshot::channel();
        tokio::spawn(async move {
            let opened = Connection::open(&endpoint, limit).await.map(|connection| (permit, connection));
            if let Err(Ok((_permit, connection))) = sender.send(opened) {
                idle.put(connection);
            }
        });
        opened.await.unwrap_or(Err(QueryError::TimedOut(self.limit)))
    }

    /// Returns all rows of an answer. The query must be one that may be executed twice: it is repeated if the connection was
    /// lost or its server became read-only while it was idle, for example because the server was restarted.
    pub(super) async fn all<'q>(&self, query: impl Fn() -> PgQuery<'q>) -> Result<Vec<PgRow>, StoreError> {
        self.map(query, |row| row).await
    }

    /// Returns all rows of an answer, each decoded while the next rows are received; see [`Connections::all`].
    pub(super) async fn map<'q, T>(
        &self,
        query: impl Fn() -> PgQuery<'q>,
        decode: fn(PgRow) -> T,
    ) -> Result<Vec<T>, StoreError> {
        let mut lent = self.take().await?;
        Ok(lent.repeatable(query, decode).await?)
    }

    /// Returns the first row of an answer to a statement that changes something, and that may be executed twice.
    ///
    /// # Errors
    /// [`StoreError::OutcomeUnknown`] if it was sent and not answered.
    pub(super) async fn change<'q>(
        &self,
        query: impl Fn() -> PgQuery<'q>,
    ) -> Result<Option<PgRow>, StoreError> {
        let mut lent = self.take().await?;
        let rows = lent.repeatable(query, |row| row).await.map_err(QueryError::of_change)?;
        Ok(rows.into_iter().next())
    }

    /// Returns the first row of an answer; see [`Connections::all`].
    pub(super) async fn first<'q>(
        &self,
        query: impl Fn() -> PgQuery<'q>,
    ) -> Result<Option<PgRow>, StoreError> {
        Ok(self.all(query).await?.into_iter().next())
    }

    pub(super) async fn close(&self) {
        self.idle.closed.store(true, Ordering::Release);
        self.permits.close();
        let idle = std::mem::take(&mut *self.idle.connections());
        for connection in idle {
            connection.close().await;
        }
    }
}

/// A connection of [`Connections`]. It returns to the pool when dropped, unless it failed.
pub(super) struct Lent<'c> {
    pool: &'c Connections,
    connection: Option<Connection>,
    /// The connection was idle before.
    reused: bool,
    permit: Option<OwnedSemaphorePermit>,
}

impl Lent<'_> {
    pub(super) async fn all(&mut self, query: PgQuery<'_>) -> Result<Vec<PgRow>, QueryError> {
        self.map(query, |row| row).await
    }

    /// Returns all rows of the answer to a query that is repeated if the connection was lost while it was idle.
    async fn repeatable<'q, T>(
        &mut self,
        query: impl Fn() -> PgQuery<'q>,
        decode: fn(PgRow) -> T,
    ) -> Result<Vec<T>, QueryError> {
        match self.map(query(), decode).await {
            Err(error) if self.reused && error.casts_doubt() && !matches!(error, QueryError::TimedOut(_)) => {
                self.renew().await?;
                self.map(query(), decode).await
            }
            answer => answer,
        }
    }

    async fn map<T>(&mut self, query: PgQuery<'_>, decode: fn(PgRow) -> T) -> Result<Vec<T>, QueryError> {
        self.connection().await?.map(query, decode).await
    }

    /// Returns the connection, opened again if it was lost.
    pub(super) async fn connection(&mut self) -> Result<&mut Connection, QueryError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(&self.pool.endpoint, self.pool.limit).await?,
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
        if connection.is_healthy() {
            return self.pool.idle.put(connection);
        }
        // The caller was dropped, for example because its client disconnected. The server would execute the statement to its
        // end, so it is stopped. The connection stays open.
        if connection.state == State::Sent
            && !connection.in_transaction
            && let Ok(runtime) = Handle::try_current()
        {
            let (permit, idle) = (self.permit.take(), Arc::clone(&self.pool.idle));
            let endpoint = self.pool.endpoint.clone();
            runtime.spawn(async move {
                if let Some(connection) = connection.drain(&endpoint, &idle).await {
                    idle.put(connection);
                }
                drop(permit);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use forge_postgres::Server;

    use super::*;
    use crate::postgres::PostgresOptions;

    #[tokio::test]
    async fn a_statement_is_stopped_when_its_caller_is_gone() {
        let url = Server::shared().unwrap().create_database().unwrap();
        let endpoint = Endpoint::new(PostgresOptions::new(&url, "cancel").connect().unwrap());
        let readers = Connections::new(endpoint, Duration::from_secs(300), 1);
        let slow = readers.all(|| sqlx::query("SELECT pg_sleep(200)"));
        timeout(Duration::from_millis(100), slow).await.unwrap_err();
        // The only permit is free when the statement has ended.
        let next = readers.all(|| sqlx::query("SELECT 1"));
        timeout(Duration::from_secs(60), next).await.unwrap().unwrap();
        assert_eq!(readers.idle.connections().len(), 2, "both connections are open");
    }
}
