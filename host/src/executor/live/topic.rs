//! A run that somebody follows.

use std::sync::Arc;
use std::time::Duration;

use forge_journal::{RunId, TenantId};
use forge_store::Changed;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::Frame;
use super::group::{Group, RunFrames};
use super::pace::Pace;
use super::quota::Share;
use crate::executor::{ExecutorError, WorkflowExecutor};

/// The bytes of the frames that subscribers share. If more has changed, each subscriber reads it at its own pace.
const SHARED_BYTES: u64 = 1 << 20;

/// What subscribers want to see of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct View {
    pub(super) payloads: bool,
    pub(super) logs: bool,
}

/// A run that somebody follows, and how. All of its subscribers get the same frames.
pub(super) struct Topic {
    pub(super) run: RunId,
    pub(super) tenant: TenantId,
    pub(super) view: View,
    share: Arc<Share>,
    state: Mutex<State>,
    /// Wakes the task that reads the run.
    marked: Notify,
    latest: watch::Sender<Latest>,
}

#[derive(Default)]
struct State {
    /// What has changed and is not read.
    mark: Option<Mark>,
    /// Whether a task reads the run.
    is_reading: bool,
    /// Where the next frames begin; `None` if nobody has read the run.
    reached: Option<Place>,
}

/// What a reader of a run has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// The position.
    pub(super) position: u64,
    /// The last line of the log up to that position, if lines are read.
    pub(super) line: u64,
}

/// What has changed of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// The changes of the journal, if that has changed.
    pub(super) journal: Option<Changed>,
    /// Whether its inbox has changed, which does not change the position.
    pub(super) inbox: bool,
}

/// The last that was published. A subscriber that finds no frames, or that they do not lead on from its position, reads by
/// itself.
#[derive(Clone, Default)]
pub(super) struct Latest(pub(super) Option<Arc<Delta>>);

/// What a read of a run has found.
enum News {
    None,
    /// Frames for all.
    Shared(Delta),
    /// Too much to share, or no room for it: each subscriber reads at its own pace, at least to this place.
    Unshared(Place),
}

/// Frames for all subscribers of a topic that are at `since` or a later position.
pub(super) struct Delta {
    pub(super) since: u64,
    /// Where they lead to.
    pub(super) to: Place,
    /// Whether there is more to see than the position tells.
    inbox: bool,
    pub(super) frames: Vec<Frame>,
    /// Whether the run is final with it.
    pub(super) is_end: bool,
}

impl Mark {
    /// The run may have changed, anywhere.
    pub(super) const MAYBE: Self =
        Self { journal: Some(Changed { revision: u64::MAX, last: u64::MAX, first: 1 }), inbox: false };

    fn and(self, other: Option<Self>) -> Self {
        let Some(other) = other else { return self };
        let journal = match (self.journal, other.journal) {
            (Some(one), Some(two)) => Some(one.and(two)),
            (one, two) => one.or(two),
        };
        Self { journal, inbox: self.inbox || other.inbox }
    }

    /// Returns the revision up to which the marks say where the changes are.
    fn last(self) -> u64 {
        self.journal.map_or(0, |changed| changed.last)
    }

    /// Returns the first call that a reader at a position must look at.
    fn first_after(self, position: u64) -> u64 {
        match self.journal {
            // Changes before these were not seen, such as those of a node that has died: they may be anywhere.
            Some(changed) if changed.revision > position + 1 => 1,
            Some(changed) => changed.first,
            None => Changed::NO_CALL,
        }
    }
}

impl Delta {
    /// Returns whether the frames lead a subscriber on from its position.
    pub(super) fn leads_on_from(&self, position: u64) -> bool {
        self.since <= position
            && (self.to.position > position || (self.inbox && self.to.position == position))
    }

    /// Returns whether a subscriber at this position has all of it.
    pub(super) fn is_known_at(&self, position: u64) -> bool {
        self.to.position <= position && !self.inbox
    }
}

