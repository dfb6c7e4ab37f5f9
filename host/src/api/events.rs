use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::body::BodyLimit;
use super::parameters::Path;
use super::{Api, ApiError, ErrorBody, json};
use crate::executor::EventRequest;
use crate::tenants::Caller;
use forge_journal::{Document, RunId, Sent};

/// Bytes of the body in addition to the payload: the keys and JSON's syntax.
const BESIDE_PAYLOAD: usize = 4 << 10;

/// The header that has the key of an event.
const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The events that clients send.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(send_event)).routes(routes!(send_event_by_key))
}

/// An event for a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EventBody {
    /// The payload; `null` if absent.
    #[schema(value_type = Value, default = json!(null))]
    pub payload: Document,
    /// An idempotency key of 1 to 255 bytes. Another event of this name with the same key is the same event. The header
    /// `Idempotency-Key` does the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// An event for the run that a start key has started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyedEventBody {
    /// The idempotency key of the run's start.
    pub run_key: String,
    /// The payload; `null` if absent.
    #[serde(default = "null")]
    #[schema(value_type = Value, default = json!(null))]
    pub payload: Document,
    /// An idempotency key, as in `EventBody`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// The event of a start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartEvent {
    /// The name of the event, of 1 to 255 bytes.
    pub name: String,
    /// The payload; `null` if absent.
    #[serde(default = "null")]
    #[schema(value_type = Value, default = json!(null))]
    pub payload: Document,
    /// An idempotency key, as in `EventBody`. Without one, a start that is repeated sends another event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// An event that is in the inbox of its run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SentEvent {
    /// The run, if the request named it by its start key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<Uuid>,
    /// The position of the event in the inbox of the run.
    pub seq: u64,
    /// Whether an event of this name with the same key was sent before. Then this request has sent nothing.
    pub duplicate: bool,
}

impl From<Sent> for SentEvent {
    fn from(Sent { seq, duplicate }: Sent) -> Self {
        Self { run_id: None, seq, duplicate }
    }
}

impl From<StartEvent> for EventRequest {
    fn from(StartEvent { name, payload, key }: StartEvent) -> Self {
        Self { name, payload, key }
    }
}

impl Default for EventBody {
    fn default() -> Self {
        Self { payload: null(), key: None }
    }
}

fn null() -> Document {
    Value::Null.into()
}

/// The responses to an event.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "for the OpenAPI document")]
enum Responses {
    /// The event is durable: the run can take it, even if the host crashes.
    #[response(status = 202)]
    Accepted(SentEvent),
    /// The run does not exist.
    #[response(status = 404)]
    Unknown(ErrorBody),
    /// The run is final. The message says how it ended.
    #[response(status = 409)]
    Final(ErrorBody),
    /// The payload is too large.
    #[response(status = 413)]
    TooLarge(ErrorBody),
    /// The inbox of the run is full. Nothing was sent.
    #[response(status = 429)]
    Full(ErrorBody),
    /// The host cannot send events now. After `outcome_unknown`, the event may have been sent: repeat it with the same
    /// `key`. After other codes, nothing was sent.
    #[response(status = 503)]
    Unavailable(ErrorBody),
}

type Accepted = (StatusCode, Json<SentEvent>);

