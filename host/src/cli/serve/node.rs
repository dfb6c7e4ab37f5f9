//! The flags for a host that shares a PostgreSQL database. [`NodeConfig`] explains them.

use std::net::SocketAddr;
use std::time::Duration;

use crate::cli::parse::{self, at_least};
use crate::config::{NodeConfig, machine_name};

/// The shortest lease. It is renewed three times as often.
const SHORTEST_LEASE: Duration = Duration::from_secs(1);

/// The permitted number of characters of a name.
const NAME: std::ops::RangeInclusive<usize> = 1..=100;

/// Flags that change [`NodeConfig::default`].
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Sharing a PostgreSQL database")]
#[group(skip)]
pub(super) struct Args {
    /// The name of this node. With the same name after a restart, the node continues its runs at once
    /// [default: the machine's name and the port].
    #[arg(long, value_name = "NAME", env = "FORGE_NODE", value_parser = name)]
    node: Option<String>,
    /// The time without a lease renewal after which other nodes take over this node's runs [default: 10s].
    #[arg(long, value_name = "DURATION", env = "FORGE_LEASE", value_parser = lease)]
    lease: Option<Duration>,
    /// The number of connections for reading [default: 8].
    #[arg(long, value_name = "COUNT", env = "FORGE_DATABASE_CONNECTIONS", value_parser = parse::number(1..=u32::MAX))]
    database_connections: Option<u32>,
    /// The time without a response after which the database counts as unavailable [default: 10s].
    #[arg(long, value_name = "DURATION", env = "FORGE_DATABASE_TIMEOUT", value_parser = timeout)]
    database_timeout: Option<Duration>,
}

impl Args {
    /// Returns the configuration of a host that listens on this address: the defaults with the flags applied.
    pub(super) fn into_config(self, address: SocketAddr) -> NodeConfig {
        let default = NodeConfig::default();
        NodeConfig {
            name: self.node.unwrap_or_else(|| format!("{}:{}", machine_name(), address.port())),
            lease: self.lease.unwrap_or(default.lease),
            connections: self.database_connections.unwrap_or(default.connections),
            timeout: self.database_timeout.unwrap_or(default.timeout),
        }
    }
}

fn name(text: &str) -> Result<String, String> {
    if NAME.contains(&text.chars().count()) && !text.chars().any(char::is_control) {
        return Ok(text.to_owned());
    }
    Err(format!("a name has 1 to {} printable characters", NAME.end()))
}

fn lease(text: &str) -> Result<Duration, String> {
    at_least(text, SHORTEST_LEASE)
}

fn timeout(text: &str) -> Result<Duration, String> {
    at_least(text, Duration::from_millis(100))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Serve {
        #[command(flatten)]
        node: Args,
    }

    fn config(arguments: &[&str]) -> Result<NodeConfig, clap::Error> {
        let address = SocketAddr::from(([127, 0, 0, 1], 7171));
        Serve::try_parse_from([&["serve"], arguments].concat()).map(|serve| serve.node.into_config(address))
    }

    #[test]
    fn a_node_is_named_after_its_machine_and_port_by_default() {
        assert!(config(&[]).unwrap().name.ends_with(":7171"));
        assert_eq!(config(&["--node", "a"]).unwrap().name, "a");
    }

    #[test]
    fn invalid_values_are_refused() {
        for wrong in [["--lease", "900ms"], ["--node", ""], ["--node", "a\nb"], ["--database-timeout", "1ms"]]
        {
            assert!(config(&wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(config(&["--lease", "1s"]).unwrap().lease, SHORTEST_LEASE);
    }
}
