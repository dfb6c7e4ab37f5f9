//! `forge build`: a workflow crate becomes a component.

use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::component::{ComponentError, componentize};
use crate::package::{self, Package, Unclear};
use crate::process::{self, CommandError};
use crate::toolchain::{TARGET, Toolchain};

/// Randomness in a guest comes from the SDK, which is the `getrandom` crate's custom backend: without
/// this flag `getrandom` refuses to compile for the target.
///
/// The initial heap is 256 KiB: most runs need no more, and each growth of the memory is a system call.
const FLAGS: &str = r#"target.wasm32-unknown-unknown.rustflags=['--cfg', 'getrandom_backend="custom"', '-Clink-arg=--initial-heap=262144']"#;

/// How to build.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where cargo keeps what it compiled. None: where it would by itself.
    pub target_dir: Option<PathBuf>,
    /// Leaves out cargo's progress. Warnings and errors are shown all the same.
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

/// Why a crate could not be built, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// There is no crate at the path.
    #[error("there is no Cargo.toml in {}. Give the folder of a workflow crate; `forge new NAME` makes one", path.display())]
    NoManifest {
        /// The path given.
        path: PathBuf,
    },
    /// Cargo does not understand the crate.
    #[error("cargo cannot read {}: {source}", manifest.display())]
    Metadata {
        /// The crate's manifest.
        manifest: PathBuf,
        /// What cargo said.
        source: CommandError,
    },
    /// Cargo's description is of a form that this version does not know.
    #[error("cargo's description of {} cannot be understood; is this cargo much newer than this program?", manifest.display())]
    Unreadable {
        /// The crate's manifest.
        manifest: PathBuf,
    },
    /// The crate is an ordinary one.
    #[error("{} {} no workflow crate: it makes no WebAssembly module. Add this to its Cargo.toml:\n\n    [lib]\n    crate-type = [\"cdylib\", \"rlib\"]", packages.join(", "), if packages.len() == 1 { "is" } else { "have" })]
    NoCdylib {
        /// The packages looked at.
        packages: Vec<String>,
    },
    /// The path is a workspace with more than one workflow crate.
    #[error("this workspace has several workflow crates. Build one of:{}", listed(packages))]
    SeveralCdylibs {
        /// Their names and folders.
        packages: Vec<(String, PathBuf)>,
    },
    /// Cargo could not be run.
    #[error(transparent)]
    Cargo(#[from] CommandError),
    /// The compiler reported errors. They went to the standard error.
    #[error("`{package}` did not compile; the compiler's messages are above")]
    Compile {
        /// The package's name.
        package: String,
    },
    /// Cargo succeeded without making a module.
    #[error("cargo compiled `{package}` but named no .wasm file")]
    NoModule {
        /// The package's name.
        package: String,
    },
    /// The compiled module could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The module.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The module is not what the host takes.
    #[error("`{package}` compiled, but {source}")]
    Component {
        /// The package's name.
        package: String,
        /// What is wrong with it.
        source: ComponentError,
    },
}

/// Compiles the workflow crate at `project` (its folder or its Cargo.toml; in a workspace, a member's)
/// in release mode and makes a component of it.
///
/// The toolchain is the one given, whatever a `rust-toolchain.toml` says, and `RUSTFLAGS` are ignored:
/// they are meant for the host. Flags for a guest belong in the crate's `.cargo/config.toml`. The
/// compiler's messages go to the standard error.
///
/// # Errors
/// [`BuildError`], worded for the author of the crate.
pub fn build(toolchain: &Toolchain, project: &Path, options: &Options) -> Result<BuiltComponent, BuildError> {
    let manifest = manifest_of(project)?;
    let package = select(toolchain, &manifest)?;
    let module = compile(toolchain, &manifest, &package, options)?;
    let bytes = std::fs::read(&module).map_err(|source| BuildError::Read { path: module, source })?;
    match componentize(&bytes) {
        Ok(bytes) => Ok(BuiltComponent { name: package.name, bytes }),
        Err(source) => Err(BuildError::Component { package: package.name, source }),
    }
}

fn manifest_of(project: &Path) -> Result<PathBuf, BuildError> {
    let file = if project.ends_with("Cargo.toml") { project.to_owned() } else { project.join("Cargo.toml") };
    // As cargo writes it in its answers. A path that cannot be resolved does not exist.
    match std::path::absolute(&file) {
        Ok(manifest) if manifest.is_file() => Ok(manifest.canonicalize().unwrap_or(manifest)),
        _ => Err(BuildError::NoManifest { path: project.to_owned() }),
    }
}

fn select(toolchain: &Toolchain, manifest: &Path) -> Result<Package, BuildError> {
    let mut cargo = cargo_for(toolchain, manifest);
    cargo.args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"]).arg(manifest);
    let manifest = || manifest.to_owned();
    let metadata = process::output(&mut cargo)
        .map_err(|source| BuildError::Metadata { manifest: manifest(), source })?;
    package::select(&metadata, &manifest()).map_err(|unclear| match unclear {
        Unclear::NoCdylib { packages } => BuildError::NoCdylib { packages },
        Unclear::SeveralCdylibs { packages } => BuildError::SeveralCdylibs { packages },
        Unclear::Unreadable => BuildError::Unreadable { manifest: manifest() },
    })
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
        .args(["build", "--release", "--lib", "--target", TARGET])
        .args(["--message-format", "json-render-diagnostics", "--config", FLAGS])
        .args(["--package", &package.id, "--manifest-path"])
        .arg(manifest)
        .args(options.quiet.then_some("--quiet"));
    if let Some(target_dir) = &options.target_dir {
        // Cargo runs in the crate's folder, the caller speaks of its own.
        cargo.arg("--target-dir").arg(std::path::absolute(target_dir).unwrap_or_else(|_| target_dir.clone()));
    }
    let (module, succeeded) = module_from(&mut cargo, &package.id)?;
    match module {
        _ if !succeeded => Err(BuildError::Compile { package: package.name.clone() }),
        Some(module) => Ok(module),
        None => Err(BuildError::NoModule { package: package.name.clone() }),
    }
}

/// Runs cargo to its end; what it said of the package's module, and whether it succeeded.
fn module_from(cargo: &mut Command, id: &str) -> Result<(Option<PathBuf>, bool), CommandError> {
    let command = process::line(cargo);
    let not_started = |source| CommandError::NotStarted { command: command.clone(), source };
    let mut child = cargo.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(not_started)?;
    let lines = child.stdout.take().into_iter().flat_map(|stdout| BufReader::new(stdout).lines());
    let module = lines.map_while(Result::ok).filter_map(|line| package::module_in(&line, id)).last();
    let status = child.wait().map_err(not_started)?;
    Ok((module, status.success()))
}

/// Cargo, run where the crate is: it reads `.cargo/config.toml` from the folder it runs in.
fn cargo_for(toolchain: &Toolchain, manifest: &Path) -> Command {
    let mut cargo = toolchain.cargo();
    if let Some(folder) = manifest.parent() {
        cargo.current_dir(folder);
    }
    cargo
}

fn listed(packages: &[(String, PathBuf)]) -> String {
    packages
        .iter()
        .map(|(name, folder)| format!("\n    forge build {}  ({name})", folder.display()))
        .collect()
}
