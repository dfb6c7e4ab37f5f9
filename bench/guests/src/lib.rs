//! The workflows that the benchmark runs. They do what real ones do and nothing else: named steps, requests, timers, events,
//! children and transactions of the tenant's store.

use forge::prelude::*;
use futures::future::try_join_all;
use serde::Deserialize;

/// The input of [`pure_steps`].
#[derive(Deserialize)]
pub struct Steps {
    steps: u32,
    /// Milliseconds of sleep after the steps.
    #[serde(default)]
    sleep_ms: Option<u64>,
}

/// Executes steps without effects, one after the other, and then sleeps if it is told to.
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

/// The input of [`http_steps`].
#[derive(Deserialize)]
pub struct Requests {
    steps: u32,
    /// The effect server's URL.
    effects: String,
    /// The number of the step whose request the effect server holds.
    #[serde(default)]
    held_step: Option<u32>,
}

/// Executes steps with one request each, one after the other.
#[forge::workflow]
pub async fn http_steps(ctx: &WorkflowContext, input: Requests) -> Result<u32> {
    for number in 0..input.steps {
        let path = if input.held_step == Some(number) { "held" } else { "effect" };
        let url = format!("{}/{path}", input.effects);
        ctx.step(format!("step_{number}"), || post(&url, number)).run().await?;
    }
    Ok(input.steps)
}

async fn post(url: &str, number: u32) -> Result<u32> {
    forge::http::post(url).json(&json!({ "step": number })).send().await?.error_for_status()?.json()
}

/// The input of [`computing`].
#[derive(Deserialize)]
pub struct Computing {
    rounds: u64,
}

/// Computes without a call of the host.
#[forge::workflow]
pub async fn computing(_ctx: &WorkflowContext, input: Computing) -> Result<u64> {
    let mut state = 1_u64;
    for round in 0..input.rounds {
        state = std::hint::black_box(state.rotate_left(7) ^ round);
    }
    Ok(state)
}

/// The input of [`event_requests`].
#[derive(Deserialize)]
pub struct Events {
    events: u32,
    /// The effect server's URL.
    effects: String,
}

/// Waits for events, one after the other, and executes a step with one request after each.
#[forge::workflow]
pub async fn event_requests(ctx: &WorkflowContext, input: Events) -> Result<u32> {
    let url = format!("{}/timed", input.effects);
    for _ in 0..input.events {
        let number: u32 = ctx.event("number").recv().await?;
        ctx.step(format!("step_{number}"), || post(&url, number)).run().await?;
    }
    Ok(input.events)
}

/// The input of [`parent`].
#[derive(Deserialize)]
pub struct Children {
    children: u32,
}

/// Starts children of one step, all at once, and waits for their results.
#[forge::workflow]
pub async fn parent(ctx: &WorkflowContext, input: Children) -> Result<u32> {
    let child = json!({ "steps": 1 });
    let results = (0..input.children).map(|_| ctx.child("pure_steps", &child).run::<u32>());
    Ok(try_join_all(results).await?.iter().sum())
}

/// The input of [`transactions`] and [`increments`].
#[derive(Deserialize)]
pub struct Changes {
    key: String,
    count: u32,
}

/// Commits transactions of the tenant's store that change one key, one after the other.
#[forge::workflow]
pub async fn transactions(ctx: &WorkflowContext, input: Changes) -> Result<u32> {
    for number in 0..input.count {
        ctx.db().put(&input.key, &number).await?;
    }
    Ok(input.count)
}

/// Increments a counter in the tenant's store, which other runs may increment, too.
#[forge::workflow]
pub async fn increments(ctx: &WorkflowContext, input: Changes) -> Result<u32> {
    for _ in 0..input.count {
        ctx.db().update(&input.key, |count: Option<u64>| count.unwrap_or(0) + 1).await?;
    }
    Ok(input.count)
}

forge::export!(
    PureStepsWorkflow,
    HttpStepsWorkflow,
    ComputingWorkflow,
    EventRequestsWorkflow,
    ParentWorkflow,
    TransactionsWorkflow,
    IncrementsWorkflow,
);
