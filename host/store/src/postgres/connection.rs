use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::TryStreamExt as _;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgRow};
use sqlx::query::Query;
use sqlx::{Connection as _, Postgres};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

use super::error::QueryError;
use crate::StoreError;

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

/// What became of a connection's last statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Answered,
    /// It may still be under way: whoever asked has not waited for the answer.
    Asked,
    Failed,
}

/// A connection on which no statement takes longer than it may.
pub(super) struct Connection {
    inner: PgConnection,
    limit: Duration,
    state: State,
    /// It is in a transaction.
    busy: bool,
}

impl Connection {
    pub(super) async fn open(options: &PgConnectOptions, limit: Duration) -> Result<Self, QueryError> {
        let connecting = timeout(limit, PgConnection::connect_with(options));
        let inner = connecting.await.map_err(|_| QueryError::TimedOut(limit))??;
        let mut connection = Self { inner, limit, state: State::Answered, busy: false };
        let server_limit = (limit.as_millis() * 9 / 10).to_string();
        connection.all(sqlx::query(SET_UP).bind(server_limit)).await?;
        Ok(connection)
    }

    /// Whether somebody else may use it.
    pub(super) fn is_healthy(&self) -> bool {
        self.state == State::Answered && !self.busy
    }

    /// All rows of the answer.
    pub(super) async fn all(&mut self, query: PgQuery<'_>) -> Result<Vec<PgRow>, QueryError> {
        self.map(query, |row| row).await
    }

    /// All rows of the answer, each as what is made of it while the next ones are on their way.
    pub(super) async fn map<T>(
        &mut self,
        query: PgQuery<'_>,
        decode: fn(PgRow) -> T,
    ) -> Result<Vec<T>, QueryError> {
        // Whoever waits for this may stop waiting.
        self.state = State::Asked;
        let rows = query.fetch(&mut self.inner).map_ok(decode).try_collect();
        let answer = timeout(self.limit, rows).await;
        self.state = State::Failed;
        let rows = answer.map_err(|_| QueryError::TimedOut(self.limit))??;
        self.state = State::Answered;
        Ok(rows)
    }

    /// The first row of the answer.
    pub(super) async fn first(&mut self, query: PgQuery<'_>) -> Result<Option<PgRow>, QueryError> {
        Ok(self.all(query).await?.into_iter().next())
    }

    /// Statements without parameters, one after the other.
    pub(super) async fn batch(&mut self, statements: &'static str) -> Result<(), QueryError> {
        self.state = State::Asked;
        let running = sqlx::Executor::execute(&mut self.inner, sqlx::raw_sql(statements));
        let done = timeout(self.limit, running).await;
        self.state = State::Failed;
        done.map_err(|_| QueryError::TimedOut(self.limit))??;
        self.state = State::Answered;
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

    /// Statements may take so long from now on, on this side: the server's own limit stays. Gives what was before.
    pub(super) fn set_limit(&mut self, limit: Duration) -> Duration {
        std::mem::replace(&mut self.limit, limit)
    }

    /// Waits for the answer that nobody has waited for; `None` if it does not come.
    async fn settle(mut self) -> Option<Self> {
        timeout(self.limit, self.inner.ping()).await.ok()?.ok()?;
        self.state = State::Answered;
        Some(self)
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
    places: Arc<Semaphore>,
    idle: Arc<Idle>,
}

/// Those that nobody uses.
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

    fn connections(&self) -> parking_lot::MutexGuard<'_, Vec<Connection>> {
        self.connections.lock()
    }
}

impl Connections {
    pub(super) fn new(options: PgConnectOptions, limit: Duration, most: u32) -> Self {
        let places = Arc::new(Semaphore::new(most.max(1) as usize));
        Self { options, limit, places, idle: Arc::default() }
    }

    /// Waits until one is free.
    pub(super) async fn take(&self) -> Result<Lent<'_>, StoreError> {
        let place = timeout(self.limit, Arc::clone(&self.places).acquire_owned()).await;
        let place = place.map_err(|_| StoreError::from(QueryError::TimedOut(self.limit)))?;
        let place = place.map_err(|_| StoreError::Closed)?;
        let idle = self.idle.connections().pop();
        let (reused, place, connection) = match idle {
            Some(connection) => (true, place, connection),
            None => {
                let (place, connection) = self.open(place).await?;
                (false, place, connection)
            }
        };
        Ok(Lent { pool: self, connection: Some(connection), reused, place: Some(place) })
    }

    /// Makes one, which is there for others if nobody waits for it any more.
    async fn open(
        &self,
        place: OwnedSemaphorePermit,
    ) -> Result<(OwnedSemaphorePermit, Connection), QueryError> {
        let (options, limit, idle) = (self.options.clone(), self.limit, Arc::clone(&self.idle));
        let (sender, opened) = oneshot::channel();
        tokio::spawn(async move {
            let opened = Connection::open(&options, limit).await.map(|connection| (place, connection));
            if let Err(Ok((_place, connection))) = sender.send(opened) {
                idle.put(connection);
            }
        });
        opened.await.unwrap_or(Err(QueryError::TimedOut(self.limit)))
    }

    /// All rows of an answer. The query is one that may be asked twice: it is, if the server was
    /// restarted since the connection was made.
    pub(super) async fn all<'q>(&self, query: impl Fn() -> PgQuery<'q>) -> Result<Vec<PgRow>, StoreError> {
        self.map(query, |row| row).await
    }

    /// All rows of an answer, each as what is made of it while the next ones are on their way; see
    /// [`Connections::all`].
    pub(super) async fn map<'q, T>(
        &self,
        query: impl Fn() -> PgQuery<'q>,
        decode: fn(PgRow) -> T,
    ) -> Result<Vec<T>, StoreError> {
        let mut lent = self.take().await?;
        match lent.map(query(), decode).await {
            Ok(rows) => Ok(rows),
            Err(error) if lent.reused && error.is_lost() && !matches!(error, QueryError::TimedOut(_)) => {
                // The others are as old as this one.
                self.idle.connections().clear();
                lent.renew().await?;
                Ok(lent.map(query(), decode).await?)
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
        self.idle.closed.store(true, Ordering::Release);
        self.places.close();
        let idle = std::mem::take(&mut *self.idle.connections());
        for connection in idle {
            connection.close().await;
        }
    }
}

/// A connection of [`Connections`], which gets it back unless something went wrong with it.
pub(super) struct Lent<'c> {
    pool: &'c Connections,
    connection: Option<Connection>,
    /// It was made for an earlier use.
    reused: bool,
    place: Option<OwnedSemaphorePermit>,
}

impl Lent<'_> {
    pub(super) async fn all(&mut self, query: PgQuery<'_>) -> Result<Vec<PgRow>, QueryError> {
        self.map(query, |row| row).await
    }

    async fn map<T>(&mut self, query: PgQuery<'_>, decode: fn(PgRow) -> T) -> Result<Vec<T>, QueryError> {
        self.connection().await?.map(query, decode).await
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
        if connection.is_healthy() {
            return self.pool.idle.put(connection);
        }
        // Whoever asked has gone, as the clients of a server do: a new connection for each would cost the database
        // more than the answer.
        if connection.state == State::Asked
            && !connection.busy
            && let Ok(runtime) = Handle::try_current()
        {
            let (place, idle) = (self.place.take(), Arc::clone(&self.pool.idle));
            runtime.spawn(async move {
                if let Some(connection) = connection.settle().await {
                    idle.put(connection);
                }
                drop(place);
            });
        }
    }
}
