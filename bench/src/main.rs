//! The benchmark of the host: `cargo xtask bench`.
//!
//! It starts real `forge serve` processes with databases on a disk, starts runs over HTTP, and answers the requests of
//! the workflows. Ratios compare a figure with a limit that is measured in the same run. `docs/performance.md` explains
//! the figures.

mod bench;
mod database;
mod figures;
mod host;
mod http;
mod limits;
mod load;
mod machine;
mod raw;
mod settings;
mod starts;
mod stats;
mod table;
mod workload;
mod workloads;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser as _;

use crate::bench::Bench;
use crate::settings::Settings;

fn main() -> ExitCode {
    match run(&Settings::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(settings: &Settings) -> Result<()> {
    machine::check_is_disk(&settings.folder)?;
    let mut bench = Bench::new(settings)?;
    let description = bench.describe()?;
    // One thread: the host needs the other cores.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let measured = runtime.block_on(workloads::run(&mut bench, &settings.selected()));
    // The figures that were measured before a workload failed are printed, too.
    let figures = bench.figures.sorted();
    println!("\n{description}\n\n{}", table::markdown(&figures));
    let missed = figures.iter().filter(|figure| figure.is_reached() == Some(false)).count();
    bench.say(&format!("{missed} targets missed"));
    measured
}
