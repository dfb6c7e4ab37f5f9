//! What is asked for on the command line.

use std::path::PathBuf;

use crate::database::Kind;
use crate::workloads::Workload;

/// Measures the host beside what the machine could do. `cargo xtask bench` builds and runs it.
#[derive(Debug, clap::Parser)]
#[command(name = "cargo xtask bench", after_help = EXAMPLES)]
pub(crate) struct Settings {
    /// Only these workloads; none: all of them.
    #[arg(value_enum, ignore_case = true, value_name = "WORKLOAD")]
    pub(crate) workloads: Vec<Workload>,
    /// What keeps the hosts' data: a file of each host, or a PostgreSQL server that the benchmark starts, which one
    /// host uses, and then two at the same time.
    #[arg(long, value_enum, value_name = "DATABASE", default_value_t)]
    pub(crate) database: Kind,
    /// Smaller counts and shorter times: two minutes instead of ten. Figures are coarser.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Also writes each figure as a line of JSON to this file; `-` is the standard output.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Prints the table as Markdown.
    #[arg(long)]
    pub(crate) markdown: bool,
    /// Where databases are made and removed again. It must be on a disk, and PostgreSQL's user must reach it.
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    pub(crate) folder: PathBuf,
    /// The binary `forge`.
    #[arg(long, hide = true)]
    pub(crate) forge: PathBuf,
    /// The component with the workflows.
    #[arg(long, hide = true)]
    pub(crate) component: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask bench                      everything, in about ten minutes
  cargo xtask bench --quick W1 W3        two workloads, coarsely
  cargo xtask bench --database postgres  hosts that share a PostgreSQL database
  cargo xtask bench --json figures.jsonl --markdown";
