//! W8: runs of 20 steps with a request each, all at once. One commit lets all of them leave.

use anyhow::Result;

use super::{Workload, steady};
use crate::bench::Bench;
use crate::host::Host;
use crate::load::Start;
use crate::measurements::{Measurements, Metric};
use crate::plan::{IN_FLIGHT, PARALLEL_STEPS};
use crate::report::Figure;

/// One round.
pub(crate) async fn measure(bench: &mut Bench, hosts: &[Host]) -> Result<()> {
    for in_flight in IN_FLIGHT {
        let input = steady::requests(bench, PARALLEL_STEPS);
        let start = Start { workflow: "parallel_http_steps", input };
        steady::measure(bench, hosts, Workload::W8, &start, in_flight).await?;
    }
    Ok(())
}

pub(crate) fn figures(measured: &Measurements) -> Vec<Figure> {
    let mut figures = IN_FLIGHT.map(|in_flight| steady::rate(measured, Workload::W8, in_flight)).to_vec();
    figures.extend(steady::rates_of_two(measured, Workload::W8));
    figures.extend([steady::latency(measured, Workload::W8, 1), requests(measured)]);
    figures.extend(steady::cpu(measured, Workload::W8, 64));
    figures.into_iter().flatten().collect()
}

fn requests(measured: &Measurements) -> Option<Figure> {
    let requests = measured.of(Workload::W8, 64, Metric::RunsPerSecond)? * f64::from(PARALLEL_STEPS);
    let figure = Figure::of(Workload::W8, "requests sent and answered", requests, "/s").in_flight(64);
    Some(figure.against("HTTP, 64 connections", measured.limit(Metric::RoundTripsPerSecond)?))
}
