//! Ageing: W1 in a database with many finished runs, alternating with W1 in a fresh one.

use anyhow::Result;

use super::throughput::rate;
use crate::bench::Bench;
use crate::figures::Figure;
use crate::load::{Until, load};
use crate::starts::{MANY, STEPS, pure_steps};
use crate::workload::Workload;

pub(crate) async fn measure(bench: &mut Bench) -> Result<()> {
    let (start, runs) = (pure_steps(STEPS), bench.full_or_quick(100_000, 10_000));
    bench.say(&format!("ageing: {runs} runs, and then comparisons with a fresh database"));
    let aged_host = bench.host(&[]).await?;
    load(aged_host.alone(), &start, MANY, Until::Count(runs)).await?;
    for _ in 0..bench.full_or_quick(3, 1) {
        let fresh_host = bench.host(&[]).await?;
        let fresh = rate(bench, fresh_host.alone(), &start, MANY).await?;
        drop(fresh_host);
        let aged = rate(bench, aged_host.alone(), &start, MANY).await?;
        let figure = Figure::new(Workload::Ageing, "W1 after many runs", aged, "runs/s").in_flight(MANY);
        bench.figures.add(figure.against("in a fresh database", fresh).at_least(0.9));
    }
    Ok(())
}
