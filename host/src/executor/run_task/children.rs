//! A run and its relatives: its parent may cancel it, and its children end before it is rolled back.

use forge_clock as clock;
use forge_journal::{Event, Journal, Timestamp};
use forge_store::{RemoteCommand, StoreError};
use tokio::sync::oneshot;

use super::{NextAction, RunTask, apply};
use crate::executor::command::Command;
use crate::executor::effects;

/// Returns whether a run is to be rolled back, and nothing but its children keeps it from that. It needs no instance then.
pub(super) fn awaits_only_children(journal: &Journal) -> bool {
    journal.run().requested_rollback().is_some()
        && journal.awaits_children()
        && !effects::has_open_steps(journal)
}

impl RunTask {
    /// Returns whether the run's parent asks it to roll back, and makes that the pending command. It is applied once: a run
    /// that cannot be rolled back is paused, and stays so.
    pub(super) fn must_heed_parent(&mut self, journal: &Journal) -> bool {
        let run = journal.run();
        let is_asked = journal.inbox().has_cancel() && run.failure.is_none() && !run.status.is_final();
        if !is_asked || std::mem::replace(&mut self.heeds_parent, true) {
            return false;
        }
        // Nobody waits for the answer: the parent learns how the run ends.
        let (reply, _) = oneshot::channel();
        self.postponed.push_back(Command { request: RemoteCommand::Cancel, reply });
        true
    }

    /// Lets the run wait for its children without an instance. Their ends come into its inbox.
    pub(super) async fn sleep_until_children_end(
        &mut self,
        mut journal: Box<Journal>,
    ) -> Result<NextAction, StoreError> {
        let children = journal.children_under_way().take(10);
        let waits_for: Vec<_> = children
            .map(|row| serde_json::json!({ "kind": row.kind.as_str(), "name": &*row.name, "run": row.child }))
            .collect();
        let waits_for = Some(serde_json::Value::Array(waits_for).to_string().into());
        if journal.run().wake_at.is_none() {
            apply(&mut journal, Event::Running)?;
        }
        journal
            .apply(Event::Waiting { until: Timestamp::MAX, waits_for }, clock::now())
            .map_err(|error| super::corrupt(&error))?;
        self.writer.barrier(journal.take_changes()).await?;
        Ok(NextAction::Sleep(Timestamp::MAX))
    }
}
