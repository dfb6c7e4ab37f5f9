//! W3: from the start of a run with one step to its result, with nothing else under way.

use super::{Workload, steady};
use crate::database::Kind;
use crate::load::Start;
use crate::measurements::Measurements;
use crate::report::Figure;

/// What is started.
pub(crate) fn start() -> Start<'static> {
    Start { workflow: "pure_steps", input: steady::pure(1) }
}

pub(crate) fn figures(measured: &Measurements) -> Vec<Figure> {
    let figure = || {
        let figure = steady::latency_beside_commit(measured, Workload::W3)?;
        Some(if measured.database() == Kind::Sqlite { figure.at_most(4.0) } else { figure })
    };
    figure().into_iter().collect()
}
