use clap::Subcommand;

use super::printable::Printable;
use super::table::Column::{Cut, Whole};
use super::table::Table;
use super::{CliError, Context, input, output};
use crate::api::EntryPage;

/// The arguments of `forge db`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the value of a key; with --json, also its version
    Get {
        /// The key.
        key: String,
    },
    /// Store a value under a key
    Put {
        /// The key.
        key: String,
        /// The value: JSON, @FILE, or @- for standard input.
        #[arg(value_name = "JSON|@FILE", allow_hyphen_values = true)]
        value: String,
        /// Store it only if the key has this version.
        #[arg(long, value_name = "VERSION", conflicts_with = "if_absent")]
        if_version: Option<u64>,
        /// Store it only if the key does not exist.
        #[arg(long)]
        if_absent: bool,
    },
    /// Delete a key, if it exists
    Delete {
        /// The key.
        key: String,
        /// Delete it only if it has this version.
        #[arg(long, value_name = "VERSION")]
        if_version: Option<u64>,
    },
    /// List the entries whose keys begin with a prefix
    List {
        /// The prefix [default: all keys].
        #[arg(default_value = "", hide_default_value = true)]
        prefix: String,
        /// The maximum number of entries: 1 to 500 [default: 50].
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=500))]
        limit: Option<u32>,
        /// The last key of the previous page.
        #[arg(long, value_name = "KEY")]
        cursor: Option<String>,
    },
}

const EXAMPLES: &str = "\
The store of a tenant has JSON documents under keys. Workflows use it with `ctx.db()`. Each change of a key gives it a \
higher version.

Examples:
  forge db list tokens/
  forge db get tokens/ada
  forge db put stock/tea 100 --if-absent
  forge db put stock/tea 99 --if-version 7
  forge db delete tokens/ada";

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    match args.command {
        Command::Get { key } => {
            let entry = context.client()?.entry(checked(&key)?).await?;
            if context.json { output::print_json(&entry) } else { output::print_document(entry.value.text()) }
        }
        Command::Put { key, value, if_version, if_absent } => {
            let value = input::read_option(&key, &value)?;
            let stored = context.client()?.put_entry(checked(&key)?, &value, if_version, if_absent).await?;
            context.print(&stored, |stored| {
                format!("{} has version {}", Printable::line(&stored.key), stored.version)
            })
        }
        Command::Delete { key, if_version } => {
            context.client()?.delete_entry(checked(&key)?, if_version).await?;
            output::note(&format!("{} is deleted", Printable::line(&key)));
            Ok(())
        }
        Command::List { prefix, limit, cursor } => {
            let query = [
                ("prefix", Some(prefix)),
                ("limit", limit.map(|limit| limit.to_string())),
                ("cursor", cursor),
            ];
            let page = context.client()?.entries(&query).await?;
            if context.json {
                return output::print_json(&page);
            }
            if page.entries.is_empty() {
                output::note("no entries");
                return Ok(());
            }
            output::print(&table(&page))?;
            if let Some(cursor) = &page.next_cursor {
                output::hint(&format!("there are more: --cursor {}", Printable::line(cursor)));
            }
            Ok(())
        }
    }
}

/// Refuses the keys that no URL can name: clients take `.` and `..` in a path for steps of it.
fn checked(key: &str) -> Result<&str, CliError> {
    match key {
        "" => Err(CliError::Usage("the key cannot be empty".to_owned())),
        "." | ".." => {
            let message = format!(
                "the key `{key}` has no URL: read it with `forge db list`, and change it from a workflow"
            );
            Err(CliError::Usage(message))
        }
        key => Ok(key),
    }
}

fn table(page: &EntryPage) -> String {
    let rows = page
        .entries
        .iter()
        .map(|entry| [entry.key.clone(), entry.version.to_string(), entry.value.to_string()]);
    Table::with([Cut("KEY"), Whole("VERSION"), Cut("VALUE")], rows).render()
}
