//! W7: what it costs that guests pay for instructions. The same component in the same harness, without a
//! host, because the host cannot run without fuel.

use super::Workload;
use crate::measurements::{Measurements, Metric};
use crate::report::Figure;

pub(crate) fn figures(measured: &Measurements) -> Vec<Figure> {
    let figure = || {
        let (with, without) =
            (measured.limit(Metric::BareCall)?, measured.limit(Metric::BareCallWithoutFuel)?);
        let cost = (with / without - 1.0) * 100.0;
        Some(Figure::of(Workload::W7, "a run of 10 pure steps takes longer by", cost, "%").at_most(10.0))
    };
    figure().into_iter().collect()
}
