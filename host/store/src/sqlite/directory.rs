use std::collections::BTreeMap;
use std::ops::Range;

use rusqlite::{Connection, OptionalExtension as _, Params, params};

use super::decode::all;
use crate::directory::{
    self, AMOUNTS, Amounts, AuditEntry, AuditFilter, CHANGES, Change, ENTRIES, EntryId, LISTED_CHANGES,
    NEW_SIGNING_SECRET, SIGNING_SECRET, SigningSecret, Stored, TRIM, Update, UpdateRow, UsageRow,
};
use crate::{Committed, StoreError, Write};
use forge_journal::Growth;

pub(super) fn update(connection: &Connection, since: Option<i64>) -> Result<Update, StoreError> {
    if let Some(since) = since
        && let Some(update) = directory::update(Some(since), rows(connection, CHANGES, params![since])?)
    {
        return Ok(update);
    }
    let state = || StoreError::Corrupt { table: "forge_directory_state", why: "it is empty".to_owned() };
    directory::update(None, rows(connection, ENTRIES, params![])?).ok_or_else(state)
}

fn rows(connection: &Connection, sql: &str, values: impl Params) -> Result<Vec<UpdateRow>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    all(&mut statement, values, "forge_directory", |columns| {
        let (revision, trimmed) = (columns.number()?, columns.number()?);
        let id = [columns.optional_string()?, columns.optional_string()?, columns.optional_string()?];
        UpdateRow::new(revision, trimmed, id, columns.optional_string()?)
    })
}

pub(super) fn purge(connection: &Connection, entries: &[EntryId]) -> Result<(), StoreError> {
    let mut remove = connection
        .prepare_cached("DELETE FROM forge_directory WHERE kind = ? AND tenant = ? AND name = ?")?;
    for EntryId { kind, tenant, name } in entries {
        remove.execute(params![kind.as_str(), tenant, name])?;
    }
    let [mark, trim] = TRIM;
    connection.execute(mark, [LISTED_CHANGES])?;
    connection.execute(trim, ())?;
    Ok(())
}

/// Changes an entry and adds a line to the audit log. Returns whether the entry was as expected.
pub(super) fn change(
    connection: &Connection,
    change: Option<&Change>,
    audit: &AuditEntry,
) -> Result<bool, StoreError> {
    let changed = match change {
        None => 1,
        Some(Change::Put { entry, was: None }) => connection.execute(
            "INSERT INTO forge_directory (kind, tenant, name, document) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            params![entry.kind.as_str(), entry.tenant, entry.name, entry.document],
        )?,
        Some(Change::Put { entry, was: Some(was) }) => connection.execute(
            "UPDATE forge_directory SET document = ?4 WHERE kind = ?1 AND tenant = ?2 AND name = ?3 AND document = ?5",
            params![entry.kind.as_str(), entry.tenant, entry.name, entry.document, was],
        )?,
        Some(Change::Remove(kind, tenant, name)) => connection.execute(
            "DELETE FROM forge_directory WHERE kind = ? AND tenant = ? AND name = ?",
            params![kind.as_str(), tenant, name],
        )?,
    };
    if changed == 0 {
        return Ok(false);
    }
    let AuditEntry { at, tenant, actor, action, subject, detail } = audit;
    connection.execute(
        "INSERT INTO forge_audit (at, tenant, actor, action, subject, detail) VALUES (?, ?, ?, ?, ?, ?)",
        params![at.0, tenant, actor, action, subject, detail],
    )?;
    Ok(true)
}

/// Returns the secret with which the host signs, if there is one.
pub(super) fn signing_secret(connection: &Connection) -> Result<Option<SigningSecret>, StoreError> {
    let stored: Option<Vec<u8>> = connection.query_row(SIGNING_SECRET, (), |row| row.get(0)).optional()?;
    stored.as_deref().map(directory::signing_secret).transpose()
}

/// Stores a secret with which the host signs, unless there is one. Returns the stored one.
pub(super) fn make_signing_secret(
    connection: &Connection,
    new: &SigningSecret,
) -> Result<SigningSecret, StoreError> {
    connection.execute(NEW_SIGNING_SECRET, [new.as_slice()])?;
    signing_secret(connection).map(|stored| stored.unwrap_or(*new))
}

