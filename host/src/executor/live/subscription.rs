//! A client that follows a run.

use std::sync::Arc;

use forge_journal::RunId;
use tokio::sync::watch;

use super::group::{Group, RunFrames};
use super::hub::Followed;
use super::quota::{Counted, Room};
use super::topic::{Delta, Latest, Place, View};
use super::{Frame, LiveConnection};
use crate::executor::{ExecutorError, WorkflowExecutor};

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
    /// It reads.
    Reading(Box<RunFrames>),
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
        match &self.state {
            State::Reading(frames) => Ok(!frames.is_end_at(self.position, &self.executor).await?),
            _ => Ok(true),
        }
    }

    /// Returns the next frame; `None` after the last one. Waits until the run changes.
    ///
    /// # Errors
    /// [`ExecutorError::UnknownRun`], also if the run is deleted; errors of the store. The subscription is over then.
    pub async fn next(&mut self) -> Result<Option<Frame>, ExecutorError> {
        loop {
            self.changed().await?;
            let frame = self.try_next().await?;
            if frame.is_some() || self.is_over() {
                return Ok(frame);
            }
        }
    }

    /// Waits until there may be a frame. Nothing of the host is held meanwhile.
    ///
    /// # Errors
    /// [`ExecutorError::ShuttingDown`].
    pub async fn changed(&mut self) -> Result<(), ExecutorError> {
        while matches!(self.state, State::Current) {
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
        }
        Ok(())
    }

    /// Returns the next frame; `None` if there is none until the run changes, or none at all. It must be polled until it
    /// completes: it takes turns with others.
    ///
    /// # Errors
    /// As [`RunSubscription::next`].
    pub async fn try_next(&mut self) -> Result<Option<Frame>, ExecutorError> {
        loop {
            match &mut self.state {
                State::Behind => self.begin().await?,
                State::Reading(frames) => {
                    let page = next_page(&self.executor, &self.connection, frames);
                    if let Some(frame) = Box::pin(page).await? {
                        return Ok(Some(frame));
                    }
                    let (place, is_end) = (frames.place(), frames.is_end());
                    self.topic.begins(place);
                    self.arrived(place, is_end);
                }
                State::Sharing(delta, next) => match delta.frames.get(*next) {
                    Some(frame) => match self.connection.copy(frame) {
                        Some(frame) => {
                            *next += 1;
                            return Ok(Some(frame));
                        }
                        // It waits for room when it reads by itself.
                        None => self.state = State::Behind,
                    },
                    None => {
                        let (place, is_end) = (delta.to, delta.is_end);
                        self.arrived(place, is_end);
                    }
                },
                State::Ending => {
                    self.state = State::Over;
                    return Ok(Some(Frame::end(self.run, self.position)?));
                }
                State::Current | State::Over => return Ok(None),
            }
        }
    }

    /// Returns whether there was the last frame.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Begins to read what the client does not have.
    async fn begin(&mut self) -> Result<(), ExecutorError> {
        let (executor, run, since, view) = (&self.executor, self.run, self.position, self.view);
        let group = executor.reading(async || Group::begin(executor, run, since, 1, view).await);
        let group = Box::pin(group).await?;
        self.state = State::Reading(Box::new(RunFrames::new(group, self.line)));
        Ok(())
    }

    fn arrived(&mut self, Place { position, line }: Place, is_end: bool) {
        self.position = Some(position);
        self.line = line;
        self.state = if is_end { State::Ending } else { State::Current };
    }
}

/// Returns the next page when there is room for it.
async fn next_page(
    executor: &WorkflowExecutor,
    connection: &LiveConnection,
    frames: &mut RunFrames,
) -> Result<Option<Frame>, ExecutorError> {
    let mut bytes = Room::USUAL;
    loop {
        let room = connection.room(bytes).await;
        let (frame, read) = frames.peek(executor).await?;
        match frame.map(|frame| room.fit(frame)).transpose() {
            Ok(frame) => {
                frames.advance(read);
                return Ok(frame);
            }
            Err(needed) => bytes = needed,
        }
    }
}
