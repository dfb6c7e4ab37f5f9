use std::io;
use std::path::{Path, PathBuf};

use crate::component::ComponentError;
use crate::dependencies::UnsuitableDependency;
use crate::process::CommandError;

/// The reason why a crate was not built. The display says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The path has no manifest.
    #[error(
        "there is no Cargo.toml in {}. Give the folder of a workflow crate; `forge new NAME` makes one",
        shown(path)
    )]
    NoManifest {
        /// The path given.
        path: PathBuf,
    },
    /// Cargo refused the manifest.
    #[error("cargo cannot read {}: {source}", manifest.display())]
    Metadata {
        /// The crate's manifest.
        manifest: PathBuf,
        /// The error of `cargo metadata`.
        source: CommandError,
    },
    /// The output of `cargo metadata` has an unknown form.
    #[error("the output of `cargo metadata` for {} has an unknown form. This cargo may be too new for this program", manifest.display())]
    Unreadable {
        /// The crate's manifest.
        manifest: PathBuf,
    },
    /// No package at the path is a workflow crate.
    #[error("not a workflow crate: {}. Add this to its Cargo.toml:\n\n    [lib]\n    crate-type = [\"cdylib\", \"rlib\"]", packages.join(", "))]
    NoCdylib {
        /// The names of the packages at the path.
        packages: Vec<String>,
    },
    /// The path is a workspace with several workflow crates.
    #[error("this workspace has several workflow crates. Build one of them:{}", listed(packages))]
    SeveralCdylibs {
        /// Their names and folders.
        packages: Vec<(String, PathBuf)>,
    },
    /// Dependencies of the crate cannot work in a component.
    #[error("`{package}` cannot become a component:{}", dependencies.iter().map(ToString::to_string).collect::<String>())]
    Dependencies {
        /// The package's name.
        package: String,
        /// The dependencies, each with the line that declares it.
        dependencies: Vec<UnsuitableDependency>,
    },
    /// Cargo could not be started.
    #[error(transparent)]
    Cargo(#[from] CommandError),
    /// The compiler reported errors, on the standard error.
    #[error("`{package}` did not compile; the compiler's messages are above")]
    Compile {
        /// The package's name.
        package: String,
    },
    /// Cargo succeeded and reported no module.
    #[error("cargo compiled `{package}` but reported no .wasm file")]
    NoModule {
        /// The package's name.
        package: String,
    },
    /// The compiled module could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The module's file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The compiled module is not a workflow.
    #[error("`{package}` compiled, but {source}")]
    Component {
        /// The package's name.
        package: String,
        /// The reason.
        source: ComponentError,
    },
}

fn listed(packages: &[(String, PathBuf)]) -> String {
    packages
        .iter()
        .map(|(name, folder)| format!("\n    forge build {}  ({name})", folder.display()))
        .collect()
}

/// Returns a folder as it reads in a sentence.
fn shown(folder: &Path) -> String {
    if folder == Path::new(".") { "this folder".to_owned() } else { folder.display().to_string() }
}
