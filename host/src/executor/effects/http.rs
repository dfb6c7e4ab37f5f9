use std::sync::Arc;

use forge_egress::Withheld;
use forge_journal::http::HttpRequest;
use forge_journal::{EffectKind, PauseReason};
use forge_sandbox::{Stop, imports::http};
use forge_store::{RunWriter, StoreError};
use futures::FutureExt as _;

use super::{Beginning, Effect, EffectFuture};

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
