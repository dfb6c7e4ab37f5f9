//! The workflows that the benchmark runs. They do what real ones do and nothing besides: named steps,
//! requests, timers, no computing of their own.

use forge::prelude::*;
use serde::Deserialize;

/// How many steps a run has, and how long it sleeps after them.
#[derive(Deserialize)]
pub struct Steps {
    steps: u32,
    /// Milliseconds of sleep after the steps. None: it does not sleep.
    #[serde(default)]
    sleep_ms: Option<u64>,
}

/// Steps that touch nothing outside, one after the other, and then perhaps a sleep.
#[forge::workflow]
pub async fn pure_steps(ctx: &WorkflowContext, input: Steps) -> Result<u32> {
    let mut sum = 0;
    for number in 0..input.steps {
        sum += ctx.step(format!("step_{number}"), || async { Ok(number) }).run().await?;
    }
    if let Some(sleep_ms) = input.sleep_ms {
        ctx.sleep(Duration::from_millis(sleep_ms)).await;
    }
    Ok(sum)
}

/// Where the effect server is, and how many requests it gets.
#[derive(Deserialize)]
pub struct Requests {
    steps: u32,
    /// The effect server's URL.
    effects: String,
    /// The number of the step whose request waits at the effect server's gate.
    #[serde(default)]
    gate: Option<u32>,
}

/// Steps with one request each, one after the other.
#[forge::workflow]
pub async fn http_steps(ctx: &WorkflowContext, input: Requests) -> Result<u32> {
    for number in 0..input.steps {
        let place = if input.gate == Some(number) { "gate" } else { "effect" };
        let url = format!("{}/{place}", input.effects);
        ctx.step(format!("step_{number}"), || post(&url, number)).run().await?;
    }
    Ok(input.steps)
}

/// The same steps, all at once.
#[forge::workflow]
pub async fn parallel_http_steps(ctx: &WorkflowContext, input: Requests) -> Result<u32> {
    let url = format!("{}/effect", input.effects);
    let steps = (0..input.steps).map(|number| {
        let url = &url;
        async move { ctx.step(format!("step_{number}"), || post(url, number)).run().await }
    });
    futures::future::try_join_all(steps).await?;
    Ok(input.steps)
}

async fn post(url: &str, number: u32) -> Result<u32> {
    forge::http::post(url).json(&json!({ "step": number })).send().await?.error_for_status()?.json()
}

/// How much to compute.
#[derive(Deserialize)]
pub struct Computing {
    rounds: u64,
}

/// Nothing but computing: some fuel for each round, and nobody is waited for.
#[forge::workflow]
pub async fn computing(_ctx: &WorkflowContext, input: Computing) -> Result<u64> {
    let mut state = 1_u64;
    for round in 0..input.rounds {
        state = std::hint::black_box(state.rotate_left(7) ^ round);
    }
    Ok(state)
}

forge::export!(PureStepsWorkflow, HttpStepsWorkflow, ParallelHttpStepsWorkflow, ComputingWorkflow);
