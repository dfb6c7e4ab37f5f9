//! The command line.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::ValueEnum as _;

use crate::database::Kind;
use crate::workload::Workload;

/// Measures the host and compares it with the limits of the machine. `cargo xtask bench` builds and runs it.
#[derive(Debug, clap::Parser)]
#[command(override_usage = "cargo xtask bench [OPTIONS] [WORKLOAD]...")]
pub(crate) struct Settings {
    /// Only these workloads [default: all].
    #[arg(value_enum, ignore_case = true, value_name = "WORKLOAD")]
    pub(crate) workloads: Vec<Workload>,
    /// The hosts' database: a file for each host, or a PostgreSQL server that the benchmark starts.
    #[arg(long, value_enum, value_name = "DATABASE", default_value_t)]
    pub(crate) database: Kind,
    /// Smaller counts and shorter times. Figures are coarser.
    #[arg(long)]
    pub(crate) quick: bool,
    /// The folder for databases, which are deleted at the end. It must be on a disk, and PostgreSQL's user must be able
    /// to reach it.
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    pub(crate) folder: PathBuf,
    /// The binary `forge`.
    #[arg(long, hide = true)]
    pub(crate) forge: PathBuf,
    /// The component with the workflows.
    #[arg(long, hide = true)]
    pub(crate) component: PathBuf,
}

impl Settings {
    /// Returns the workloads to measure.
    pub(crate) fn selected(&self) -> BTreeSet<Workload> {
        let all = Workload::value_variants();
        let selected = if self.workloads.is_empty() { all } else { &self.workloads };
        selected.iter().copied().collect()
    }
}
