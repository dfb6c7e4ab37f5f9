//! `cargo xtask test`: runs every test of the repository, also in a fresh clone.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::cargo::{cargo, root, target};
use super::{clients, setup};

/// One `cargo test`.
struct Suite {
    name: &'static str,
    /// The manifest of its workspace, relative to the root. Guests are workspaces of their own.
    manifest: &'static str,
    /// Whether its artifacts are in the repository's target folder, because they share dependencies.
    shares_target: bool,
}

const SUITES: [Suite; 3] = [
    Suite { name: "host, SDK and end-to-end", manifest: "Cargo.toml", shares_target: true },
    Suite { name: "benchmark", manifest: "bench/Cargo.toml", shares_target: true },
    Suite { name: "examples, natively", manifest: "examples/Cargo.toml", shares_target: false },
];

/// The result of a suite.
struct Outcome {
    name: &'static str,
    passed: bool,
    took: Duration,
}

pub(crate) fn run() -> Result<()> {
    setup::for_tests()?;
    if let Err(error) = clients::ensure() {
        eprintln!("xtask: The tests of generated clients will fail: {error:#}");
    }
    let outcomes = SUITES.iter().map(Suite::run).collect::<Result<Vec<_>>>()?;
    eprint!("\n{}", summary(&outcomes));
    let failed = outcomes.iter().filter(|outcome| !outcome.passed).count();
    if failed > 0 {
        bail!("{failed} of {} suites failed", outcomes.len());
    }
    Ok(())
}

impl Suite {
    /// Runs the tests. A failed test is an outcome, not an error, so that the other suites run.
    fn run(&self) -> Result<Outcome> {
        let mut cargo = cargo();
        cargo.args(["test", "--workspace", "--no-fail-fast", "--manifest-path", self.manifest]);
        if self.shares_target {
            cargo.arg("--target-dir").arg(target()?);
        }
        eprintln!("\nxtask: {} (cargo test --workspace --manifest-path {})", self.name, self.manifest);
        let started = Instant::now();
        let passed = cargo.current_dir(root()?).status()?.success();
        Ok(Outcome { name: self.name, passed, took: started.elapsed() })
    }
}

fn summary(outcomes: &[Outcome]) -> String {
    let line = |outcome: &Outcome| {
        let verdict = if outcome.passed { "passed" } else { "FAILED" };
        format!("  {verdict}  {:<26} {:>4} s\n", outcome.name, outcome.took.as_secs())
    };
    let lines: String = outcomes.iter().map(line).collect();
    let all_passed = outcomes.iter().all(|outcome| outcome.passed);
    let conclusion =
        if all_passed { "All tests passed." } else { "Some tests failed; their output is above." };
    format!("{lines}\n{conclusion}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(passed: bool) -> Outcome {
        Outcome { name: "examples, natively", passed, took: Duration::from_millis(2_900) }
    }

    #[test]
    fn the_summary_names_every_suite_and_concludes() {
        let text = summary(&[outcome(true)]);
        assert_eq!(text, "  passed  examples, natively            2 s\n\nAll tests passed.\n");
    }

    #[test]
    fn one_failure_is_the_conclusion() {
        let text = summary(&[outcome(true), outcome(false)]);
        assert!(
            text.contains("  FAILED  ") && text.ends_with("Some tests failed; their output is above.\n"),
            "{text}"
        );
    }
}
