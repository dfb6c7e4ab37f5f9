//! W3: from the start of a run with one step to its result, with nothing else under way.

use anyhow::Result;

use super::{Workload, steady};
use crate::bench::Bench;
use crate::database::Kind;
use crate::host::Host;
use crate::load::Start;
use crate::measurements::Measurements;
use crate::report::Figure;

/// One round.
pub(crate) async fn measure(bench: &mut Bench, hosts: &[Host]) -> Result<()> {
    let start = Start { workflow: "pure_steps", input: steady::pure(1) };
    steady::measure(bench, hosts, Workload::W3, &start, 1).await
}

pub(crate) fn figures(measured: &Measurements) -> Vec<Figure> {
    let figure = || {
        let figure = steady::latency_beside_commit(measured, Workload::W3)?;
        Some(if measured.database() == Kind::Sqlite { figure.at_most(4.0) } else { figure })
    };
    figure().into_iter().collect()
}
