//! W16: a run with 40,000 calls, as people look at it: its page, its calls in the live view, and `forge runs show`.

use std::time::Instant;

use anyhow::Result;

use crate::bench::Bench;
use crate::database::Reader;
use crate::figures::Figure;
use crate::host::Host;
use crate::http::get;
use crate::starts::{pure_steps, start, wait_for};
use crate::stats;
use crate::workload::Workload;

/// The calls of the run.
const MANY_CALLS: u32 = 40_000;

/// The calls of the run that its page is compared with.
const FEW_CALLS: u32 = 400;

/// The page may take twice as long: it is made without the calls.
const PAGE_TARGET: f64 = 2.0;

/// The name of the limit of what has all calls.
const ROWS: &str = "its rows read from the database";

pub(crate) async fn measure(bench: &mut Bench) -> Result<()> {
    bench.say("W16: a run with 40,000 calls");
    let host = bench.host(&[]).await?;
    let mut reader = host.read().await?;
    let few = start_and_wait(&host, &mut reader, FEW_CALLS).await?;
    let many = start_and_wait(&host, &mut reader, MANY_CALLS).await?;
    for _ in 0..bench.full_or_quick(5, 2) {
        let limit = page(bench, &host, &few).await?;
        let value = page(bench, &host, &many).await?;
        let figure = Figure::new(Workload::W16, "page of the run", value, "µs");
        bench.figures.add(figure.against("a run with 400 calls", limit).at_most(PAGE_TARGET));
    }
    for _ in 0..bench.full_or_quick(11, 3) {
        let began = Instant::now();
        reader.read_calls(&many).await?;
        let limit = milliseconds(began);
        let began = Instant::now();
        let mut socket = host.socket().await?;
        socket.follow(&many).await?;
        socket.receive_group().await?;
        let live = milliseconds(began);
        let began = Instant::now();
        host.command(&["runs", "show", &many]).await?;
        let shown = milliseconds(began);
        let figure = |name, value| Figure::new(Workload::W16, name, value, "ms").against(ROWS, limit);
        bench.figures.add(figure("its calls in the live view", live));
        bench.figures.add(figure("`forge runs show`", shown));
    }
    Ok(())
}

/// Starts a run with so many calls, and waits for its end.
async fn start_and_wait(host: &Host, reader: &mut Reader, calls: u32) -> Result<String> {
    let before = reader.completed().await?;
    let run = start(host, &pure_steps(calls)).await?;
    wait_for("the run of W16", async || Ok((reader.completed().await? > before).then_some(()))).await?;
    Ok(run)
}

/// Returns the median time of the page of a run, in microseconds.
async fn page(bench: &Bench, host: &Host, run: &str) -> Result<f64> {
    let mut connection = host.connect().await?;
    let request = get(&format!("/runs/{run}"));
    let mut times = Vec::new();
    for _ in 0..bench.full_or_quick(100, 20) {
        let began = Instant::now();
        connection.send_ok(&request).await?;
        times.push(began.elapsed());
    }
    stats::median_of(&times)
}

fn milliseconds(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1e3
}
