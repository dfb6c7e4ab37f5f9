use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};

use super::decode::{Columns, all, first};
use crate::{InputSchema, StoreError, VersionConflict, VersionRow};
use forge_journal::Timestamp;

const TABLE: &str = "forge_workflow_versions";

const COLUMNS: &str = "tenant, workflow_name, version, digest, timeout_ms, deprecated, active, created_at, \
     input_schema";

/// Inserts a component, its versions and their schemas. Returns the versions that exist with another component and keep it; if all do,
/// nothing is written.
pub(super) fn register(
    connection: &Connection,
    digest: &str,
    component: Option<&[u8]>,
    versions: &[VersionRow],
    schemas: &[InputSchema],
    conflict: VersionConflict,
) -> Result<Vec<VersionRow>, StoreError> {
    let kept = match conflict {
        VersionConflict::Keep => with_other_component(connection, digest, versions)?,
        VersionConflict::Replace => Vec::new(),
    };
    if versions.is_empty() || kept.len() < versions.len() {
        insert(connection, digest, component, versions, conflict)?;
        insert_schemas(connection, schemas)?;
    }
    Ok(kept)
}

/// Returns these versions as they are, of those that exist with another component.
fn with_other_component(
    connection: &Connection,
    digest: &str,
    versions: &[VersionRow],
) -> Result<Vec<VersionRow>, StoreError> {
    let mut found = Vec::new();
    for version in versions {
        let known = self::versions(connection, &version.tenant, Some(&version.workflow))?;
        found.extend(
            known.into_iter().filter(|known| known.version == version.version && known.digest != digest),
        );
    }
    Ok(found)
}

fn insert(
    connection: &Connection,
    digest: &str,
    component: Option<&[u8]>,
    versions: &[VersionRow],
    conflict: VersionConflict,
) -> Result<(), StoreError> {
    let uploaded_at = versions.first().map(|version| version.created_at.to_rfc3339()).unwrap_or_default();
    connection.execute(
        "INSERT INTO forge_workflow_modules (digest, component, uploaded_at) VALUES (?, ?, ?) \
         ON CONFLICT (digest) DO UPDATE SET component = coalesce(component, excluded.component)",
        params![digest, component, uploaded_at],
    )?;
    let on_conflict = match conflict {
        VersionConflict::Keep => "DO NOTHING",
        VersionConflict::Replace => {
            "DO UPDATE SET digest = excluded.digest, timeout_ms = excluded.timeout_ms, \
             deprecated = excluded.deprecated, created_at = excluded.created_at, \
             input_schema = excluded.input_schema WHERE digest <> excluded.digest"
        }
    };
    let mut statement = connection.prepare(&format!(
        "INSERT INTO {TABLE} ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT (tenant, workflow_name, version) {on_conflict}"
    ))?;
    for version in versions {
        statement.execute(params![
            version.tenant,
            version.workflow,
            version.version,
            version.digest,
            version.timeout_ms.cast_signed(),
            version.deprecated,
            version.active,
            version.created_at.to_rfc3339(),
            version.input_schema,
        ])?;
    }
    Ok(())
}

fn insert_schemas(connection: &Connection, schemas: &[InputSchema]) -> Result<(), StoreError> {
    let mut statement = connection
        .prepare("INSERT INTO forge_input_schemas (digest, schema) VALUES (?, ?) ON CONFLICT DO NOTHING")?;
    for schema in schemas {
        statement.execute([&schema.digest, &schema.text])?;
    }
    Ok(())
}

pub(super) fn input_schema(connection: &Connection, digest: &str) -> Result<Option<String>, StoreError> {
    let table = "forge_input_schemas";
    let mut statement =
        connection.prepare_cached("SELECT schema FROM forge_input_schemas WHERE digest = ?")?;
    first(&mut statement, [digest], table, |columns| columns.string())
}

pub(super) fn component(connection: &Connection, digest: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let table = "forge_workflow_modules";
    let mut statement =
        connection.prepare_cached("SELECT component FROM forge_workflow_modules WHERE digest = ?")?;
    Ok(first(&mut statement, [digest], table, |columns| columns.optional_bytes())?.flatten())
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
    all(&mut statement, params![tenant, workflow], TABLE, decode)
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

fn decode(columns: &mut Columns<'_>) -> Result<VersionRow, StoreError> {
    Ok(VersionRow {
        tenant: columns.string()?,
        workflow: columns.string()?,
        version: columns.number()?,
        digest: columns.string()?,
        timeout_ms: columns.bits()?,
        deprecated: columns.flag()?,
        active: columns.flag()?,
        created_at: Timestamp(columns.parsed::<DateTime<Utc>>()?.timestamp_millis()),
        input_schema: columns.optional_string()?,
    })
}
