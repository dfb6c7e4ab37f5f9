use std::ops::Range;

use rusqlite::{Connection, params};

use super::decode::all;
use crate::StoreError;
use crate::directory::{Amounts, AuditEntry, AuditFilter, Change, Entry, UsageRow};

pub(super) fn entries(connection: &Connection) -> Result<Vec<Entry>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT kind, tenant, name, document FROM forge_directory ORDER BY kind, tenant, name",
    )?;
    all(&mut statement, (), "forge_directory", |columns| {
        Ok(Entry {
            kind: columns.parsed()?,
            tenant: columns.string()?,
            name: columns.string()?,
            document: columns.string()?,
        })
    })
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
    let columns = columns.join(", ");
    let mut statement = connection.prepare_cached(&format!(
        "INSERT INTO forge_usage (tenant, hour, {columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT (tenant, hour) DO UPDATE SET {sums}"
    ))?;
    for UsageRow { tenant, hour, amounts } in usage {
        let [a, b, c, d, e, f, g, h] = amounts.columns().map(|(_, amount)| amount.cast_signed());
        statement.execute(params![tenant, hour, a, b, c, d, e, f, g, h])?;
    }
    Ok(())
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
        let mut amounts = [0; 8];
        for amount in &mut amounts {
            *amount = columns.bits()?;
        }
        Ok(UsageRow { tenant, hour, amounts: Amounts::from_columns(amounts) })
    })
}
