//! What the page of a run of 40,000 calls costs a browser, beside that of a run of 400:
//! `cargo test -p forge-browser-tests --test measure_large_run`.

#![allow(clippy::unwrap_used, reason = "a measurement fails by panicking")]

use std::time::{Duration, Instant};

use forge_browser_tests::Browser;
use forge_tests::program::{Statement, block};
use forge_tests::{Host, Services, component};
use serde_json::Value;

/// The calls of the runs.
const CALLS: [u32; 2] = [400, 40_000];

/// Scrolls from the first call to the last one in 240 frames; returns the times between them in milliseconds.
const SCROLL: &str = "
    const done = arguments[0];
    const grid = document.querySelector('[role=treegrid]');
    const step = (grid.scrollHeight - grid.clientHeight) / 240;
    const times = [];
    let last;
    const frame = (now) => {
        if (last !== undefined) times.push(now - last);
        last = now;
        if (times.length === 240) return done(times);
        grid.scrollTop += step;
        requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
";

/// The number of rows, with the head.
const ROWS: &str = "return Number(document.querySelector('[role=treegrid]').getAttribute('aria-rowcount'))";

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(measure());
}

async fn measure() {
    let host = Host::builder().flag(["--fuel", "100G"]).flag(["--payload-size", "64MiB"]).start().await;
    let services = Services::start().await;
    host.api().deploy(&component("interpreter")).await;
    println!("| calls | page to all calls | a frame of a scroll, p50 | p99 |\n|--:|--:|--:|--:|");
    for calls in CALLS {
        let run = host
            .api()
            .start_program(&services, block![Statement::Repeat(calls, block![Statement::Draw])])
            .await;
        host.api().until_status(&run, "completed").await;
        let browser = Browser::start().await;
        // The first page of a browser also starts it.
        browser.open(&format!("{}/runs", host.url())).await;
        browser.idle().await;
        let began = Instant::now();
        browser.open(&format!("{}/runs/{run}", host.url())).await;
        browser.press("checkbox", "Clock and timeouts").await;
        while browser.script(ROWS).await.as_u64() <= Some(calls.into()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let took = began.elapsed();
        let frames = browser.driver().execute_async(SCROLL, Vec::new()).await.unwrap();
        let mut frames: Vec<f64> =
            frames.json().as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
        frames.sort_by(f64::total_cmp);
        let (half, most) = (frames[frames.len() / 2], frames[frames.len() * 99 / 100]);
        println!("| {calls} | {:.2} s | {half:.1} ms | {most:.1} ms |", took.as_secs_f64());
        browser.close().await;
    }
}
