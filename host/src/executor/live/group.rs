//! The changes of a run since a position, read page by page.

use forge_journal::RunId;
use forge_store::{ChangedFilter, LogFilter, Overview, Position, RecentSteps, StoreError};

use super::frame::OfRun;
use super::topic::{Place, View};
use super::{Frame, FrameKind};
use crate::executor::logs::log_record;
use crate::executor::record::{PendingEvents, record, step_record};
use crate::executor::{ExecutorError, LogRecord, StepRecord, WorkflowExecutor, WorkflowRecord};

/// The most calls, and lines of the log, in a frame.
const PAGE: u32 = 200;

/// The bytes of inputs and results in a frame, and of lines; one call or line may have more. With 64 KiB, a connection's buffers
/// stay small.
const PAGE_BYTES: u64 = 64 << 10;

/// The changes of a run since a position, as a group of pages.
///
/// The new position is read first. So what changes while the pages are read may be in them, and is in the next group again.
#[derive(Debug)]
pub(super) struct Group {
    run: RunId,
    view: View,
    /// The position; `None` for all of the run.
    since: Option<u64>,
    /// The position of a subscriber that has all pages.
    position: u64,
    /// The call behind which the calls are looked at.
    after: u64,
    /// The last call that has changed.
    until: u64,
}

/// The record of a run.
struct Shown {
    record: WorkflowRecord,
    /// The revision of the run.
    revision: u64,
}

/// The frames of a group, one by one: the calls, then the lines.
pub(super) struct RunFrames {
    kind: FrameKind,
    group: Group,
    read: Read,
}

/// How far a group is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Read {
    /// The last call.
    call: u64,
    /// The last line.
    line: u64,
    /// Whether the run is final, once its record is read, which is in the first frame.
    is_end: Option<bool>,
    is_done: bool,
}

impl Group {
    /// Begins to read a run: the calls that have changed since a position, beginning with the call `first`. All are read if
    /// the run does not have that position, which is of another database then, or if most of its many calls have changed.
    pub(super) async fn begin(
        executor: &WorkflowExecutor,
        run: RunId,
        since: Option<u64>,
        first: u64,
        view: View,
    ) -> Result<Self, ExecutorError> {
        let (mut since, mut after) = (since, first.saturating_sub(1));
        let mut found = position(executor, run, since, after).await?;
        let is_unknown = since.is_some_and(|since| since > found.revision);
        let is_mostly_new = after == 0
            && since.is_some()
            && found.changed > u64::from(PAGE)
            && found.changed > found.calls / 2;
        if is_mostly_new || (after == 0 && is_unknown) {
            (since, after) = (None, 0);
            found = position(executor, run, None, 0).await?;
        }
        let position = found.revision.max(since.unwrap_or_default());
        Ok(Self { run, view, since, position, after, until: found.last_changed })
    }

    /// Returns the group with a position of at most `last`, unless all calls are looked at. A later change may be one of a call
    /// before those that are looked at: the next reader, who knows where it is, must not be behind it.
    pub(super) fn up_to(self, last: u64) -> Self {
        match self.since {
            Some(since) if self.after > 0 => Self { position: self.position.min(last.max(since)), ..self },
            _ => self,
        }
    }

    /// Returns whether the group is all of the run.
    pub(super) fn is_snapshot(&self) -> bool {
        self.since.is_none()
    }

    /// Returns the position of a subscriber that has the group.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Returns the record of the run, which is read after the position was: it has every change up to that.
    async fn shown(&self, executor: &WorkflowExecutor) -> Result<Shown, ExecutorError> {
        let (mut record, revision) = match executor.inner.store.overview(self.run).await {
            Err(error @ StoreError::Corrupt { .. }) => {
                (executor.what_can_be_read(self.run, error).await?, self.position)
            }
            found => {
                let found = found?.ok_or(ExecutorError::UnknownRun(self.run))?;
                let Overview { run, events, recent } = found;
                let recent = RecentSteps { steps: without_results(recent.steps), ..recent };
                (WorkflowRecord { events: PendingEvents::of(events), ..record(&run, &recent) }, run.revision)
            }
        };
        // The calls have their results.
        record.step_results.clear();
        if !self.view.payloads {
            record = record.without_payloads();
        } else if !self.is_snapshot() {
            record = record.without_input();
        }
        Ok(Shown { record, revision })
    }
}

async fn position(
    executor: &WorkflowExecutor,
    run: RunId,
    since: Option<u64>,
    after: u64,
) -> Result<Position, ExecutorError> {
    let found = executor.inner.store.position(run, since, after).await?;
    found.filter(|found| found.tenant == executor.tenant).ok_or(ExecutorError::UnknownRun(run))
}

fn without_results(mut steps: Vec<forge_store::RecentStep>) -> Vec<forge_store::RecentStep> {
    for step in &mut steps {
        step.result = None;
    }
    steps
}

impl Shown {
    /// Returns whether the run is final, and a subscriber at this position has all of it.
    fn is_end_at(&self, position: u64) -> bool {
        self.record.status.is_final() && self.revision <= position
    }
}

