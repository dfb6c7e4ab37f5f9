//! The flags for subscriptions. [`LiveLimits`] explains them.

use std::time::Duration;

use crate::cli::parse;
use crate::config::LiveLimits;

/// Flags that change [`LiveLimits::default`].
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Subscriptions")]
#[group(skip)]
pub(super) struct Args {
    /// Subscriptions to runs and lists; one tenant may have a quarter of them [default: 100k].
    #[arg(long, value_name = "COUNT", env = "FORGE_LIVE_SUBSCRIPTIONS", value_parser = parse::count)]
    live_subscriptions: Option<u64>,
    /// Subscriptions of one WebSocket [default: 1k].
    #[arg(long, value_name = "COUNT", env = "FORGE_LIVE_SUBSCRIPTIONS_PER_CONNECTION", value_parser = parse::count)]
    live_subscriptions_per_connection: Option<u64>,
    /// Subscriptions of one WebSocket to lists of runs [default: 10].
    #[arg(long, value_name = "COUNT", env = "FORGE_LIVE_LISTS_PER_CONNECTION", value_parser = parse::count)]
    live_lists_per_connection: Option<u64>,
    /// WebSockets and server-sent events of one tenant [default: 2500].
    #[arg(long, value_name = "COUNT", env = "FORGE_LIVE_CONNECTIONS", value_parser = parse::count)]
    live_connections: Option<u64>,
    /// Size of frames that clients have not read; one tenant may use a quarter of it [default: 64MiB].
    #[arg(long, value_name = "SIZE", env = "FORGE_LIVE_FRAMES", value_parser = parse::bytes)]
    live_frames: Option<u64>,
    /// Frames a second about one run to all its subscribers: the more it has, the less often they get one [default: 1k].
    #[arg(long, value_name = "COUNT", env = "FORGE_LIVE_FRAMES_PER_SECOND", value_parser = parse::count)]
    live_frames_per_second: Option<u64>,
    /// Time for the first message of a WebSocket, if it must have the API key [default: 10s].
    #[arg(long, value_name = "DURATION", env = "FORGE_LIVE_FIRST_MESSAGE", value_parser = parse::some_time)]
    live_first_message: Option<Duration>,
    /// Interval of pings; a client that answers none of three is disconnected [default: 20s].
    #[arg(long, value_name = "DURATION", env = "FORGE_LIVE_PING", value_parser = parse::some_time)]
    live_ping: Option<Duration>,
}

impl Args {
    /// Returns the default limits with the flags applied.
    pub(super) fn into_limits(self) -> LiveLimits {
        let count = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        let default = LiveLimits::default();
        LiveLimits {
            subscriptions: self.live_subscriptions.map_or(default.subscriptions, count),
            subscriptions_per_connection: self
                .live_subscriptions_per_connection
                .map_or(default.subscriptions_per_connection, count),
            lists_per_connection: self.live_lists_per_connection.map_or(default.lists_per_connection, count),
            connections_per_tenant: self.live_connections.map_or(default.connections_per_tenant, count),
            frame_bytes: self.live_frames.unwrap_or(default.frame_bytes),
            frames_per_second: self
                .live_frames_per_second
                .map_or(default.frames_per_second, |count| u32::try_from(count).unwrap_or(u32::MAX)),
            first_message: self.live_first_message.unwrap_or(default.first_message),
            ping: self.live_ping.unwrap_or(default.ping),
            ..default
        }
    }
}
