use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use crate::config::ServerLimits;
use crate::executor::ExecutorError;
use crate::registry::RegistryError;
use crate::tenants::{Denied, TenantError};
use forge_egress::secrets::SecretError;
use forge_journal::Unsent;
use forge_store::{Refusal, StoreError};

/// Seconds after which a client should repeat a request that failed because the host is busy, stops or cannot write.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// The authentication scheme.
const BEARER: HeaderValue = HeaderValue::from_static("Bearer");

/// An error as the client sees it. The details of an internal error are only in the host's log.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// When a client should try again, if that is known.
    retry_after: Option<Duration>,
}

/// The body of an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorDetail,
}

/// An error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ErrorDetail {
    /// A stable code for programs.
    #[schema(example = "unknown_workflow")]
    pub code: String,
    /// A message for people: what happened, and what to do.
    #[schema(example = "there is no workflow `paymnt`; there are: payment")]
    pub message: String,
}

impl ApiError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after: None }
    }

    /// 400: a parameter of the path or the query is invalid.
    pub(super) fn invalid_parameter(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_parameter", message)
    }

    /// 400: the body is invalid.
    pub(super) fn invalid_body(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_body", message)
    }

    /// 500: the task of a request panicked.
    pub(super) fn broken_off(error: &tokio::task::JoinError) -> Self {
        tracing::error!(%error, "a request was aborted");
        let message = "the request was aborted; the reason is in the host's log. It may have had an effect: check before you repeat it";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }

    /// 403: the request is from a web page of another origin.
    pub(super) fn cross_site(origin: &str) -> Self {
        let message = format!("web pages of {origin} cannot use this API");
        Self::new(StatusCode::FORBIDDEN, "cross_site", message)
    }

    /// 403: the request addresses a host without API keys by a DNS name.
    pub(super) fn foreign_name(host: &str) -> Self {
        let message = format!(
            "a host without API keys rejects requests to `{host}`, because web pages could reach it by a DNS name of their \
             own: use its IP address or `localhost`, or create an API key (`forge keys create --host --role admin NAME`)"
        );
        Self::new(StatusCode::FORBIDDEN, "cross_site", message)
    }

    /// 403: the endpoint has no security metadata.
    pub(super) fn not_open(path: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", format!("{path} is not available"))
    }

    /// 403: the API key belongs to a tenant, and the request requires a key of the host.
    pub(super) fn host_only() -> Self {
        let message = "this requires an API key of the host, and this key belongs to a tenant";
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    /// 401: the API key of a request was revoked before the request was answered.
    pub(super) fn key_revoked() -> Self {
        let message = "this API key was revoked or has expired while the request was under way; what the request was to change \
                       may have been changed";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    /// 404: the path does not exist.
    pub(super) fn unknown_route(method: &Method, path: &str) -> Self {
        let message = format!("there is no {method} {path}; /_api/openapi.json describes the API");
        Self::new(StatusCode::NOT_FOUND, "unknown_route", message)
    }

    /// 405: the path exists with another method.
    pub(super) fn wrong_method(method: &Method, path: &str) -> Self {
        let message =
            format!("{path} does not support {method}; the header `Allow` lists the supported methods");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
    }

    /// 408: the body, named by `what`, came too slowly.
    pub(super) fn body_too_slow(what: &str) -> Self {
        let message = format!(
            "{what} did not come in time: nothing of it came for `--api-body-time`, or less than {} bytes a second",
            ServerLimits::LEAST_RATE
        );
        Self::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", message)
    }

    /// 429: the clients of the tenant do not read their answers.
    pub(super) fn too_many_answers() -> Self {
        let message = "there is no room for another answer until earlier ones are read (`--api-answers`), and nothing was \
                       done: read them, ask for smaller pages, or send the request again later";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", message)
    }

    /// 408: the body, named by `what`, does not arrive within `limit`.
    pub(super) fn upload_too_slow(what: &str, limit: Duration) -> Self {
        let limit = humantime::format_duration(limit);
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "body_timeout",
            format!(
                "{what} does not arrive within {limit} (--upload-time): send it faster, or raise the limit"
            ),
        )
    }

    /// 503: there are too many connections.
    pub(super) fn too_many_connections() -> Self {
        let message = "there are too many connections, of this address or in total, and all have requests: close some, or \
                       repeat the request later";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_connections", message)
    }

    /// Returns the body of the response as JSON.
    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(&self.body()).unwrap_or_default()
    }

    /// 413: the body, named by `what`, is larger than `limit` bytes.
    pub(super) fn body_too_large(what: &str, limit: usize) -> Self {
        let message = format!("{what} is larger than {limit} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
    }

    /// 415: the content type of the body is not supported.
    pub(super) fn unsupported_media_type(found: Option<&str>, wanted: &str) -> Self {
        let found = found.map_or("none".to_owned(), |found| format!("`{found}`"));
        let message = format!("the content type must be {wanted}; this request has {found}");
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message)
    }

    /// 415: the body, named by `what`, has a content coding.
    pub(super) fn unsupported_coding(what: &str, coding: &str) -> Self {
        let message = format!(
            "{what} has the content encoding `{coding}`, which this API does not decode: send it without a `Content-Encoding`"
        );
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding", message)
    }

    /// 500: an internal error. Its details are only logged.
    fn internal(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "a request failed");
        let message = "an internal error occurred; the details are in the host's log";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }

    /// Returns the body of the response.
    fn body(&self) -> ErrorBody {
        ErrorBody { error: ErrorDetail { code: self.code.to_owned(), message: self.message.clone() } }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", error.to_string())
            }
            StoreError::OutcomeUnknown(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "outcome_unknown", error.to_string())
            }
            StoreError::Fenced => Self::new(StatusCode::SERVICE_UNAVAILABLE, "lease_lost", error.to_string()),
            StoreError::FilesGone { .. } => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "database_gone", error.to_string())
            }
            StoreError::LogTooLarge { .. } => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "log_too_large", error.to_string())
            }
            StoreError::Outdated => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "run_changed", error.to_string())
            }
            StoreError::Closed => ExecutorError::ShuttingDown.into(),
            StoreError::InUse { .. }
            | StoreError::TooNew { .. }
            | StoreError::CannotOpen { .. }
            | StoreError::Rejected(_)
            | StoreError::Corrupt { .. } => Self::internal(&error),
        }
    }
}

