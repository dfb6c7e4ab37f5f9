//! Attempts to connect to the addresses of one server, which race (RFC 8305).
//!
//! A server may have an address that nobody answers at, and the first SYN waits there for minutes. So the next attempt
//! begins after a short delay, or at once when an attempt fails. The first connection is taken, and the others are dropped.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;

/// The time after which the next attempt begins (RFC 8305, section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// The maximum number of addresses that are tried. A name can have hundreds, and this many take some seconds.
const MOST_ADDRESSES: usize = 16;

/// The error of a server that none of several addresses leads to.
#[derive(Debug)]
pub(super) struct NoneConnects(Vec<(IpAddr, String)>);

impl fmt::Display for NoneConnects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "none of {} addresses accepts a connection", self.0.len())?;
        for (index, (address, error)) in self.0.iter().enumerate() {
            write!(f, "{} {address}: {error}", if index == 0 { ":" } else { ";" })?;
        }
        Ok(())
    }
}

impl Error for NoneConnects {}

/// Connects to the first address that answers.
///
/// # Errors
/// The error of the attempt, or [`NoneConnects`] if there were several.
pub(super) async fn race<T, Connecting>(
    addresses: Vec<IpAddr>,
    port: u16,
    connect: impl Fn(SocketAddr) -> Connecting,
) -> Result<T, Box<dyn Error + Send + Sync>>
where
    Connecting: Future<Output = Result<T, Box<dyn Error + Send + Sync>>>,
{
    let mut addresses = families_in_turn(addresses).into_iter().take(MOST_ADDRESSES);
    let (mut attempts, mut failed) = (FuturesUnordered::new(), Vec::new());
    loop {
        let next = addresses.next();
        let is_last = next.is_none();
        if let Some(address) = next {
            let connecting = connect(SocketAddr::new(address, port));
            attempts.push(async move { (address, connecting.await) });
        }
        let delay = if is_last { Duration::MAX } else { ATTEMPT_DELAY };
        match tokio::time::timeout(delay, attempts.next()).await {
            Ok(Some((_, Ok(connection)))) => return Ok(connection),
            Ok(Some((address, Err(error)))) => failed.push((address, error)),
            Ok(None) => return Err(none_connects(failed)),
            // The next attempt begins.
            Err(_) => {}
        }
    }
}

fn none_connects(mut failed: Vec<(IpAddr, Box<dyn Error + Send + Sync>)>) -> Box<dyn Error + Send + Sync> {
    match failed.len() {
        0 => "the name has no address".into(),
        1 => failed.remove(0).1,
        _ => {
            let with_cause = |error: &(dyn Error + Send + Sync)| match error.source() {
                Some(cause) => cause.to_string(),
                None => error.to_string(),
            };
            let failed = failed.into_iter().map(|(address, error)| (address, with_cause(&*error)));
            NoneConnects(failed.collect()).into()
        }
    }
}

/// Returns the addresses in the order of attempts: that of the resolver, with the families in turn (RFC 8305, section 4).
fn families_in_turn(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let Some(first) = addresses.first().map(IpAddr::is_ipv6) else { return addresses };
    let (mut one, mut other): (Vec<IpAddr>, Vec<IpAddr>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first);
    let mut turns = Vec::with_capacity(one.len() + other.len());
    let (mut one, mut other) = (one.drain(..), other.drain(..));
    loop {
        match (one.next(), other.next()) {
            (None, None) => return turns,
            (a, b) => turns.extend(a.into_iter().chain(b)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use futures::FutureExt as _;

    use super::*;

    fn v4(last: u8) -> IpAddr {
        Ipv4Addr::new(192, 0, 2, last).into()
    }

    fn v6(last: u16) -> IpAddr {
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last).into()
    }

    /// Races to addresses of which those with an even last byte never answer, `refusing` refuse, and others connect.
    async fn raced(addresses: Vec<IpAddr>, refusing: &[IpAddr]) -> Result<IpAddr, String> {
        let connect = |address: SocketAddr| {
            let (address, refuses) = (address.ip(), refusing.contains(&address.ip()));
            async move {
                match address {
                    _ if refuses => Err("refused".into()),
                    IpAddr::V4(v4) if v4.octets()[3].is_multiple_of(2) => std::future::pending().await,
                    address => Ok(address),
                }
            }
        };
        race(addresses, 80, connect).await.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn an_address_that_does_not_answer_delays_by_a_quarter_of_a_second() {
        let begun = tokio::time::Instant::now();
        assert_eq!(raced(vec![v4(2), v4(1)], &[]).await, Ok(v4(1)));
        assert!(begun.elapsed() >= ATTEMPT_DELAY);
        assert_eq!(raced(vec![v4(2), v4(4), v4(6), v4(1)], &[]).await, Ok(v4(1)));
        assert!(begun.elapsed() >= 4 * ATTEMPT_DELAY);
    }

    #[tokio::test]
    async fn an_address_that_refuses_delays_nothing() {
        let connected = raced(vec![v4(1), v4(3), v4(5)], &[v4(1), v4(3)]).now_or_never();
        assert_eq!(connected, Some(Ok(v4(5))));
    }

    #[tokio::test]
    async fn what_each_address_said_is_in_the_error() {
        assert_eq!(raced(vec![v4(1)], &[v4(1)]).await, Err("refused".to_owned()));
        let why = "none of 2 addresses accepts a connection: 192.0.2.1: refused; 192.0.2.3: refused";
        assert_eq!(raced(vec![v4(1), v4(3)], &[v4(1), v4(3)]).await, Err(why.to_owned()));
        assert_eq!(raced(vec![], &[]).await, Err("the name has no address".to_owned()));
    }

    #[test]
    fn families_take_turns_and_the_resolver_s_first_address_stays_first() {
        let addresses = vec![v6(1), v6(2), v6(3), v4(1), v4(2)];
        assert_eq!(families_in_turn(addresses), [v6(1), v4(1), v6(2), v4(2), v6(3)]);
        assert_eq!(families_in_turn(vec![v4(1), v4(2)]), [v4(1), v4(2)]);
    }
}
