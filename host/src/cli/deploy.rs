use std::path::PathBuf;

use anyhow::Context as _;

use super::printable::Printable;
use super::{CliError, Context, progress, project, text};
use crate::registry::Registered;

/// The arguments of `forge deploy`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// A component (a .wasm file) or the folder of a project, which is compiled first.
    #[arg(value_name = "FILE|PATH", default_value = ".")]
    path: PathBuf,
}

const EXAMPLES: &str = "\
Versions are immutable: a workflow with changed code needs a higher version (`#[version = 2]`). Versions that exist \
keep the code that they have; a deploy without a new version fails. Runs keep the version that they started with.

Examples:
  forge deploy                              the project in this folder
  forge deploy target/payment.wasm
  forge deploy examples/payment --server http://10.0.0.5:7070";

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let client = context.client()?;
    let component = if args.path.is_dir() || args.path.ends_with("Cargo.toml") {
        project::build(args.path, context.json).await?.bytes
    } else {
        std::fs::read(&args.path).with_context(|| format!("cannot read {}", args.path.display()))?
    };
    let upload = client.upload(component);
    let registered = progress::show(context, "the server compiles the component", upload).await?;
    context.print(&registered, describe)
}

fn describe(registered: &Registered) -> String {
    let mut lines: Vec<String> = Vec::new();
    for workflow in &registered.workflows {
        let mark = if workflow.deprecated { ", deprecated" } else { "" };
        let (name, timeout) = (Printable::line(&workflow.name), Printable::line(&workflow.timeout));
        lines.push(format!("{name} v{} (timeout {timeout}{mark})", workflow.version));
    }
    for workflow in &registered.kept {
        lines.push(format!(
            "{} v{} keeps the code it has ({}); to change it, raise its #[version]",
            workflow.name,
            workflow.version,
            text::short_digest(&workflow.digest)
        ));
    }
    let what = if registered.created { "deployed" } else { "was deployed before, nothing changed" };
    lines.push(format!("{what}: {}", Printable::line(text::short_digest(&registered.digest))));
    lines.join("\n")
}
