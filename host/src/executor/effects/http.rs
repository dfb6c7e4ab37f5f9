use std::sync::Arc;
use std::time::Duration;

use forge_clock as clock;
use forge_journal::http::{HttpRequest, HttpResponse};
use forge_journal::{EffectKind, Failure, Outcome, PauseReason, kind};
use forge_sandbox::{Stop, imports::http};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::time::Instant;

use super::{Beginning, Effect};
use crate::tenants::Tenant;

/// The wait before a request that the server says is in progress is sent again. It doubles each time.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// An HTTP request. One that was under way in a crash is sent again with the same key, unless it is marked at-most-once:
/// then the run is paused.
pub(super) struct Http;

impl Effect for Http {
    fn kind(&self) -> EffectKind {
        http::KIND
    }

    fn may_leave_memory(&self) -> bool {
        false
    }

    fn begin(&self, beginning: &Beginning<'_>) -> Result<Option<BoxFuture<'static, Outcome>>, Stop> {
        let Beginning { journal, row, tenant, may_have_begun, resend_in_doubt } = beginning;
        let request = HttpRequest::from_json(row.input.as_deref().unwrap_or_default())
            .map_err(|why| Stop::Pause(PauseReason::CorruptJournal, format!("call {}: {why}", row.seq)))?;
        if *may_have_begun && request.at_most_once && !resend_in_doubt {
            return Err(Stop::Pause(PauseReason::InDoubt, in_doubt(&row.name)));
        }
        let (tenant, key, again) = (Arc::clone(tenant), journal.idempotency_key(row), *may_have_begun);
        let sending = async move {
            if again {
                return send_again(&tenant, request, &key).await;
            }
            tenant.account.requested();
            tenant.egress.send(request, &key).await
        };
        Ok(Some(sending.boxed()))
    }
}

/// Sends a request that may have arrived before. While the server answers that it is busy with the first one, the request
/// is sent again, as long as its timeout allows: the workflow made one request, and is to get the answer to it.
async fn send_again(tenant: &Tenant, request: HttpRequest, key: &str) -> Outcome {
    let timeout = Duration::from_millis(request.timeout_ms.unwrap_or(tenant.limits.http_timeout_ms));
    let (begun, mut wait) = (Instant::now(), FIRST_WAIT);
    loop {
        tenant.account.requested();
        let document = match tenant.egress.send(request.clone(), key).await? {
            Some(document) => document,
            None => return Ok(None),
        };
        let unreadable = |why| Failure::permanent(kind::HTTP, why);
        let mut response = HttpResponse::from_json(&document).map_err(unreadable)?;
        response.resent = true;
        let arrived = clock::now();
        let asked = response.retry_after(arrived).map_or(0, |until| until.since(arrived));
        let pause = Duration::from_millis(asked).max(wait);
        let in_time = begun.elapsed().saturating_add(pause) < timeout;
        if !response.is_conflict() || request.at_most_once || !in_time {
            return Ok(Some(response.to_json().map_err(unreadable)?.into()));
        }
        tokio::time::sleep(pause).await;
        wait = wait.saturating_mul(2);
    }
}

fn in_doubt(name: &str) -> String {
    format!(
        "`{name}` may or may not have arrived before the host stopped, and it is marked at-most-once: find out, then \
         `forge runs resume` sends it again, and `forge runs cancel` rolls the run back"
    )
}
