//! A client that follows a run.

use std::sync::Arc;

use forge_journal::RunId;
use tokio::sync::watch;

use super::group::{Group, RunFrames};
use super::hub::Followed;
use super::quota::Counted;
use super::topic::{Delta, Latest, Place, View};
use super::{Frame, FrameKind, LiveConnection};
use crate::executor::{ExecutorError, WorkflowExecutor};

/// The room for a page and the run, in bytes. A frame that is larger waits for more, and is read again.
const ROOM: u64 = 128 << 10;

/// What to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowRun {
    /// The run.
    pub run: RunId,
    /// The position from which to go on; `None` for a snapshot first.
    pub since: Option<u64>,
    /// Whether the frames have inputs, outputs and results.
    pub payloads: bool,
    /// Whether the frames have the lines that the run logs.
    pub logs: bool,
}

/// A client that follows a run.
pub struct RunSubscription {
    executor: WorkflowExecutor,
    connection: LiveConnection,
    run: RunId,
    view: View,
    // Dropped before `topic`, which is removed with its last subscriber.
    changes: watch::Receiver<Latest>,
    topic: Followed,
    /// The position of the client; `None` before its first snapshot.
    position: Option<u64>,
    /// The last line that it has; 0 if that is not known.
    line: u64,
    state: State,
    _counted: Counted,
}

enum State {
    /// The client may not have all, and reads by itself.
    Behind,
    /// It reads, and the run ends with it or not.
    Reading(Box<RunFrames>, bool),
    /// It takes the frames that all take, from this one on.
    Sharing(Arc<Delta>, usize),
    /// It has all.
    Current,
    /// It has all, and the run is final.
    Ending,
    Over,
}

impl WorkflowExecutor {
    /// Returns a connection for subscriptions of this tenant.
    ///
    /// # Errors
    /// [`ExecutorError::TooManyLive`].
    pub fn live_connection(&self) -> Result<LiveConnection, ExecutorError> {
        self.inner.live.quotas.connect(&self.tenant)
    }

    /// Follows a run.
    ///
    /// # Errors
    /// [`ExecutorError::TooManyLive`]. Whether the run exists is known with the first frame.
    pub fn follow(
        &self,
        connection: &LiveConnection,
        FollowRun { run, since, payloads, logs }: FollowRun,
    ) -> Result<RunSubscription, ExecutorError> {
        let counted = connection.subscribe()?;
        let view = View { payloads, logs };
        let (topic, changes) = self.inner.live.follow(run, &self.tenant, view);
        Ok(RunSubscription {
            executor: self.clone(),
            connection: connection.clone(),
            run,
            view,
            changes,
            topic,
            position: since,
            line: 0,
            state: State::Behind,
            _counted: counted,
        })
    }
}

impl RunSubscription {
    /// Begins to read. Returns whether there will be a frame: not if the client has all of a final run.
    ///
    /// # Errors
    /// As [`RunSubscription::next`].
    pub async fn begins(&mut self) -> Result<bool, ExecutorError> {
        if matches!(self.state, State::Behind) {
            self.begin().await?;
        }
        let has_all = |frames: &RunFrames| self.position == Some(frames.place().position);
        Ok(!matches!(&self.state, State::Reading(frames, true) if has_all(frames)))
    }

    /// Returns the next frame; `None` after the last one. Waits until the run changes.
    ///
    /// # Errors
    /// [`ExecutorError::UnknownRun`], also if the run is deleted; errors of the store. The subscription is over then.
    pub async fn next(&mut self) -> Result<Option<Frame>, ExecutorError> {
        loop {
            match &mut self.state {
                State::Behind => self.begin().await?,
                State::Reading(frames, is_end) => {
                    let is_end = *is_end;
                    match next_page(&self.executor, &self.connection, frames).await? {
                        Some(frame) => return Ok(Some(frame)),
                        None => {
                            let place = frames.place();
                            self.topic.reached(place);
                            self.arrived(place, is_end);
                        }
                    }
                }
                State::Sharing(delta, next) => match delta.frames.get(*next) {
                    Some(frame) => {
                        *next += 1;
                        return Ok(Some(frame.clone()));
                    }
                    None => {
                        let (place, is_end) = (delta.to, delta.is_end);
                        self.arrived(place, is_end);
                    }
                },
                State::Current => self.changed().await?,
                State::Ending => {
                    self.state = State::Over;
                    return Ok(Some(Frame::end(self.run, self.position)?));
                }
                State::Over => return Ok(None),
            }
        }
    }

    /// Begins to read what the client does not have.
    async fn begin(&mut self) -> Result<(), ExecutorError> {
        let (executor, run, since, view) = (&self.executor, self.run, self.position, self.view);
        let begun = executor.reading(async || {
            let group = Group::begin(executor, run, since, 1, view).await?;
            let shown = group.shown(executor).await?;
            Ok((group, shown))
        });
        let (group, shown) = Box::pin(begun).await?;
        let kind = if group.is_snapshot() { FrameKind::Snapshot } else { FrameKind::Delta };
        let is_end = shown.is_end_at(group.position());
        let line = if group.is_snapshot() { 0 } else { self.line };
        self.state = State::Reading(Box::new(RunFrames::new(kind, group, shown, line)), is_end);
        Ok(())
    }

    fn arrived(&mut self, Place { position, line }: Place, is_end: bool) {
        self.position = Some(position);
        self.line = line;
        self.state = if is_end { State::Ending } else { State::Current };
    }

    /// Waits for a change, and finds how to get it.
    async fn changed(&mut self) -> Result<(), ExecutorError> {
        if self.changes.changed().await.is_err() {
            return Err(ExecutorError::ShuttingDown);
        }
        let latest = self.changes.borrow_and_update().clone();
        let position = self.position.unwrap_or_default();
        match latest.0 {
            Some(delta) if delta.is_known_at(position) => {}
            Some(delta) if delta.leads_on_from(position) => self.state = State::Sharing(delta, 0),
            _ => self.state = State::Behind,
        }
        Ok(())
    }
}

/// Returns the next page within the budget of frames.
async fn next_page(
    executor: &WorkflowExecutor,
    connection: &LiveConnection,
    frames: &mut RunFrames,
) -> Result<Option<Frame>, ExecutorError> {
    let mut bytes = ROOM;
    loop {
        let _turn = connection.turn().await;
        let mut room = connection.room(bytes).await;
        let Some((frame, next)) = Box::pin(frames.peek(executor)).await? else { return Ok(None) };
        let needed = frame.text().len() as u64;
        if needed > bytes {
            // Not held while room for all of it is waited for.
            bytes = needed;
            continue;
        }
        room.iter_mut().for_each(|room| room.shrink(needed));
        frames.advance(next);
        return Ok(Some(frame.within(room)));
    }
}
