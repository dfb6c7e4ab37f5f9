//! One file for each workload: how it is measured, and which figures come of it.

pub(crate) mod fuel;
pub(crate) mod http_steps;
pub(crate) mod one_step;
pub(crate) mod parallel_steps;
pub(crate) mod pure_steps;
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
    /// The cost of fuel.
    #[value(name = "W7")]
    W7,
    /// 20 steps with a request each, all at once.
    #[value(name = "W8")]
    W8,
}

impl Workload {
    /// As the tables have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::W1 => "W1",
            Self::W2 => "W2",
            Self::W3 => "W3",
            Self::W7 => "W7",
            Self::W8 => "W8",
        }
    }
}
