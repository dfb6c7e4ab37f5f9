//! The lease of a node: registration, renewal, and the end of leases that expired.
//!
//! All times are of the database's clock. An epoch ends when `ended_at` is set in its row. The statement that sets it locks
//! the row FOR UPDATE, and so waits for the batches of the epoch that are being committed (`statement.rs`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval};

use super::Shared;
use super::connection::{Connection, End};
use super::decode::Columns;
use super::error::QueryError;
use super::notifications::Message;
use super::options::PostgresOptions;
use super::text;
use crate::{Epoch, MOST_COUNTED, Node, Notification, StoreError};
use forge_clock::{self as clock, Monotonic};
use forge_journal::Timestamp;

const TABLE: &str = "forge_nodes";

/// Renewals in the time of a lease: two may fail.
const RENEWALS: u32 = 3;

/// The part of a lease in which this node does not act any more: a clock may go slower than the database's, and what the
/// node begins takes a moment to leave the machine.
const MARGIN: u32 = 10;

/// Half the round trip from which on an answer is too late to set the clock.
const SLOW: Duration = Duration::from_millis(250);

/// Assigns epochs one after the other, so that they become visible in ascending order.
const BEGIN: &str = "BEGIN; \
     SELECT pg_advisory_xact_lock(1179603528, current_schema()::regnamespace::oid::int8::bit(32)::int4)";

/// Returns a row if a live node has the name.
const NAMESAKE: &str = "SELECT 1 FROM forge_nodes WHERE name = $1 AND ended_at IS NULL";

/// Ends the epoch of a live node with this name. `$2` is the channel.
const REPLACE: &str = "WITH before AS MATERIALIZED ( \
    SELECT epoch FROM forge_nodes WHERE name = $1 AND ended_at IS NULL FOR UPDATE \
), ended AS ( \
    UPDATE forge_nodes node SET ended_at = clock_timestamp(), ended_why = 'replaced' FROM before \
     WHERE node.epoch = before.epoch RETURNING node.epoch \
) SELECT pg_notify($2, epoch || ' replaced ' || epoch) FROM ended";

const REGISTER: &str = "INSERT INTO forge_nodes (name, version, lease_ms, lease_until) \
     VALUES ($1, $2, $3, clock_timestamp() + make_interval(secs => $3 / 1000.0)) \
     RETURNING epoch, (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT";

/// Renews the lease and ends the epochs of nodes whose lease has expired. Returns whether this node's epoch is live, why
/// it ended, the nodes that were ended, and the time. `$2` is the channel, `$3` the payload that is sent if an epoch was
/// ended.
///
/// Leases do not expire because the server was down. A node that was itself away, for two renewals or more, or that has just
/// registered, ends no epoch until its next renewal: what stopped it may have stopped the others, too. The subquery `mine`
/// reads this node's row as it was before the renewal.
const RENEW: &str = "WITH renewed AS ( \
    UPDATE forge_nodes SET lease_until = clock_timestamp() + make_interval(secs => lease_ms / 1000.0) \
     WHERE epoch = $1 AND ended_at IS NULL RETURNING epoch \
), dead AS MATERIALIZED ( \
    SELECT epoch FROM forge_nodes node WHERE ended_at IS NULL AND epoch <> $1 \
        AND greatest(lease_until, pg_postmaster_start_time() + make_interval(secs => lease_ms / 1000.0)) \
            < clock_timestamp() \
        AND EXISTS (SELECT FROM forge_nodes mine WHERE mine.epoch = $1 \
            AND mine.lease_until > clock_timestamp() + make_interval(secs => mine.lease_ms / 3000.0) \
            AND mine.started_at < clock_timestamp() - make_interval(secs => mine.lease_ms / 4000.0)) \
        FOR UPDATE OF node SKIP LOCKED \
), ended AS ( \
    UPDATE forge_nodes node SET ended_at = clock_timestamp(), ended_why = 'lease' FROM dead \
     WHERE node.epoch = dead.epoch RETURNING node.name \
) SELECT EXISTS (SELECT FROM renewed), (SELECT ended_why FROM forge_nodes WHERE epoch = $1), \
    (SELECT string_agg(name, ', ') FROM ended), \
    (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT, (SELECT revision FROM forge_directory_state), \
    (SELECT count(pg_notify($2, $3)) FROM (SELECT FROM ended LIMIT 1) AS one)";

