//! Compiles a project, for `forge build` and `forge deploy`.

use std::path::PathBuf;

use anyhow::Context as _;
use forge_toolchain::{BuiltComponent, Options};

use super::output;

/// Compiles the workflow crate at `path`. With `quiet`, only warnings and errors are printed.
pub(super) async fn build(path: PathBuf, quiet: bool) -> anyhow::Result<BuiltComponent> {
    build_with(path, Options { quiet, ..Options::default() }).await
}

/// Compiles the workflow crate at `path` in less time, to a component that is larger and slower.
pub(super) async fn build_for_development(path: PathBuf, quiet: bool) -> anyhow::Result<BuiltComponent> {
    build_with(path, Options { quiet, for_development: true, ..Options::default() }).await
}

async fn build_with(path: PathBuf, options: Options) -> anyhow::Result<BuiltComponent> {
    let quiet = options.quiet;
    let compiling = tokio::task::spawn_blocking(move || {
        let mut progress = |message: &str| {
            if !quiet {
                output::note(message);
            }
        };
        let toolchain = forge_toolchain::ensure(&mut progress)?;
        Ok(forge_toolchain::build(&toolchain, &path, &options)?)
    });
    compiling.await.context("the compilation ended unexpectedly")?
}
