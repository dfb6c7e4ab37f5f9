use axum::http::StatusCode;
use serde::Serialize;

/// The code of an error, for programs. Each code has one status.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    utoipa::ToSchema,
    strum::Display,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[expect(missing_docs, reason = "the table of errors in docs/api.md has the causes")]
pub enum ErrorCode {
    InvalidParameter,
    InvalidBody,
    InvalidInput,
    InvalidResult,
    InvalidKey,
    InvalidEvent,
    InvalidName,
    InvalidLimit,
    InvalidRule,
    InvalidSecret,
    Unauthorized,
    Forbidden,
    Suspended,
    Limit,
    CrossSite,
    TokenScope,
    Csrf,
    UnknownRoute,
    UnknownWorkflow,
    UnknownVersion,
    NoSchema,
    UnknownRun,
    UnknownStep,
    UnknownTenant,
    UnknownKey,
    UnknownSecret,
    UnknownEntry,
    MethodNotAllowed,
    BodyTimeout,
    VersionTaken,
    AllDeprecated,
    KeyReused,
    NotCompensated,
    Conflict,
    CannotRollBack,
    CannotResume,
    CorruptJournal,
    NotInDoubt,
    TenantExists,
    Changed,
    Secret,
    VersionConflict,
    BodyTooLarge,
    InputTooLarge,
    PayloadTooLarge,
    UnsupportedMediaType,
    UnsupportedEncoding,
    InvalidComponent,
    Busy,
    InboxFull,
    Internal,
    StoreUnavailable,
    OutcomeUnknown,
    LeaseLost,
    RunChanged,
    DatabaseGone,
    LogTooLarge,
    ReadTimeout,
    NodeSilent,
    TooManyConnections,
    ShuttingDown,
}

impl ErrorCode {
    /// Returns the status of answers with this code.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::InvalidParameter
            | Self::InvalidBody
            | Self::InvalidInput
            | Self::InvalidResult
            | Self::InvalidKey
            | Self::InvalidEvent
            | Self::InvalidName
            | Self::InvalidLimit
            | Self::InvalidRule
            | Self::InvalidSecret => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden
            | Self::Suspended
            | Self::Limit
            | Self::CrossSite
            | Self::TokenScope
            | Self::Csrf => StatusCode::FORBIDDEN,
            Self::UnknownRoute
            | Self::UnknownWorkflow
            | Self::UnknownVersion
            | Self::NoSchema
            | Self::UnknownRun
            | Self::UnknownStep
            | Self::UnknownTenant
            | Self::UnknownKey
            | Self::UnknownSecret
            | Self::UnknownEntry => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::VersionTaken
            | Self::AllDeprecated
            | Self::KeyReused
            | Self::NotCompensated
            | Self::Conflict
            | Self::CannotRollBack
            | Self::CannotResume
            | Self::CorruptJournal
            | Self::NotInDoubt
            | Self::TenantExists
            | Self::Changed
            | Self::Secret => StatusCode::CONFLICT,
            Self::VersionConflict => StatusCode::PRECONDITION_FAILED,
            Self::BodyTooLarge | Self::InputTooLarge | Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType | Self::UnsupportedEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::InvalidComponent => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Busy | Self::InboxFull => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::StoreUnavailable
            | Self::OutcomeUnknown
            | Self::LeaseLost
            | Self::RunChanged
            | Self::DatabaseGone
            | Self::LogTooLarge
            | Self::ReadTimeout
            | Self::NodeSilent
            | Self::TooManyConnections
            | Self::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

#[cfg(test)]
mod tests {
    use strum::VariantArray as _;

    use super::*;

    /// The table of errors in `docs/api.md` is what programs rely on.
    #[test]
    fn the_documentation_lists_every_code_with_its_status() {
        let row = |line: &'static str| {
            let mut cells = line.strip_prefix("| ")?.split(" | ");
            let status: u16 = cells.next()?.parse().ok()?;
            let codes = cells.next()?.split('`').skip(1).step_by(2);
            Some(codes.map(move |code| format!("{status} {code}")))
        };
        let mut documented: Vec<String> =
            include_str!("../../../docs/api.md").lines().filter_map(row).flatten().collect();
        let code = |code: &ErrorCode| format!("{} {code}", code.status().as_u16());
        let mut codes: Vec<String> = ErrorCode::VARIANTS.iter().map(code).collect();
        documented.sort();
        codes.sort();
        assert_eq!(documented, codes);
    }
}
