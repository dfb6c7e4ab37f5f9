use std::sync::Arc;
use std::time::Duration;

use clap::Subcommand;

use super::{CliError, Context, output, text};
use crate::config::Database;
use crate::tenants::{ApiKey, Caller, CreatedKey, NewKey, Role, Tenants};
use forge_clock as clock;
use forge_journal::DEFAULT_TENANT;

/// The arguments of `forge keys`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the API keys, those that are revoked, too
    List {
        /// The host's own.
        #[arg(long)]
        host: bool,
    },
    /// Make an API key, and print it: that is the only time that it is shown
    Create(Create),
    /// Refuse an API key from now on
    Revoke {
        /// Its id.
        id: String,
        /// It is one of the host's.
        #[arg(long)]
        host: bool,
    },
}

#[derive(Debug, clap::Args)]
struct Create {
    /// What it is for.
    name: String,
    /// What it may do: read, start, deploy or admin; each may do what those before it may.
    #[arg(long)]
    role: Role,
    /// It acts for the host, and for every tenant.
    #[arg(long)]
    host: bool,
    /// How long it is good for, such as 90d [default: until it is revoked].
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    expires_in: Option<Duration>,
    /// Make it in this database, of which nobody asks for a key: for the first one, before a server is reachable
    /// from elsewhere. No server may use the database, if it is SQLite's.
    #[arg(long, value_name = "URL")]
    database: Option<Database>,
}

const EXAMPLES: &str = "\
The first key has to be one of the host with the role admin. Once there is a key, nobody does anything without
one: FORGE_TOKEN or --token say which. A key of the host acts for the tenant that --tenant names.

Examples:
  forge keys create ops --host --role admin --database sqlite:forge.db
  forge --tenant acme keys create ci --role deploy --expires-in 90d
  forge keys list
  forge keys revoke 3f9a01c2d4e5";

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    match args.command {
        Command::List { host } => {
            let keys = context.client()?.keys(host).await?;
            if context.json { output::print_json(&keys) } else { output::print(&list(&keys.keys)) }
        }
        Command::Create(create) => {
            let created = self::create(create, context).await?;
            if context.json {
                return output::print_json(&created);
            }
            output::hint("this is the only time that the key is shown; FORGE_TOKEN makes `forge` use it");
            output::print(&created.token)
        }
        Command::Revoke { id, host } => {
            let key = context.client()?.revoke_key(&id, host).await?;
            if context.json {
                return output::print_json(&key);
            }
            output::print(&format!("key {} ({}) is revoked", key.id, key.name))
        }
    }
}

async fn create(create: Create, context: &Context) -> Result<CreatedKey, CliError> {
    let Create { name, role, host, expires_in, database } = create;
    let expires_at = expires_in
        .map(|time| clock::now().plus(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)).to_datetime());
    let new = NewKey { role, name, host, expires_at };
    let Some(database) = database else { return context.client()?.create_key(&new).await };
    let store = super::open_aside(&database).await?;
    let tenant: Arc<str> = context.tenant.as_deref().unwrap_or(DEFAULT_TENANT).into();
    let by = Caller::local(Arc::clone(&tenant));
    let of = (!host).then_some(&*tenant);
    let tenants = Tenants::for_store(Arc::clone(&store)).map_err(anyhow::Error::from)?;
    let created = tenants.create_key(of, new, &by).await;
    store.close().await;
    Ok(created.map_err(anyhow::Error::from)?)
}

fn list(keys: &[ApiKey]) -> String {
    if keys.is_empty() {
        return "no API keys: `forge keys create` makes one".to_owned();
    }
    let mut rows = vec![["ID", "NAME", "ROLE", "STATE", "CREATED"].map(str::to_owned).to_vec()];
    for key in keys {
        rows.push(vec![
            key.id.clone(),
            key.name.clone(),
            key.role.to_string(),
            state(key),
            text::time(key.created_at),
        ]);
    }
    output::table(&rows)
}

fn state(key: &ApiKey) -> String {
    match (key.revoked_at, key.expires_at) {
        (Some(revoked_at), _) => format!("revoked {}", text::time(revoked_at)),
        (None, Some(end)) if key.is_valid() => format!("until {}", text::time(end)),
        (None, Some(end)) => format!("expired {}", text::time(end)),
        (None, None) => String::new(),
    }
}
