use std::io::{IsTerminal as _, Read as _};

use anyhow::Context as _;
use clap::Subcommand;

use super::printable::Printable;
use super::table::Column::{Cut, Whole};
use super::table::Table;
use super::{CliError, Context, output, text};
use crate::encoding;
use crate::tenants::{NewSecret, SecretInfo};
use forge_egress::secrets::KeyRing;
use zeroize::Zeroizing;

/// The maximum number of bytes to read. The server accepts values of up to 64 KiB.
const MAX_INPUT: u64 = 1 << 20;

/// The arguments of `forge secrets`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the secrets, without their values
    List,
    /// Set a secret to the value on standard input
    Set {
        /// The name: 1 to 64 letters, digits, `_` and `-`.
        name: String,
        /// A server that may receive the secret, such as https://api.example.com or https://*.example.com.
        #[arg(long = "server-rule", value_name = "RULE", required = true)]
        servers: Vec<String>,
    },
    /// Remove a secret
    Remove {
        /// The name of the secret.
        name: String,
    },
    /// Encrypt the secrets of all tenants with the newest key
    Reseal,
    /// Generate a key for `forge serve --secrets-key-file` or FORGE_SECRETS_KEY
    GenerateKey,
}

const EXAMPLES: &str = "\
A workflow writes {{secret:NAME}} in the value of a header. The host replaces it when it sends the request, and \
only for the servers of the secret. The workflow and its journal never contain the value.

To change the key that encrypts secrets: add a new key before the old one, restart the hosts, run \
`forge secrets reseal`, and remove the old key.

Examples:
  forge secrets generate-key > forge.key && forge serve --secrets-key-file forge.key
  printf %s \"$STRIPE_KEY\" | forge secrets set STRIPE_KEY --server-rule https://api.stripe.com
  forge secrets list";

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    match args.command {
        Command::List => {
            let secrets = context.client()?.secrets().await?;
            context.print(&secrets, |secrets| table(&secrets.secrets))
        }
        Command::Set { name, servers } => {
            let new = NewSecret { value: value()?, servers };
            let info = context.client()?.set_secret(&name, &new).await?;
            context.print(&info, |info| {
                let servers = info.servers.join(", ");
                format!("secret {} is set, for {}", Printable::line(&info.name), Printable::line(&servers))
            })
        }
        Command::Remove { name } => {
            context.client()?.remove_secret(&name).await?;
            output::note(&format!("secret {name} is removed"));
            Ok(())
        }
        Command::Reseal => {
            let resealed = context.client()?.reseal().await?;
            context.print(&resealed, |resealed| {
                format!("{} secrets were sealed with the newest key", resealed.resealed)
            })
        }
        Command::GenerateKey => output::print(&KeyRing::generate().map_err(anyhow::Error::from)?),
    }
}

/// Reads standard input, without the line break at its end.
fn value() -> Result<String, CliError> {
    let input = std::io::stdin();
    if input.is_terminal() {
        output::note("type the value, then a line break and Ctrl-D");
    }
    let mut bytes = Zeroizing::new(Vec::new());
    input.take(MAX_INPUT).read_to_end(&mut bytes).context("cannot read standard input")?;
    let value = encoding::utf8(&bytes).map_err(|why| CliError::Usage(format!("standard input {why}")))?;
    Ok(value.trim_end_matches(['\n', '\r']).to_owned())
}

fn table(secrets: &[SecretInfo]) -> String {
    if secrets.is_empty() {
        return "no secrets: `forge secrets set` sets one".to_owned();
    }
    let rows = secrets.iter().map(|secret| {
        [
            secret.name.clone(),
            secret.servers.join(", "),
            secret.key.clone(),
            text::time_in_utc(secret.updated_at),
        ]
    });
    Table::with([Cut("SECRET"), Cut("SERVERS"), Cut("KEY"), Whole("SET (UTC)")], rows).render()
}
