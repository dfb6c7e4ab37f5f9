use std::ops::Range;

use super::connection::{Connections, End};
use super::decode::Columns;
use super::error::QueryError;
use super::notifications::{Message, Notifier};
use super::text;
use crate::StoreError;
use crate::directory::{Amounts, AuditEntry, AuditFilter, Change, Entry, UsageRow};

const ENTRIES: &str = "SELECT kind, tenant, name, document FROM forge_directory ORDER BY kind, tenant, name";

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

const ADD_USAGE: &str = "INSERT INTO forge_usage AS total \
    (tenant, hour, fuel, runs, steps, http_requests, http_bytes, journal_bytes, run_ms, compile_ms) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (tenant, hour) DO UPDATE SET \
    fuel = total.fuel + excluded.fuel, runs = total.runs + excluded.runs, steps = total.steps + excluded.steps, \
    http_requests = total.http_requests + excluded.http_requests, \
    http_bytes = total.http_bytes + excluded.http_bytes, \
    journal_bytes = total.journal_bytes + excluded.journal_bytes, run_ms = total.run_ms + excluded.run_ms, \
    compile_ms = total.compile_ms + excluded.compile_ms";

const USAGE: &str = "SELECT tenant, hour, fuel, runs, steps, http_requests, http_bytes, journal_bytes, run_ms, compile_ms \
     FROM forge_usage WHERE ($1::TEXT IS NULL OR tenant = $1) AND hour >= $2 AND hour < $3 ORDER BY tenant, hour";

pub(super) async fn entries(connections: &Connections) -> Result<Vec<Entry>, StoreError> {
    let rows = connections.all(|| sqlx::query(ENTRIES)).await?;
    let decode = |row| {
        let mut columns = Columns::new("forge_directory", row);
        Ok(Entry {
            kind: columns.parsed()?,
            tenant: columns.string()?,
            name: columns.string()?,
            document: columns.string()?,
        })
    };
    rows.iter().map(decode).collect()
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
        let query = sqlx::query(ADD_USAGE).bind(text::encode(tenant)).bind(hour);
        let amounts = amounts.columns();
        let query = amounts.iter().fold(query, |query, (_, amount)| query.bind(amount.cast_signed()));
        connection.all(query).await?;
    }
    connection.finish(End::Commit).await.map_err(QueryError::of_change)
}

pub(super) async fn usage(
    connections: &Connections,
    tenant: Option<&str>,
    hours: &Range<i64>,
) -> Result<Vec<UsageRow>, StoreError> {
    let query = || sqlx::query(USAGE).bind(tenant.map(text::encode)).bind(hours.start).bind(hours.end);
    let rows = connections.all(query).await?;
    let decode = |row| {
        let mut columns = Columns::new("forge_usage", row);
        let (tenant, hour) = (columns.string()?, columns.number()?);
        let mut amounts = [0; 8];
        for amount in &mut amounts {
            *amount = columns.bits()?;
        }
        Ok(UsageRow { tenant, hour, amounts: Amounts::from_columns(amounts) })
    };
    rows.iter().map(decode).collect()
}
