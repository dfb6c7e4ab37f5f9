//! The flags for what clients may hold of the host. [`ServerLimits`] explains them.

use std::time::Duration;

use forge_egress::Network;

use super::files;
use crate::cli::parse;
use crate::config::{Origin, ServerLimits};

/// Flags that change [`ServerLimits::default`].
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Clients of the API")]
#[group(skip)]
pub(super) struct Args {
    /// Time for the first head of a request on a connection [default: 10s].
    #[arg(long, value_name = "DURATION", env = "FORGE_API_HEAD_TIME", value_parser = parse::some_time)]
    api_head_time: Option<Duration>,
    /// Time for which a connection may be idle between two requests [default: 75s].
    #[arg(long, value_name = "DURATION", env = "FORGE_API_IDLE_TIME", value_parser = parse::some_time)]
    api_idle_time: Option<Duration>,
    /// Time for which nothing of a request's body may come [default: 30s].
    #[arg(long, value_name = "DURATION", env = "FORGE_API_BODY_TIME", value_parser = parse::some_time)]
    api_body_time: Option<Duration>,
    /// Time for which a client may read nothing of a response [default: 30s].
    #[arg(long, value_name = "DURATION", env = "FORGE_API_WRITE_TIME", value_parser = parse::some_time)]
    api_write_time: Option<Duration>,
    /// Connections at once, at most half of the files that the process may open [default: 10k].
    #[arg(long, value_name = "COUNT", env = "FORGE_API_CONNECTIONS", value_parser = parse::count)]
    api_connections: Option<u64>,
    /// Connections of one client address; the machine itself and --api-proxy have no such limit [default: a quarter of
    /// --api-connections].
    #[arg(long, value_name = "COUNT", env = "FORGE_API_CONNECTIONS_PER_ADDRESS", value_parser = parse::count)]
    api_connections_per_address: Option<u64>,
    /// WebSockets and server-sent events at once, which leave the other connections to requests [default: half of
    /// --api-connections].
    #[arg(long, value_name = "COUNT", env = "FORGE_API_LASTING_CONNECTIONS", value_parser = parse::count)]
    api_lasting_connections: Option<u64>,
    /// A network, such as 10.0.0.7 or 10.0.0.0/8, of proxies through which clients come.
    #[arg(long, value_name = "NETWORK", env = "FORGE_API_PROXY", value_delimiter = ',')]
    api_proxy: Vec<Network>,
    /// An origin, such as https://app.example.com, whose web pages may use the API with an API key or a run token; repeat for
    /// several [default: none].
    #[arg(long, value_name = "ORIGIN", env = "FORGE_ALLOW_ORIGIN", value_delimiter = ',')]
    allow_origin: Vec<Origin>,
}

impl Args {
    /// Returns the origins whose web pages may use the API.
    pub(super) fn origins(&self) -> Vec<Origin> {
        self.allow_origin.clone()
    }

    /// Returns the default limits with the flags applied. Must be called when the limit on open files is raised.
    pub(super) fn into_limits(self) -> ServerLimits {
        self.within(files::most())
    }

    fn within(self, files: Option<u64>) -> ServerLimits {
        let count = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        let most = files.map_or(usize::MAX, |files| count(files / 2)).max(1);
        let wanted = self.api_connections.map(count);
        if let Some(wanted) = wanted.filter(|wanted| *wanted > most) {
            tracing::warn!(
                "--api-connections is {most} instead of {wanted}: half of the files that this process may open (`ulimit -n`)"
            );
        }
        let connections = wanted.unwrap_or(ServerLimits::CONNECTIONS).min(most);
        let default = ServerLimits::with_connections(connections);
        ServerLimits {
            head_time: self.api_head_time.unwrap_or(default.head_time),
            idle_time: self.api_idle_time.unwrap_or(default.idle_time),
            body_time: self.api_body_time.unwrap_or(default.body_time),
            write_time: self.api_write_time.unwrap_or(default.write_time),
            connections_per_address: self
                .api_connections_per_address
                .map_or(default.connections_per_address, count),
            lasting: self.api_lasting_connections.map_or(default.lasting, count),
            proxies: self.api_proxy,
            ..default
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Serve {
        #[command(flatten)]
        api: Args,
    }

    fn limits(flags: &str, files: u64) -> ServerLimits {
        let arguments = ["forge"].into_iter().chain(flags.split_whitespace());
        Serve::try_parse_from(arguments).unwrap().api.within(Some(files))
    }

    #[test]
    fn connections_leave_half_of_the_files_to_the_rest() {
        let shares = |flags, files| {
            let limits = limits(flags, files);
            (limits.connections, limits.connections_per_address)
        };
        assert_eq!(shares("", 1_000_000), (10_000, 2_500));
        assert_eq!(shares("", 1_024), (512, 128));
        assert_eq!(shares("--api-connections 900", 1_024), (512, 128));
        assert_eq!(shares("--api-connections 100 --api-connections-per-address 7", 1_024), (100, 7));
    }
}
