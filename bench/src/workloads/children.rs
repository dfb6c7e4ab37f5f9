//! W11: parents with children. A parent starts its children at once and waits for all of their results.

use anyhow::Result;

use super::throughput::rate;
use crate::bench::Bench;
use crate::figures::Figure;
use crate::starts::parent;
use crate::workload::Workload;

/// The children of a parent, each of one step.
const CHILDREN: u32 = 100;

/// The numbers of parents in flight. With all of their children, they have instances at once.
const IN_FLIGHT: [u32; 2] = [1, 8];

/// Children a second of one parent at a time.
const TARGET: f64 = 5_000.0;

pub(crate) async fn measure(bench: &mut Bench) -> Result<()> {
    bench.say(&format!("W11: parents with {CHILDREN} children"));
    let host = bench.host(&[]).await?;
    for in_flight in IN_FLIGHT {
        let parents = rate(bench, host.alone(), &parent(CHILDREN), in_flight).await?;
        let children = parents * f64::from(CHILDREN);
        let figure = Figure::new(Workload::W11, "completed children", children, "children/s");
        let figure = figure.in_flight(in_flight);
        bench.figures.add(if in_flight == 1 { figure.at_least(TARGET) } else { figure });
    }
    Ok(())
}
