//! `cargo xtask test`: runs every test of the repository, also in a fresh clone.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::cargo::{cargo, root, target};
use super::progress::{Build, Steps};
use super::{clients, setup};

/// One `cargo test`.
struct Suite {
    name: &'static str,
    /// The manifest of its workspace, relative to the root. Guests are workspaces of their own.
    manifest: &'static str,
    /// What cargo tests of the workspace.
    packages: &'static [&'static str],
    /// Whether its artifacts are in the repository's target folder, because they share dependencies.
    shares_target: bool,
    build: Build,
}

/// The tests in a browser have a driver that changes features of dependencies. The other tests are to run with those of the
/// shipped program.
const BROWSER: &str = "forge-browser-tests";

const SUITES: [Suite; 4] = [
    Suite {
        name: "host, SDK and end-to-end",
        manifest: "Cargo.toml",
        packages: &["--workspace", "--exclude", BROWSER],
        shares_target: true,
        build: Build { includes: "forge_tests", minutes: 14 },
    },
    Suite {
        name: "dashboard, in a browser",
        manifest: "Cargo.toml",
        packages: &["--package", BROWSER],
        shares_target: true,
        build: Build { includes: "forge_browser_tests", minutes: 4 },
    },
    Suite {
        name: "benchmark",
        manifest: "bench/Cargo.toml",
        packages: &["--workspace"],
        shares_target: true,
        build: Build { includes: "forge_bench", minutes: 2 },
    },
    Suite {
        name: "examples, natively",
        manifest: "examples/Cargo.toml",
        packages: &["--workspace"],
        shares_target: false,
        build: Build { includes: "payment", minutes: 1 },
    },
];

/// The result of a suite.
struct Outcome {
    name: &'static str,
    passed: bool,
    took: Duration,
}

pub(crate) fn run() -> Result<()> {
    // The setup, and for each suite its build and its tests.
    let mut steps = Steps::new(9);
    steps.next("What the tests need besides Rust");
    setup::for_tests()?;
    if let Err(error) = clients::ensure() {
        eprintln!("xtask: The tests of API clients will fail: {error:#}");
    }
    let outcomes = SUITES.iter().map(|suite| suite.run(&mut steps)).collect::<Result<Vec<_>>>()?;
    eprint!("\n{}", summary(&outcomes));
    let failed = outcomes.iter().filter(|outcome| !outcome.passed).count();
    if failed > 0 {
        bail!("{failed} of {} suites failed", outcomes.len());
    }
    Ok(())
}

impl Suite {
    /// Compiles and runs the tests. A failed test is an outcome, not an error, so that the other suites run.
    fn run(&self, steps: &mut Steps) -> Result<Outcome> {
        let started = Instant::now();
        steps.next(&format!("Compiling: {}", self.name));
        let mut passed = self.build.run(self.cargo()?.arg("--no-run"), &self.target()?)?;
        steps.next(&format!("Running: {}", self.name));
        match passed {
            true => passed = self.cargo()?.arg("--no-fail-fast").status()?.success(),
            false => println!("   left out: they do not compile"),
        }
        Ok(Outcome { name: self.name, passed, took: started.elapsed() })
    }

    fn cargo(&self) -> Result<Command> {
        let mut cargo = cargo();
        cargo.args(["test", "--manifest-path", self.manifest]).args(self.packages).current_dir(root()?);
        cargo.arg("--target-dir").arg(self.target()?);
        Ok(cargo)
    }

    fn target(&self) -> Result<PathBuf> {
        let is_given = std::env::var_os("CARGO_TARGET_DIR").is_some();
        if self.shares_target || is_given { target() } else { Ok(root()?.join("examples/target")) }
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
