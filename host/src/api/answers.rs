//! The memory for answers that clients have not read.

use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use forge_scheduling::{ByteBudget, ReservedBytes};
use hyper::body::Body as _;

use super::ApiError;
use super::lasting_body::LastingBody;

/// The bytes of an answer that need no reservation: what the server buffers of a connection anyway.
const UNRESERVED: u64 = 16 << 10;

/// The part of the host's budget that one tenant may use.
const PART: u64 = 4;

/// The budget of all answers of a host.
#[derive(Clone)]
pub(super) struct Answers {
    all: Arc<ByteBudget>,
    /// Of answers to nobody: the OpenAPI document.
    public: Arc<ByteBudget>,
    limit: u64,
}

impl Answers {
    pub(super) fn new(limit: u64) -> Self {
        Self { all: Arc::default(), public: Arc::default(), limit }
    }

    /// Answers a request within the budget of a tenant, in which the answer counts until the client has read it. An answer
    /// for which there is no room becomes an error: it must not wait, because it is in memory. A change is not made without
    /// room; once it is made, its answer is sent.
    pub(super) async fn bounded(
        &self,
        tenant: Option<&Arc<ByteBudget>>,
        changes: bool,
        answering: impl Future<Output = Response>,
    ) -> Response {
        let part = tenant.unwrap_or(&self.public);
        if changes && part.used() >= self.limit / PART {
            return ApiError::too_many_answers().into_response();
        }
        let answer = answering.await;
        let Some(bytes) = answer.body().size_hint().exact().filter(|bytes| *bytes > UNRESERVED) else {
            return answer;
        };
        let limits = if changes { [u64::MAX; 2] } else { [self.limit / PART, self.limit] };
        match self.reserve(part, bytes, limits) {
            Some(reserved) => answer.map(|body| Body::new(LastingBody::new(body, reserved))),
            None => ApiError::too_many_answers().into_response(),
        }
    }

    fn reserve(
        &self,
        part: &Arc<ByteBudget>,
        bytes: u64,
        [of_part, of_all]: [u64; 2],
    ) -> Option<[ReservedBytes; 2]> {
        let part = part.try_reserve(bytes, of_part)?;
        Some([part, self.all.try_reserve(bytes, of_all)?])
    }
}
