use std::ops::Range;

use rusqlite::{Connection, params};

use super::decode::Columns;
use crate::StoreError;
use crate::directory::{Amounts, AuditEntry, AuditFilter, Change, Entry, UsageRow};

pub(super) fn entries(connection: &Connection) -> Result<Vec<Entry>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT kind, tenant, name, document FROM forge_directory ORDER BY kind, tenant, name",
    )?;
    let mut rows = statement.query(())?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        let mut columns = Columns::new("forge_directory", row);
        entries.push(Entry {
            kind: columns.parsed()?,
            tenant: columns.text()?.to_string(),
            name: columns.text()?.to_string(),
            document: columns.text()?.to_string(),
        });
    }
    Ok(entries)
}

/// Whether it was changed.
pub(super) fn change(
    connection: &Connection,
    change: Option<&Change>,
    deed: &AuditEntry,
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
    let AuditEntry { at, tenant, actor, action, subject, detail } = deed;
    connection.execute(
        "INSERT INTO forge_audit (at, tenant, actor, action, subject, detail) VALUES (?, ?, ?, ?, ?, ?)",
        params![at.0, tenant, actor, action, subject, detail],
    )?;
    Ok(true)
}

pub(super) fn deeds(
    connection: &Connection,
    filter: &AuditFilter,
) -> Result<Vec<(i64, AuditEntry)>, StoreError> {
    let AuditFilter { tenant, before, limit } = filter;
    let of_tenant = if tenant.is_some() { "tenant = ?1 AND" } else { "?1 IS NULL AND" };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT seq, at, tenant, actor, action, subject, detail FROM forge_audit \
         WHERE {of_tenant} seq < ?2 ORDER BY seq DESC LIMIT ?3"
    ))?;
    let mut rows = statement.query(params![tenant, before.unwrap_or(i64::MAX), limit])?;
    let mut deeds = Vec::new();
    while let Some(row) = rows.next()? {
        let mut columns = Columns::new("forge_audit", row);
        let seq = columns.number()?;
        deeds.push((
            seq,
            AuditEntry {
                at: columns.time()?,
                tenant: columns.text()?.to_string(),
                actor: columns.text()?.to_string(),
                action: columns.text()?.to_string(),
                subject: columns.text()?.to_string(),
                detail: columns.optional_text()?.map(|detail| detail.to_string()),
            },
        ));
    }
    Ok(deeds)
}

pub(super) fn charge(connection: &Connection, used: &[UsageRow]) -> Result<(), StoreError> {
    let columns = Amounts::default().columns().map(|(name, _)| name);
    let sums = columns.map(|name| format!("{name} = {name} + excluded.{name}")).join(", ");
    let columns = columns.join(", ");
    let mut statement = connection.prepare_cached(&format!(
        "INSERT INTO forge_usage (tenant, hour, {columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT (tenant, hour) DO UPDATE SET {sums}"
    ))?;
    for UsageRow { tenant, hour, amounts } in used {
        let [a, b, c, d, e, f, g] = amounts.columns().map(|(_, amount)| amount.cast_signed());
        statement.execute(params![tenant, hour, a, b, c, d, e, f, g])?;
    }
    Ok(())
}

pub(super) fn used(
    connection: &Connection,
    tenant: Option<&str>,
    hours: &Range<i64>,
) -> Result<Vec<UsageRow>, StoreError> {
    let columns = Amounts::default().columns().map(|(name, _)| name).join(", ");
    let mut statement = connection.prepare_cached(&format!(
        "SELECT tenant, hour, {columns} FROM forge_usage \
         WHERE (?1 IS NULL OR tenant = ?1) AND hour >= ?2 AND hour < ?3 ORDER BY tenant, hour"
    ))?;
    let mut rows = statement.query(params![tenant, hours.start, hours.end])?;
    let mut used = Vec::new();
    while let Some(row) = rows.next()? {
        let mut columns = Columns::new("forge_usage", row);
        let (tenant, hour) = (columns.text()?.to_string(), columns.number()?);
        let mut amounts = [0; 7];
        for amount in &mut amounts {
            *amount = columns.number::<i64>()?.cast_unsigned();
        }
        used.push(UsageRow { tenant, hour, amounts: Amounts::from_columns(amounts) });
    }
    Ok(used)
}
