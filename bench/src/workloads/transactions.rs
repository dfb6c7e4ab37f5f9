//! W12: transactions of the tenant's store, one after the other in one run, compared with a raw commit.

use anyhow::Result;

use crate::bench::Bench;
use crate::figures::Figure;
use crate::limits::{Limits, SIDE};
use crate::load::{Until, load};
use crate::starts::transactions;
use crate::workload::Workload;

/// The transactions of a run: enough that its start and its end are a small part of its time.
const TRANSACTIONS: u32 = 100;

pub(crate) async fn measure(bench: &mut Bench) -> Result<()> {
    bench.say("W12: transactions of the tenant's store");
    let mut limits = Limits::open(bench).await?;
    let host = bench.host(&[]).await?;
    let mut reader = host.read().await?;
    let start = transactions("bench/transactions", TRANSACTIONS);
    for _ in 0..bench.full_or_quick(8, 3) {
        let commit = limits.commit().await?;
        load(host.alone(), &start, 1, Until::Time(SIDE)).await?;
        let before = reader.commits().await?;
        let load = load(host.alone(), &start, 1, Until::Time(SIDE)).await?;
        let commits = (reader.commits().await? - before) / load.runs() / f64::from(TRANSACTIONS);
        // Those of the start and the end of a run, and rare ones of a node, are rounded away.
        let commits = (commits * 10.0).round() / 10.0;
        let latency = load.latency()? / f64::from(TRANSACTIONS);
        let figure = |name, value, unit| Figure::new(Workload::W12, name, value, unit).in_flight(1);
        bench
            .figures
            .add(figure("a transaction, p50", latency, "µs").against("a raw commit", commit).at_most(2.0));
        bench.figures.add(figure("commits for a transaction", commits, "").at_most(1.0));
    }
    Ok(())
}