impl Topic {
    pub(super) fn new(run: RunId, tenant: TenantId, view: View, share: Arc<Share>) -> Arc<Self> {
        let latest = watch::Sender::new(Latest::default());
        Arc::new(Self { run, tenant, view, share, state: Mutex::default(), marked: Notify::new(), latest })
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Latest> {
        self.latest.subscribe()
    }

    pub(super) fn has_subscribers(&self) -> bool {
        self.latest.receiver_count() > 0
    }

    /// Notes where a subscriber is that has read by itself: frames for all can lead on from there, if there were none before. The
    /// frames begin where earlier ones ended, although that subscriber may be ahead: others are not.
    pub(super) fn begins(&self, place: Place) {
        self.state.lock().reached.get_or_insert(place);
    }

    /// Notes where all are who have taken what was published, or have read by themselves since.
    fn leads_to(&self, place: Place) {
        let mut state = self.state.lock();
        state.reached = state.reached.max(Some(place));
    }

    /// Notes that the run has changed. Returns whether the caller must begin to read it.
    pub(super) fn mark(&self, mark: Mark) -> bool {
        let mut state = self.state.lock();
        state.mark = Some(mark.and(state.mark));
        let must_begin = !std::mem::replace(&mut state.is_reading, true);
        drop(state);
        if !must_begin {
            self.marked.notify_one();
        }
        must_begin
    }

    /// Takes what has changed, and from where to read; `None` if nothing has.
    fn take(&self) -> Option<(Mark, Option<Place>)> {
        let mut state = self.state.lock();
        Some((state.mark.take()?, state.reached))
    }

    /// Stops reading, unless something has changed.
    fn stops(&self) -> bool {
        let mut state = self.state.lock();
        state.is_reading = state.mark.is_some() && self.has_subscribers();
        !state.is_reading
    }

    /// Reads the run and publishes what is new, until the run has stayed as it is for a while.
    pub(super) async fn follow(self: Arc<Self>, executor: WorkflowExecutor) {
        let stopping = executor.inner.shutdown.clone();
        stopping.run_until_cancelled(self.follow_until_idle(&executor)).await;
    }

    async fn follow_until_idle(&self, executor: &WorkflowExecutor) {
        let mut pace = Pace::default();
        loop {
            tokio::time::sleep_until(pace.next(Instant::now())).await;
            pace.begin(Instant::now(), self.rest(executor));
            if let Some((mark, reached)) = self.take() {
                self.read_and_publish(executor, mark, reached).await;
            }
            let idle_at = pace.forgotten_at().unwrap_or_else(Instant::now);
            let idle = tokio::time::timeout_at(idle_at, self.marked.notified()).await.is_err();
            if (idle || !self.has_subscribers()) && self.stops() {
                break;
            }
        }
        // A subscriber that has not taken the frames reads by itself: an idle run holds no memory.
        self.latest.send_if_modified(|latest| {
            latest.0 = None;
            false
        });
    }

    /// Returns the time without a read after one: handing the frames out takes time for each subscriber.
    fn rest(&self, executor: &WorkflowExecutor) -> Duration {
        let subscribers = u32::try_from(self.latest.receiver_count()).unwrap_or(u32::MAX);
        Duration::from_secs(1) * subscribers / executor.inner.live.quotas.limits.frames_per_second.max(1)
    }

    async fn read_and_publish(&self, executor: &WorkflowExecutor, mark: Mark, reached: Option<Place>) {
        // No subscriber has read the run yet: each finds this change when it reads.
        let Some(from) = reached else { return self.publish(None) };
        match self.read(executor, mark, from).await {
            Ok(News::None) => {}
            Ok(News::Unshared(to)) => {
                self.leads_to(to);
                self.publish(None);
            }
            Ok(News::Shared(delta)) => {
                self.leads_to(delta.to);
                self.publish(Some(Arc::new(delta)));
            }
            Err(error) => {
                // Subscribers read by themselves, and tell their clients.
                tracing::debug!(run = %self.run, %error, "a run that is followed cannot be read");
                self.publish(None);
            }
        }
    }

    fn publish(&self, delta: Option<Arc<Delta>>) {
        self.latest.send_replace(Latest(delta));
    }

    /// Returns what is new.
    async fn read(
        &self,
        executor: &WorkflowExecutor,
        mark: Mark,
        from: Place,
    ) -> Result<News, ExecutorError> {
        let since = from.position;
        let first = mark.first_after(since);
        let (run, view) = (self.run, self.view);
        let group = executor.reading(async || Group::begin(executor, run, Some(since), first, view).await);
        let group = group.await?.up_to(mark.last());
        let to = Place { position: group.position(), ..from };
        if group.is_snapshot() {
            return Ok(News::Unshared(to));
        }
        if group.position() == since && !mark.inbox {
            return Ok(News::None);
        }
        let mut reader = RunFrames::new(group, from.line);
        let (mut frames, mut bytes) = (Vec::new(), 0);
        while let Some(frame) = reader.next(executor).await? {
            let size = frame.text().len() as u64;
            bytes += size;
            let room = executor.inner.live.quotas.try_room(&self.share, size);
            match room.filter(|_| bytes <= SHARED_BYTES) {
                Some(room) => frames.push(frame.within(room)),
                None => return Ok(News::Unshared(to)),
            }
        }
        let is_end = reader.is_end();
        Ok(News::Shared(Delta { since, to: reader.place(), inbox: mark.inbox, frames, is_end }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LiveLimits;
    use crate::executor::live::quota::Quotas;

    fn changed(revision: u64, first: u64) -> Mark {
        Mark { journal: Some(Changed { revision, last: revision, first }), inbox: false }
    }

    #[test]
    fn marks_add_up_to_the_first_change_of_the_lowest_revision() {
        let inbox = Mark { journal: None, inbox: true };
        assert_eq!(changed(3, 9).and(None), changed(3, 9));
        let both = changed(4, 2).and(Some(changed(3, 9)));
        assert_eq!(both.journal, Some(Changed { revision: 3, last: 4, first: 2 }));
        assert_eq!((both.last(), inbox.last()), (4, 0));
        assert_eq!(changed(4, 2).and(Some(inbox)), Mark { inbox: true, ..changed(4, 2) });
        assert_eq!(inbox.and(Some(inbox)), inbox);
    }

    #[test]
    fn a_reader_begins_at_the_first_change_only_if_it_has_seen_all_before() {
        assert_eq!(changed(8, 40).first_after(7), 40);
        assert_eq!(changed(8, 40).first_after(9), 40);
        assert_eq!(changed(8, 40).first_after(6), 1, "revision 7 is unknown");
        assert_eq!(Mark { journal: None, inbox: true }.first_after(6), Changed::NO_CALL);
        assert_eq!(Mark::MAYBE.first_after(6), 1);
    }

    #[test]
    fn shared_frames_begin_where_the_last_ones_ended() {
        let (tenant, view): (TenantId, _) = ("acme".into(), View { payloads: true, logs: false });
        let share = Quotas::new(LiveLimits::default()).share(&tenant);
        let topic = Topic::new(RunId(uuid::Uuid::nil()), tenant, view, share);
        let begin = || {
            topic.mark(Mark::MAYBE);
            topic.take().unwrap().1.map(|place| place.position)
        };
        let place = |position| Place { position, line: 0 };
        assert_eq!(begin(), None, "nobody has read the run");
        topic.begins(place(5));
        topic.begins(place(9));
        assert_eq!(begin(), Some(5));
        topic.leads_to(place(8));
        topic.begins(place(12));
        assert_eq!(begin(), Some(8));
    }

    #[test]
    fn frames_lead_on_from_their_position_and_later_ones() {
        let to = Place { position: 8, line: 0 };
        let delta = |inbox| Delta { since: 5, to, inbox, frames: Vec::new(), is_end: false };
        let leads = |inbox| [4, 5, 7, 8, 9].map(|position| delta(inbox).leads_on_from(position));
        assert_eq!(leads(false), [false, true, true, false, false]);
        assert_eq!(leads(true), [false, true, true, true, false]);
        let known = |inbox| [4, 7, 8, 9].map(|position| delta(inbox).is_known_at(position));
        assert_eq!(known(false), [false, false, true, true]);
        assert_eq!(known(true), [false; 4], "one that is ahead reads by itself");
    }
}
