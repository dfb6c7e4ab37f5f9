//! A node's lease: how it gets an epoch, keeps it, and ends those of nodes that do not renew theirs.
//!
//! All by the database's clock. A node is live until its row says that it ended; whoever writes that has locked the
//! row FOR UPDATE, so it waits for the batches of that node that are under way (`commit.rs`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use tokio::time::{MissedTickBehavior, interval};

use super::Shared;
use super::connection::{Connection, End};
use super::decode::Columns;
use super::error::QueryError;
use super::notices::Message;
use super::options::PostgresOptions;
use super::text;
use crate::{Epoch, Node, Notification, StoreError};
use forge_clock as clock;
use forge_journal::Timestamp;

const TABLE: &str = "forge_nodes";

/// Beats in the time of a lease: two may be lost.
const BEATS: u32 = 3;

/// An answer that takes twice as long does not say what time it is.
const SLOW: Duration = Duration::from_millis(250);

/// Epochs are given out one after the other, and are visible in that order.
const BEGIN: &str = "BEGIN; \
     SELECT pg_advisory_xact_lock(1179603528, current_schema()::regnamespace::oid::int8::bit(32)::int4)";

/// Whether the name is somebody's.
const NAMESAKE: &str = "SELECT 1 FROM forge_nodes WHERE name = $1 AND ended_at IS NULL";

/// `$2` is the channel.
const REPLACE: &str = "WITH before AS MATERIALIZED ( \
    SELECT epoch FROM forge_nodes WHERE name = $1 AND ended_at IS NULL FOR UPDATE \
), ended AS ( \
    UPDATE forge_nodes node SET ended_at = clock_timestamp(), ended_why = 'replaced' FROM before \
     WHERE node.epoch = before.epoch RETURNING node.epoch \
) SELECT pg_notify($2, epoch || ' replaced ' || epoch) FROM ended";

const REGISTER: &str = "INSERT INTO forge_nodes (name, version, lease_ms, lease_until) \
     VALUES ($1, $2, $3, clock_timestamp() + make_interval(secs => $3 / 1000.0)) RETURNING epoch";

/// Renews, ends those whose lease is over, and says whether this node is live, why not, and what time it is. A server
/// that was down is no reason to take anybody for dead. `$2` and `$3` are the channel and what to say there then.
const BEAT: &str = "WITH renewed AS ( \
    UPDATE forge_nodes SET lease_until = clock_timestamp() + make_interval(secs => lease_ms / 1000.0) \
     WHERE epoch = $1 AND ended_at IS NULL RETURNING epoch \
), dead AS MATERIALIZED ( \
    SELECT epoch FROM forge_nodes WHERE ended_at IS NULL AND epoch <> $1 \
        AND greatest(lease_until, pg_postmaster_start_time() + make_interval(secs => lease_ms / 1000.0)) \
            < clock_timestamp() FOR UPDATE SKIP LOCKED \
), ended AS ( \
    UPDATE forge_nodes node SET ended_at = clock_timestamp(), ended_why = 'lease' FROM dead \
     WHERE node.epoch = dead.epoch RETURNING node.name \
) SELECT EXISTS (SELECT FROM renewed), (SELECT ended_why FROM forge_nodes WHERE epoch = $1), \
    (SELECT string_agg(name, ', ') FROM ended), \
    (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT, \
    (SELECT count(pg_notify($2, $3)) FROM (SELECT FROM ended LIMIT 1) AS one)";

/// Whether `$1` is the lowest epoch of the live nodes.
const LEADS: &str = "SELECT coalesce(min(epoch) = $1, FALSE) FROM forge_nodes WHERE ended_at IS NULL";

/// Nodes that ended an hour ago and own no unfinished runs, and requests whose callers no longer wait.
const SWEEP: &str = "WITH questions AS ( \
    DELETE FROM forge_questions WHERE asked_at < clock_timestamp() - INTERVAL '1 minute' \
) DELETE FROM forge_nodes node WHERE ended_at < clock_timestamp() - INTERVAL '1 hour' \
    AND NOT EXISTS (SELECT FROM forge_runs WHERE owner = node.epoch AND due_at IS NOT NULL)";

/// `$2` and `$3` are the channel and what to say there.
const END: &str = "WITH mine AS MATERIALIZED ( \
    SELECT epoch FROM forge_nodes WHERE epoch = $1 AND ended_at IS NULL FOR UPDATE \
), ended AS ( \
    UPDATE forge_nodes node SET ended_at = clock_timestamp(), ended_why = 'stopped' FROM mine \
     WHERE node.epoch = mine.epoch RETURNING node.epoch \
) SELECT pg_notify($2, $3) FROM ended";

const LIST: &str = "SELECT name, epoch, version, (extract(epoch FROM started_at) * 1000)::BIGINT, \
    (extract(epoch FROM lease_until) * 1000)::BIGINT, (extract(epoch FROM ended_at) * 1000)::BIGINT, runs \
    FROM forge_nodes node CROSS JOIN LATERAL ( \
        SELECT count(*) AS runs FROM forge_runs WHERE owner = node.epoch AND due_at IS NOT NULL) AS waiting \
    ORDER BY name, epoch";

/// What a node says of itself.
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

/// A new epoch. Who had the name loses it.
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

