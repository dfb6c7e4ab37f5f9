use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use forge_clock as clock;
use forge_egress::Withheld;
use forge_journal::http::{HttpRequest, HttpResponse};
use forge_journal::{EffectKind, Failure, Outcome, PauseReason, Row, kind};
use forge_sandbox::Stop;
use forge_sandbox::imports::http::KIND;
use forge_store::{RunWriter, StoreError};
use futures::FutureExt as _;
use http::Method;
use tokio::time::Instant;

use super::{Beginning, Departure, Effect, EffectFuture};
use crate::tenants::Tenant;

/// The answers after which a request has had no effect.
const REJECTIONS: Range<u16> = 400..500;

/// The answers among them that may be about an earlier request with the same key, or come from a proxy: timeout, conflict,
/// too early, too many requests.
const UNCLEAR: [u16; 4] = [408, 409, 425, 429];

/// The wait before a request that the server says is in progress is sent again. It doubles each time.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// An HTTP request. One that was under way in a crash is sent again with the same key, unless it is marked at-most-once:
/// then the run is paused.
pub(super) struct Http;

impl Effect for Http {
    fn kind(&self) -> EffectKind {
        KIND
    }

    fn may_leave_memory(&self) -> bool {
        false
    }

    fn in_doubt(&self, row: &Row, late: Option<&Outcome>) -> Option<String> {
        if is_safe(row) {
            return None;
        }
        let answered = match late {
            Some(Err(failure)) if failure.kind == kind::DENIED => return None,
            Some(Ok(Some(response))) => {
                HttpResponse::from_json(response).ok().map(|response| response.status)
            }
            _ => None,
        };
        match answered {
            Some(status) if is_rejection(status) => None,
            Some(status) => Some(format!("{} was answered with {status} after it was given up", row.name)),
            None => Some(format!("{} may have arrived: it was given up before its answer came", row.name)),
        }
    }

    fn unsettled(&self, row: &Row) -> Option<String> {
        if is_safe(row) {
            return None;
        }
        if let Some(failure) = &row.failure {
            return match failure.kind.as_str() {
                kind::TIMEOUT => Some(format!("{} may have arrived: no answer came in time", row.name)),
                kind::REVOKED => Some(format!(
                    "{} may have arrived: it was aborted, because it was no longer allowed",
                    row.name
                )),
                kind::LIMIT => Some(format!("{} was answered, and the answer could not be kept", row.name)),
                _ => None,
            };
        }
        let status = HttpResponse::from_json(row.result.as_deref()?).ok()?.status;
        let stands = !is_rejection(status);
        stands.then(|| format!("{} was answered with {status}, and its step did not complete", row.name))
    }

    fn begin(&self, beginning: &Beginning<'_>) -> Result<Option<EffectFuture>, Stop> {
        let Beginning { journal, row, tenant, writer, departure, may_have_begun, resend_in_doubt } =
            beginning;
        let request = HttpRequest::from_json(row.input.as_deref().unwrap_or_default())
            .map_err(|why| Stop::Pause(PauseReason::CorruptJournal, format!("call {}: {why}", row.seq)))?;
        if *may_have_begun && request.at_most_once && !resend_in_doubt {
            return Err(Stop::Pause(PauseReason::InDoubt, in_doubt(&row.name)));
        }
        let again = *may_have_begun;
        let sender = Sender {
            tenant: Arc::clone(tenant),
            writer: RunWriter::clone(writer),
            departure: Arc::clone(departure),
            key: journal.idempotency_key(row),
        };
        let sending =
            async move { if again { sender.send_again(request).await } else { sender.send(request).await } };
        Ok(Some(sending.boxed()))
    }

    fn check_result(&self, result: &str) -> Result<(), String> {
        HttpResponse::from_json(result).map(|_| ())
    }
}

/// Returns whether a request asks for no effect.
fn is_safe(row: &Row) -> bool {
    let request = row.input.as_deref().map(HttpRequest::from_json).and_then(Result::ok);
    let method = request.and_then(|request| Method::from_bytes(request.method.as_bytes()).ok());
    method.is_some_and(|method| method.is_safe())
}

/// Returns whether a request had no effect, by its answer.
fn is_rejection(status: u16) -> bool {
    REJECTIONS.contains(&status) && !UNCLEAR.contains(&status)
}

/// Sends one request of a run.
struct Sender {
    tenant: Arc<Tenant>,
    writer: RunWriter,
    departure: Arc<Departure>,
    key: String,
}

impl Sender {
    async fn send(&self, request: HttpRequest) -> Result<Outcome, StoreError> {
        self.tenant.account.requested();
        // It may have waited long for a permit or a connection.
        let may_leave = || !self.tenant.is_suspended() && self.writer.holds_lease() && self.departure.leave();
        let sent = self.tenant.egress.send_while(request, &self.key, &may_leave).await;
        sent.map_err(|Withheld| StoreError::Fenced)
    }

    /// Sends a request that may have arrived before. While the server answers that it is busy with the first one, the
    /// request is sent again, as long as its timeout allows: the workflow made one request, and is to get the answer to it.
    async fn send_again(&self, request: HttpRequest) -> Result<Outcome, StoreError> {
        let default = self.tenant.limits().http_timeout_ms;
        let timeout = Duration::from_millis(request.timeout_ms.unwrap_or(default));
        let (begun, mut wait) = (Instant::now(), FIRST_WAIT);
        loop {
            let document = match self.send(request.clone()).await? {
                Ok(Some(document)) => document,
                ended => return Ok(ended),
            };
            let mut response = match HttpResponse::from_json(&document) {
                Ok(response) => response,
                Err(why) => return Ok(Err(Failure::permanent(kind::HTTP, why))),
            };
            response.resent = true;
            let arrived = clock::now();
            let asked = response.retry_after(arrived).map_or(0, |until| until.since(arrived));
            let pause = Duration::from_millis(asked).max(wait);
            let in_time = begun.elapsed().saturating_add(pause) < timeout;
            if !response.is_conflict() || request.at_most_once || !in_time {
                let document = response.to_json().map_err(|why| Failure::permanent(kind::HTTP, why));
                return Ok(document.map(|document| Some(document.into())));
            }
            tokio::time::sleep(pause).await;
            wait = wait.saturating_mul(2);
        }
    }
}

fn in_doubt(name: &str) -> String {
    format!(
        "`{name}` may or may not have arrived: it was under way when the run left memory, and it is marked at-most-once. Find out, then \
         `forge runs resolve` gives its outcome, `forge runs resume` sends it again, and `forge runs cancel` rolls the run \
         back"
    )
}
