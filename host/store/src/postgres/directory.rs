use std::ops::Range;
use std::sync::LazyLock;

use super::connection::{Connections, End};
use super::decode::Columns;
use super::error::QueryError;
use super::notifications::{Message, Notifier};
use super::text;
use crate::StoreError;
use crate::directory::{
    self, AMOUNTS, Amounts, AuditEntry, AuditFilter, CHANGES, Change, ENTRIES, Entry, EntryId,
    LISTED_CHANGES, NEW_SIGNING_SECRET, SIGNING_SECRET, SigningSecret, Stored, TRIM, Update, UpdateRow,
    UsageRow,
};
use sqlx::postgres::PgRow;

const INSERT: &str = "INSERT INTO forge_directory (kind, tenant, name, document) VALUES ($1, $2, $3, $4) \
     ON CONFLICT DO NOTHING RETURNING 1";

const UPDATE: &str = "UPDATE forge_directory SET document = $4 \
     WHERE kind = $1 AND tenant = $2 AND name = $3 AND document = $5 RETURNING 1";

const REMOVE: &str = "DELETE FROM forge_directory WHERE kind = $1 AND tenant = $2 AND name = $3 RETURNING 1";

/// `$7` is the channel, `$8` the payload.
const AUDIT: &str = "WITH audited AS ( \
    INSERT INTO forge_audit (at, tenant, actor, action, subject, detail) VALUES ($1, $2, $3, $4, $5, $6) \
) SELECT CASE WHEN $8::TEXT IS NOT NULL THEN pg_notify($7, $8) END";

const AUDIT_ENTRIES: &str = "SELECT seq, at, tenant, actor, action, subject, detail FROM forge_audit \
     WHERE seq < $1 ORDER BY seq DESC LIMIT $2";

const AUDIT_ENTRIES_OF_TENANT: &str = "SELECT seq, at, tenant, actor, action, subject, detail FROM forge_audit \
     WHERE seq < $1 AND tenant = $3 ORDER BY seq DESC LIMIT $2";

static ADD_USAGE: LazyLock<String> = LazyLock::new(|| {
    let columns = Amounts::default().columns().map(|(name, _)| name);
    let sums = columns.map(|name| format!("{name} = total.{name} + excluded.{name}")).join(", ");
    let values = (3..3 + columns.len()).map(|place| format!(", ${place}")).collect::<String>();
    let columns = columns.join(", ");
    format!(
        "INSERT INTO forge_usage AS total (tenant, hour, {columns}) VALUES ($1, $2{values}) \
         ON CONFLICT (tenant, hour) DO UPDATE SET {sums}"
    )
});

static USAGE: LazyLock<String> = LazyLock::new(|| {
    let columns = Amounts::default().columns().map(|(name, _)| name).join(", ");
    format!(
        "SELECT tenant, hour, {columns} FROM forge_usage \
         WHERE ($1::TEXT IS NULL OR tenant = $1) AND hour >= $2 AND hour < $3 ORDER BY tenant, hour"
    )
});

const STORED: &str = "SELECT tenant, greatest(sum(bytes), 0)::BIGINT, greatest(sum(unfinished), 0)::BIGINT \
     FROM forge_storage GROUP BY tenant";

pub(super) async fn update(connections: &Connections, since: Option<i64>) -> Result<Update, StoreError> {
    if let Some(since) = since {
        let rows = connections.all(|| sqlx::query(CHANGES).bind(since)).await?;
        if let Some(update) = directory::update(Some(since), decoded(&rows)?) {
            return Ok(update);
        }
    }
    let rows = connections.all(|| sqlx::query(ENTRIES)).await?;
    let state = || StoreError::Corrupt { table: "forge_directory_state", why: "it is empty".to_owned() };
    directory::update(None, decoded(&rows)?).ok_or_else(state)
}

fn decoded(rows: &[PgRow]) -> Result<Vec<UpdateRow>, StoreError> {
    let decode = |row| {
        let mut columns = Columns::new("forge_directory", row);
        let (revision, trimmed) = (columns.number()?, columns.number()?);
        let id = [columns.optional_string()?, columns.optional_string()?, columns.optional_string()?];
        UpdateRow::new(revision, trimmed, id, columns.optional_string()?)
    };
    rows.iter().map(decode).collect()
}

/// Removes entries, and what is too old in the list of changes.
pub(super) async fn purge(
    connections: &Connections,
    notifier: &Notifier,
    entries: &[EntryId],
) -> Result<(), StoreError> {
    let mut lent = connections.take().await?;
    let connection = lent.connection().await?;
    connection.begin("BEGIN").await?;
    for EntryId { kind, tenant, name } in entries {
        let query = sqlx::query(REMOVE).bind(kind.as_str());
        connection.all(query.bind(text::encode(tenant)).bind(text::encode(name))).await?;
    }
    let [mark, trim] = TRIM;
    connection.all(sqlx::query(mark).bind(LISTED_CHANGES)).await?;
    connection.all(sqlx::query(trim)).await?;
    if !entries.is_empty() {
        let payload = notifier.payload(Message::DirectoryChanged);
        connection
            .all(sqlx::query("SELECT pg_notify($1, $2)").bind(notifier.channel()).bind(payload))
            .await?;
    }
    connection.finish(End::Commit).await.map_err(QueryError::of_change)
}

