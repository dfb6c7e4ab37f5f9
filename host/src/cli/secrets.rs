use std::io::{IsTerminal as _, Read as _};

use anyhow::Context as _;
use clap::Subcommand;

use super::{CliError, Context, output, text};
use crate::tenants::{NewSecret, SecretInfo};
use forge_egress::secrets::KeyRing;

/// The most that is read: a value has 64 KiB at most.
const MOST: u64 = 1 << 20;

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
    /// Set a secret to what the standard input has
    Set {
        /// 1 to 64 letters, digits, `_` and `-`.
        name: String,
        /// A server that it may be sent to, such as https://api.example.com or https://*.example.com.
        #[arg(long = "server-rule", value_name = "RULE", required = true)]
        servers: Vec<String>,
    },
    /// Remove a secret
    Remove {
        /// Its name.
        name: String,
    },
    /// Seal all secrets, of all tenants, with the newest key
    Reseal,
    /// Print a new key for `forge serve --secrets-key-file` or FORGE_SECRETS_KEY
    GenerateKey,
}

const EXAMPLES: &str = "\
A workflow writes {{secret:NAME}} in the value of a header. The host fills it in when the request leaves, for
the servers that are named here and no other; the workflow and its journal never have the value.

To change the key that seals them: put a new one before the old one, restart the hosts, `forge secrets reseal`,
and remove the old one.

Examples:
  forge secrets generate-key > forge.key && forge serve --secrets-key-file forge.key
  printf %s \"$STRIPE_KEY\" | forge secrets set STRIPE_KEY --server-rule https://api.stripe.com
  forge secrets list";

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    match args.command {
        Command::List => {
            let secrets = context.client()?.secrets().await?;
            if context.json { output::print_json(&secrets) } else { output::print(&list(&secrets.secrets)) }
        }
        Command::Set { name, servers } => {
            let new = NewSecret { value: value()?, servers };
            let info = context.client()?.set_secret(&name, &new).await?;
            if context.json {
                return output::print_json(&info);
            }
            output::print(&format!("secret {} is set, for {}", info.name, info.servers.join(", ")))
        }
        Command::Remove { name } => {
            context.client()?.remove_secret(&name).await?;
            output::note(&format!("secret {name} is removed"));
            Ok(())
        }
        Command::Reseal => {
            let resealed = context.client()?.reseal().await?;
            if context.json {
                return output::print_json(&resealed);
            }
            output::print(&format!("{} secrets were sealed with the newest key", resealed.resealed))
        }
        Command::GenerateKey => output::print(&KeyRing::generate().map_err(anyhow::Error::from)?),
    }
}

/// What the standard input has, without the line break at its end.
fn value() -> Result<String, CliError> {
    let mut input = std::io::stdin();
    if input.is_terminal() {
        output::note("type the value, then a line break and Ctrl-D");
    }
    let mut value = String::new();
    input.by_ref().take(MOST).read_to_string(&mut value).context("the standard input has no text")?;
    let end = value.trim_end_matches(['\n', '\r']).len();
    value.truncate(end);
    Ok(value)
}

fn list(secrets: &[SecretInfo]) -> String {
    if secrets.is_empty() {
        return "no secrets: `forge secrets set` sets one".to_owned();
    }
    let mut rows = vec![["SECRET", "SERVERS", "KEY", "SET"].map(str::to_owned).to_vec()];
    for secret in secrets {
        let set = text::time(secret.updated_at);
        rows.push(vec![secret.name.clone(), secret.servers.join(", "), secret.key.clone(), set]);
    }
    output::table(&rows)
}
