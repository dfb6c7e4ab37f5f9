//! Interleaved comparisons of W1, W2 and W3 with raw commits and round trips. The speed of a disk may change within
//! seconds, so workload and limit alternate within one, and the ratio is the median of the ratios of all comparisons.

use std::time::Duration;

use anyhow::Result;

use crate::bench::Bench;
use crate::database::{Kind, Reader};
use crate::figures::Figure;
use crate::host::Host;
use crate::limits::{Limits, SIDE};
use crate::load::{Until, WARM_UP, load};
use crate::starts::{MANY, STEPS, pure_steps, requests};
use crate::workload::Workload;

/// The rows of a raw commit that W1 is compared with. With 64 runs in flight, a commit of the host has some hundreds.
const BATCH: usize = 256;

/// [`SIDE`] where runs are counted, which needs longer until all clients are busy and until the last run has ended.
const COUNTED_SIDE: Duration = Duration::from_millis(600);

struct Sides {
    host: Host,
    reader: Reader,
    limits: Limits,
}

pub(crate) async fn measure(bench: &mut Bench, selected: &[Workload]) -> Result<()> {
    let limits = Limits::open(bench).await?;
    let host = bench.host(&[]).await?;
    load(host.alone(), &pure_steps(STEPS), MANY, Until::Time(WARM_UP)).await?;
    let mut sides = Sides { reader: host.read().await?, limits, host };
    for _ in 0..bench.full_or_quick(8, 6) {
        for workload in selected {
            sides.one_in_flight(bench, *workload).await?;
        }
        if selected.contains(&Workload::W1) {
            sides.rows(bench).await?;
        }
    }
    Ok(())
}

impl Sides {
    /// Compares runs one at a time with a raw commit, and their steps with a round trip and a raw commit if they send
    /// requests.
    async fn one_in_flight(&mut self, bench: &mut Bench, workload: Workload) -> Result<()> {
        let commit = self.limits.commit().await?;
        let (start, name, steps, most_commits) = match workload {
            Workload::W2 => (requests(&bench.effects, STEPS), "a step, p50", f64::from(STEPS), 11.0),
            Workload::W3 => (pure_steps(1), "start to result, p50", 1.0, 2.0),
            _ => (pure_steps(STEPS), "start to result, p50", 1.0, 2.0),
        };
        let (limit, limit_name, target) = match workload {
            Workload::W2 => (self.limits.round_trip().await? + commit, "a round trip and a raw commit", 1.9),
            _ => (commit, "a raw commit", 2.5),
        };
        load(self.host.alone(), &start, 1, Until::Time(SIDE)).await?;
        let before = self.reader.commits().await?;
        let load = load(self.host.alone(), &start, 1, Until::Time(SIDE)).await?;
        let commits = (self.reader.commits().await? - before) / load.runs();
        // A node has rare commits of its own, which are rounded away.
        let commits = Figure::new(workload, "commits for a run", (commits * 10.0).round() / 10.0, "");
        bench.figures.add(commits.in_flight(1).at_most(most_commits));
        let latency = Figure::new(workload, name, load.latency()? / steps, "µs").in_flight(1);
        bench.figures.add(latency.against(limit_name, limit).at_most(target));
        Ok(())
    }

    /// Compares the rows of many runs with raw batches.
    async fn rows(&mut self, bench: &mut Bench) -> Result<()> {
        let raw = self.limits.rows_per_second(BATCH).await?;
        let runs = load(self.host.alone(), &pure_steps(STEPS), MANY, Until::Time(COUNTED_SIDE)).await?.rate();
        let rows = runs * f64::from(STEPS);
        let figure = Figure::new(Workload::W1, "journal rows", rows, "rows/s").in_flight(MANY);
        let target = match bench.database {
            Kind::Sqlite => 0.2,
            Kind::Postgres => 0.4,
        };
        bench.figures.add(figure.against("256 rows in a raw commit", raw).at_least(target));
        Ok(())
    }
}
