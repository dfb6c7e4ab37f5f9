//! W1 and W2: completed runs a second by the number of runs in flight, with one host and with two that share a database.

use std::time::Duration;

use anyhow::Result;

use crate::bench::{Bench, NODES};
use crate::database::Kind;
use crate::figures::Figure;
use crate::host::Host;
use crate::load::{Start, Until, WARM_UP, load};
use crate::starts::{MANY, STEPS, pure_steps, requests};
use crate::workload::Workload;

/// The numbers of runs in flight at which throughput is measured.
const IN_FLIGHT: [u32; 4] = [1, 16, 64, 256];

/// Runs of W2 a second with 64 in flight: five times the best of other engines (302) on such a machine.
const REQUESTS_TARGET: f64 = 1_500.0;

pub(crate) async fn measure(bench: &mut Bench, workload: Workload) -> Result<()> {
    let start = if workload == Workload::W1 { pure_steps(STEPS) } else { requests(&bench.effects, STEPS) };
    let host = bench.host(&[]).await?;
    let mut of_one = Vec::new();
    for in_flight in IN_FLIGHT {
        let rate = rate(bench, host.alone(), &start, in_flight).await?;
        of_one.push(rate);
        let figure = Figure::new(workload, "completed", rate, "runs/s").in_flight(in_flight);
        let has_target = workload == Workload::W2 && in_flight == MANY;
        bench.figures.add(if has_target { figure.at_least(REQUESTS_TARGET) } else { figure });
    }
    drop(host);
    if bench.database == Kind::Sqlite {
        return Ok(());
    }
    let nodes = bench.hosts(&[], NODES).await?;
    for (in_flight, of_one) in IN_FLIGHT.into_iter().zip(of_one) {
        // With fewer runs, a node would have nothing to do.
        if in_flight as usize >= nodes.len() {
            let rate = rate(bench, &nodes, &start, in_flight).await?;
            let figure = Figure::new(workload, "completed by 2 nodes", rate, "runs/s").in_flight(in_flight);
            bench.figures.add(figure.against("1 node", of_one));
        }
    }
    Ok(())
}

/// Returns the runs a second of a load after a warm-up.
pub(crate) async fn rate(bench: &Bench, hosts: &[Host], start: &Start, in_flight: u32) -> Result<f64> {
    load(hosts, start, in_flight, Until::Time(WARM_UP)).await?;
    let time = bench.full_or_quick(Duration::from_secs(3), Duration::from_secs(1));
    Ok(load(hosts, start, in_flight, Until::Time(time)).await?.rate())
}
