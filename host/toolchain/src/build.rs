//! Compiling a workflow crate.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::component::componentize;
use crate::dependencies;
use crate::error::BuildError;
use crate::package::{self, Package};
use crate::process::{self, CommandError};
use crate::toolchain::{TARGET, Toolchain};

/// The SDK provides randomness as a custom backend of the `getrandom` crate, which does not compile for the target
/// without this flag. The initial heap is 256 KiB: most runs need no more, and each growth of the memory is a system call.
const FLAGS: &str = concat!(
    r#"target.wasm32-unknown-unknown.rustflags=['--cfg', 'getrandom_backend="custom"', "#,
    r#"'-Clink-arg=--initial-heap=262144']"#
);

/// The name and the settings of the profile of [`Options::for_development`]. Its own profile keeps what the release profile
/// has compiled.
const DEVELOPMENT: &str = "forge-dev";
const DEVELOPMENT_PROFILE: [&str; 5] = [
    "profile.forge-dev.inherits='release'",
    "profile.forge-dev.lto=false",
    "profile.forge-dev.opt-level=1",
    "profile.forge-dev.codegen-units=16",
    "profile.forge-dev.incremental=true",
];

/// Options of [`build()`].
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Cargo's target folder. `None`: cargo's default.
    pub target_dir: Option<PathBuf>,
    /// Compiles in less time, to a component that is larger and slower: without the optimisations across crates that the
    /// crate asks for.
    pub for_development: bool,
    /// Leaves out cargo's progress. Warnings and errors are still shown.
    pub quiet: bool,
}

/// A workflow crate, compiled.
#[derive(Debug, Clone)]
pub struct BuiltComponent {
    /// The crate's name in its manifest.
    pub name: String,
    /// The component.
    pub bytes: Vec<u8>,
}

/// Compiles the workflow crate at `project` in release mode and returns its component. `project` is the crate's
/// folder or its Cargo.toml.
///
/// `toolchain` takes precedence over a `rust-toolchain.toml`. `RUSTFLAGS` are ignored: they are meant for the host.
/// Flags for a workflow belong in the crate's `.cargo/config.toml`.
///
/// # Errors
/// [`BuildError`], for the author of the crate.
pub fn build(toolchain: &Toolchain, project: &Path, options: &Options) -> Result<BuiltComponent, BuildError> {
    let manifest = manifest_of(project)?;
    let package = select(toolchain, &manifest)?;
    check_dependencies(toolchain, &manifest, &package)?;
    let module = compile(toolchain, &manifest, &package, options)?;
    let bytes = std::fs::read(&module).map_err(|source| BuildError::Read { path: module, source })?;
    match componentize(&bytes) {
        Ok(bytes) => Ok(BuiltComponent { name: package.name, bytes }),
        Err(source) => Err(BuildError::Component { package: package.name, source }),
    }
}

/// Returns the manifest's path as cargo writes it in its messages.
fn manifest_of(project: &Path) -> Result<PathBuf, BuildError> {
    let file = if project.ends_with("Cargo.toml") { project.to_owned() } else { project.join("Cargo.toml") };
    file.canonicalize().map_err(|_| BuildError::NoManifest { path: project.to_owned() })
}

fn select(toolchain: &Toolchain, manifest: &Path) -> Result<Package, BuildError> {
    let mut cargo = cargo_for(toolchain, manifest);
    cargo.args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"]).arg(manifest);
    let metadata = process::output(&mut cargo)
        .map_err(|source| BuildError::Metadata { manifest: manifest.to_owned(), source })?;
    package::select(&metadata, manifest)
}

/// Refuses dependencies that would fail after minutes of compiling, or in the component.
fn check_dependencies(toolchain: &Toolchain, manifest: &Path, package: &Package) -> Result<(), BuildError> {
    let mut cargo = cargo_for(toolchain, manifest);
    cargo
        .args(dependencies::TREE)
        .args(["--target", TARGET, "--package", &package.id, "--manifest-path"])
        .arg(manifest);
    let found = dependencies::unsuitable(&process::output(&mut cargo)?);
    match found.is_empty() {
        true => Ok(()),
        false => Err(BuildError::Dependencies { package: package.name.clone(), dependencies: found }),
    }
}

/// Runs `cargo build` and returns the module's file.
fn compile(
    toolchain: &Toolchain,
    manifest: &Path,
    package: &Package,
    options: &Options,
) -> Result<PathBuf, BuildError> {
    let mut cargo = cargo_for(toolchain, manifest);
    cargo
        .args(["build", "--lib", "--target", TARGET])
        .args(["--message-format", "json-render-diagnostics", "--config", FLAGS])
        .args(["--package", &package.id, "--manifest-path"])
        .arg(manifest)
        .args(options.quiet.then_some("--quiet"));
    if options.for_development {
        cargo.args(["--profile", DEVELOPMENT]);
        cargo.args(DEVELOPMENT_PROFILE.iter().flat_map(|setting| ["--config", setting]));
    } else {
        cargo.arg("--release");
    }
    if let Some(target_dir) = &options.target_dir {
        // The path is relative to the caller's folder; cargo runs in the crate's.
        cargo.arg("--target-dir").arg(std::path::absolute(target_dir).unwrap_or_else(|_| target_dir.clone()));
    }
    let (module, succeeded) = run(&mut cargo, &package.id)?;
    match module {
        _ if !succeeded => Err(BuildError::Compile { package: package.name.clone() }),
        Some(module) => Ok(module),
        None => Err(BuildError::NoModule { package: package.name.clone() }),
    }
}

/// Runs cargo. Returns the module that it reports for the package `id`, and whether it succeeded.
fn run(cargo: &mut Command, id: &str) -> Result<(Option<PathBuf>, bool), CommandError> {
    let command = process::line(cargo);
    let not_started = |source| CommandError::NotStarted { command: command.clone(), source };
    let mut child = cargo.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(not_started)?;
    let lines = child.stdout.take().into_iter().flat_map(|stdout| BufReader::new(stdout).lines());
    let module = lines.map_while(Result::ok).filter_map(|line| package::module_in(&line, id)).last();
    let status = child.wait().map_err(not_started)?;
    Ok((module, status.success()))
}

/// Returns a command that runs cargo in the crate's folder, where it looks for `.cargo/config.toml`.
fn cargo_for(toolchain: &Toolchain, manifest: &Path) -> Command {
    let mut cargo = toolchain.cargo();
    if let Some(folder) = manifest.parent() {
        cargo.current_dir(folder);
    }
    cargo
}