impl RunFrames {
    /// The frames of a group, with the lines behind this one.
    pub(super) fn new(group: Group, line: u64) -> Self {
        let is_snapshot = group.since.is_none();
        let line = if is_snapshot { 0 } else { line };
        let read = Read { call: group.after, line, is_end: None, is_done: false };
        Self { kind: if is_snapshot { FrameKind::Snapshot } else { FrameKind::Delta }, group, read }
    }

    /// Returns whether there is nothing new at a position: the run is final, and all of it is known there.
    pub(super) async fn is_end_at(
        &self,
        position: Option<u64>,
        executor: &WorkflowExecutor,
    ) -> Result<bool, ExecutorError> {
        if position != Some(self.group.position) {
            return Ok(false);
        }
        let shown = executor.reading(async || self.group.shown(executor).await).await?;
        Ok(shown.is_end_at(self.group.position))
    }

    /// Returns whether the run is final with the last frame.
    pub(super) fn is_end(&self) -> bool {
        self.read.is_end == Some(true)
    }

    /// Returns what a reader has after the last frame.
    pub(super) fn place(&self) -> Place {
        Place { position: self.group.position, line: self.read.line }
    }

    /// Returns the next frame.
    pub(super) async fn next(&mut self, executor: &WorkflowExecutor) -> Result<Option<Frame>, ExecutorError> {
        let (frame, read) = self.peek(executor).await?;
        self.advance(read);
        Ok(frame)
    }

    /// Returns the next frame, and what [`RunFrames::advance`] goes on from.
    pub(super) async fn peek(
        &self,
        executor: &WorkflowExecutor,
    ) -> Result<(Option<Frame>, Read), ExecutorError> {
        let (mut read, last) = (self.read, self.group.until);
        if read.is_done {
            return Ok((None, read));
        }
        let steps = if read.call < last { self.steps(executor, &mut read.call).await? } else { Vec::new() };
        let (mut lines, mut has_more) = (Vec::new(), read.call < last);
        if !has_more && self.group.view.logs {
            (lines, has_more) = self.lines(executor, &mut read.line).await?;
        }
        read.is_done = !has_more;
        let shown = match read.is_end {
            Some(_) => None,
            None => Some(executor.reading(async || self.group.shown(executor).await).await?),
        };
        if let Some(shown) = &shown {
            read.is_end = Some(shown.is_end_at(self.group.position));
        }
        let position = read.is_done.then_some(self.group.position);
        let has_steps = self.kind == FrameKind::Snapshot || !steps.is_empty();
        let members = OfRun {
            run: shown.as_ref().map(|shown| &shown.record),
            steps: has_steps.then_some(steps.as_slice()),
            logs: &lines,
            position,
        };
        Ok((Some(Frame::new(self.kind, &self.group.run.to_string(), position, &members)?), read))
    }

    /// Goes on behind a frame.
    pub(super) fn advance(&mut self, read: Read) {
        self.read = read;
    }

    /// Returns the next page of calls, and goes on behind it.
    async fn steps(
        &self,
        executor: &WorkflowExecutor,
        call: &mut u64,
    ) -> Result<Vec<StepRecord>, ExecutorError> {
        let Group { run, view: View { payloads, .. }, since, until, .. } = self.group;
        let filter = ChangedFilter { since, after: *call, until, limit: PAGE, bytes: PAGE_BYTES, payloads };
        let page =
            executor.reading(async || Ok(executor.inner.store.changed_steps(run, filter).await?)).await?;
        *call = page.rows.last().map(|row| row.seq).filter(|_| page.has_more).unwrap_or(until);
        Ok(page.rows.iter().map(step_record).collect())
    }

    /// Returns the next page of lines, and whether there are more, and goes on behind it. Lines after the position are left to
    /// the next group: no line comes twice.
    async fn lines(
        &self,
        executor: &WorkflowExecutor,
        line: &mut u64,
    ) -> Result<(Vec<LogRecord>, bool), ExecutorError> {
        let Group { run, since, position, .. } = self.group;
        let since = since.unwrap_or_default();
        let filter =
            LogFilter { after: *line, since, limit: PAGE, bytes: PAGE_BYTES, ..LogFilter::default() };
        let page = executor.reading(async || Ok(executor.inner.store.logs(run, &filter).await?)).await?;
        let page = page.ok_or(ExecutorError::UnknownRun(run))?;
        let lines: Vec<_> = page.lines.iter().take_while(|line| line.revision <= position).collect();
        let has_more = page.has_more && lines.len() == page.lines.len();
        *line = lines.last().map_or(*line, |line| line.seq);
        Ok((lines.into_iter().map(log_record).collect(), has_more))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_of_some_calls_is_not_ahead_of_what_is_known_to_have_changed() {
        let position = |since, after, last| {
            let view = View { payloads: true, logs: false };
            let run = RunId(uuid::Uuid::nil());
            Group { run, view, since, position: 9, after, until: 50 }.up_to(last).position()
        };
        assert_eq!(position(Some(5), 40, 7), 7);
        assert_eq!(position(Some(5), 40, 12), 9);
        assert_eq!(position(Some(5), 40, 3), 5, "a reader does not go back");
        assert_eq!(position(Some(5), 0, 7), 9, "all calls are looked at");
        assert_eq!(position(None, 40, 7), 9);
    }
}
