//! The workloads.

mod ageing;
mod children;
mod comparison;
mod counters;
mod events;
mod large_run;
mod lists;
mod neighbour;
mod recovery;
mod replay;
mod sleepers;
mod subscribers;
mod throughput;
mod transactions;
mod waiters;

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};

use crate::bench::Bench;
use crate::workload::Workload;

/// Measures the workloads. W1, W2 and W3 are measured in turns.
pub(crate) async fn run(bench: &mut Bench, selected: &BTreeSet<Workload>) -> Result<()> {
    let compared: Vec<Workload> = [Workload::W1, Workload::W2, Workload::W3]
        .into_iter()
        .filter(|workload| selected.contains(workload))
        .collect();
    let rounds = if compared.is_empty() { 0 } else { bench.full_or_quick(3, 1) };
    for round in 1..=rounds {
        bench.say(&format!("W1, W2, W3: round {round} of {rounds}"));
        comparison::measure(bench, &compared).await.context("W1, W2, W3")?;
        for workload in compared.iter().filter(|workload| **workload != Workload::W3) {
            throughput::measure(bench, *workload).await.context("W1, W2")?;
        }
    }
    for workload in selected {
        match workload {
            Workload::W1 | Workload::W2 | Workload::W3 => Ok(()),
            Workload::W4 => recovery::measure(bench).await.context("W4"),
            Workload::W5 => sleepers::measure(bench).await.context("W5"),
            Workload::W6 => replay::measure(bench).await.context("W6"),
            Workload::W9 => neighbour::measure(bench).await.context("W9"),
            Workload::W10 => events::measure(bench).await.context("W10"),
            Workload::W11 => children::measure(bench).await.context("W11"),
            Workload::W12 => transactions::measure(bench).await.context("W12"),
            Workload::W13 => counters::measure(bench).await.context("W13"),
            Workload::W14 => waiters::measure(bench).await.context("W14"),
            Workload::W15 => subscribers::measure(bench).await.context("W15"),
            Workload::W16 => large_run::measure(bench).await.context("W16"),
            Workload::Ageing => ageing::measure(bench).await.context("ageing"),
            Workload::Lists => lists::measure(bench).await.context("lists"),
        }?;
    }
    Ok(())
}
