use std::sync::Arc;

use forge_journal::http::{HttpRequest, HttpResponse};
use forge_journal::{EffectKind, Outcome, PauseReason};
use forge_sandbox::{Stop, imports::http};
use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::{Beginning, Effect};

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
        let (tenant, key) = (Arc::clone(tenant), journal.idempotency_key(row));
        let sending = async move {
            tenant.account.requested();
            tenant.egress.send(request, &key).await
        };
        Ok(Some(sending.boxed()))
    }

    fn check_result(&self, result: &str) -> Result<(), String> {
        HttpResponse::from_json(result).map(|_| ())
    }
}

fn in_doubt(name: &str) -> String {
    format!(
        "`{name}` may or may not have arrived before the host stopped, and it is marked at-most-once: find out, then \
         `forge runs resolve` gives its outcome, `forge runs resume` sends it again, and `forge runs cancel` rolls the run \
         back"
    )
}
