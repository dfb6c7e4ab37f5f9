//! What the machine could do if nobody did anything besides: the same work without the host.

pub(crate) mod http;
pub(crate) mod sqlite;
pub(crate) mod wasm;

use crate::measurements::{Measurements, Metric};
use crate::plan::BATCHES;
use crate::report::Figure;

/// The limits themselves.
pub(crate) fn figures(measured: &Measurements) -> Vec<Figure> {
    let figure = |name: String, metric, unit| Some(Figure::of_limit(name, measured.limit(metric)?, unit));
    let mut figures = vec![
        figure("SQLite, commits of one row".to_owned(), Metric::CommitsPerSecond, "/s"),
        figure("SQLite, a commit of one row, p50".to_owned(), Metric::CommitLatency, "µs"),
    ];
    figures.extend(BATCHES.map(|batch| {
        figure(format!("SQLite, {batch} rows a commit"), Metric::RowsPerSecond(batch), "rows/s")
    }));
    figures.extend([
        figure("HTTP, a round trip, p50".to_owned(), Metric::RoundTrip, "µs"),
        figure("HTTP, 64 connections".to_owned(), Metric::RoundTripsPerSecond, "/s"),
        figure("wasmtime, an instance and a call of W1".to_owned(), Metric::BareCall, "µs"),
        figure("the same without fuel".to_owned(), Metric::BareCallWithoutFuel, "µs"),
        figure("CPU used by everything else meanwhile".to_owned(), Metric::Disturbance, "% of one"),
    ]);
    figures.into_iter().flatten().collect()
}
