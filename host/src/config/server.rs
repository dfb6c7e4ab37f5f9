use std::time::Duration;

use forge_egress::Network;

/// The limits of the HTTP server: what clients may hold of the host.
#[derive(Debug, Clone)]
pub struct ServerLimits {
    /// The time for the first head of a request on a connection. Default 10 s: a client that connects has something to ask.
    pub head_time: Duration,
    /// The time for which a connection may be idle after a response, with the next head. Default 75 s: more than the 60 s for
    /// which clients and proxies keep connections, so that they close them, and no request meets a closed one.
    pub idle_time: Duration,
    /// The time for which the body of a request may make no progress. Default 30 s. A body also has to come at
    /// [`ServerLimits::LEAST_RATE`].
    pub body_time: Duration,
    /// The time for which a client may read nothing of a response. Default 30 s. A client also has to read at
    /// [`ServerLimits::LEAST_RATE`].
    pub write_time: Duration,
    /// Connections at once. A further one takes the place of the connection that has been without a request for the longest
    /// time; if all have requests, it is refused. Default 10,000, and at most half of the files that the process may open:
    /// databases, servers of workflows and the log need files, too.
    pub connections: usize,
    /// Connections of one address, or one IPv6 network of 64 bits. Default a quarter of `connections`. Addresses of the
    /// machine itself and of `proxies` have no share.
    pub connections_per_address: usize,
    /// Connections that last: WebSockets, and server-sent events. Default half of `connections`: the others remain for
    /// requests.
    pub lasting: usize,
    /// The proxies through which clients come. What connects from there stands for many clients.
    pub proxies: Vec<Network>,
}

impl ServerLimits {
    /// The rate at which bodies come and responses are read, in bytes per second, over more than the time without progress.
    /// 16 KiB, a slow mobile connection: a client cannot hold a response by reading it byte by byte.
    pub const LEAST_RATE: u64 = 16 << 10;

    /// The default of `connections`.
    pub const CONNECTIONS: usize = 10_000;

    /// Returns the default limits with this number of connections.
    pub fn with_connections(connections: usize) -> Self {
        Self {
            head_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(75),
            body_time: Duration::from_secs(30),
            write_time: Duration::from_secs(30),
            connections,
            connections_per_address: connections.div_ceil(4),
            lasting: connections.div_ceil(2),
            proxies: Vec::new(),
        }
    }
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self::with_connections(Self::CONNECTIONS)
    }
}
