use std::collections::BTreeMap;

use bytesize::ByteSize;
use clap::Subcommand;

use super::printable::Printable;
use super::table::Column::{Cut, Whole};
use super::table::Table;
use super::{CliError, Context, parse, text};
use crate::api::NewTenant;
use crate::config::{Retention, Unit};
use crate::tenants::{SettingsChange, TenantInfo};

/// The arguments of `forge tenants`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the tenants (the default)
    List,
    /// Create a tenant
    Create {
        /// The name: 1 to 63 lower-case letters, digits and `-`.
        name: String,
        #[command(flatten)]
        settings: Settings,
    },
    /// Show the settings and limits of a tenant
    Show {
        /// The name of the tenant [default: the tenant of the API key].
        name: Option<String>,
    },
    /// Change settings of a tenant; the others stay
    Set {
        /// The name of the tenant.
        name: String,
        #[command(flatten)]
        settings: Settings,
    },
}

/// The settings of a tenant.
#[derive(Debug, clap::Args)]
struct Settings {
    /// A limit, as NAME=VALUE; NAME=default restores the default of the host. `forge tenants show` lists the names.
    #[arg(long = "limit", value_name = "NAME=VALUE", value_parser = limit)]
    limits: Vec<(String, Option<u64>)>,
    /// A server that workflows may reach, such as https://*.example.com. Replaces the current list.
    #[arg(long, value_name = "RULE")]
    egress: Vec<String>,
    /// A private network in which these servers may be, such as 10.0.0.0/8.
    #[arg(long, value_name = "NETWORK")]
    egress_private: Vec<String>,
    /// Let workflows reach no server.
    #[arg(long, conflicts_with_all = ["egress", "egress_private"])]
    no_egress: bool,
    /// How long final runs are kept, such as completed=30d,payment:failed=1y. Replaces the current rules; '' removes them.
    #[arg(long, value_name = "RULES")]
    retention: Option<Retention>,
    /// Suspend the tenant: none of its runs starts or continues until it is resumed.
    #[arg(long, conflicts_with = "resume")]
    suspend: bool,
    /// Resume the tenant.
    #[arg(long)]
    resume: bool,
}

const EXAMPLES: &str = "\
A tenant has its own workflows, runs, API keys, secrets and limits, and cannot see those of other tenants. Its \
workflows reach only the servers that its rules name. All of this needs an API key of the host, except `show` of \
the tenant of the API key.

Examples:
  forge tenants create acme --egress https://api.example.com --limit runs_in_flight=50
  forge tenants set acme --limit payload_bytes=65536 --limit runs_in_flight=default
  forge tenants set acme --suspend
  forge tenants show acme
  forge --tenant acme keys create ci --role deploy";

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let client = context.client()?;
    let info = match args.command.unwrap_or(Command::List) {
        Command::List => {
            return context.print(&client.tenants().await?, |list| table(&list.tenants));
        }
        Command::Create { name, settings } => {
            client.create_tenant(&NewTenant::new(name, settings.into_change()?)).await?
        }
        Command::Show { name: Some(name) } => client.tenant(&name).await?,
        Command::Show { name: None } => client.tenant(&client.caller().await?.tenant).await?,
        Command::Set { name, settings } => client.change_tenant(&name, &settings.into_change()?).await?,
    };
    context.print(&info, show)
}

impl Settings {
    fn into_change(self) -> Result<SettingsChange, CliError> {
        let Self { limits, egress, egress_private, no_egress, retention, suspend, resume } = self;
        let mut by_name = BTreeMap::new();
        for (name, value) in limits {
            if by_name.insert(name.clone(), value).is_some() {
                return Err(CliError::Usage(format!("--limit sets `{name}` twice: leave one of them out")));
            }
        }
        Ok(SettingsChange {
            egress: (no_egress || !egress.is_empty()).then_some(egress),
            egress_private: (no_egress || !egress_private.is_empty()).then_some(egress_private),
            limits: by_name,
            retention,
            suspended: (suspend || resume).then_some(suspend),
        })
    }
}

fn limit(text: &str) -> Result<(String, Option<u64>), String> {
    let wrong =
        || format!("`{text}` is not a limit, such as versions=50, payload_bytes=64KiB or versions=default");
    let (name, value) = text.split_once('=').ok_or_else(wrong)?;
    if value == "default" {
        return Ok((name.to_owned(), None));
    }
    let value =
        if name.contains("bytes") || name == "log_rate" { parse::bytes(value) } else { parse::count(value) };
    Ok((name.to_owned(), Some(value.map_err(|_| wrong())?)))
}

fn table(tenants: &[TenantInfo]) -> String {
    let rows = tenants.iter().map(|TenantInfo { name, settings, limits }| {
        let own = limits.iter().filter(|limit| limit.is_set).count();
        let state = if settings.suspended { "suspended" } else { "" };
        [name.clone(), state.to_owned(), own.to_string(), servers(name, settings)]
    });
    Table::with([Cut("TENANT"), Whole("STATE"), Whole("OWN LIMITS"), Cut("SERVERS")], rows).render()
}

fn servers(tenant: &str, settings: &crate::tenants::Settings) -> String {
    match settings.servers(tenant) {
        None => "as the host is configured".to_owned(),
        Some([]) => "none".to_owned(),
        Some(rules) => rules.join(", "),
    }
}

fn show(info: &TenantInfo) -> String {
    let TenantInfo { name, settings, limits } = info;
    let suspended = if settings.suspended { " (suspended)" } else { "" };
    let mut lines = vec![format!("tenant {}{suspended}", Printable::line(name))];
    lines.push(format!("servers that workflows may reach: {}", Printable::line(&servers(name, settings))));
    if !settings.egress_private.is_empty() {
        let networks = settings.egress_private.join(", ");
        lines.push(format!("also in the networks {}", Printable::line(&networks)));
    }
    if let Some(retention) = &settings.retention {
        lines.push(format!("final runs are kept: {}", Printable::line(&retention.to_string())));
    }
    let rows = limits.iter().map(|limit| {
        let amount = |value: u64| match limit.unit {
            Unit::Bytes => ByteSize(value).to_string(),
            Unit::Milliseconds => text::duration(value),
            Unit::PerSecond => format!("{value} /s"),
            Unit::BytesPerSecond => format!("{} /s", ByteSize(value)),
            Unit::SecondsPerHour => format!("{value} s/h"),
            Unit::Fuel | Unit::Count => value.to_string(),
        };
        let used = limit.used.map(amount).unwrap_or_default();
        let own = if limit.is_set { "own" } else { "" };
        let about = limit.about.split_once(". ").map_or(limit.about.as_str(), |(first, _)| first);
        [limit.name.clone(), used, amount(limit.value), own.to_owned(), about.to_owned()]
    });
    lines.push(String::new());
    let columns = [Whole("LIMIT"), Whole("USED"), Whole("OF"), Whole(""), Cut("WHAT IT BOUNDS")];
    lines.push(Table::with(columns, rows).render());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_name_and_a_value() {
        assert_eq!(limit("versions=50"), Ok(("versions".to_owned(), Some(50))));
        assert_eq!(limit("payload_bytes=64KiB"), Ok(("payload_bytes".to_owned(), Some(65_536))));
        assert_eq!(limit("fuel_per_run=5G"), Ok(("fuel_per_run".to_owned(), Some(5_000_000_000))));
        assert_eq!(limit("versions=default"), Ok(("versions".to_owned(), None)));
        for wrong in ["versions", "versions=", "versions=0", "versions=-1", "=5x"] {
            assert!(limit(wrong).is_err(), "{wrong}");
        }
    }
}
