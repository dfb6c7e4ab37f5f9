//! One file for each workload: how it is measured, and which figures come of it.

pub(crate) mod ageing;
pub(crate) mod fuel;
pub(crate) mod http_steps;
pub(crate) mod neighbour;
pub(crate) mod one_step;
pub(crate) mod parallel_steps;
pub(crate) mod pure_steps;
pub(crate) mod recovery;
pub(crate) mod replay;
pub(crate) mod sleepers;
pub(crate) mod steady;

use clap::ValueEnum;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Workload {
    /// 10 pure steps in each run.
    #[value(name = "W1")]
    W1,
    /// 10 steps with a request each, one after the other.
    #[value(name = "W2")]
    W2,
    /// From start to result, of a run with one step.
    #[value(name = "W3")]
    W3,
    /// Recovery of 10,000 unfinished runs after SIGKILL.
    #[value(name = "W4")]
    W4,
    /// 100,000 runs that sleep.
    #[value(name = "W5")]
    W5,
    /// Replay of a long journal.
    #[value(name = "W6")]
    W6,
    /// The cost of fuel.
    #[value(name = "W7")]
    W7,
    /// 20 steps with a request each, all at once.
    #[value(name = "W8")]
    W8,
    /// The latency of a tenant's runs while another tenant saturates the host.
    #[value(name = "W9")]
    W9,
    /// W1 after 100,000 finished runs.
    Ageing,
}

impl Workload {
    /// As the tables have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::W1 => "W1",
            Self::W2 => "W2",
            Self::W3 => "W3",
            Self::W4 => "W4",
            Self::W5 => "W5",
            Self::W6 => "W6",
            Self::W7 => "W7",
            Self::W8 => "W8",
            Self::W9 => "W9",
            Self::Ageing => "ageing",
        }
    }
}
