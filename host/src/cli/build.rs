use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::json;

use super::{CliError, Context, output, project, text};

/// The arguments of `forge build`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The project: a folder with a Cargo.toml.
    #[arg(default_value = ".")]
    path: PathBuf,
    /// Where the component goes. Default: NAME.wasm in the project's folder `target`.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Compiles a workflow crate for wasm32-unknown-unknown, whose Rust target it installs if need be, and
makes a component of it.

Examples:
  forge build
  forge build examples/payment -o payment.wasm";

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let built = project::build(args.path.clone(), context.json).await?;
    let file = args.output.unwrap_or_else(|| default_output(&args.path, &built.name));
    write(&file, &built.bytes)?;
    if context.json {
        return output::print_json(&json!({ "name": built.name, "file": file, "bytes": built.bytes.len() }));
    }
    output::print(&format!("{} ({})", file.display(), text::size(built.bytes.len())))
}

/// Beside what cargo makes.
fn default_output(project: &Path, name: &str) -> PathBuf {
    let folder = if project.ends_with("Cargo.toml") { project.parent().unwrap_or(project) } else { project };
    let target = folder.join("target").join(format!("{name}.wasm"));
    // `target/hello.wasm` rather than `./target/hello.wasm`.
    target.strip_prefix(".").map(Path::to_owned).unwrap_or(target)
}

fn write(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    std::fs::write(file, bytes).with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_goes_beside_what_cargo_makes() {
        assert_eq!(default_output(Path::new("."), "hello"), Path::new("target/hello.wasm"));
        assert_eq!(default_output(Path::new("a/Cargo.toml"), "hello"), Path::new("a/target/hello.wasm"));
    }
}
