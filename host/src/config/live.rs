use std::time::Duration;

/// The limits of subscriptions: what clients that follow runs may hold of the host.
#[derive(Debug, Clone)]
pub struct LiveLimits {
    /// Subscriptions at once; one tenant may have a quarter of them. Default 100,000: about 200 MB if all are idle.
    pub subscriptions: usize,
    /// Subscriptions of one WebSocket. Default 1,000: twice the longest page of runs.
    pub subscriptions_per_connection: usize,
    /// Subscriptions of one WebSocket to lists of runs. Default 10: each change of a run reads them again.
    pub lists_per_connection: usize,
    /// Lasting connections of one tenant: WebSockets, and requests for server-sent events. Default 2,500: half of those that
    /// the server keeps open by default ([`ServerLimits::lasting`](super::ServerLimits::lasting)).
    pub connections_per_tenant: usize,
    /// The bytes of frames that wait for clients to read them. One tenant may use a quarter of it. If it is used up,
    /// subscribers get no further frames until others have read theirs. Default 64 MiB: 500 pages of calls.
    pub frame_bytes: u64,
    /// The frames a second about one run, to all of its subscribers together. A run that changes all the time is read less often
    /// if it has more than a tenth as many subscribers. Default 1,000: 5 % of two cores.
    pub frames_per_second: u32,
    /// The bytes of a client's message. Default 16 KiB: a filter of runs has at most some kilobytes.
    pub message_bytes: usize,
    /// The time for a client's first message, if that has to bring the token. Default 10 s, as for the head of a request.
    pub first_message: Duration,
    /// The interval of pings on a WebSocket, and of comments in server-sent events. Default 20 s: less than the 30 s after
    /// which some proxies close a silent connection. A client of which nothing is heard for three intervals is gone.
    pub ping: Duration,
}

impl LiveLimits {
    /// One tenant may use one of this many parts of what the host has.
    pub const PARTS: u64 = 4;
}

impl Default for LiveLimits {
    fn default() -> Self {
        Self {
            subscriptions: 100_000,
            subscriptions_per_connection: 1_000,
            lists_per_connection: 10,
            connections_per_tenant: 2_500,
            frame_bytes: 64 << 20,
            frames_per_second: 1_000,
            message_bytes: 16 << 10,
            first_message: Duration::from_secs(10),
            ping: Duration::from_secs(20),
        }
    }
}