/// Changes an entry and adds a line to the audit log. Returns whether the entry was as expected.
pub(super) async fn change(
    connections: &Connections,
    notifier: &Notifier,
    change: Option<&Change>,
    audit: &AuditEntry,
) -> Result<bool, StoreError> {
    let mut lent = connections.take().await?;
    let connection = lent.connection().await?;
    connection.begin("BEGIN").await?;
    if let Some(change) = change {
        let query = match change {
            Change::Put { entry, was } => {
                let Entry { kind, tenant, name, document } = entry;
                let query = sqlx::query(if was.is_some() { UPDATE } else { INSERT });
                let query = query.bind(kind.as_str()).bind(text::encode(tenant)).bind(text::encode(name));
                let query = query.bind(text::encode(document));
                match was {
                    Some(was) => query.bind(text::encode(was)),
                    None => query,
                }
            }
            Change::Remove(kind, tenant, name) => {
                sqlx::query(REMOVE).bind(kind.as_str()).bind(text::encode(tenant)).bind(text::encode(name))
            }
        };
        if connection.first(query).await?.is_none() {
            connection.finish(End::Rollback).await?;
            return Ok(false);
        }
    }
    let AuditEntry { at, tenant, actor, action, subject, detail } = audit;
    let query = sqlx::query(AUDIT).bind(at.0).bind(text::encode(tenant)).bind(text::encode(actor));
    let query = query.bind(text::encode(action)).bind(text::encode(subject));
    let query = query.bind(detail.as_deref().map(text::encode));
    let query =
        query.bind(notifier.channel()).bind(change.map(|_| notifier.payload(Message::DirectoryChanged)));
    connection.all(query).await?;
    connection.finish(End::Commit).await.map_err(QueryError::of_change)?;
    Ok(true)
}

/// Returns the secret with which the nodes sign, and makes it if there is none.
pub(super) async fn signing_secret(
    connections: &Connections,
    new: &SigningSecret,
) -> Result<SigningSecret, StoreError> {
    if let Some(stored) = stored_secret(connections).await? {
        return Ok(stored);
    }
    let mut lent = connections.take().await?;
    let connection = lent.connection().await?;
    connection.begin("BEGIN").await?;
    connection.all(sqlx::query(NEW_SIGNING_SECRET).bind(new.as_slice())).await?;
    connection.finish(End::Commit).await.map_err(QueryError::of_change)?;
    drop(lent);
    // Another node may have been first.
    stored_secret(connections).await.map(|stored| stored.unwrap_or(*new))
}

async fn stored_secret(connections: &Connections) -> Result<Option<SigningSecret>, StoreError> {
    let rows = connections.all(|| sqlx::query(SIGNING_SECRET)).await?;
    let decode = |row| directory::signing_secret(&Columns::new("forge_signing_secret", row).bytes()?);
    rows.first().map(decode).transpose()
}

pub(super) async fn audit_entries(
    connections: &Connections,
    filter: &AuditFilter,
) -> Result<Vec<(i64, AuditEntry)>, StoreError> {
    let before = filter.before.unwrap_or(i64::MAX);
    let query = || {
        let sql = if filter.tenant.is_some() { AUDIT_ENTRIES_OF_TENANT } else { AUDIT_ENTRIES };
        let query = sqlx::query(sql).bind(before).bind(i64::from(filter.limit));
        match &filter.tenant {
            Some(tenant) => query.bind(text::encode(tenant)),
            None => query,
        }
    };
    let rows = connections.all(query).await?;
    let decode = |row| {
        let mut columns = Columns::new("forge_audit", row);
        let seq = columns.number()?;
        let entry = AuditEntry {
            at: columns.time()?,
            tenant: columns.string()?,
            actor: columns.string()?,
            action: columns.string()?,
            subject: columns.string()?,
            detail: columns.optional_string()?,
        };
        Ok((seq, entry))
    };
    rows.iter().map(decode).collect()
}

pub(super) async fn add_usage(connections: &Connections, usage: &[UsageRow]) -> Result<(), StoreError> {
    let mut lent = connections.take().await?;
    let connection = lent.connection().await?;
    connection.begin("BEGIN").await?;
    for UsageRow { tenant, hour, amounts } in usage {
        let query = sqlx::query(&**ADD_USAGE).bind(text::encode(tenant)).bind(hour);
        let amounts = amounts.columns();
        let query = amounts.iter().fold(query, |query, (_, amount)| query.bind(amount.cast_signed()));
        connection.all(query).await?;
    }
    connection.finish(End::Commit).await.map_err(QueryError::of_change)
}

pub(super) async fn stored(connections: &Connections) -> Result<Vec<Stored>, StoreError> {
    let rows = connections.all(|| sqlx::query(STORED)).await?;
    let decode = |row| {
        let mut columns = Columns::new("forge_storage", row);
        Ok(Stored { tenant: columns.string()?, bytes: columns.bits()?, unfinished: columns.bits()? })
    };
    rows.iter().map(decode).collect()
}

pub(super) async fn usage(
    connections: &Connections,
    tenant: Option<&str>,
    hours: &Range<i64>,
) -> Result<Vec<UsageRow>, StoreError> {
    let query = || sqlx::query(&**USAGE).bind(tenant.map(text::encode)).bind(hours.start).bind(hours.end);
    let rows = connections.all(query).await?;
    let decode = |row| {
        let mut columns = Columns::new("forge_usage", row);
        let (tenant, hour) = (columns.string()?, columns.number()?);
        let mut amounts = [0; AMOUNTS];
        for amount in &mut amounts {
            *amount = columns.bits()?;
        }
        Ok(UsageRow { tenant, hour, amounts: Amounts::from_columns(amounts) })
    };
    rows.iter().map(decode).collect()
}
