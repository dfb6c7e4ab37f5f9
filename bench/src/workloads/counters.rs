//! W13: runs that increment counters in the tenant's store at the same time: all of them one counter, and each of them its own.

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::bench::Bench;
use crate::figures::Figure;
use crate::host::Host;
use crate::http::get;
use crate::load::{Start, Until, WARM_UP, load, run_all};
use crate::starts::{MANY, STEPS, increments, pure_steps};
use crate::workload::Workload;

/// The increments of each run if all increment one counter.
const SHARED: u32 = 100;

/// The increments of each run if each has its own counter.
const OWN: u32 = 500;

pub(crate) async fn measure(bench: &mut Bench) -> Result<()> {
    bench.say(&format!("W13: {MANY} runs that increment one counter, and {MANY} counters"));
    let host = bench.host(&[]).await?;
    load(host.alone(), &pure_steps(STEPS), MANY, Until::Time(WARM_UP)).await?;
    let less = bench.full_or_quick(1, 5);
    for round in 0..bench.full_or_quick(3, 1) {
        let figure = |name, value| Figure::new(Workload::W13, name, value, "increments/s").in_flight(MANY);
        let shared = rate(&host, &format!("bench/shared/{round}"), 1, SHARED / less).await?;
        bench.figures.add(figure("increments of one key", shared).at_least(1_000.0));
        let own = rate(&host, &format!("bench/own/{round}"), MANY, OWN / less).await?;
        bench.figures.add(figure("increments of 64 keys", own).at_least(10_000.0));
    }
    Ok(())
}

/// Returns the increments a second of runs that increment so many counters, each of them `count` times. Fails if an increment
/// was lost or made twice.
async fn rate(host: &Host, prefix: &str, counters: u32, count: u32) -> Result<f64> {
    let key = |run: u32| format!("{prefix}/{}", run % counters);
    let starts: Vec<Start> = (0..MANY).map(|run| increments(&key(run), count)).collect();
    let load = run_all(host, &starts, MANY).await?;
    let (mut connection, each) = (host.connect().await?, count * (MANY / counters));
    for counter in (0..counters).map(key) {
        let value: Value =
            serde_json::from_slice(connection.send_ok(&get(&format!("/_api/db/{counter}"))).await?)?;
        ensure!(value == each, "{counter} is {value} after {each} increments");
    }
    Ok(f64::from(MANY * count) / load.elapsed.as_secs_f64())
}