/// Whether `$1` is the lowest epoch of the live nodes.
const LEADS: &str = "SELECT coalesce(min(epoch) = $1, FALSE) FROM forge_nodes WHERE ended_at IS NULL";

/// Deletes nodes that ended an hour ago and have no runs left to claim, and requests whose sender is gone.
const SWEEP: &str = "WITH questions AS ( \
    DELETE FROM forge_questions WHERE asked_at < clock_timestamp() - INTERVAL '1 minute' \
) DELETE FROM forge_nodes node WHERE ended_at < clock_timestamp() - INTERVAL '1 hour' \
    AND NOT EXISTS (SELECT FROM forge_runs WHERE owner = node.epoch AND due_at IS NOT NULL)";

/// Ends the epoch. `$2` is the channel, `$3` the payload.
const END: &str = "WITH mine AS MATERIALIZED ( \
    SELECT epoch FROM forge_nodes WHERE epoch = $1 AND ended_at IS NULL FOR UPDATE \
), ended AS ( \
    UPDATE forge_nodes node SET ended_at = clock_timestamp(), ended_why = 'stopped' FROM mine \
     WHERE node.epoch = mine.epoch RETURNING node.epoch \
) SELECT pg_notify($2, $3) FROM ended";

const LIST: &str = "SELECT name, epoch, version, (extract(epoch FROM started_at) * 1000)::BIGINT, \
    (extract(epoch FROM lease_until) * 1000)::BIGINT, (extract(epoch FROM ended_at) * 1000)::BIGINT, runs \
    FROM forge_nodes node CROSS JOIN LATERAL ( \
        SELECT count(*) AS runs FROM ( \
            SELECT FROM forge_runs WHERE owner = node.epoch AND due_at IS NOT NULL LIMIT $1) AS counted) AS unfinished \
    ORDER BY name, epoch";

/// The name and the lease with which a node registers.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub(super) name: String,
    pub(super) lease: Duration,
}

impl Identity {
    pub(super) fn new(options: &PostgresOptions) -> Self {
        Self { name: options.node.clone(), lease: options.lease.max(PostgresOptions::SHORTEST_LEASE) }
    }

    fn lease_ms(&self) -> i64 {
        i64::try_from(self.lease.as_millis()).unwrap_or(i64::MAX)
    }
}

/// The lease of this node, as far as this node can know without asking the database.
#[derive(Debug)]
pub(super) struct Lease {
    epoch: Epoch,
    /// When the node must stop to act in the epoch. `None`: the epoch has ended.
    until: Option<Monotonic>,
}

impl Lease {
    /// Returns the lease after a statement that got or renewed it was sent at this time.
    pub(super) fn since(sent: Monotonic, epoch: Epoch, identity: &Identity) -> Self {
        Self { epoch, until: Some(sent + (identity.lease - identity.lease / MARGIN)) }
    }

    /// Returns the lease of an epoch that has ended.
    pub(super) fn ended(epoch: Epoch) -> Self {
        Self { epoch, until: None }
    }

    /// Whether the node certainly has its lease in this epoch.
    pub(super) fn is_held(&self, epoch: Epoch) -> bool {
        self.epoch == epoch && self.until.is_some_and(|until| Monotonic::now() < until)
    }

    /// Whether this epoch has ended.
    pub(super) fn is_over(&self, epoch: Epoch) -> bool {
        self.epoch > epoch || self.epoch == epoch && self.until.is_none()
    }
}

