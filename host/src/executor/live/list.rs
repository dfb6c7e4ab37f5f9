//! A client that follows a list of runs.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

use super::frame::OfList;
use super::hub::FollowedLists;
use super::quota::CountedList;
use super::{Frame, FrameKind, LiveConnection};
use crate::executor::{ExecutorError, RunFilter, RunSummary, WorkflowExecutor};

/// The time between two reads of a list.
const INTERVAL: Duration = Duration::from_millis(500);

/// The time after which a list is read again if other nodes change runs, too, of which this one does not hear.
const POLL: Duration = Duration::from_secs(2);

/// The id of frames about lists, unless the subscription has one.
const ID: &str = "runs";

/// A client that follows a list of runs.
pub struct ListSubscription {
    executor: WorkflowExecutor,
    filter: RunFilter,
    // Dropped before `_lists`, which are removed with their last subscriber.
    changes: watch::Receiver<()>,
    _lists: FollowedLists,
    /// What the client has: a digest of each run. `None` before the snapshot.
    known: Option<HashMap<Uuid, u64>>,
    /// When the list was last read.
    read_at: Option<Instant>,
    _counted: CountedList,
}

impl WorkflowExecutor {
    /// Follows the page of runs that a filter selects.
    ///
    /// # Errors
    /// [`ExecutorError::TooManyLive`].
    pub fn follow_list(
        &self,
        connection: &LiveConnection,
        filter: RunFilter,
    ) -> Result<ListSubscription, ExecutorError> {
        let counted = connection.subscribe_to_list()?;
        let (lists, changes) = self.inner.live.follow_lists(&self.tenant);
        Ok(ListSubscription {
            executor: self.clone(),
            filter,
            changes,
            _lists: lists,
            known: None,
            read_at: None,
            _counted: counted,
        })
    }
}

impl ListSubscription {
    /// Returns the next frame. Waits until the list changes.
    ///
    /// # Errors
    /// As [`WorkflowExecutor::list`]; [`ExecutorError::ShuttingDown`]. The subscription is over then.
    pub async fn next(&mut self) -> Result<Frame, ExecutorError> {
        loop {
            if let Some(read_at) = self.read_at {
                self.wait(read_at).await?;
            }
            self.changes.borrow_and_update();
            let page = Box::pin(self.executor.list(self.filter.clone())).await?;
            self.read_at = Some(Instant::now());
            let now = digests(&page.runs)?;
            let frame = match &self.known {
                None => Some(frame(FrameKind::Snapshot, page.runs.iter().collect(), None)?),
                Some(known) => {
                    let is_new = |run: &&RunSummary| known.get(&run.id) != now.get(&run.id);
                    let changed: Vec<&RunSummary> = page.runs.iter().filter(is_new).collect();
                    let mut gone: Vec<Uuid> =
                        known.keys().filter(|run| !now.contains_key(run)).copied().collect();
                    gone.sort_unstable();
                    let differs = !changed.is_empty() || !gone.is_empty();
                    differs.then(|| frame(FrameKind::Delta, changed, Some(gone))).transpose()?
                }
            };
            self.known = Some(now);
            if let Some(frame) = frame {
                return Ok(frame);
            }
        }
    }

    /// Completes when the list is to be read again.
    async fn wait(&mut self, read_at: Instant) -> Result<(), ExecutorError> {
        let polled = async {
            match self.executor.inner.store.nodes() {
                Some(_) => tokio::time::sleep_until(read_at + POLL).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = self.changes.changed() => changed.map_err(|_| ExecutorError::ShuttingDown)?,
            () = polled => {}
        }
        tokio::time::sleep_until(read_at + INTERVAL).await;
        Ok(())
    }
}

fn frame(
    kind: FrameKind,
    runs: Vec<&RunSummary>,
    gone: Option<Vec<Uuid>>,
) -> Result<Frame, serde_json::Error> {
    Frame::new(kind, ID, None, &OfList { runs, gone })
}

/// Returns the digests of runs: a list with hundreds of runs takes some kilobytes.
fn digests(runs: &[RunSummary]) -> Result<HashMap<Uuid, u64>, serde_json::Error> {
    let digest = |run: &RunSummary| {
        let mut hasher = DefaultHasher::new();
        serde_json::to_string(run)?.hash(&mut hasher);
        Ok((run.id, hasher.finish()))
    };
    runs.iter().map(digest).collect()
}
