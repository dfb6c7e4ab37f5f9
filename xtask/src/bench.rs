//! `cargo xtask bench`: builds the host, the workflows and the benchmark, and runs it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use forge_toolchain::environment::forget_package;

use super::cargo::{cargo, root, target};

/// Raises the limit on open files as far as the system allows: recovering 10,000 runs needs a connection for each.
const RAISE_LIMIT: &str = "ulimit -n \"$(ulimit -H -n)\"; exec \"$0\" \"$@\"";

pub(crate) fn run(options: &[&str]) -> Result<()> {
    if wants_postgres(options) {
        super::postgres::ensure()?;
    }
    let folder = target()?.join("bench");
    std::fs::create_dir_all(&folder)?;
    let component = component(&folder)?;
    let forge = release("Cargo.toml", "forge-host", "forge")?;
    let bench = release("bench/Cargo.toml", "forge-bench", "forge-bench")?;
    let mut command = Command::new("sh");
    command.args(["-c", RAISE_LIMIT]).arg(bench).arg("--forge").arg(forge).arg("--component").arg(component);
    if !options.iter().any(|option| option.starts_with("--folder")) {
        command.arg("--folder").arg(folder);
    }
    command.args(options);
    forget_package(&mut command);
    ensure!(command.status()?.success(), "the benchmark failed; its error is above");
    Ok(())
}

/// Builds the workflows.
fn component(folder: &Path) -> Result<PathBuf> {
    let toolchain = super::setup::wasm_target()?;
    let guests = forge_toolchain::Options {
        target_dir: Some(folder.join("guests")),
        quiet: true,
        ..forge_toolchain::Options::default()
    };
    let built = forge_toolchain::build(&toolchain, &root()?.join("bench/guests"), &guests)?;
    let component = folder.join("workload.wasm");
    std::fs::write(&component, built.bytes)?;
    Ok(component)
}

/// Builds a program in release mode, into the repository's target folder also if its workspace is another one.
fn release(manifest: &str, package: &str, program: &str) -> Result<PathBuf> {
    eprintln!("xtask: cargo build --release --package {package} (the first time takes minutes)");
    let mut cargo = cargo();
    cargo.current_dir(root()?).args([
        "build",
        "--release",
        "--manifest-path",
        manifest,
        "--package",
        package,
    ]);
    cargo.arg("--target-dir").arg(target()?);
    ensure!(cargo.status()?.success(), "the build failed; its errors are above");
    Ok(target()?.join("release").join(program))
}

/// Whether the hosts share a PostgreSQL server, which needs its programs.
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
