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
    /// Measures the host as `cargo build --release` makes it, and not as `cargo xtask release` does, which takes three
    /// times as long to make.
    #[arg(long)]
    pub(crate) plain: bool,
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
    /// Lets this program work on what `--forge` has set up, and measures nothing: for a host that counts what it does.
    #[arg(long, hide = true, value_name = "FILE")]
    pub(crate) train: Option<PathBuf>,
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
  cargo xtask bench --plain --quick      the host without a profile, which is made sooner
  cargo xtask bench --json figures.jsonl --markdown";
