use std::path::{Path, PathBuf};

use bytesize::ByteSize;
use serde_json::json;

use super::{CliError, Context, output, project};

/// The arguments of `forge build`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The folder of the project, which has a Cargo.toml.
    #[arg(default_value = ".")]
    path: PathBuf,
    /// The file for the component [default: target/NAME.wasm in the project].
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Compiles a workflow crate for wasm32-unknown-unknown and converts the result to a component. If the Rust target \
is missing, `rustup target add` installs it.

Examples:
  forge build
  forge build examples/payment -o payment.wasm";

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let built = project::build(args.path.clone(), context.json).await?;
    let file = args.output.unwrap_or_else(|| default_output(&args.path, &built.name));
    output::write_file(&file, &built.bytes)?;
    let bytes = built.bytes.len() as u64;
    context.print(&json!({ "name": built.name, "file": file, "bytes": bytes }), |_| {
        format!("{} ({})", file.display(), ByteSize(bytes))
    })
}

/// Returns the default file for the component, in cargo's target folder.
fn default_output(project: &Path, name: &str) -> PathBuf {
    let folder = if project.ends_with("Cargo.toml") { project.parent().unwrap_or(project) } else { project };
    let target = folder.join("target").join(format!("{name}.wasm"));
    // `target/hello.wasm` rather than `./target/hello.wasm`.
    target.strip_prefix(".").map(Path::to_owned).unwrap_or(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_goes_to_the_target_folder() {
        assert_eq!(default_output(Path::new("."), "hello"), Path::new("target/hello.wasm"));
        assert_eq!(default_output(Path::new("a/Cargo.toml"), "hello"), Path::new("a/target/hello.wasm"));
    }
}
