//! What the host does, beside what the machine could do: `cargo xtask bench`.
//!
//! A real `forge serve` process on a real disk, started over HTTP, with an effect server that its
//! workflows call. Each figure stands beside the limit that was measured in the same run. What they mean
//! is in `docs/performance.md`.

mod bench;
mod database;
mod duels;
mod host;
mod http;
mod limits;
mod load;
mod measurements;
mod observe;
mod plan;
mod report;
mod settings;
mod stats;
mod training;
mod workloads;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::Parser as _;

use crate::bench::Bench;
use crate::database::Kind;
use crate::report::Figure;
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
    let began = Instant::now();
    report::check_is_disk(&settings.folder)?;
    let machine = report::describe(&settings.folder, settings.plain)?;
    let mut bench = Bench::new(settings)?;
    let server = bench.describe_server()?.map(|server| format!("{server}\n")).unwrap_or_default();
    // One thread: the host needs the others more.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if let Some(program) = &settings.train {
        return runtime.block_on(training::train(&bench, program));
    }
    let measured = runtime.block_on(bench.run());
    // What was measured before a workload failed took minutes, and still says something.
    let figures = bench.figures();
    let table = if settings.markdown { report::markdown(&figures) } else { report::text(&figures) };
    println!("\n{machine}\n{server}\n{table}");
    if let Some(file) = &settings.json {
        write_json(file, settings.database, &figures)?;
    }
    eprintln!("bench: {}, {} s", verdict(&figures), began.elapsed().as_secs());
    measured
}

fn write_json(file: &Path, database: Kind, figures: &[Figure]) -> Result<()> {
    let lines: String = figures.iter().map(|figure| report::json_line(database, figure) + "\n").collect();
    if file == Path::new("-") {
        print!("{lines}");
        return Ok(());
    }
    std::fs::write(file, lines).with_context(|| format!("cannot write {}", file.display()))
}

fn verdict(figures: &[Figure]) -> String {
    let held = figures.iter().filter_map(Figure::is_ok);
    let (reached, missed): (Vec<bool>, Vec<bool>) = held.partition(|is_ok| *is_ok);
    format!("{} targets reached, {} missed", reached.len(), missed.len())
}
