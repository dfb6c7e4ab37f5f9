//! W3: from the start of a run with one step to its result, with nothing else under way.

use anyhow::Result;

use super::{Workload, steady};
use crate::bench::Bench;
use crate::host::Host;
use crate::load::Start;
use crate::measurements::{Measurements, Metric};
use crate::report::Figure;

/// One round.
pub(crate) async fn measure(bench: &mut Bench, host: &Host) -> Result<()> {
    let start = Start { workflow: "pure_steps", input: steady::pure(1) };
    steady::measure(bench, host, Workload::W3, &start, 1).await
}

pub(crate) fn figures(measured: &Measurements) -> Vec<Figure> {
    let figure = || {
        let commit = measured.limit(Metric::CommitLatency)? / 1e3;
        Some(steady::latency(measured, Workload::W3, 1)?.against("SQLite, a commit", commit).at_most(4.0))
    };
    figure().into_iter().collect()
}
