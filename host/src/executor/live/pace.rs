use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// The most reads of a run within [`WINDOW`].
const MOST: usize = 10;

const WINDOW: Duration = Duration::from_secs(1);

/// The time from the first read of a burst to the second, to the third, and between the later ones: what happens at once is
/// seen at once, and a run that goes on changing is read about eight times a second.
const GAPS: [Duration; 3] =
    [Duration::from_millis(15), Duration::from_millis(45), Duration::from_millis(120)];

/// When a run that changes is read: the first change after a pause at once.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// The reads within the window, and at least the last one.
    recent: VecDeque<Instant>,
    /// The time from the last read to the next one, at least.
    rest: Duration,
}

impl Pace {
    /// Returns when the next read may begin.
    pub(super) fn next(&mut self, now: Instant) -> Instant {
        while self.recent.len() > 1
            && self.recent.front().is_some_and(|read| now.duration_since(*read) >= WINDOW)
        {
            self.recent.pop_front();
        }
        let Some(last) = self.recent.back() else { return now };
        let [.., longest] = GAPS;
        let gap = *GAPS.get(self.recent.len() - 1).unwrap_or(&longest);
        let after_gap = *last + gap.max(self.rest);
        match self.recent.front() {
            Some(oldest) if self.recent.len() >= MOST => after_gap.max(*oldest + WINDOW),
            _ => after_gap,
        }
    }

    /// Notes that a read begins, after which there is none for this time.
    pub(super) fn begin(&mut self, now: Instant, rest: Duration) {
        self.recent.push_back(now);
        self.rest = rest;
    }

    /// Returns when all reads so far no longer count.
    pub(super) fn forgotten_at(&self) -> Option<Instant> {
        Some(*self.recent.back()? + WINDOW.max(self.rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the milliseconds at which a run is read that has changed at these times.
    fn reads(changes: impl IntoIterator<Item = u64>, rest: Duration) -> Vec<u64> {
        let (begin, mut pace) = (Instant::now(), Pace::default());
        let mut read: Vec<u64> = Vec::new();
        for change in changes {
            let changed = begin + Duration::from_millis(change);
            if read.last().is_some_and(|read| *read >= change) {
                continue;
            }
            let at = pace.next(changed).max(changed);
            pace.begin(at, rest);
            read.push(u64::try_from((at - begin).as_millis()).unwrap());
        }
        read
    }

    #[test]
    fn the_first_changes_are_read_at_once_and_later_ones_together() {
        assert_eq!(reads(0..500, Duration::ZERO), [0, 15, 60, 180, 300, 420, 540]);
        assert_eq!(reads([0, 5_000, 10_000], Duration::ZERO), [0, 5_000, 10_000]);
    }

    #[test]
    fn a_run_with_many_subscribers_is_read_less_often() {
        assert_eq!(reads(0..1_000, Duration::from_millis(400)), [0, 400, 800, 1_200]);
        assert_eq!(reads([0, 10, 9_000, 9_010], Duration::from_secs(3)), [0, 3_000, 9_000, 12_000]);
    }

    #[test]
    fn a_run_is_read_at_most_ten_times_in_any_second() {
        for pause in [1, 7, 16, 50, 99, 130, 300] {
            let read = reads((0..10_000).step_by(pause), Duration::ZERO);
            let busiest = read
                .iter()
                .map(|from| read.iter().filter(|read| (*from..*from + 1_000).contains(read)).count());
            assert!(busiest.max() <= Some(10), "every {pause} ms");
        }
    }
}
