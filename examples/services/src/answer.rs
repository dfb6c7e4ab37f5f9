//! The arguments and results of handlers: [`Json`], [`Answer`] and [`Problem`].

use axum::extract::FromRequest;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;

/// A JSON request body. If it is invalid, the response is a [`Problem`].
#[derive(FromRequest)]
#[from_request(via(axum::Json), rejection(Problem))]
pub struct Json<T>(pub T);

/// A successful response.
pub struct Answer<T> {
    status: StatusCode,
    body: T,
    changed: bool,
}

/// Marks the response to a request that had nothing left to do, for example a second refund of a charge with
/// another key. The ledger does not count it as an effect.
#[derive(Clone, Copy)]
pub struct Unchanged;

impl<T: Serialize> Answer<T> {
    /// Returns 200: the effect was performed.
    pub fn ok(body: T) -> Self {
        Self { status: StatusCode::OK, body, changed: true }
    }

    /// Returns 201: a resource was created.
    pub fn created(body: T) -> Self {
        Self { status: StatusCode::CREATED, body, changed: true }
    }

    /// Returns 200: there was nothing left to do.
    pub fn unchanged(body: T) -> Self {
        Self { status: StatusCode::OK, body, changed: false }
    }
}

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        let mut response = (self.status, axum::Json(self.body)).into_response();
        if !self.changed {
            response.extensions_mut().insert(Unchanged);
        }
        response
    }
}

/// An error response: `{"error": {"code", "message"}}`.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Problem {
    /// Returns an error with a stable `code` for programs and a `message` for people.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// Returns 404.
    pub fn not_found(what: &str, id: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no {what} {id}"))
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        Self::new(rejection.status(), "invalid_body", rejection.body_text())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({"error": {"code": self.code, "message": self.message}});
        (self.status, axum::Json(body)).into_response()
    }
}
