use bytes::Bytes;
use sqlx::postgres::PgRow;

use super::connection::{Connection, Connections, End};
use super::decode::Columns;
use super::error::QueryError;
use super::notifications::{Message, Notifier};
use super::text;
use crate::{InputSchema, StoreError, VersionConflict, VersionRow};

const TABLE: &str = "forge_workflow_versions";

/// Serializes uploads of all nodes. Readers do not wait.
const BEGIN: &str = "BEGIN; LOCK TABLE forge_workflow_versions IN SHARE ROW EXCLUSIVE MODE";

const INSERT_COMPONENT: &str = "INSERT INTO forge_workflow_modules (digest, component, uploaded_at) \
     VALUES ($1, $2, $3) \
     ON CONFLICT (digest) DO UPDATE SET component = excluded.component \
     WHERE forge_workflow_modules.component IS NULL AND excluded.component IS NOT NULL";

const INSERT_VERSION: &str = "INSERT INTO forge_workflow_versions \
     (workflow_name, version, digest, timeout_ms, created_at, deprecated, active, tenant, input_schema) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING";

const REPLACE_VERSION: &str = "INSERT INTO forge_workflow_versions AS known \
     (workflow_name, version, digest, timeout_ms, created_at, deprecated, active, tenant, input_schema) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (tenant, workflow_name, version) DO UPDATE SET \
     digest = excluded.digest, timeout_ms = excluded.timeout_ms, deprecated = excluded.deprecated, \
     created_at = excluded.created_at, input_schema = excluded.input_schema WHERE known.digest <> excluded.digest";

const INSERT_SCHEMA: &str =
    "INSERT INTO forge_input_schemas (digest, schema) VALUES ($1, $2) ON CONFLICT DO NOTHING";

const INPUT_SCHEMA: &str = "SELECT schema FROM forge_input_schemas WHERE digest = $1";

/// The columns that [`decode`] reads.
macro_rules! columns {
    () => {
        "workflow_name, version, digest, timeout_ms, deprecated, active, created_at, tenant, input_schema \
         FROM forge_workflow_versions"
    };
}

const VERSION: &str =
    concat!("SELECT ", columns!(), " WHERE tenant = $3 AND workflow_name = $1 AND version = $2");

const ALL: &str = concat!("SELECT ", columns!(), " WHERE tenant = $1 ORDER BY workflow_name, version DESC");

const OF_ONE: &str =
    concat!("SELECT ", columns!(), " WHERE tenant = $1 AND workflow_name = $2 ORDER BY version DESC");

const COMPONENT: &str =
    "SELECT component FROM forge_workflow_modules WHERE digest = $1 AND component IS NOT NULL";

const NOTIFY: &str = "SELECT pg_notify($1, $2)";

/// Changes all versions of the workflow, if the wanted one is among them. `$3` is the channel, `$4` the payload.
const ACTIVATE: &str = "WITH changed AS ( \
    UPDATE forge_workflow_versions SET active = version = $2, deprecated = deprecated AND version <> $2 \
     WHERE tenant = $5 AND workflow_name = $1 AND EXISTS ( \
        SELECT FROM forge_workflow_versions WHERE tenant = $5 AND workflow_name = $1 AND version = $2) RETURNING version \
) SELECT pg_notify($3, $4) FROM changed WHERE version = $2";

const DEPRECATE: &str = "WITH changed AS ( \
    UPDATE forge_workflow_versions SET active = FALSE, deprecated = TRUE \
     WHERE tenant = $5 AND workflow_name = $1 AND version = $2 RETURNING version \
) SELECT pg_notify($3, $4) FROM changed";

