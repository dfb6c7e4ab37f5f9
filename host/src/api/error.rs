use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::ErrorCode;
use super::body::BodyLimit;
use crate::config::ServerLimits;
use crate::executor::ExecutorError;
use crate::registry::RegistryError;
use crate::tenants::{Denied, RunScope, TenantError};
use forge_egress::secrets::SecretError;
use forge_journal::db::quoted;
use forge_journal::{Unsent, kind};
use forge_store::{Refusal, StoreError};

/// Seconds after which a client should repeat a request that failed because the host is busy, stops or cannot write.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// The authentication scheme.
const BEARER: HeaderValue = HeaderValue::from_static("Bearer");

/// An error as the client sees it. The details of an internal error are only in the host's log.
#[derive(Debug, Clone)]
pub struct ApiError {
    code: ErrorCode,
    message: String,
    /// The place in the input of the request that is wrong.
    path: Option<String>,
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
    // A newer host may have codes that this program does not know.
    #[schema(value_type = ErrorCode, example = "unknown_workflow")]
    pub code: String,
    /// A message for people: what happened, and what to do.
    #[schema(example = "there is no workflow `paymnt`; there are: payment")]
    pub message: String,
    /// With `invalid_input`: the place in the input, such as `$.items[2].price`, if its schema says what is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

impl ApiError {
    fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), path: None, retry_after: None }
    }

    /// 400: a parameter of the path or the query is invalid.
    pub(crate) fn invalid_parameter(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidParameter, message)
    }

    /// 400: the body is invalid.
    pub(super) fn invalid_body(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidBody, message)
    }

    /// 404: the tenant's store has no such key.
    pub(super) fn unknown_entry(key: &str) -> Self {
        let message = format!("the store has no key {}; `GET /_api/db` lists the keys", quoted(key));
        Self::new(ErrorCode::UnknownEntry, message)
    }

    /// 500: the task of a request panicked.
    pub(super) fn broken_off(error: &tokio::task::JoinError) -> Self {
        tracing::error!(%error, "a request was aborted");
        let message = "the request was aborted; the reason is in the host's log. It may have had an effect: check before you repeat it";
        Self::new(ErrorCode::Internal, message)
    }

    /// 403: the request is from a web page of another origin.
    pub(super) fn cross_site(origin: &str) -> Self {
        let message = format!(
            "web pages of {origin} cannot use this API; the operator of the host can allow it (--allow-origin)"
        );
        Self::new(ErrorCode::CrossSite, message)
    }

    /// 400: a message of a WebSocket is too large.
    pub(super) fn message_too_large(bytes: usize, most: usize) -> Self {
        Self::invalid_body(format!("the message has {bytes} bytes; the most is {most}"))
    }

    /// 403: the request addresses a host without API keys by a DNS name.
    pub(super) fn foreign_name(host: &str) -> Self {
        let message = format!(
            "a host without API keys rejects requests to `{host}`, because web pages could reach it by a DNS name of their \
             own: use its IP address or `localhost`, or create an API key (`forge keys create --host --role admin NAME`)"
        );
        Self::new(ErrorCode::CrossSite, message)
    }

    /// 403: the endpoint has no security metadata.
    pub(super) fn not_open(path: &str) -> Self {
        Self::new(ErrorCode::Forbidden, format!("{path} is not available"))
    }

    /// 403: a run token is used for something else than reading its run.
    pub(super) fn token_scope(scope: &RunScope) -> Self {
        let without = if scope.payloads { "" } else { ", without payloads and log lines" };
        let message =
            format!("this token only reads run {}{without}; use an API key for other requests", scope.run);
        Self::new(ErrorCode::TokenScope, message)
    }

    /// 403: a request with the session of a browser is to change something, and does not prove that a page of this host sends
    /// it.
    pub(crate) fn no_csrf() -> Self {
        let message = "a request that changes something with a session needs the header `Forge-CSRF` with the `csrf` of \
                       `GET /_api/session`";
        Self::new(ErrorCode::Csrf, message)
    }

    /// 403: the API key belongs to a tenant, and the request requires a key of the host.
    pub(super) fn host_only() -> Self {
        let message = "this requires an API key of the host, and this key belongs to a tenant";
        Self::new(ErrorCode::Forbidden, message)
    }

    /// 401: the API key of a request was revoked before the request was answered.
    pub(super) fn key_revoked() -> Self {
        let message = "this API key was revoked or has expired while the request was under way; what the request was to change \
                       may have been changed";
        Self::new(ErrorCode::Unauthorized, message)
    }

    /// 404: the path does not exist.
    pub(crate) fn unknown_route(method: &Method, path: &str) -> Self {
        let message = format!("there is no {method} {path}; /_api/openapi.json describes the API");
        Self::new(ErrorCode::UnknownRoute, message)
    }

    /// 405: the path exists with another method.
    pub(crate) fn wrong_method(method: &Method, path: &str) -> Self {
        let message =
            format!("{path} does not support {method}; the header `Allow` lists the supported methods");
        Self::new(ErrorCode::MethodNotAllowed, message)
    }

    /// 408: the body, named by `what`, came too slowly.
    pub(super) fn body_too_slow(what: &str) -> Self {
        let message = format!(
            "{what} did not come in time: nothing of it came for `--api-body-time`, or less than {} bytes a second",
            ServerLimits::LEAST_RATE
        );
        Self::new(ErrorCode::BodyTimeout, message)
    }

    /// 429: the clients of the tenant do not read their answers.
    pub(super) fn too_many_answers() -> Self {
        let message = "there is no room for another answer until earlier ones are read (`--api-answers`), and nothing was \
                       done: read them, ask for smaller pages, or send the request again later";
        Self::new(ErrorCode::Busy, message)
    }

    /// 408: the body, named by `what`, does not arrive within `limit`.
    pub(super) fn upload_too_slow(what: &str, limit: Duration) -> Self {
        let limit = humantime::format_duration(limit);
        Self::new(
            ErrorCode::BodyTimeout,
            format!(
                "{what} does not arrive within {limit} (--upload-time): send it faster, or raise the limit"
            ),
        )
    }

    /// 503: there are too many connections.
    pub(super) fn too_many_connections() -> Self {
        let message = "there are too many connections, in total (`--api-connections`) or of this address \
                       (`--api-connections-per-address`), and all have requests: close some, or repeat the request later";
        Self::new(ErrorCode::TooManyConnections, message)
    }

    /// 503: there are too many connections that last.
    pub(super) fn too_many_lasting() -> Self {
        let message = "there are too many connections for subscriptions (`--api-lasting-connections`): close some, or repeat \
                       the request later";
        Self::new(ErrorCode::TooManyConnections, message)
    }

    /// 408: a client has not sent its API key.
    pub(super) fn no_first_message(limit: Duration) -> Self {
        let limit = humantime::format_duration(limit);
        let message =
            format!("no message with an API key or a token came within {limit} (`--live-first-message`)");
        Self::new(ErrorCode::BodyTimeout, message)
    }

    /// Returns the body of the response as JSON.
    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(&self.body()).unwrap_or_default()
    }

    /// 413: the body, named by `what`, is larger than its limit.
    pub(super) fn body_too_large(what: &str, limit: BodyLimit) -> Self {
        let BodyLimit { bytes, setting } = limit;
        let message = match setting {
            Some(setting) => format!(
                "{what} is larger than {bytes} bytes (the limit {setting}): send a smaller one, or request a higher limit"
            ),
            None => format!("{what} is larger than {bytes} bytes, the most that this operation reads"),
        };
        Self::new(ErrorCode::BodyTooLarge, message)
    }

    /// 415: the content type of the body is not supported.
    pub(super) fn unsupported_media_type(found: Option<&str>, wanted: &str) -> Self {
        let found = found.map_or("none".to_owned(), |found| format!("`{found}`"));
        let message = format!("the content type must be {wanted}; this request has {found}");
        Self::new(ErrorCode::UnsupportedMediaType, message)
    }

    /// 415: the body, named by `what`, has a content coding.
    pub(super) fn unsupported_coding(what: &str, coding: &str) -> Self {
        let message = format!(
            "{what} has the content encoding `{coding}`, which this API does not decode: send it without a `Content-Encoding`"
        );
        Self::new(ErrorCode::UnsupportedEncoding, message)
    }

    /// Returns the code.
    pub(crate) fn code(&self) -> ErrorCode {
        self.code
    }

    /// Returns the message for people.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// 500: an internal error. Its details are only logged.
    pub(super) fn internal(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "a request failed");
        let message = "an internal error occurred; the details are in the host's log";
        Self::new(ErrorCode::Internal, message)
    }

    /// Returns the body of the response.
    pub(super) fn body(&self) -> ErrorBody {
        let (code, message) = (self.code.to_string(), self.message.clone());
        ErrorBody { error: ErrorDetail { code, message, path: self.path.clone() } }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => Self::new(ErrorCode::StoreUnavailable, error.to_string()),
            StoreError::OutcomeUnknown(_) => Self::new(ErrorCode::OutcomeUnknown, error.to_string()),
            StoreError::Fenced => Self::new(ErrorCode::LeaseLost, error.to_string()),
            StoreError::FilesGone { .. } => Self::new(ErrorCode::DatabaseGone, error.to_string()),
            StoreError::LogTooLarge { .. } => Self::new(ErrorCode::LogTooLarge, error.to_string()),
            StoreError::Outdated => Self::new(ErrorCode::RunChanged, error.to_string()),
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
        let mut path = None;
        let code = match error {
            RegistryError::Store(error) => return error.into(),
            RegistryError::Tenant(error) => return error.into(),
            RegistryError::MissingComponent(_) => return Self::internal(&error),
            RegistryError::InvalidComponent(_) => ErrorCode::InvalidComponent,
            RegistryError::TooLarge { .. } => ErrorCode::BodyTooLarge,
            RegistryError::VersionTaken { .. } => ErrorCode::VersionTaken,
            RegistryError::UnknownWorkflow { .. } => ErrorCode::UnknownWorkflow,
            RegistryError::UnknownVersion { .. } => ErrorCode::UnknownVersion,
            RegistryError::AllDeprecated { .. } => ErrorCode::AllDeprecated,
            RegistryError::NoSchema { .. } => ErrorCode::NoSchema,
            RegistryError::InputMisfit { path: ref place, .. }
            | RegistryError::InputUnchecked { path: ref place, .. } => {
                path = Some(place.clone());
                ErrorCode::InvalidInput
            }
            RegistryError::UploadsWait { .. } => ErrorCode::Busy,
            RegistryError::CompileTime { retry_after: time, .. } => {
                retry_after = Some(time);
                ErrorCode::Busy
            }
        };
        Self { path, retry_after, ..Self::new(code, error.to_string()) }
    }
}