/// A new epoch for a node that has lost its lease. `None`: another process has its name now.
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
    let row = connection.first(query).await?;
    let nothing = || StoreError::Unavailable("PostgreSQL gave no epoch".to_owned());
    let epoch = Columns::new(TABLE, &row.ok_or_else(nothing)?).number()?;
    connection.finish(End::Commit).await?;
    Ok(Epoch(epoch))
}

/// What a beat found.
struct Beat {
    live: bool,
    why: Option<Arc<str>>,
    dead: Option<Arc<str>>,
    /// The time there when the answer was here, if that was soon enough to know.
    time: Option<Timestamp>,
}

/// Keeps the lease until the store is closed, or another process has the node's name.
pub(super) async fn keep(
    shared: Arc<Shared>,
    identity: Identity,
    options: PgConnectOptions,
    connection: Connection,
    limit: Duration,
) {
    let mut connection = Some(connection);
    let mut beats = interval(identity.lease / BEATS);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        tokio::select! {
            _ = beats.tick() => {}
            () = shared.replaced.notified() => {}
        }
        match beat(&shared, &identity, &options, &mut connection, limit).await {
            Ok(true) => shared.settle_soon(),
            Ok(false) => return,
            Err(error) if failing => tracing::debug!(%error, "the lease cannot be renewed"),
            Err(ref error) => tracing::warn!(%error, "the lease cannot be renewed"),
        }
        failing = connection.is_none();
    }
}

/// Whether there will be another one. After an error there is no connection.
async fn beat(
    shared: &Shared,
    identity: &Identity,
    options: &PgConnectOptions,
    place: &mut Option<Connection>,
    limit: Duration,
) -> Result<bool, StoreError> {
    let mut connection = match place.take() {
        Some(connection) => connection,
        None => Connection::open(options, limit).await?,
    };
    let beat = renew(&mut connection, shared).await?;
    if let Some(time) = beat.time {
        clock::follow(time);
    }
    if let Some(dead) = &beat.dead {
        tracing::warn!(nodes = %dead, "nodes have not renewed their leases: others take their runs");
        // Others hear of it; this one has said it.
        shared.notify(Notification::Free);
    }
    if !beat.live {
        let replaced = matches!(beat.why.as_deref(), Some("replaced" | "stopped"));
        let again = if replaced { None } else { register_again(&mut connection, identity).await? };
        let Some(epoch) = again else {
            tracing::error!("another process has this node's name");
            shared.notify(Notification::Replaced);
            return Ok(false);
        };
        tracing::warn!(%epoch, "this node has lost its lease and its runs to other nodes; it goes on with new ones");
        shared.voice.set_epoch(epoch);
        shared.notify(Notification::Fenced);
    }
    shared.beaten();
    *place = Some(connection);
    Ok(true)
}

async fn renew(connection: &mut Connection, shared: &Shared) -> Result<Beat, StoreError> {
    let voice = &shared.voice;
    let asked = Instant::now();
    let query = sqlx::query(BEAT).bind(voice.epoch().0).bind(voice.channel()).bind(voice.say(Message::Free));
    let row = connection.first(query).await?;
    let way_back = asked.elapsed() / 2;
    let at_answer = |time: Timestamp| {
        let known = way_back < SLOW;
        known.then(|| time.plus(u64::try_from(way_back.as_millis()).unwrap_or(0)))
    };
    let nothing = || StoreError::Unavailable("PostgreSQL answered nothing".to_owned());
    let row = row.ok_or_else(nothing)?;
    let mut columns = Columns::new(TABLE, &row);
    Ok(Beat {
        live: columns.flag()?,
        why: columns.optional_text()?,
        dead: columns.optional_text()?,
        time: at_answer(columns.time()?),
    })
}

/// Gives the epoch back, so that the runs are free at once.
pub(super) async fn end(connection: &mut Connection, shared: &Shared) -> Result<(), QueryError> {
    let voice = &shared.voice;
    let query = sqlx::query(END).bind(voice.epoch().0).bind(voice.channel()).bind(voice.say(Message::Free));
    connection.all(query).await.map(|_| ())
}

pub(super) async fn is_leader(shared: &Shared) -> Result<bool, StoreError> {
    let row = shared.readers.first(|| sqlx::query(LEADS).bind(shared.voice.epoch().0)).await?;
    row.map_or(Ok(false), |row| Columns::new(TABLE, &row).flag())
}

pub(super) async fn sweep(shared: &Shared) -> Result<(), StoreError> {
    shared.readers.all(|| sqlx::query(SWEEP)).await.map(|_| ())
}

pub(super) async fn list(shared: &Shared) -> Result<Vec<Node>, StoreError> {
    let here = shared.voice.epoch();
    let rows = shared.readers.all(|| sqlx::query(LIST)).await?;
    let node = |row| {
        let mut columns = Columns::new(TABLE, row);
        let name = columns.text()?.to_string();
        let epoch = Epoch(columns.number()?);
        Ok(Node {
            name,
            epoch,
            version: columns.text()?.to_string(),
            started_at: columns.time()?.to_datetime(),
            lease_until: columns.time()?.to_datetime(),
            ended_at: columns.optional_time()?.map(Timestamp::to_datetime),
            runs: columns.bits()?,
            here: epoch == here,
        })
    };
    rows.iter().map(node).collect()
}