impl From<RegistryError> for ApiError {
    fn from(error: RegistryError) -> Self {
        let mut retry_after = None;
        let (status, code) = match error {
            RegistryError::Store(error) => return error.into(),
            RegistryError::Tenant(error) => return error.into(),
            RegistryError::MissingComponent(_) => return Self::internal(&error),
            RegistryError::InvalidComponent(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_component"),
            RegistryError::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            RegistryError::VersionTaken { .. } => (StatusCode::CONFLICT, "version_taken"),
            RegistryError::UnknownWorkflow { .. } => (StatusCode::NOT_FOUND, "unknown_workflow"),
            RegistryError::UnknownVersion { .. } => (StatusCode::NOT_FOUND, "unknown_version"),
            RegistryError::AllDeprecated { .. } => (StatusCode::CONFLICT, "all_deprecated"),
            RegistryError::UploadsWait { .. } => (StatusCode::TOO_MANY_REQUESTS, "busy"),
            RegistryError::CompileTime { retry_after: time, .. } => {
                retry_after = Some(time);
                (StatusCode::TOO_MANY_REQUESTS, "busy")
            }
        };
        Self { retry_after, ..Self::new(status, code, error.to_string()) }
    }
}

impl From<ExecutorError> for ApiError {
    fn from(error: ExecutorError) -> Self {
        let (status, code) = match error {
            ExecutorError::Registry(error) => return error.into(),
            ExecutorError::Store(error) => return error.into(),
            ExecutorError::Tenant(error) => return error.into(),
            ExecutorError::UnknownRun(_) => (StatusCode::NOT_FOUND, "unknown_run"),
            ExecutorError::InputTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "input_too_large"),
            ExecutorError::PayloadTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large"),
            ExecutorError::InvalidInput(_) => (StatusCode::BAD_REQUEST, "invalid_input"),
            ExecutorError::InvalidKey(_) => (StatusCode::BAD_REQUEST, "invalid_key"),
            ExecutorError::UnknownKey { .. } => (StatusCode::NOT_FOUND, "unknown_run"),
            ExecutorError::InvalidEvent(_) => (StatusCode::BAD_REQUEST, "invalid_event"),
            ExecutorError::Unsent(ref unsent) => match unsent {
                Unsent::Unknown(_) => (StatusCode::NOT_FOUND, "unknown_run"),
                Unsent::Final { .. } => (StatusCode::CONFLICT, "conflict"),
                Unsent::Full { .. } => (StatusCode::TOO_MANY_REQUESTS, "inbox_full"),
            },
            ExecutorError::KeyReused { .. } => (StatusCode::CONFLICT, "key_reused"),
            ExecutorError::NotCompensated { .. } | ExecutorError::Terminated { .. } => {
                (StatusCode::CONFLICT, "not_compensated")
            }
            ExecutorError::Conflict { .. } => (StatusCode::CONFLICT, "conflict"),
            ExecutorError::Busy { .. } => (StatusCode::TOO_MANY_REQUESTS, "busy"),
            ExecutorError::ReadTimedOut(_) => (StatusCode::SERVICE_UNAVAILABLE, "read_timeout"),
            ExecutorError::Refused(ref refusal) => match refusal {
                Refusal::CannotRollBack { .. } => (StatusCode::CONFLICT, "cannot_roll_back"),
                Refusal::CannotResume { .. } => (StatusCode::CONFLICT, "cannot_resume"),
                Refusal::CorruptJournal { .. } => (StatusCode::CONFLICT, "corrupt_journal"),
                Refusal::UnknownStep { .. } => (StatusCode::NOT_FOUND, "unknown_step"),
                Refusal::NotInDoubt { .. } => (StatusCode::CONFLICT, "not_in_doubt"),
                Refusal::InvalidResult { .. } => (StatusCode::BAD_REQUEST, "invalid_result"),
            },
            ExecutorError::Elsewhere(_) => (StatusCode::SERVICE_UNAVAILABLE, "node_silent"),
            ExecutorError::ShuttingDown => (StatusCode::SERVICE_UNAVAILABLE, "shutting_down"),
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<TenantError> for ApiError {
    fn from(error: TenantError) -> Self {
        let (status, code) = match error {
            TenantError::Store(error) => return error.into(),
            TenantError::Encoding(_) => return Self::internal(&error),
            TenantError::Unknown(_) => (StatusCode::NOT_FOUND, "unknown_tenant"),
            TenantError::UnknownKey(_) => (StatusCode::NOT_FOUND, "unknown_key"),
            TenantError::Exists(_) => (StatusCode::CONFLICT, "tenant_exists"),
            TenantError::Changed(_) => (StatusCode::CONFLICT, "changed"),
            TenantError::InvalidName(_) => (StatusCode::BAD_REQUEST, "invalid_name"),
            TenantError::InvalidKey(_) => (StatusCode::BAD_REQUEST, "invalid_key"),
            TenantError::InvalidLimit(_) => (StatusCode::BAD_REQUEST, "invalid_limit"),
            TenantError::InvalidRule(_)
            | TenantError::InvalidNetwork(_)
            | TenantError::NetworksWithoutRules => (StatusCode::BAD_REQUEST, "invalid_rule"),
            TenantError::UnknownSecret(_) => (StatusCode::NOT_FOUND, "unknown_secret"),
            TenantError::Secret(ref error) => match **error {
                SecretError::InvalidName(_) | SecretError::InvalidValue(_) | SecretError::TooMuch { .. } => {
                    (StatusCode::BAD_REQUEST, "invalid_secret")
                }
                _ => (StatusCode::CONFLICT, "secret"),
            },
            TenantError::Suspended(_) => (StatusCode::FORBIDDEN, "suspended"),
            TenantError::Role { .. } => (StatusCode::FORBIDDEN, "forbidden"),
            TenantError::TooFast { .. } => (StatusCode::TOO_MANY_REQUESTS, "busy"),
            TenantError::Limit { .. } | TenantError::Storage { .. } => (StatusCode::FORBIDDEN, "limit"),
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        let (status, code) = match denied {
            Denied::Tenant(error) => return error.into(),
            Denied::NoKey | Denied::InvalidKey => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Denied::OtherTenant { .. } => (StatusCode::FORBIDDEN, "forbidden"),
        };
        Self::new(status, code, denied.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        if [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS].contains(&self.status) {
            let seconds = self.retry_after.map(|time| HeaderValue::from(time.as_secs().max(1)));
            response.headers_mut().insert(header::RETRY_AFTER, seconds.unwrap_or(RETRY_AFTER));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, BEARER);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_internal_error_does_not_reveal_details() {
        let error = StoreError::Corrupt { table: "forge_workflow_runs", why: "secret".to_owned() };
        let error = ApiError::from(ExecutorError::from(error));
        assert_eq!(error.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!error.message.contains("secret") && !error.message.contains("forge_workflow_runs"));
    }

    #[test]
    fn a_temporary_error_has_the_time_to_retry_after() {
        for error in [ExecutorError::ShuttingDown, StoreError::Unavailable("disk full".to_owned()).into()] {
            let response = ApiError::from(error).into_response();
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(response.headers()[header::RETRY_AFTER], "1");
        }
    }

    #[test]
    fn an_absent_media_type_is_reported_as_none() {
        let error = ApiError::unsupported_media_type(None, "application/wasm");
        assert_eq!(error.message, "the content type must be application/wasm; this request has none");
    }
}
