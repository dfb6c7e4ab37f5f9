use axum::Json;
use axum::extract::State;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::parameters::{Query, page};
use super::{Api, ApiError, ApiResult};
use crate::tenants::{AuditPage, Caller, UsageReport};
use forge_clock as clock;
use forge_journal::Timestamp;

/// The longest period of a usage report.
const MAX_DAYS: i64 = 92;

/// The audit log and usage.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(audit)).routes(routes!(usage))
}

/// The query of the audit log.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AuditQuery {
    /// Return the entries of all tenants and of the host. Requires a key of the host.
    #[serde(default)]
    all: bool,
    /// The maximum number of entries.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<u32>,
    /// The `next_cursor` of the previous page.
    cursor: Option<i64>,
}

/// The query of a usage report.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct UsageQuery {
    /// Return the usage of all tenants. Requires a key of the host.
    #[serde(default)]
    all: bool,
    /// The begin of the period, as RFC 3339. Default: one day before `until`.
    from: Option<DateTime<Utc>>,
    /// The end of the period. Default: now.
    until: Option<DateTime<Utc>>,
}

/// Read the audit log
///
/// Returns uploads, activations, commands for runs, and changes of tenants, keys and secrets, newest first. A key of a tenant
/// sees keys of the host as `operator`.
#[utoipa::path(
    get, path = "/_api/audit", tag = "tenants",
    security(("key" = ["admin"])),
    params(AuditQuery),
    responses(
        (status = 200, description = "A page of the audit log.", body = AuditPage),
    ),
)]
async fn audit(api: State<Api>, caller: Caller, Query(query): Query<AuditQuery>) -> ApiResult<AuditPage> {
    let AuditQuery { all, limit, cursor } = query;
    let limit = page(limit)?;
    let tenant = caller.whose(all)?;
    let read = async || Ok(api.host.tenants().audit(&caller, tenant, cursor, limit).await?);
    Ok(Json(api.executor(&caller).reading(read).await?))
}

/// Read the usage
///
/// Returns fuel, runs, steps, requests, bytes and time in memory by tenant and hour. A period begins and ends with a
/// full hour, and has at most 92 days.
#[utoipa::path(
    get, path = "/_api/usage", tag = "tenants",
    security(("key" = ["read"])),
    params(UsageQuery),
    responses(
        (status = 200, description = "The hours with usage, and their sum.", body = UsageReport),
    ),
)]
async fn usage(api: State<Api>, caller: Caller, Query(query): Query<UsageQuery>) -> ApiResult<UsageReport> {
    let until = query.until.unwrap_or_else(|| clock::now().to_datetime());
    let from = query.from.or_else(|| until.checked_sub_signed(TimeDelta::days(1)));
    let from = from.filter(|from| *from <= until && until - *from <= TimeDelta::days(MAX_DAYS));
    let Some(from) = from else {
        return Err(ApiError::invalid_parameter(format!(
            "`from` must be before `until`, by at most {MAX_DAYS} days"
        )));
    };
    let [from, until] = [from, until].map(|time| Timestamp(time.timestamp_millis()));
    let tenant = caller.whose(query.all)?;
    let read = async || Ok(api.host.tenants().usage(tenant, from, until).await?);
    Ok(Json(api.executor(&caller).reading(read).await?))
}
