//! What an activation waits for while its guest waits.

use std::sync::Arc;

use forge_clock as clock;
use forge_journal::{Session, TenantId, Timestamp};
use forge_sandbox::Stop;
use forge_scheduling::Evictable;
use forge_store::RemoteCommand;
use futures::{FutureExt as _, StreamExt as _};

use super::rollback::deadline;
use super::{Activation, Leave};
use crate::executor::{command, effects};

/// The most calls that a record names as what its run waits for.
const MOST_DESCRIBED: usize = 10;

impl Activation {
    /// Begins what the guest waits for, and waits until there is something for the guest or the host.
    pub(super) async fn wait_for_change(&mut self, session: &mut Session) -> Result<(), Stop> {
        self.receive_all(session).await?;
        if session.has_ready() {
            return Ok(());
        }
        self.acknowledge_cancel(session).await?;
        if let Some(command) = self.postponed.pop_front() {
            return Err(self.leave(session, Leave::Command(command)).await);
        }
        if session.is_unwinding() && !self.rolls_back {
            // The guest has begun to roll back.
            self.await_effects(session.journal(), |_| false);
            if self.waits_until().is_none() {
                self.abandon_effects(session)?;
            }
        }
        let wake_at = [session.next_timer(), deadline(session)].into_iter().flatten().min();
        // The effects of handlers begin after those of the workflow.
        if self.rolls_back || !session.is_unwinding() {
            if self.begin_effects(session, wake_at).await? {
                return self.succeed(session).await;
            }
        } else {
            self.save_changes(session).await?;
        }
        self.succeed(session).await?;
        self.has_waited = true;
        if self.tell_guest(session) {
            return Ok(());
        }
        let waits_until = self.waits_until();
        let sleeps = self.running.is_empty() && session.waits_only_for(effects::may_leave_memory);
        let sleeps_until = sleeps.then_some(wake_at.unwrap_or(Timestamp::MAX));
        let evict_after = self.context.limits.evict_after;
        let is_far = |wake_at: &Timestamp| u128::from(wake_at.since(clock::now())) > evict_after.as_millis();
        let far = sleeps_until.filter(is_far);
        if let Some(wake_at) = far.filter(|_| !session.awaits_inbox()) {
            return Err(self.leave_with(Leave::Evicted(wake_at)));
        }
        // An event or the end of a child may come at any time.
        let leaves = async {
            match far {
                Some(wake_at) => tokio::time::sleep(evict_after).map(|()| wake_at).await,
                None => std::future::pending().await,
            }
        };
        let mut evictable = sleeps_until
            .map(|wake_at| (self.context.instances.evictable(&self.context.tenant.name), wake_at));
        let timer = async {
            match wake_at {
                Some(wake_at) => clock::reach(wake_at).await,
                None => std::future::pending().await,
            }
        };
        let patience = async {
            match waits_until {
                Some(until) => tokio::time::sleep_until(until.into()).await,
                None => std::future::pending().await,
            }
        };
        let tenant = Arc::clone(&self.context.tenant);
        tokio::select! {
            // What happened first does not matter: the order of deliveries is journaled.
            Some(ended) = self.running.next(), if !self.running.is_empty() => {
                self.ended(session, ended)?;
            }
            () = timer => {
                session.fire(clock::now());
                self.check_deadline(session)?;
            }
            () = patience => {}
            wake_at = leaves => return Err(self.leave_with(Leave::Evicted(wake_at))),
            Some(notice) = self.context.inbox.next() => self.receive(session, notice).await?,
            Some(command) = self.context.commands.recv() => match (&command.request, command::events(&command.request, session.journal())) {
                (RemoteCommand::Cancel, _) => self.request_cancel(session, command.reply)?,
                (RemoteCommand::Resume, _) => self.resume(command.reply),
                (_, Err(refused)) => command.answer(Err(refused)),
                (_, Ok(_)) => return Err(self.leave(session, Leave::Command(command)).await),
            },
            Some(wake_at) = asked_to_leave(&mut evictable) => {
                return Err(self.leave_with(Leave::Evicted(wake_at)));
            }
            () = self.context.shutdown.cancelled() => return Err(self.leave(session, Leave::Shutdown).await),
            () = tenant.suspended() => return Err(self.suspend(session)),
        }
        Ok(())
    }
}

/// Returns what the guest waits for, a JSON list for people: the kind and the name of each call, and until when or for which
/// run it waits.
pub(super) fn described(session: &Session) -> Option<Arc<str>> {
    let awaited = session.awaited().take(MOST_DESCRIBED).map(|row| {
        let mut call = serde_json::json!({ "kind": row.kind.as_str(), "name": &*row.name });
        if row.awaits_retry() {
            call["kind"] = "retry".into();
        }
        if let Some(until) = row.wake_at {
            call["until"] = until.to_rfc3339().into();
        }
        if let Some(run) = row.child {
            call["run"] = run.to_string().into();
        }
        call
    });
    let awaited: Vec<serde_json::Value> = awaited.collect();
    (!awaited.is_empty()).then(|| serde_json::Value::Array(awaited).to_string().into())
}

/// Completes with the time until which a run can leave memory, when its permit is needed.
async fn asked_to_leave(evictable: &mut Option<(Evictable<TenantId>, Timestamp)>) -> Option<Timestamp> {
    let (evictable, wake_at) = evictable.as_mut()?;
    evictable.asked_to_leave().await;
    Some(*wake_at)
}
