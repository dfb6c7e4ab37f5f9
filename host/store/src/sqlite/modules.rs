use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::decode::Columns;
use crate::{StoreError, VersionRow};
use forge_journal::Timestamp;

const TABLE: &str = "forge_workflow_versions";

const COLUMNS: &str = "tenant, workflow_name, version, digest, timeout_ms, deprecated, active, created_at";

/// Inserts a component and its versions, unless one of them exists with another component: that one
/// is the answer.
pub(super) fn register(
    connection: &Connection,
    digest: &str,
    component: Option<&[u8]>,
    versions: &[VersionRow],
) -> Result<Option<VersionRow>, StoreError> {
    let taken = taken(connection, digest, versions)?;
    if taken.is_none() {
        insert(connection, digest, component, versions)?;
    }
    Ok(taken)
}

/// The first of these versions that exists with another component.
fn taken(
    connection: &Connection,
    digest: &str,
    versions: &[VersionRow],
) -> Result<Option<VersionRow>, StoreError> {
    for version in versions {
        let existing = self::versions(connection, &version.tenant, Some(&version.workflow))?;
        let existing = existing.into_iter().find(|existing| existing.version == version.version);
        if let Some(existing) = existing.filter(|existing| existing.digest != digest) {
            return Ok(Some(existing));
        }
    }
    Ok(None)
}

fn insert(
    connection: &Connection,
    digest: &str,
    component: Option<&[u8]>,
    versions: &[VersionRow],
) -> Result<(), StoreError> {
    let uploaded_at = versions.first().map(|version| version.created_at.to_rfc3339()).unwrap_or_default();
    connection.execute(
        "INSERT INTO forge_workflow_modules (digest, component, uploaded_at) VALUES (?, ?, ?) \
         ON CONFLICT (digest) DO UPDATE SET component = coalesce(component, excluded.component)",
        params![digest, component, uploaded_at],
    )?;
    for version in versions {
        connection.execute(
            &format!(
                "INSERT INTO {TABLE} ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
            ),
            params![
                version.tenant,
                version.workflow,
                version.version,
                version.digest,
                version.timeout_ms.cast_signed(),
                version.deprecated,
                version.active,
                version.created_at.to_rfc3339(),
            ],
        )?;
    }
    Ok(())
}

pub(super) fn component(connection: &Connection, digest: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let sql = "SELECT component FROM forge_workflow_modules WHERE digest = ?";
    Ok(connection.query_row(sql, [digest], |row| row.get(0)).optional()?.flatten())
}

pub(super) fn versions(
    connection: &Connection,
    tenant: &str,
    workflow: Option<&str>,
) -> Result<Vec<VersionRow>, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM {TABLE} WHERE tenant = ?1 AND (?2 IS NULL OR workflow_name = ?2) \
         ORDER BY workflow_name, version DESC"
    ))?;
    let mut rows = statement.query(params![tenant, workflow])?;
    let mut versions = Vec::new();
    while let Some(row) = rows.next()? {
        versions.push(decode(row)?);
    }
    Ok(versions)
}

pub(super) fn activate(
    connection: &Connection,
    tenant: &str,
    workflow: &str,
    version: u32,
) -> Result<bool, StoreError> {
    let found = connection.execute(
        "UPDATE forge_workflow_versions SET active = 1, deprecated = 0 WHERE tenant = ? AND workflow_name = ? \
         AND version = ?",
        params![tenant, workflow, version],
    )?;
    if found == 0 {
        return Ok(false);
    }
    connection.execute(
        "UPDATE forge_workflow_versions SET active = 0 WHERE tenant = ? AND workflow_name = ? AND version <> ?",
        params![tenant, workflow, version],
    )?;
    Ok(true)
}

pub(super) fn deprecate(
    connection: &Connection,
    tenant: &str,
    workflow: &str,
    version: u32,
) -> Result<bool, StoreError> {
    let found = connection.execute(
        "UPDATE forge_workflow_versions SET deprecated = 1, active = 0 WHERE tenant = ? AND workflow_name = ? \
         AND version = ?",
        params![tenant, workflow, version],
    )?;
    Ok(found > 0)
}

fn decode(row: &Row<'_>) -> Result<VersionRow, StoreError> {
    let mut columns = Columns::new(TABLE, row);
    let corrupt = |error: chrono::ParseError| StoreError::Corrupt {
        table: TABLE,
        why: format!("column created_at: {error}"),
    };
    Ok(VersionRow {
        tenant: columns.text()?.to_string(),
        workflow: columns.text()?.to_string(),
        version: columns.number()?,
        digest: columns.text()?.to_string(),
        timeout_ms: columns.number()?,
        deprecated: columns.number::<i64>()? != 0,
        active: columns.number::<i64>()? != 0,
        created_at: Timestamp::from_rfc3339(&columns.text()?).map_err(corrupt)?,
    })
}