/// Registers the node, and returns its epoch. Ends the epoch of another process that has the name.
pub(super) async fn register(
    connection: &mut Connection,
    channel: &str,
    identity: &Identity,
) -> Result<Epoch, StoreError> {
    connection.begin(BEGIN).await?;
    let name = text::encode(&identity.name);
    connection.all(sqlx::query(REPLACE).bind(&*name).bind(channel)).await?;
    insert(connection, identity).await
}

/// Registers a node that has lost its lease, and returns its epoch; `None` if another process has the name.
async fn register_again(
    connection: &mut Connection,
    identity: &Identity,
) -> Result<Option<Epoch>, StoreError> {
    connection.begin(BEGIN).await?;
    let name = text::encode(&identity.name);
    if connection.first(sqlx::query(NAMESAKE).bind(&*name)).await?.is_some() {
        connection.finish(End::Rollback).await?;
        return Ok(None);
    }
    insert(connection, identity).await.map(Some)
}

async fn insert(connection: &mut Connection, identity: &Identity) -> Result<Epoch, StoreError> {
    let name = text::encode(&identity.name);
    let query = sqlx::query(REGISTER).bind(&*name).bind(env!("CARGO_PKG_VERSION")).bind(identity.lease_ms());
    let sent = Monotonic::now();
    let row = connection.first(query).await?;
    let way_back = sent.elapsed() / 2;
    let nothing = || StoreError::Unavailable("PostgreSQL returned no epoch".to_owned());
    let row = row.ok_or_else(nothing)?;
    let mut columns = Columns::new(TABLE, &row);
    let epoch = Epoch(columns.number()?);
    // Nothing has looked at the clock yet. However long the answer took, this is nearer than the machine's clock may be.
    clock::follow(at_answer(columns.time()?, way_back));
    connection.finish(End::Commit).await?;
    Ok(epoch)
}

/// Returns the database's time when an answer arrived, of which the way back took this time.
fn at_answer(time: Timestamp, way_back: Duration) -> Timestamp {
    time.plus(u64::try_from(way_back.as_millis()).unwrap_or(0))
}

/// The result of [`RENEW`].
struct Renewed {
    live: bool,
    why: Option<Arc<str>>,
    /// The names of the nodes whose epoch was ended.
    ended: Option<Arc<str>>,
    /// The database's time when the answer arrived; `None` if the answer took too long to know.
    time: Option<Timestamp>,
}

/// Renews the lease until the store is closed, or another process has the node's name.
pub(super) async fn keep(shared: Arc<Shared>, identity: Identity, connection: Connection, limit: Duration) {
    let mut connection = Some(connection);
    let mut ticks = interval(identity.lease / RENEWALS);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shared.replaced.notified() => {}
        }
        match renew_lease(&shared, &identity, &mut connection, limit).await {
            Ok(true) => shared.fence_off_failed_soon(),
            Ok(false) => return,
            Err(error) if failing => tracing::debug!(%error, "the lease cannot be renewed"),
            Err(ref error) => tracing::warn!(%error, "the lease cannot be renewed"),
        }
        failing = connection.is_none();
    }
}

