//! Lists: a page with each filter among 1,000,000 runs, compared with a page among 1,000.

use std::time::Instant;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::bench::Bench;
use crate::database::fill;
use crate::figures::Figure;
use crate::host::Host;
use crate::http::get;
use crate::stats;
use crate::workload::Workload;

/// The runs of the smaller database.
const FEW: u64 = 1_000;

/// The filters, each with its name. Every page has five runs, unless no run matches.
const FILTERS: [(&str, &str); 15] = [
    ("page of all runs", ""),
    ("page by status", "status=failed"),
    ("page by statuses", "status=failed,paused"),
    ("page by workflow", "workflow=a"),
    ("page by workflow and status", "workflow=a&status=failed"),
    ("page by version", "version=2"),
    ("page by a version without runs", "version=9"),
    ("page by tag", "tag.customer=7"),
    ("page by tag and status", "tag.customer=7&status=failed"),
    ("page by tag and workflow", "tag.customer=7&workflow=b"),
    ("page by tags", "tag.customer=7&tag.order=107"),
    ("page by error kind", "error_kind=timeout"),
    ("page by tag, kind and workflow", "tag.customer=7&error_kind=timeout&workflow=b"),
    ("page by time", "started_after=2026-01-01T00:05:00Z&started_before=2026-01-01T00:10:00Z"),
    (
        "page by time and tag",
        "started_after=2026-01-01T00:05:00Z&started_before=2026-01-01T00:10:00Z&tag.customer=7",
    ),
];

/// The name of the figure of the pages that go back.
const BACK: &str = "page before the last";

/// The name of the figure of counts. They count up to 10,000 runs of each status, so they are not compared.
const COUNTS: &str = "counts by status";

/// A page may take twice as long.
const TARGET: f64 = 2.0;

pub(crate) async fn measure(bench: &mut Bench) -> Result<()> {
    let many = bench.full_or_quick(1_000_000, 20_000);
    bench.say(&format!("lists: {many} runs"));
    let few = filled(bench, FEW).await?;
    let many = filled(bench, many).await?;
    let mut requests = Vec::new();
    for (name, filter) in FILTERS {
        let path = format!("/_api/runs?limit=5&{filter}");
        requests.push((name, [path.clone(), path]));
    }
    requests.push((BACK, [before_the_last(&few).await?, before_the_last(&many).await?]));
    for (name, [of_few, of_many]) in requests {
        // In turns, so that what disturbs one disturbs the other.
        for _ in 0..bench.full_or_quick(5, 1) {
            let limit = latency(bench, &few, &of_few).await?;
            let value = latency(bench, &many, &of_many).await?;
            let figure = Figure::new(Workload::Lists, name, value, "µs");
            bench.figures.add(figure.against("among 1,000 runs", limit).at_most(TARGET));
        }
    }
    let counts = latency(bench, &many, "/_api/runs/counts").await?;
    bench.figures.add(Figure::new(Workload::Lists, COUNTS, counts, "µs"));
    Ok(())
}

/// Starts a host with this many runs.
async fn filled(bench: &Bench, runs: u64) -> Result<Host> {
    let mut host = bench.host(&[]).await?;
    host.kill()?;
    fill(host.database(), runs).await?;
    host.launch()?;
    Ok(host)
}

/// Returns the path of the page before the last one.
async fn before_the_last(host: &Host) -> Result<String> {
    let mut connection = host.connect().await?;
    let last = get("/_api/runs?limit=1&started_before=2026-01-01T00:00:01Z");
    let page: Value = serde_json::from_slice(connection.send_ok(&last).await?)?;
    let last = page["runs"][0]["id"].as_str().context("the first run is not listed")?;
    Ok(format!("/_api/runs?limit=5&newer={last}"))
}

/// Returns the median time of a request, in microseconds.
async fn latency(bench: &Bench, host: &Host, path: &str) -> Result<f64> {
    let mut connection = host.connect().await?;
    let request = get(path);
    let mut times = Vec::new();
    for _ in 0..bench.full_or_quick(200, 20) {
        let began = Instant::now();
        connection.send_ok(&request).await?;
        times.push(began.elapsed());
    }
    stats::median_of(&times)
}
