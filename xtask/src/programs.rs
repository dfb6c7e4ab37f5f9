//! What `bench` and `release` need: the benchmark, the workflows that it runs, and a host to run them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use forge_toolchain::environment::forget_package;

/// As many open files as the system lets us have: recovering 10,000 runs takes a connection for each.
const RAISE_LIMIT: &str = "ulimit -n \"$(ulimit -H -n)\"; exec \"$0\" \"$@\"";

/// Where they are.
pub(crate) struct Programs {
    root: PathBuf,
    target: PathBuf,
    component: PathBuf,
}

impl Programs {
    /// Compiles the workflows.
    pub(crate) fn prepare() -> Result<Self> {
        let root = root()?;
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        // Compilers that are told of a file there run elsewhere.
        let target = std::path::absolute(target)?;
        let toolchain = super::setup::wasm_target()?;
        let folder = target.join("bench");
        std::fs::create_dir_all(&folder)?;
        let guests = forge_toolchain::Options { target_dir: Some(folder.join("guests")), quiet: true };
        let built = forge_toolchain::build(&toolchain, &root.join("bench/guests/workload"), &guests)?;
        let component = folder.join("workload.wasm");
        std::fs::write(&component, built.bytes)?;
        Ok(Self { root, target, component })
    }

    /// The repository.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where cargo puts what it makes.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// The benchmark.
    pub(crate) fn bench(&self) -> Result<PathBuf> {
        self.build(&["forge-bench"])?;
        Ok(self.target.join("release/forge-bench"))
    }

    /// The benchmark, and the host as `cargo build --release` makes it. Both at once, so that they have their
    /// dependencies in common, SQLite and wasmtime above all.
    pub(crate) fn bench_and_plain_host(&self) -> Result<(PathBuf, PathBuf)> {
        self.build(&["forge-host", "forge-bench"])?;
        Ok((self.target.join("release/forge-bench"), self.target.join("release/forge")))
    }

    fn build(&self, packages: &[&str]) -> Result<()> {
        let mut cargo = cargo();
        cargo.current_dir(&self.root).args(["build", "--release"]);
        cargo.args(packages.iter().flat_map(|package| ["--package", package]));
        eprintln!("xtask: cargo build --release (the first time takes some minutes: wasmtime is large)");
        ensure!(cargo.status()?.success(), "the build failed; its errors are above");
        Ok(())
    }

    /// Runs the benchmark with a host. Unless the options say where, its databases are in the target folder.
    pub(crate) fn command(&self, bench: &Path, forge: &Path, options: &[&str]) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", RAISE_LIMIT]).arg(bench).arg("--forge").arg(forge);
        command.arg("--component").arg(&self.component);
        if !options.iter().any(|option| option.starts_with("--folder")) {
            command.arg("--folder").arg(self.target.join("bench"));
        }
        command.args(options);
        forget_package(&mut command);
        command
    }
}

/// The cargo that runs this, without what it says of the package `xtask`: build scripts that watch those variables would
/// make it compile half of the host again.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    forget_package(&mut cargo);
    cargo
}

/// The repository, wherever cargo was called. Asked when it runs: cargo does not compile this again when the repository,
/// and the target folder with it, has moved.
pub(crate) fn root() -> Result<PathBuf> {
    let xtask = std::env::var_os("CARGO_MANIFEST_DIR").context("start this with `cargo xtask`")?;
    Ok(Path::new(&xtask).parent().context("xtask lies in the repository")?.to_owned())
}
