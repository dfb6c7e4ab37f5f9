use std::ops::Range;
use std::sync::Arc;

use forge_egress::Withheld;
use forge_journal::http::{HttpRequest, HttpResponse};
use forge_journal::{EffectKind, Outcome, PauseReason, Row, kind};
use forge_sandbox::Stop;
use forge_sandbox::imports::http::KIND;
use forge_store::{RunWriter, StoreError};
use futures::FutureExt as _;
use http::Method;

use super::{Beginning, Effect, EffectFuture};

/// The answers after which a request has had no effect.
const REJECTIONS: Range<u16> = 400..500;

/// The answers among them that may be about an earlier request with the same key, or come from a proxy: timeout, conflict,
/// too early, too many requests.
const UNCLEAR: [u16; 4] = [408, 409, 425, 429];

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
        let request = HttpRequest::from_json(row.input.as_deref()?).ok()?;
        if Method::from_bytes(request.method.as_bytes()).is_ok_and(|method| method.is_safe()) {
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
            Some(status) if REJECTIONS.contains(&status) && !UNCLEAR.contains(&status) => None,
            Some(status) => Some(format!("{} was answered with {status} after it was given up", row.name)),
            None => Some(format!("{} may have arrived: it was given up before its answer came", row.name)),
        }
    }

    fn begin(&self, beginning: &Beginning<'_>) -> Result<Option<EffectFuture>, Stop> {
        let Beginning { journal, row, tenant, writer, may_have_begun, resend_in_doubt } = beginning;
        let request = HttpRequest::from_json(row.input.as_deref().unwrap_or_default())
            .map_err(|why| Stop::Pause(PauseReason::CorruptJournal, format!("call {}: {why}", row.seq)))?;
        if *may_have_begun && request.at_most_once && !resend_in_doubt {
            return Err(Stop::Pause(PauseReason::InDoubt, in_doubt(&row.name)));
        }
        let (tenant, key) = (Arc::clone(tenant), journal.idempotency_key(row));
        let writer = RunWriter::clone(writer);
        let sending = async move {
            tenant.account.requested();
            // It may have waited long for a permit or a connection.
            let may_leave = || writer.holds_lease();
            tenant.egress.send_while(request, &key, &may_leave).await.map_err(|Withheld| StoreError::Fenced)
        };
        Ok(Some(sending.boxed()))
    }
}

fn in_doubt(name: &str) -> String {
    format!(
        "`{name}` may or may not have arrived before the host stopped, and it is marked at-most-once: find out, then \
         `forge runs resume` sends it again, and `forge runs cancel` rolls the run back"
    )
}