/// Renews the lease. Returns false if another process has the node's name. After an error, `place` is empty.
async fn renew_lease(
    shared: &Shared,
    identity: &Identity,
    place: &mut Option<Connection>,
    limit: Duration,
) -> Result<bool, StoreError> {
    let mut connection = match place.take() {
        Some(connection) => connection,
        None => Connection::open(&shared.endpoint, limit).await?,
    };
    let sent = Monotonic::now();
    let renewed = renew(&mut connection, shared).await?;
    if let Some(time) = renewed.time {
        clock::follow(time);
    }
    if let Some(ended) = &renewed.ended {
        tracing::warn!(nodes = %ended, "the leases of other nodes have expired: their runs are unowned");
        // Other nodes receive the message; a node ignores its own.
        shared.notify(Notification::Unowned);
    }
    if !renewed.live {
        let replaced = matches!(renewed.why.as_deref(), Some("replaced" | "stopped"));
        let ended = shared.notifier.epoch();
        shared.lease.send_replace(Lease::ended(ended));
        let sent = Monotonic::now();
        let again = if replaced { None } else { register_again(&mut connection, identity).await? };
        let Some(epoch) = again else {
            tracing::error!("another process has taken this node's name");
            shared.notify(Notification::Replaced);
            return Ok(false);
        };
        tracing::warn!(%epoch, "this node has lost its lease, and other nodes take its runs; it continues in a new epoch");
        shared.notifier.set_epoch(epoch);
        shared.lease.send_replace(Lease::since(sent, epoch, identity));
        shared.notify(Notification::Fenced);
    } else {
        shared.lease.send_replace(Lease::since(sent, shared.notifier.epoch(), identity));
    }
    shared.renewed();
    *place = Some(connection);
    Ok(true)
}

async fn renew(connection: &mut Connection, shared: &Shared) -> Result<Renewed, StoreError> {
    let notifier = &shared.notifier;
    let (sent, asked) = (Monotonic::now(), Instant::now());
    let query = sqlx::query(RENEW)
        .bind(notifier.epoch().0)
        .bind(notifier.channel())
        .bind(notifier.payload(Message::Unowned));
    let row = connection.first(query).await?;
    let way_back = sent.elapsed() / 2;
    let nothing = || StoreError::Unavailable("PostgreSQL returned no row".to_owned());
    let row = row.ok_or_else(nothing)?;
    let mut columns = Columns::new(TABLE, &row);
    let renewed = Renewed {
        live: columns.flag()?,
        why: columns.optional_text()?,
        ended: columns.optional_text()?,
        time: Some(at_answer(columns.time()?, way_back)).filter(|_| way_back < SLOW),
    };
    let revision = columns.optional_number()?;
    *shared.directory_revision.lock() = revision.map(|revision| (revision, asked));
    Ok(renewed)
}

/// Ends this node's epoch, so that its runs are unowned at once.
pub(super) async fn end(connection: &mut Connection, shared: &Shared) -> Result<(), QueryError> {
    let notifier = &shared.notifier;
    shared.lease.send_replace(Lease::ended(notifier.epoch()));
    let query = sqlx::query(END)
        .bind(notifier.epoch().0)
        .bind(notifier.channel())
        .bind(notifier.payload(Message::Unowned));
    connection.all(query).await.map(|_| ())
}

/// Returns whether this node has the lowest epoch of the live nodes.
pub(super) async fn is_leader(shared: &Shared) -> Result<bool, StoreError> {
    let row = shared.readers.first(|| sqlx::query(LEADS).bind(shared.notifier.epoch().0)).await?;
    row.map_or(Ok(false), |row| Columns::new(TABLE, &row).flag())
}

pub(super) async fn sweep(shared: &Shared) -> Result<(), StoreError> {
    shared.readers.all(|| sqlx::query(SWEEP)).await.map(|_| ())
}

/// Returns all nodes, by name.
pub(super) async fn list(shared: &Shared) -> Result<Vec<Node>, StoreError> {
    let here = shared.notifier.epoch();
    let rows = shared.readers.all(|| sqlx::query(LIST).bind(i64::from(MOST_COUNTED))).await?;
    let node = |row| {
        let mut columns = Columns::new(TABLE, row);
        let name = columns.string()?;
        let epoch = Epoch(columns.number()?);
        Ok(Node {
            name,
            epoch,
            version: columns.string()?,
            started_at: columns.time()?.to_datetime(),
            lease_until: columns.time()?.to_datetime(),
            ended_at: columns.optional_time()?.map(Timestamp::to_datetime),
            runs: columns.bits()?,
            here: epoch == here,
        })
    };
    rows.iter().map(node).collect()
}
