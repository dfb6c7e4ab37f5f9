//! Routes for tests that need any effect or any response.
//!
//! - `POST /effects/{name}` with any JSON, or nothing, responds with `{"effect", "body"}`; the ledger
//!   has it as effect `name`
//! - `GET /echo?...` responds with `{"query", "headers"}` and the status `?status=`, or 200

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use serde_json::{Value, json};

use crate::Services;
use crate::answer::{Answer, Problem};
use crate::faults::fallible;
use crate::idempotency::keyed_by_path;

/// `/effects` and `/echo`.
pub fn router(services: &Services) -> Router<Services> {
    Router::new()
        .route("/effects/{name}", keyed_by_path(services, post(perform)))
        .route("/echo", fallible(services, get(echo)))
}

async fn perform(Path(name): Path<String>, body: Bytes) -> Result<Answer<Value>, Problem> {
    let body = match body.as_ref() {
        b"" => Value::Null,
        json => serde_json::from_slice(json)
            .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, "invalid_body", error.to_string()))?,
    };
    Ok(Answer::ok(json!({"effect": name, "body": body})))
}

async fn echo(
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> (StatusCode, axum::Json<Value>) {
    let headers: BTreeMap<_, _> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes())))
        .collect();
    let status = query.get("status").and_then(|status| status.parse().ok()).unwrap_or(StatusCode::OK);
    (status, axum::Json(json!({"query": query, "headers": headers})))
}