pub(super) fn audit_entries(
    connection: &Connection,
    filter: &AuditFilter,
) -> Result<Vec<(i64, AuditEntry)>, StoreError> {
    let AuditFilter { tenant, before, limit } = filter;
    let of_tenant = if tenant.is_some() { "tenant = ?1 AND" } else { "?1 IS NULL AND" };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT seq, at, tenant, actor, action, subject, detail FROM forge_audit \
         WHERE {of_tenant} seq < ?2 ORDER BY seq DESC LIMIT ?3"
    ))?;
    all(&mut statement, params![tenant, before.unwrap_or(i64::MAX), limit], "forge_audit", |columns| {
        let number = columns.number()?;
        let entry = AuditEntry {
            at: columns.time()?,
            tenant: columns.string()?,
            actor: columns.string()?,
            action: columns.string()?,
            subject: columns.string()?,
            detail: columns.optional_string()?,
        };
        Ok((number, entry))
    })
}

pub(super) fn add_usage(connection: &Connection, usage: &[UsageRow]) -> Result<(), StoreError> {
    let columns = Amounts::default().columns().map(|(name, _)| name);
    let sums = columns.map(|name| format!("{name} = {name} + excluded.{name}")).join(", ");
    let values = ", ?".repeat(columns.len());
    let columns = columns.join(", ");
    let mut statement = connection.prepare_cached(&format!(
        "INSERT INTO forge_usage (tenant, hour, {columns}) VALUES (?, ?{values}) \
         ON CONFLICT (tenant, hour) DO UPDATE SET {sums}"
    ))?;
    for UsageRow { tenant, hour, amounts } in usage {
        statement.raw_bind_parameter(1, tenant)?;
        statement.raw_bind_parameter(2, hour)?;
        for (place, (_, amount)) in (3..).zip(amounts.columns()) {
            statement.raw_bind_parameter(place, amount.cast_signed())?;
        }
        statement.raw_execute()?;
    }
    Ok(())
}

/// Adds what the writes of a batch store to the totals of their tenants.
pub(super) fn grow(
    connection: &Connection,
    batch: &[Write],
    committed: &Committed,
) -> Result<(), StoreError> {
    let done = batch.iter().zip(&committed.written).filter(|(_, written)| written.is_done());
    let started = committed.started.iter().map(|run| (&run.tenant, run.growth()));
    let mut grown: BTreeMap<&str, Growth> = BTreeMap::new();
    for (tenant, growth) in done.map(|(write, _)| write.grown()).chain(started) {
        if !growth.is_none() {
            *grown.entry(tenant).or_default() += growth;
        }
    }
    for (tenant, Growth { bytes, unfinished }) in grown {
        let mut statement = connection.prepare_cached(
            "INSERT INTO forge_storage (tenant, bytes, unfinished) VALUES (?, ?, ?) ON CONFLICT (tenant) DO UPDATE \
             SET bytes = bytes + excluded.bytes, unfinished = unfinished + excluded.unfinished",
        )?;
        statement.execute(params![tenant, bytes, unfinished])?;
    }
    Ok(())
}

pub(super) fn stored(connection: &Connection) -> Result<Vec<Stored>, StoreError> {
    let sql = "SELECT tenant, max(bytes, 0), max(unfinished, 0) FROM forge_storage";
    all(&mut *connection.prepare_cached(sql)?, (), "forge_storage", |columns| {
        Ok(Stored { tenant: columns.string()?, bytes: columns.bits()?, unfinished: columns.bits()? })
    })
}

pub(super) fn usage(
    connection: &Connection,
    tenant: Option<&str>,
    hours: &Range<i64>,
) -> Result<Vec<UsageRow>, StoreError> {
    let columns = Amounts::default().columns().map(|(name, _)| name).join(", ");
    let mut statement = connection.prepare_cached(&format!(
        "SELECT tenant, hour, {columns} FROM forge_usage \
         WHERE (?1 IS NULL OR tenant = ?1) AND hour >= ?2 AND hour < ?3 ORDER BY tenant, hour"
    ))?;
    all(&mut statement, params![tenant, hours.start, hours.end], "forge_usage", |columns| {
        let (tenant, hour) = (columns.string()?, columns.number()?);
        let mut amounts = [0; AMOUNTS];
        for amount in &mut amounts {
            *amount = columns.bits()?;
        }
        Ok(UsageRow { tenant, hour, amounts: Amounts::from_columns(amounts) })
    })
}
