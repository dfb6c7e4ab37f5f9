//! A host whose wall clock is stepped while it runs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use forge_tests::program::{Statement, block, effect, gate};
use forge_tests::{Host, Services, SteppedClock, component};

/// Starts a host with this clock.
async fn host<const N: usize>(clock: &SteppedClock, flag: [&str; N]) -> Host {
    let host = clock.applied_to(Host::builder().flag(flag)).start().await;
    host.api().deploy(&component("interpreter")).await;
    host
}

/// Checks that runs with these settings wake up although the clock stepped back an hour for a while.
async fn survives_a_step_back<const N: usize>(flag: [&str; N]) {
    let (clock, services) = (SteppedClock::new(), Services::start().await);
    let host = host(&clock, flag).await;
    let api = host.api();
    let before = api.start_program(&services, block![Statement::Sleep(1_500), effect("before")]).await;
    api.until_step(&before, "sleep", "1s 500ms", "running").await;
    clock.step(-3_600);
    // It waits while the clock is an hour late, and so do timers that look at the clock meanwhile.
    let during = api.start_program(&services, block![Statement::Sleep(1_500), effect("during")]).await;
    assert_eq!(api.settled(&during).await["status"], "completed");
    assert!(services.asked("before").is_empty(), "its time has not come by this clock");
    clock.step(0);
    let after = api.start_program(&services, block![Statement::Sleep(10), effect("after")]).await;
    for run in [&before, &after] {
        assert_eq!(api.settled(run).await["status"], "completed");
    }
}

#[tokio::test]
async fn a_clock_that_steps_back_and_is_put_right_delays_timers_in_memory_by_seconds() {
    survives_a_step_back(["--evict-after", "1h"]).await;
}

#[tokio::test]
async fn a_clock_that_steps_back_and_is_put_right_delays_evicted_runs_by_seconds() {
    survives_a_step_back(["--evict-after", "0s"]).await;
}

#[tokio::test]
async fn the_time_of_a_workflow_does_not_go_back_when_the_clock_does() {
    let (clock, services) = (SteppedClock::new(), Services::start().await);
    let mut host = host(&clock, []).await;
    let body = block![Statement::Draw, gate("step"), Statement::Draw, gate("restart"), Statement::Draw];
    let run = host.api().start_program(&services, body).await;
    services.until_asked("step", 1).await;
    clock.step(-3_600);
    services.open("step");
    services.until_asked("restart", 1).await;
    // The next activation knows the time from the journal.
    host.kill();
    host.restart().await;
    services.open("restart");
    let record = host.api().settled(&run).await;
    let output = record["output"].as_array().unwrap();
    let time =
        |draw: usize| output[draw].as_str().unwrap().rsplit(':').next().unwrap().parse::<i64>().unwrap();
    let times = [0, 2, 4].map(time);
    assert!(times.is_sorted(), "{times:?}");
    let steps = host.api().steps(&run).await;
    let times: Vec<&str> = steps.iter().map(|step| step["started_at"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
}
