//! The names of the workloads.

use clap::ValueEnum;

/// A workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
#[value(rename_all = "verbatim")]
pub(crate) enum Workload {
    /// Runs of 10 steps without effects.
    W1,
    /// Runs of 10 steps with one request each.
    W2,
    /// Runs of one step without effects, one at a time.
    W3,
    /// Recovery of 10,000 unfinished runs after SIGKILL.
    W4,
    /// 100,000 runs that sleep.
    W5,
    /// Replay of long journals.
    W6,
    /// The latency of a tenant's runs while another tenant saturates the host.
    W9,
    /// Events for runs that wait.
    W10,
    /// Parents with 100 children.
    W11,
    /// Transactions of the tenant's store.
    W12,
    /// 64 runs that increment counters of the tenant's store.
    W13,
    /// 100,000 runs that wait for an event.
    W14,
    /// Subscribers of a busy run, and of idle ones.
    W15,
    /// The page, the live view and `forge runs show` of a run with 40,000 calls.
    W16,
    /// W1 in a database with 100,000 finished runs.
    Ageing,
    /// Pages of lists with each filter, among 1,000,000 runs and among 1,000.
    Lists,
}
