//! The connections of the server, and who may have how many.
//!
//! A connection is *quiet* while it has no request: before its first one, and between two. When there is no room for a
//! further connection, the one that has been quiet for the longest time is closed for it. So clients that only connect
//! displace each other, and a client that sends its request gets its answer.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::config::ServerLimits;

/// The connections of a server.
pub(super) struct Connections {
    limits: Arc<ServerLimits>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The number of connections that count: not those that were told to end.
    open: usize,
    /// The number of connections that last.
    lasting: usize,
    /// The number that the next connection gets when it becomes quiet.
    next: u64,
    /// Those that are quiet, the longest first.
    quiet: BTreeMap<u64, Quiet>,
    /// By address with a share. Never iterated.
    shares: HashMap<IpAddr, Share>,
}

#[derive(Default)]
struct Share {
    open: usize,
    quiet: BTreeSet<u64>,
}

struct Quiet {
    address: Option<IpAddr>,
    evict: CancellationToken,
}

/// A connection, until it is dropped.
pub(super) struct Connection {
    all: Arc<Connections>,
    /// The address whose share it is in, if any.
    address: Option<IpAddr>,
    /// Cancelled when another connection takes its place.
    evict: CancellationToken,
    use_: Mutex<Use>,
}

#[derive(Default)]
struct Use {
    requests: usize,
    /// Whether there ever was a request.
    has_served: bool,
    /// The number in `State::quiet`.
    quiet: Option<u64>,
}

/// A request of a connection, until it is dropped.
pub(super) struct Request(Arc<Connection>);

/// A request whose connection lasts, until it is dropped.
pub(super) struct Lasting(Arc<Request>);

impl Connections {
    pub(super) fn new(limits: Arc<ServerLimits>) -> Arc<Self> {
        Arc::new(Self { limits, state: Mutex::default() })
    }

    /// Admits a connection, and closes another one for it if need be. Returns `None` if there is no room.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Arc<Connection>> {
        let address = self.share_of(address);
        let mut state = self.state.lock();
        let share = address.and_then(|address| state.shares.get(&address));
        if let Some(share) = share.filter(|share| share.open >= self.limits.connections_per_address) {
            let longest = share.quiet.first().copied()?;
            state.evict(longest);
        }
        if state.open >= self.limits.connections {
            let (longest, _) = state.quiet.first_key_value()?;
            let longest = *longest;
            state.evict(longest);
        }
        state.open += 1;
        if let Some(address) = address {
            state.shares.entry(address).or_default().open += 1;
        }
        let evict = CancellationToken::new();
        let quiet = state.quiet(address, &evict);
        drop(state);
        let use_ = Mutex::new(Use { quiet: Some(quiet), ..Use::default() });
        Some(Arc::new(Connection { all: Arc::clone(self), address, evict, use_ }))
    }

    /// Returns the address whose share a connection counts in. An IPv6 client has a network of 64 bits.
    fn share_of(&self, address: IpAddr) -> Option<IpAddr> {
        let address = address.to_canonical();
        if address.is_loopback() || self.limits.proxies.iter().any(|proxies| proxies.contains(address)) {
            return None;
        }
        Some(match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        })
    }
}

impl State {
    fn quiet(&mut self, address: Option<IpAddr>, evict: &CancellationToken) -> u64 {
        let number = self.next;
        self.next += 1;
        self.quiet.insert(number, Quiet { address, evict: evict.clone() });
        if let Some(share) = address.and_then(|address| self.shares.get_mut(&address)) {
            share.quiet.insert(number);
        }
        number
    }

    fn no_longer_quiet(&mut self, number: u64) -> Option<Quiet> {
        let quiet = self.quiet.remove(&number)?;
        if let Some(share) = quiet.address.and_then(|address| self.shares.get_mut(&address)) {
            share.quiet.remove(&number);
        }
        Some(quiet)
    }

    fn evict(&mut self, number: u64) {
        if let Some(quiet) = self.no_longer_quiet(number) {
            quiet.evict.cancel();
            self.leave(quiet.address);
        }
    }

    fn leave(&mut self, address: Option<IpAddr>) {
        self.open = self.open.saturating_sub(1);
        let Some(address) = address else { return };
        if let Some(share) = self.shares.get_mut(&address) {
            share.open = share.open.saturating_sub(1);
            if share.open == 0 {
                self.shares.remove(&address);
            }
        }
    }
}

impl Connection {
    /// Returns whether a proxy may have opened it: it comes from this machine, or from a proxy that the configuration names.
    pub(super) fn is_proxied(&self) -> bool {
        self.address.is_none()
    }

    /// Begins a request.
    pub(super) fn request(self: &Arc<Self>) -> Request {
        let mut state = self.all.state.lock();
        let mut use_ = self.use_.lock();
        use_.requests += 1;
        use_.has_served = true;
        if let Some(number) = use_.quiet.take() {
            state.no_longer_quiet(number);
        }
        drop((use_, state));
        Request(Arc::clone(self))
    }

