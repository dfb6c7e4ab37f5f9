use std::sync::Arc;
use std::time::Duration;

use clap::Subcommand;

use super::printable::Printable;
use super::table::Column::{Cut, Whole};
use super::table::Table;
use super::{CliError, Context, parse, text};
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
    /// List the API keys, also revoked ones
    List {
        /// List the API keys of the host.
        #[arg(long)]
        host: bool,
    },
    /// Create an API key and print it. It is not shown again
    Create(Create),
    /// Revoke an API key
    Revoke {
        /// The id of the API key.
        id: String,
        /// Revoke an API key of the host.
        #[arg(long)]
        host: bool,
    },
}

#[derive(Debug, clap::Args)]
struct Create {
    /// A name for the API key.
    name: String,
    /// The role: read, start, deploy or admin. Each role includes those before it.
    #[arg(long)]
    role: Role,
    /// Create an API key of the host, which can act for every tenant.
    #[arg(long)]
    host: bool,
    /// The time until it expires, such as 90d [default: it does not expire].
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
    expires_in: Option<Duration>,
    /// Create it directly in this database, without a server: for the first key, which a server needs before other
    /// machines can reach it. No server may be using an SQLite database.
    #[arg(long, value_name = "URL")]
    database: Option<Database>,
}

const EXAMPLES: &str = "\
The first key must be a key of the host with the role admin. Once a key exists, every command needs one, in \
FORGE_TOKEN or --token. A key of the host acts for the tenant that --tenant names.

Examples:
  forge keys create ops --host --role admin --database sqlite:forge.db
  forge --tenant acme keys create ci --role deploy --expires-in 90d
  forge keys list
  forge keys revoke 3f9a01c2d4e5";

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    match args.command {
        Command::List { host } => {
            let keys = context.client()?.keys(host).await?;
            context.print(&keys, |keys| table(&keys.keys))
        }
        Command::Create(create) => {
            let created = self::create(create, context).await?;
            context.hint("this is the only time that the key is shown; FORGE_TOKEN makes `forge` use it");
            context.print(&created, |created| Printable::line(&created.token).to_string())
        }
        Command::Revoke { id, host } => {
            let key = context.client()?.revoke_key(&id, host).await?;
            context.print(&key, |key| {
                format!("key {} ({}) is revoked", Printable::line(&key.id), Printable::line(&key.name))
            })
        }
    }
}

async fn create(create: Create, context: &Context) -> Result<CreatedKey, CliError> {
    let Create { name, role, host, expires_in, database } = create;
    let expires_at = expires_in
        .map(|time| clock::now().plus(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)).to_datetime());
    let new = NewKey { role, name, host, expires_at };
    let Some(database) = database else { return context.client()?.create_key(&new).await };
    let store = super::open_store(&database).await?;
    let tenant: Arc<str> = context.tenant.as_deref().unwrap_or(DEFAULT_TENANT).into();
    let by = Caller::local(Arc::clone(&tenant));
    let of = (!host).then_some(&*tenant);
    let tenants = Tenants::for_store(Arc::clone(&store)).map_err(anyhow::Error::from)?;
    let created = tenants.create_key(of, new, &by).await;
    store.close().await;
    Ok(created.map_err(anyhow::Error::from)?)
}

fn table(keys: &[ApiKey]) -> String {
    if keys.is_empty() {
        return "no API keys: `forge keys create` creates one".to_owned();
    }
    let rows = keys.iter().map(|key| {
        [
            key.id.clone(),
            key.name.clone(),
            key.role.to_string(),
            state(key),
            text::time_in_utc(key.created_at),
        ]
    });
    let columns = [Whole("ID"), Cut("NAME"), Whole("ROLE"), Cut("STATE (UTC)"), Whole("CREATED (UTC)")];
    Table::with(columns, rows).render()
}

fn state(key: &ApiKey) -> String {
    match (key.revoked_at, key.expires_at) {
        (Some(revoked_at), _) => format!("revoked {}", text::time_in_utc(revoked_at)),
        (None, Some(end)) if key.is_valid() => format!("until {}", text::time_in_utc(end)),
        (None, Some(end)) => format!("expired {}", text::time_in_utc(end)),
        (None, None) => String::new(),
    }
}
