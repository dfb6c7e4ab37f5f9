use axum::Json;
use axum::extract::State;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::parameters::{Query, page};
use super::{Api, ApiError, ErrorBody};
use crate::tenants::{AuditPage, Caller, UsageReport};
use forge_clock as clock;
use forge_journal::Timestamp;

/// The longest time that is reported at once: a quarter of hours, of one tenant.
const MAX_DAYS: i64 = 92;

/// Who did what; what was used.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(audit)).routes(routes!(usage))
}

/// Which lines of the audit log.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AuditQuery {
    /// Of all tenants and of the host, for which a key of the host is needed.
    #[serde(default)]
    all: bool,
    /// At most so many.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<i64>,
}

/// Of which time.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct UsageQuery {
    /// Of all tenants, for which a key of the host is needed.
    #[serde(default)]
    all: bool,
    /// From the hour of this time on, as RFC 3339; none: since yesterday.
    from: Option<DateTime<Utc>>,
    /// Until before the hour of this time; none: until now.
    until: Option<DateTime<Utc>>,
}

/// Read the audit log
///
/// Who uploaded, activated, cancelled, or changed keys, secrets and limits. The newest first.
#[utoipa::path(
    get,
    path = "/_api/audit",
    operation_id = "audit",
    tag = "tenants",
    security(("key" = ["admin"])),
    params(AuditQuery),
    responses(
        (status = 200, description = "A page of it.", body = AuditPage),
        (status = 400, description = "A parameter is not what it should be.", body = ErrorBody),
    ),
)]
async fn audit(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<AuditQuery>,
) -> Result<Json<AuditPage>, ApiError> {
    let AuditQuery { all, limit, cursor } = query;
    let limit = page(limit)?;
    let tenant = caller.whose(all)?;
    Ok(Json(api.host.tenants().audit(tenant, cursor, limit).await?))
}

/// What was used
///
/// Fuel, runs, steps, requests, bytes and time in memory, by tenant and hour.
#[utoipa::path(
    get,
    path = "/_api/usage",
    operation_id = "usage",
    tag = "tenants",
    security(("key" = ["read"])),
    params(UsageQuery),
    responses(
        (status = 200, description = "The hours in which anything was used, and their sum.", body = UsageReport),
        (status = 400, description = "A parameter is not what it should be.", body = ErrorBody),
    ),
)]
async fn usage(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<UsageQuery>,
) -> Result<Json<UsageReport>, ApiError> {
    let until = query.until.unwrap_or_else(|| clock::now().to_datetime());
    let from = query.from.or_else(|| until.checked_sub_signed(TimeDelta::days(1)));
    let from = from.filter(|from| *from <= until && until - *from <= TimeDelta::days(MAX_DAYS));
    let Some(from) = from else {
        return Err(ApiError::invalid_parameter(format!(
            "`from` is before `until`, and by {MAX_DAYS} days at most"
        )));
    };
    let [from, until] = [from, until].map(|time| Timestamp(time.timestamp_millis()));
    Ok(Json(api.host.tenants().usage(caller.whose(query.all)?, from, until).await?))
}