/// Inserts a component, its versions and their schemas. Returns the versions that exist with another component and keep it; if all do,
/// nothing is written.
pub(super) async fn register(
    connections: &Connections,
    notifier: &Notifier,
    digest: &str,
    component: Option<Bytes>,
    versions: &[VersionRow],
    schemas: &[InputSchema],
    conflict: VersionConflict,
) -> Result<Vec<VersionRow>, StoreError> {
    let mut lent = connections.take().await?;
    let connection = lent.connection().await?;
    connection.begin(BEGIN).await?;
    let (kept, insert) = match conflict {
        VersionConflict::Keep => (with_other_component(connection, digest, versions).await?, INSERT_VERSION),
        VersionConflict::Replace => (Vec::new(), REPLACE_VERSION),
    };
    if !versions.is_empty() && kept.len() == versions.len() {
        connection.finish(End::Rollback).await?;
        return Ok(kept);
    }
    let uploaded_at = versions.first().map_or(0, |version| version.created_at.0);
    connection
        .all(sqlx::query(INSERT_COMPONENT).bind(digest).bind(component.as_deref()).bind(uploaded_at))
        .await?;
    for version in versions {
        let insert = sqlx::query(insert)
            .bind(text::encode(&version.workflow))
            .bind(i64::from(version.version))
            .bind(digest)
            .bind(version.timeout_ms.cast_signed())
            .bind(version.created_at.0)
            .bind(version.deprecated)
            .bind(version.active)
            .bind(text::encode(&version.tenant))
            .bind(version.input_schema.as_deref());
        connection.all(insert).await?;
    }
    for schema in schemas {
        let insert = sqlx::query(INSERT_SCHEMA).bind(&schema.digest).bind(text::encode(&schema.text));
        connection.all(insert).await?;
    }
    connection
        .all(sqlx::query(NOTIFY).bind(notifier.channel()).bind(notifier.payload(Message::DirectoryChanged)))
        .await?;
    connection.finish(End::Commit).await.map_err(QueryError::of_change)?;
    Ok(kept)
}

/// Returns these versions as they are, of those that exist with another component.
async fn with_other_component(
    connection: &mut Connection,
    digest: &str,
    versions: &[VersionRow],
) -> Result<Vec<VersionRow>, StoreError> {
    let mut found = Vec::new();
    for version in versions {
        let workflow = text::encode(&version.workflow);
        let query = sqlx::query(VERSION)
            .bind(workflow)
            .bind(i64::from(version.version))
            .bind(text::encode(&version.tenant));
        let known = connection.all(query).await?.first().map(decode).transpose()?;
        found.extend(known.filter(|known| known.digest != digest));
    }
    Ok(found)
}

pub(super) async fn component(
    connections: &Connections,
    digest: &str,
) -> Result<Option<Vec<u8>>, StoreError> {
    let row = connections.first(|| sqlx::query(COMPONENT).bind(digest)).await?;
    row.map(|row| Columns::new("forge_workflow_modules", &row).bytes()).transpose()
}

pub(super) async fn input_schema(
    connections: &Connections,
    digest: &str,
) -> Result<Option<String>, StoreError> {
    let row = connections.first(|| sqlx::query(INPUT_SCHEMA).bind(digest)).await?;
    row.map(|row| Columns::new("forge_input_schemas", &row).string()).transpose()
}

pub(super) async fn versions(
    connections: &Connections,
    tenant: &str,
    workflow: Option<&str>,
) -> Result<Vec<VersionRow>, StoreError> {
    let rows = match workflow {
        Some(workflow) => {
            let query = || sqlx::query(OF_ONE).bind(text::encode(tenant)).bind(text::encode(workflow));
            connections.all(query).await?
        }
        None => connections.all(|| sqlx::query(ALL).bind(text::encode(tenant))).await?,
    };
    rows.iter().map(decode).collect()
}

pub(super) async fn activate(
    connections: &Connections,
    notifier: &Notifier,
    tenant: &str,
    workflow: &str,
    version: u32,
) -> Result<bool, StoreError> {
    change(connections, notifier, ACTIVATE, [tenant, workflow], version).await
}

pub(super) async fn deprecate(
    connections: &Connections,
    notifier: &Notifier,
    tenant: &str,
    workflow: &str,
    version: u32,
) -> Result<bool, StoreError> {
    change(connections, notifier, DEPRECATE, [tenant, workflow], version).await
}

/// Returns whether the version exists.
async fn change(
    connections: &Connections,
    notifier: &Notifier,
    sql: &'static str,
    [tenant, workflow]: [&str; 2],
    version: u32,
) -> Result<bool, StoreError> {
    let query = || {
        let query = sqlx::query(sql).bind(text::encode(workflow)).bind(i64::from(version));
        query
            .bind(notifier.channel())
            .bind(notifier.payload(Message::DirectoryChanged))
            .bind(text::encode(tenant))
    };
    Ok(connections.change(query).await?.is_some())
}

fn decode(row: &PgRow) -> Result<VersionRow, StoreError> {
    let mut columns = Columns::new(TABLE, row);
    Ok(VersionRow {
        workflow: columns.string()?,
        version: columns.number()?,
        digest: columns.string()?,
        timeout_ms: columns.bits()?,
        deprecated: columns.flag()?,
        active: columns.flag()?,
        created_at: columns.time()?,
        tenant: columns.string()?,
        input_schema: columns.optional_string()?,
    })
}
