//! Killing a host at random moments.

use std::time::Duration;

use serde_json::Value;

use crate::{Host, Services, clock};

/// How long a host takes to come back to its runs, in milliseconds. It compiles their components first.
const START: u64 = 1_000;

/// A host that is silent for so long has nothing left to do.
const SILENCE: Duration = Duration::from_secs(10);

/// Kills a host again and again, and remembers when.
pub struct Crashes {
    random: fastrand::Rng,
    kills: Vec<Kill>,
}

/// A kill, between two points in time in milliseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub struct Kill {
    /// The process was alive.
    pub before: u64,
    /// It was gone.
    pub after: u64,
}

impl Crashes {
    /// Crashes at moments that follow from the seed.
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

    /// Something else crashes.
    pub fn record(&mut self, crash: impl FnOnce()) {
        let before = clock::now();
        crash();
        self.kills.push(Kill { before, after: clock::now() });
    }

    /// This is no waiting for anything: the moment is what is random.
    async fn sleep_up_to(&mut self, milliseconds: u64) -> bool {
        tokio::time::sleep(Duration::from_millis(self.random.u64(..=milliseconds))).await;
        true
    }

    /// The kills so far.
    pub fn kills(&self) -> &[Kill] {
        &self.kills
    }

    /// How many kills there were from one point in time to another.
    pub fn between(&self, from: u64, to: u64) -> usize {
        between(&self.kills, from, to)
    }

    /// How many kills hit a run that is over.
    pub fn during(&self, record: &Value) -> usize {
        self.between(clock::parse(&record["started_at"]), clock::parse(&record["completed_at"]))
    }
}

/// How many of these kills there were from one point in time to another.
pub(crate) fn between(kills: &[Kill], from: u64, to: u64) -> usize {
    kills.iter().filter(|kill| kill.after >= from && kill.before <= to).count()
}