/// Send an event to a run
///
/// A successful response means that the event is durable. The run keeps it until it takes it, also while it is paused. Set
/// `key` to repeat an event safely whose outcome is unknown.
#[utoipa::path(
    post, path = "/_api/runs/{id}/events/{name}", tag = "runs",
    security(("key" = ["start"])),
    params(
        ("id" = Uuid, Path, description = "The id of the run."),
        ("name" = String, Path, description = "The name of the event, of 1 to 255 bytes."),
        ("Idempotency-Key" = Option<String>, Header, description = "The same as `key` in the body."),
    ),
    request_body = EventBody,
    responses(Responses),
)]
async fn send_event(
    api: State<Api>,
    caller: Caller,
    Path((id, name)): Path<(Uuid, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Accepted, ApiError> {
    let limit = body_limit(&api, &caller).await?;
    let EventBody { payload, key } = json::read(&headers, body, limit, "at least `{}`").await?;
    let event = EventRequest { name, payload, key: key_of(&headers, key)? };
    let sent = api.executor(&caller).send_event(RunId(id), event).await?;
    Ok((StatusCode::ACCEPTED, Json(sent.into())))
}

/// Send an event to the run of a key
///
/// The same for the run that was started with this workflow and idempotency key.
#[utoipa::path(
    post, path = "/_api/workflows/{name}/events/{event}", tag = "workflows",
    security(("key" = ["start"])),
    params(
        ("name" = String, Path, description = "The name of the workflow."),
        ("event" = String, Path, description = "The name of the event, of 1 to 255 bytes."),
        ("Idempotency-Key" = Option<String>, Header, description = "The same as `key` in the body."),
    ),
    request_body = KeyedEventBody,
    responses(Responses),
)]
async fn send_event_by_key(
    api: State<Api>,
    caller: Caller,
    Path((workflow, name)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Accepted, ApiError> {
    let limit = body_limit(&api, &caller).await?;
    let KeyedEventBody { run_key, payload, key } =
        json::read(&headers, body, limit, "at least `run_key`").await?;
    let event = EventRequest { name, payload, key: key_of(&headers, key)? };
    let (run, sent) = api.executor(&caller).send_event_by_key(&workflow, &run_key, event).await?;
    Ok((StatusCode::ACCEPTED, Json(SentEvent { run_id: Some(run.0), ..sent.into() })))
}

async fn body_limit(api: &Api, caller: &Caller) -> Result<BodyLimit, ApiError> {
    let tenant = api.host.tenants().get(&caller.tenant).await?;
    Ok(BodyLimit::payload(&tenant.limits(), BESIDE_PAYLOAD))
}

/// Returns the key of an event, which the body or the header may have.
fn key_of(headers: &HeaderMap, in_body: Option<String>) -> Result<Option<String>, ApiError> {
    let mut key = in_body;
    for header in headers.get_all(KEY) {
        let header = str::from_utf8(header.as_bytes())
            .map_err(|_| ApiError::invalid_parameter("the header `Idempotency-Key` is not UTF-8"))?;
        if key.as_deref().is_some_and(|key| key != header) {
            return Err(ApiError::invalid_parameter(
                "the request has two keys that differ: give one, as `key` in the body or as the header `Idempotency-Key`",
            ));
        }
        key = Some(header.to_owned());
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(keys: &[&'static str]) -> HeaderMap {
        keys.iter().map(|key| (KEY, key.parse().unwrap())).collect()
    }

    #[test]
    fn the_payload_of_an_event_is_null_if_it_is_absent_or_null() {
        for text in ["{}", r#"{"payload":null,"key":null}"#] {
            assert_eq!(serde_json::from_str::<EventBody>(text).unwrap(), EventBody::default(), "{text}");
        }
        assert_eq!(EventBody::default().payload.to_string(), "null");
        let keyed: KeyedEventBody = serde_json::from_str(r#"{"run_key":"a"}"#).unwrap();
        assert_eq!(keyed, KeyedEventBody { run_key: "a".to_owned(), payload: null(), key: None });
    }

    #[test]
    fn the_key_is_in_the_body_or_in_the_header_and_both_must_agree() {
        let in_body = Some("a".to_owned());
        assert_eq!(key_of(&headers(&[]), None).unwrap(), None);
        assert_eq!(key_of(&headers(&[]), in_body.clone()).unwrap(), in_body);
        assert_eq!(key_of(&headers(&["a"]), None).unwrap(), in_body);
        assert_eq!(key_of(&headers(&["a", "a"]), in_body.clone()).unwrap(), in_body);
        key_of(&headers(&["b"]), in_body).unwrap_err();
        key_of(&headers(&["a", "b"]), None).unwrap_err();
    }
}
