use std::sync::Arc;
use std::time::Duration;

use forge_clock as clock;
use forge_egress::Withheld;
use forge_journal::http::{HttpRequest, HttpResponse, is_conclusive, is_rejection};
use forge_journal::{EffectKind, Failure, Journal, Outcome, PauseReason, Reach, Row, WorkflowStatus, kind};
use forge_sandbox::Stop;
use forge_sandbox::imports::http::KIND;
use forge_store::{RunWriter, StoreError};
use futures::FutureExt as _;
use http::Method;
use tokio::time::Instant;

use super::{Beginning, Begun, Departure, Doubt, Effect, Ended, response};
use crate::tenants::Tenant;

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
        let is_nowhere = |failure: &Failure| failure.reach == Some(Reach::Nowhere);
        if is_safe(row) || row.failure.as_deref().is_some_and(is_nowhere) {
            return None;
        }
        let answered = match late {
            Some(Err(failure)) if is_nowhere(failure) => return None,
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

    fn unsettled(&self, row: &Row, was_interrupted: bool) -> Option<Doubt> {
        if is_safe(row) {
            return None;
        }
        let doubt = |why: &str| Doubt { what: format!("{} {why}", row.name), if_sent_before: false };
        if let Some(failure) = &row.failure {
            return Some(doubt(match reach(failure)? {
                Reach::Nowhere => return None,
                Reach::Unanswered if failure.kind == kind::TIMEOUT => {
                    "may have arrived: no answer came in time"
                }
                Reach::Unanswered if failure.kind == kind::REVOKED => {
                    "may have arrived: it was aborted, because it was no longer allowed"
                }
                Reach::Unanswered => "may have arrived: no answer came",
                Reach::Answered => "was answered, and the answer could not be kept",
            }));
        }
        let response = HttpResponse::from_json(row.result.as_deref()?).ok()?;
        let status = response.status;
        if was_interrupted {
            let why = format!("was answered with {status}, and its step did not complete");
            return (!is_rejection(status)).then(|| doubt(&why));
        }
        // The code of the step has seen the answer, which says nothing of the request that was sent before.
        let is_about_another = if response.resent { !is_conclusive(status) } else { response.is_conflict() };
        let why = format!("may have arrived: it was sent before, and the last answer is {status}");
        is_about_another.then(|| Doubt { if_sent_before: !response.resent, ..doubt(&why) })
    }

    fn own_key(&self, row: &Row) -> Option<String> {
        let request = HttpRequest::from_json(row.input.as_deref()?).ok()?;
        request.idempotency_key().map(str::to_owned)
    }

    fn is_conclusive(&self, row: &Row) -> bool {
        let response = row.result.as_deref().map(HttpResponse::from_json).and_then(Result::ok);
        response.is_some_and(|response| is_conclusive(response.status))
    }

    fn begin(&self, beginning: &Beginning<'_>) -> Result<Option<Begun>, Stop> {
        let Beginning { journal, row, tenant, writer, departure, may_have_begun, resend_in_doubt, .. } =
            beginning;
        let request = HttpRequest::from_json(row.input.as_deref().unwrap_or_default())
            .map_err(|why| Stop::corrupt(format_args!("call {}: {why}", row.seq)))?;
        if *may_have_begun && request.at_most_once && !resend_in_doubt {
            if journal.run().requested_rollback().is_some() {
                // Its step cannot complete. The rollback names it.
                return Ok(None);
            }
            return Err(Stop::Pause(PauseReason::InDoubt, in_doubt(journal, &row.name)));
        }
        let sender = Sender {
            tenant: Arc::clone(tenant),
            writer: RunWriter::clone(writer),
            departure: Arc::clone(departure),
            key: journal.idempotency_key(row),
        };
        let again = *may_have_begun;
        let sent = async move { sender.send(request, again).await.map(Ended::Outcome) };
        Ok(Some(Begun::After(sent.boxed())))
    }

    fn result(&self, given: &str) -> Result<String, String> {
        response::given(given)?.to_json()
    }
}

/// Returns whether a request asks for no effect.
fn is_safe(row: &Row) -> bool {
    let request = row.input.as_deref().map(HttpRequest::from_json).and_then(Result::ok);
    let method = request.and_then(|request| Method::from_bytes(request.method.as_bytes()).ok());
    method.is_some_and(|method| method.is_safe())
}

/// Returns how far a request came that failed. Earlier versions of Forge recorded only the failure.
fn reach(failure: &Failure) -> Option<Reach> {
    failure.reach.or(match failure.kind.as_str() {
        kind::TIMEOUT => Some(Reach::Unanswered),
        kind::LIMIT => Some(Reach::Answered),
        _ => None,
    })
}

/// Sends one request of a run.
struct Sender {
    tenant: Arc<Tenant>,
    writer: RunWriter,
    departure: Arc<Departure>,
    key: String,
}

impl Sender {
    /// Sends a request; `is_again` says that it may have arrived before. A request that was sent more than once, also by
    /// egress on another connection, is sent again while the server answers that it is busy with the first one, as long as
    /// its timeout allows: the workflow made one request, and is to get the answer to it.
    async fn send(&self, request: HttpRequest, mut is_again: bool) -> Result<Outcome, StoreError> {
        let default = self.tenant.limits().http_timeout_ms;
        let timeout = Duration::from_millis(request.timeout_ms.unwrap_or(default));
        let (begun, mut wait) = (Instant::now(), FIRST_WAIT);
        loop {
            let mut response = match self.send_once(request.clone()).await? {
                Ok(response) => response,
                Err(mut failure) => {
                    if is_again {
                        // The request that was sent before may have arrived.
                        failure.reach = failure.reach.max(Some(Reach::Unanswered));
                    }
                    return Ok(Err(failure));
                }
            };
            is_again |= response.resent;
            response.resent = is_again;
            let arrived = clock::now();
            let asked = response.retry_after(arrived).map_or(0, |until| until.since(arrived));
            let pause = Duration::from_millis(asked).max(wait);
            let in_time = begun.elapsed().saturating_add(pause) < timeout;
            if !(is_again && response.is_conflict()) || request.at_most_once || !in_time {
                return Ok(response.outcome());
            }
            tokio::time::sleep(pause).await;
            wait = wait.saturating_mul(2);
        }
    }

    async fn send_once(&self, request: HttpRequest) -> Result<Result<HttpResponse, Failure>, StoreError> {
        self.tenant.account.requested();
        // It may have waited long for a permit or a connection.
        let may_leave = || !self.tenant.is_suspended() && self.writer.holds_lease() && self.departure.leave();
        let sent = self.tenant.egress.send_while(request, &self.key, &may_leave).await;
        sent.map_err(|Withheld| StoreError::Fenced)
    }
}

fn in_doubt(journal: &Journal, name: &str) -> String {
    let end = match journal.run().status {
        WorkflowStatus::Compensating => "`forge runs terminate` ends the run as it is",
        _ => "`forge runs cancel` rolls the run back",
    };
    format!(
        "`{name}` may or may not have arrived: it was under way when the run left memory, and it is marked at-most-once. Find out, then \
         `forge runs resolve` gives its outcome, `forge runs resume` sends it again, and {end}"
    )
}
