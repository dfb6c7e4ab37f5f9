//! This host among those that share a PostgreSQL database. What the flags mean is in [`NodeConfig`].

use std::net::SocketAddr;
use std::time::Duration;

use super::size::at_least;
use crate::config::{NodeConfig, machine_name};

/// The shortest lease: signs of life come three times as often.
const SHORTEST_LEASE: Duration = Duration::from_secs(1);

/// Characters of a name.
const NAME: std::ops::RangeInclusive<usize> = 1..=100;

/// Flags that change [`NodeConfig::default`].
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Sharing a PostgreSQL database")]
#[group(skip)]
pub(super) struct Args {
    /// This host's name among the others; with the same name after a restart it goes on with its runs at once
    /// [default: the machine's name and the port].
    #[arg(long, value_name = "NAME", env = "FORGE_NODE", value_parser = name)]
    node: Option<String>,
    /// How long the others wait for a sign of life before they take this host's runs over [default: 10s].
    #[arg(long, value_name = "DURATION", env = "FORGE_LEASE", value_parser = lease)]
    lease: Option<Duration>,
    /// Connections for reading [default: 8].
    #[arg(long, value_name = "COUNT", env = "FORGE_DATABASE_CONNECTIONS", value_parser = clap::value_parser!(u32).range(1..))]
    database_connections: Option<u32>,
    /// How long the database may take for an answer before it counts as not available [default: 10s].
    #[arg(long, value_name = "DURATION", env = "FORGE_DATABASE_TIMEOUT", value_parser = timeout)]
    database_timeout: Option<Duration>,
}

impl Args {
    /// The defaults with what was set, for a host that listens there.
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
    fn a_node_is_named_after_its_machine_and_port_unless_it_is_given_a_name() {
        assert!(config(&[]).unwrap().name.ends_with(":7171"));
        assert_eq!(config(&["--node", "a"]).unwrap().name, "a");
    }

    #[test]
    fn what_could_not_work_is_refused() {
        for wrong in [["--lease", "900ms"], ["--node", ""], ["--node", "a\nb"], ["--database-timeout", "1ms"]]
        {
            assert!(config(&wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(config(&["--lease", "1s"]).unwrap().lease, SHORTEST_LEASE);
    }
}
