//! `cargo xtask bench`: makes the host, the workflows and the benchmark, and runs it.

use anyhow::{Context as _, Result, ensure};

use super::programs::Programs;
use super::release;

/// Measures what `cargo build --release` makes.
const PLAIN: &str = "--plain";

pub(crate) fn run(options: &[&str]) -> Result<()> {
    let programs = Programs::prepare()?;
    if wants_postgres(options) {
        super::postgres::ensure()?;
    }
    let (bench, forge) = if options.contains(&PLAIN) || options.contains(&"--help") {
        programs.bench_and_plain_host()?
    } else {
        let forge = release::program(&programs)
            .context("the program to hand out cannot be made; `--plain` measures one that takes less")?;
        (programs.bench()?, forge)
    };
    let done = programs.command(&bench, &forge, options).status()?;
    ensure!(done.success(), "the benchmark failed; what it said is above");
    Ok(())
}

/// Whether the hosts are to share a PostgreSQL server, which takes its programs.
fn wants_postgres(options: &[&str]) -> bool {
    options.contains(&"--database=postgres")
        || options.array_windows().any(|two| *two == ["--database", "postgres"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postgresql_is_needed_where_it_is_asked_for() {
        assert!(wants_postgres(&["--quick", "--database", "postgres"]));
        assert!(wants_postgres(&["--database=postgres", "W1"]));
        assert!(!wants_postgres(&["--database", "sqlite"]));
        assert!(!wants_postgres(&["--folder", "postgres"]));
    }
}