impl From<ExecutorError> for ApiError {
    fn from(error: ExecutorError) -> Self {
        let code = match error {
            ExecutorError::Registry(error) => return error.into(),
            ExecutorError::Store(error) => return error.into(),
            ExecutorError::Tenant(error) => return error.into(),
            ExecutorError::Frame(_) => return Self::internal(&error),
            ExecutorError::UnknownRun(_) => ErrorCode::UnknownRun,
            ExecutorError::InputTooLarge { .. } => ErrorCode::InputTooLarge,
            ExecutorError::InvalidInput(_) => ErrorCode::InvalidInput,
            ExecutorError::InvalidKey(_) => ErrorCode::InvalidKey,
            ExecutorError::PayloadTooLarge { .. } => ErrorCode::PayloadTooLarge,
            ExecutorError::UnknownKey { .. } => ErrorCode::UnknownRun,
            ExecutorError::InvalidEvent(_) => ErrorCode::InvalidEvent,
            ExecutorError::DbKey(_) => ErrorCode::InvalidKey,
            ExecutorError::Db(ref failure) => match failure.kind.as_str() {
                kind::CONFLICT => ErrorCode::VersionConflict,
                kind::LIMIT => ErrorCode::Limit,
                _ => ErrorCode::InvalidBody,
            },
            ExecutorError::Unsent(ref unsent) => match unsent {
                Unsent::Unknown(_) => ErrorCode::UnknownRun,
                Unsent::Final { .. } => ErrorCode::Conflict,
                Unsent::Full { .. } => ErrorCode::InboxFull,
            },
            ExecutorError::KeyReused { .. } => ErrorCode::KeyReused,
            ExecutorError::NotCompensated { .. } | ExecutorError::Terminated { .. } => {
                ErrorCode::NotCompensated
            }
            ExecutorError::Conflict { .. } => ErrorCode::Conflict,
            ExecutorError::Busy { .. } | ExecutorError::TooManyLive { .. } => ErrorCode::Busy,
            ExecutorError::ReadTimedOut(_) => ErrorCode::ReadTimeout,
            ExecutorError::Refused(ref refusal) => match refusal {
                Refusal::CannotRollBack { .. } => ErrorCode::CannotRollBack,
                Refusal::CannotResume { .. } => ErrorCode::CannotResume,
                Refusal::CorruptJournal { .. } => ErrorCode::CorruptJournal,
                Refusal::UnknownStep { .. } => ErrorCode::UnknownStep,
                Refusal::NotInDoubt { .. } => ErrorCode::NotInDoubt,
                Refusal::InvalidResult { .. } => ErrorCode::InvalidResult,
            },
            ExecutorError::Elsewhere(_) => ErrorCode::NodeSilent,
            ExecutorError::ShuttingDown => ErrorCode::ShuttingDown,
        };
        Self::new(code, error.to_string())
    }
}

