//! Kills of a host at random times.

use std::time::Duration;

use serde_json::Value;

use crate::{Host, Services, clock};

/// The time that a host needs before its runs continue, in milliseconds. It compiles their components first.
const START: u64 = 1_000;

/// The time without a request after which a host has nothing left to do.
const SILENCE: Duration = Duration::from_secs(10);

/// Kills a host repeatedly and records the times.
pub struct Crashes {
    random: fastrand::Rng,
    kills: Vec<Kill>,
}

/// A kill, between two points in time in milliseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub struct Kill {
    /// A time at which the process was alive.
    pub before: u64,
    /// A time at which it was gone.
    pub after: u64,
}

impl Crashes {
    /// Creates a sequence of crashes that depends only on the seed.
    pub fn new(seed: u64) -> Self {
        Self { random: fastrand::Rng::with_seed(seed), kills: Vec::new() }
    }

    /// Kills the host at a random moment and launches it again. Mostly that is up to so many
    /// milliseconds after the services hear of it again, sometimes at any time since its launch:
    /// before it serves, or before its runs go on. False: it was not heard of any more.
    pub async fn crash(&mut self, host: &mut Host, services: &Services, within: u64) -> bool {
        let heard_of = match self.random.u32(0..5) {
            0 => self.sleep_up_to(START).await,
            _ => services.next_request(SILENCE).await && self.sleep_up_to(within).await,
        };
        self.kill(host);
        heard_of
    }

    /// Kills the host now, and launches it again.
    pub fn kill(&mut self, host: &mut Host) {
        self.record(|| host.kill());
        host.launch();
    }

    /// Records a crash that `crash` causes.
    pub fn record(&mut self, crash: impl FnOnce()) {
        let before = clock::now();
        crash();
        self.kills.push(Kill { before, after: clock::now() });
    }

    /// Sleeps for a random time. It does not wait for a condition.
    async fn sleep_up_to(&mut self, milliseconds: u64) -> bool {
        tokio::time::sleep(Duration::from_millis(self.random.u64(..=milliseconds))).await;
        true
    }

    /// Returns the kills so far.
    pub fn kills(&self) -> &[Kill] {
        &self.kills
    }

    /// Returns the number of kills in this period.
    pub fn between(&self, from: u64, to: u64) -> usize {
        between(&self.kills, from, to)
    }

    /// Returns the number of kills during a finished run.
    pub fn during(&self, record: &Value) -> usize {
        self.between(clock::parse(&record["started_at"]), clock::parse(&record["completed_at"]))
    }
}

/// Returns the number of these kills in this period.
pub(crate) fn between(kills: &[Kill], from: u64, to: u64) -> usize {
    kills.iter().filter(|kill| kill.after >= from && kill.before <= to).count()
}