    /// Returns whether there ever was a request.
    pub(super) fn has_served(&self) -> bool {
        self.use_.lock().has_served
    }

    /// Returns whether there is a request.
    pub(super) fn is_in_use(&self) -> bool {
        self.use_.lock().requests > 0
    }

    /// Completes when another connection takes the place of this one.
    pub(super) async fn evicted(&self) {
        self.evict.cancelled().await;
    }
}

impl Request {
    /// Makes the connection one that lasts. Returns `None` if there are as many as there may be.
    pub(super) fn last(self: &Arc<Self>) -> Option<Lasting> {
        let all = &self.0.all;
        let mut state = all.state.lock();
        let has_room = state.lasting < all.limits.lasting;
        state.lasting += usize::from(has_room);
        has_room.then(|| Lasting(Arc::clone(self)))
    }
}

impl Drop for Lasting {
    fn drop(&mut self) {
        self.0.0.all.state.lock().lasting -= 1;
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let connection = &self.0;
        let mut state = connection.all.state.lock();
        let mut use_ = connection.use_.lock();
        use_.requests -= 1;
        if use_.requests == 0 && !connection.evict.is_cancelled() {
            use_.quiet = Some(state.quiet(connection.address, &connection.evict));
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut state = self.all.state.lock();
        if let Some(number) = self.use_.lock().quiet.take() {
            state.no_longer_quiet(number);
        }
        if !self.evict.is_cancelled() {
            state.leave(self.address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(connections: usize, connections_per_address: usize) -> Arc<Connections> {
        let proxies = vec!["10.9.0.0/16".parse().unwrap()];
        let limits =
            ServerLimits { connections, connections_per_address, proxies, ..ServerLimits::default() };
        Connections::new(Arc::new(limits))
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn evicted(connection: &Connection) -> bool {
        connection.evict.is_cancelled()
    }

    #[test]
    fn the_connection_that_is_quiet_for_the_longest_time_makes_room() {
        let all = connections(3, 3);
        let [one, two, three] = [(); 3].map(|()| all.admit(address("127.0.0.1")).unwrap());
        let request = one.request();
        let four = all.admit(address("127.0.0.1")).unwrap();
        assert_eq!([&one, &two, &three, &four].map(|it| evicted(it)), [false, true, false, false]);
        drop(request);
        let _five = all.admit(address("127.0.0.1")).unwrap();
        assert!(evicted(&three) && !evicted(&one), "it was quiet for longer");
        drop((two, three));
        assert_eq!(all.state.lock().open, 3);
        let requests = [one.request(), four.request(), _five.request()];
        assert!(all.admit(address("127.0.0.1")).is_none(), "all have requests");
        drop(requests);
        drop((one, four, _five));
        let state = all.state.lock();
        assert!(state.open == 0 && state.quiet.is_empty());
    }

    #[test]
    fn an_address_has_a_share_and_displaces_its_own_connections_only() {
        let all = connections(10, 2);
        let other = all.admit(address("192.0.2.1")).unwrap();
        let mine = [(); 3].map(|()| all.admit(address("192.0.2.2")).unwrap());
        assert_eq!(mine.each_ref().map(|it| evicted(it)), [true, false, false]);
        assert!(!evicted(&other));
        let requests = [mine[1].request(), mine[2].request()];
        assert!(all.admit(address("192.0.2.2")).is_none());
        assert!(all.admit(address("::ffff:192.0.2.2")).is_none(), "it is the same address");
        drop(requests);
        assert!(all.admit(address("192.0.2.2")).is_some());
        let of_network =
            ["2001:db8::1", "2001:db8::2", "2001:db8::3"].map(|it| all.admit(address(it)).unwrap());
        assert!(evicted(&of_network[0]), "a network of 64 bits is one client");
        drop((other, mine, of_network));
        assert!(all.state.lock().shares.is_empty());
    }

    #[test]
    fn connections_that_last_leave_others_to_requests_and_are_not_displaced() {
        let limits = ServerLimits { lasting: 1, ..ServerLimits::with_connections(2) };
        let all = Connections::new(Arc::new(limits));
        let [one, two] = [(); 2].map(|()| all.admit(address("127.0.0.1")).unwrap());
        let request = Arc::new(one.request());
        let lasting = request.last().unwrap();
        drop(request);
        assert!(Arc::new(two.request()).last().is_none());
        let three = all.admit(address("127.0.0.1")).unwrap();
        assert!(evicted(&two) && !evicted(&one), "it lasts");
        drop(lasting);
        assert!(Arc::new(three.request()).last().is_some());
    }

    #[test]
    fn a_proxy_and_the_machine_itself_have_no_share() {
        for many in ["127.0.0.1", "::1", "10.9.3.4"] {
            let all = connections(10, 2);
            let connections: Vec<_> = (0..8).map(|_| all.admit(address(many)).unwrap()).collect();
            assert!(!connections.iter().any(|it| evicted(it)), "{many}");
        }
    }
}
