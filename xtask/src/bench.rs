//! `cargo xtask bench`: builds the host, the workflows and the benchmark in release mode, and runs it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use forge_toolchain::environment::forget_package;

/// As many open files as the system lets us have: recovering 10,000 runs takes a connection for each.
const RAISE_LIMIT: &str = "ulimit -n \"$(ulimit -H -n)\"; exec \"$0\" \"$@\"";

pub(crate) fn run(options: &[&str]) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in the repository")?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let toolchain = super::setup::wasm_target()?;
    if wants_postgres(options) {
        super::postgres::ensure()?;
    }
    let release = target.join("release");
    build_programs(root)?;
    let folder = target.join("bench");
    std::fs::create_dir_all(&folder)?;
    let guests = forge_toolchain::Options { target_dir: Some(folder.join("guests")), quiet: true };
    let built = forge_toolchain::build(&toolchain, &root.join("bench/guests/workload"), &guests)?;
    let component = folder.join("workload.wasm");
    std::fs::write(&component, built.bytes)?;
    let mut bench = Command::new("sh");
    bench.args(["-c", RAISE_LIMIT]).arg(release.join("forge-bench"));
    bench.arg("--forge").arg(release.join("forge")).arg("--component").arg(&component);
    if !options.iter().any(|option| option.starts_with("--folder")) {
        bench.arg("--folder").arg(&folder);
    }
    bench.args(options);
    forget_package(&mut bench);
    ensure!(bench.status()?.success(), "the benchmark failed; what it said is above");
    Ok(())
}

/// Whether the hosts are to share a PostgreSQL server, which takes its programs.
fn wants_postgres(options: &[&str]) -> bool {
    options.contains(&"--database=postgres")
        || options.array_windows().any(|two| *two == ["--database", "postgres"])
}

/// Both at once, so that they have their dependencies in common, SQLite and wasmtime above all.
fn build_programs(root: &Path) -> Result<()> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root).args([
        "build",
        "--release",
        "--package",
        "forge-host",
        "--package",
        "forge-bench",
    ]);
    forget_package(&mut cargo);
    eprintln!("xtask: cargo build --release (the first time takes some minutes: wasmtime is large)");
    ensure!(cargo.status()?.success(), "the build failed; its errors are above");
    Ok(())
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