impl From<TenantError> for ApiError {
    fn from(error: TenantError) -> Self {
        let code = match error {
            TenantError::Store(error) => return error.into(),
            TenantError::Encoding(_) => return Self::internal(&error),
            TenantError::Unknown(_) => ErrorCode::UnknownTenant,
            TenantError::UnknownKey(_) => ErrorCode::UnknownKey,
            TenantError::Exists(_) => ErrorCode::TenantExists,
            TenantError::Changed(_) => ErrorCode::Changed,
            TenantError::InvalidName(_) => ErrorCode::InvalidName,
            TenantError::InvalidKey(_) => ErrorCode::InvalidKey,
            TenantError::InvalidLimit(_) => ErrorCode::InvalidLimit,
            TenantError::InvalidRule { .. } | TenantError::NetworksWithoutRules => ErrorCode::InvalidRule,
            TenantError::UnknownSecret(_) => ErrorCode::UnknownSecret,
            TenantError::Secret(ref error) => match **error {
                SecretError::InvalidName(_) | SecretError::InvalidValue(_) | SecretError::TooMuch { .. } => {
                    ErrorCode::InvalidSecret
                }
                _ => ErrorCode::Secret,
            },
            TenantError::Suspended(_) => ErrorCode::Suspended,
            TenantError::TokenTime { .. } => ErrorCode::InvalidBody,
            TenantError::Role { .. } => ErrorCode::Forbidden,
            TenantError::TooFast { .. } => ErrorCode::Busy,
            TenantError::Limit { .. } | TenantError::Storage { .. } => ErrorCode::Limit,
        };
        Self::new(code, error.to_string())
    }
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        let code = match denied {
            Denied::Tenant(error) => return error.into(),
            Denied::NoKey | Denied::InvalidKey | Denied::InvalidToken | Denied::InvalidSession => {
                ErrorCode::Unauthorized
            }
            Denied::OtherTenant { .. } => ErrorCode::Forbidden,
        };
        Self::new(code, denied.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.code.status(), Json(self.body())).into_response();
        if [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS].contains(&self.code.status()) {
            let seconds = self.retry_after.map(|time| HeaderValue::from(time.as_secs().max(1)));
            response.headers_mut().insert(header::RETRY_AFTER, seconds.unwrap_or(RETRY_AFTER));
        }
        if self.code == ErrorCode::Unauthorized {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, BEARER);
        }
        // The dashboard shows it as a page.
        response.extensions_mut().insert(self);
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
        assert_eq!(error.code, ErrorCode::Internal);
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
