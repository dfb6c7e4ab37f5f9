use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection, SqlitePool};

use super::decode::Columns;
use crate::store::{StoreError, VersionRow};

/// Inserts a component and its versions, unless one of them exists with another component: that one
/// is the answer.
pub(super) async fn register(
    connection: &mut SqliteConnection,
    digest: &str,
    component: &[u8],
    versions: &[VersionRow],
) -> Result<Option<VersionRow>, StoreError> {
    let taken = taken(connection, digest, versions).await?;
    if taken.is_none() {
        insert(connection, digest, component, versions).await?;
    }
    Ok(taken)
}

/// The first of these versions that exists with another component.
async fn taken(
    connection: &mut SqliteConnection,
    digest: &str,
    versions: &[VersionRow],
) -> Result<Option<VersionRow>, StoreError> {
    for version in versions {
        let row =
            sqlx::query("SELECT * FROM forge_workflow_versions WHERE workflow_name = ? AND version = ?")
                .bind(&version.workflow)
                .bind(i64::from(version.version))
                .fetch_optional(&mut *connection)
                .await?;
        if let Some(row) = row {
            let existing = decode(&row)?;
            if existing.digest != digest {
                return Ok(Some(existing));
            }
        }
    }
    Ok(None)
}

async fn insert(
    connection: &mut SqliteConnection,
    digest: &str,
    component: &[u8],
    versions: &[VersionRow],
) -> Result<(), StoreError> {
    let uploaded_at = versions.first().map(|version| version.created_at.to_rfc3339()).unwrap_or_default();
    sqlx::query("INSERT INTO forge_workflow_modules (digest, component, uploaded_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
        .bind(digest)
        .bind(component)
        .bind(uploaded_at)
        .execute(&mut *connection)
        .await?;
    for version in versions {
        sqlx::query(
            "INSERT INTO forge_workflow_versions (workflow_name, version, digest, timeout_ms, deprecated, active, \
             created_at) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(&version.workflow)
        .bind(i64::from(version.version))
        .bind(&version.digest)
        .bind(version.timeout_ms.cast_signed())
        .bind(version.deprecated)
        .bind(version.active)
        .bind(version.created_at.to_rfc3339())
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

pub(super) async fn component(pool: &SqlitePool, digest: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let row = sqlx::query("SELECT component FROM forge_workflow_modules WHERE digest = ?")
        .bind(digest)
        .fetch_optional(pool)
        .await?;
    row.map(|row| row.try_get(0)).transpose().map_err(StoreError::from)
}

pub(super) async fn versions(
    pool: &SqlitePool,
    workflow: Option<&str>,
) -> Result<Vec<VersionRow>, StoreError> {
    let rows = sqlx::query(
        "SELECT * FROM forge_workflow_versions WHERE ?1 IS NULL OR workflow_name = ?1 \
         ORDER BY workflow_name, version DESC",
    )
    .bind(workflow)
    .fetch_all(pool)
    .await?;
    rows.iter().map(decode).collect()
}

pub(super) async fn activate(
    connection: &mut SqliteConnection,
    workflow: &str,
    version: u32,
) -> Result<bool, StoreError> {
    let found = sqlx::query(
        "UPDATE forge_workflow_versions SET active = 1, deprecated = 0 WHERE workflow_name = ? AND version = ?",
    )
    .bind(workflow)
    .bind(i64::from(version))
    .execute(&mut *connection)
    .await?;
    if found.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query("UPDATE forge_workflow_versions SET active = 0 WHERE workflow_name = ? AND version <> ?")
        .bind(workflow)
        .bind(i64::from(version))
        .execute(&mut *connection)
        .await?;
    Ok(true)
}

pub(super) async fn deprecate(
    connection: &mut SqliteConnection,
    workflow: &str,
    version: u32,
) -> Result<bool, StoreError> {
    let found = sqlx::query(
        "UPDATE forge_workflow_versions SET deprecated = 1, active = 0 WHERE workflow_name = ? AND version = ?",
    )
    .bind(workflow)
    .bind(i64::from(version))
    .execute(connection)
    .await?;
    Ok(found.rows_affected() > 0)
}

fn decode(row: &SqliteRow) -> Result<VersionRow, StoreError> {
    let columns = Columns { table: "forge_workflow_versions", row };
    Ok(VersionRow {
        workflow: columns.text("workflow_name")?.to_string(),
        version: columns.number("version")?,
        digest: columns.text("digest")?.to_string(),
        timeout_ms: columns.number("timeout_ms")?,
        deprecated: columns.integer("deprecated")? != 0,
        active: columns.integer("active")? != 0,
        created_at: columns.time("created_at")?,
    })
}
