//! Killing a host at random moments.

use std::ops::Range;
use std::time::Duration;

use serde_json::Value;

use crate::{Host, clock};

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

    /// Lets the host live for a random number of milliseconds, kills it and launches it again. It may
    /// not even have come to serving when the next crash follows.
    pub async fn crash(&mut self, host: &mut Host, life: Range<u64>) {
        // This is no waiting for anything: the moment is what is random.
        tokio::time::sleep(Duration::from_millis(self.random.u64(life))).await;
        let before = clock::now();
        host.kill();
        self.kills.push(Kill { before, after: clock::now() });
        host.launch();
    }

    /// The kills so far.
    pub fn kills(&self) -> &[Kill] {
        &self.kills
    }

    /// How many kills there were from one point in time to another.
    pub fn between(&self, from: u64, to: u64) -> usize {
        self.kills.iter().filter(|kill| kill.after >= from && kill.before <= to).count()
    }

    /// How many kills hit a run that is over.
    pub fn during(&self, record: &Value) -> usize {
        self.between(clock::parse(&record["started_at"]), clock::parse(&record["completed_at"]))
    }
}
