//! Opens connections only to permitted addresses: a name is resolved once, forbidden addresses are removed, and the
//! connection goes to one of the rest, for which attempts race.

use std::error::Error;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use http::uri::Scheme;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tower_service::Service;

use super::race::race;
use super::rules::{Denied, Policy};

type BoxError = Box<dyn Error + Send + Sync>;

type Pending<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

/// A function that resolves a name to its addresses.
pub(super) type Lookup = Arc<dyn Fn(String) -> Pending<Vec<IpAddr>, io::Error> + Send + Sync>;

/// The maximum number of concurrent lookups of a tenant. Each occupies a thread until the name server answers, even if
/// its request has been given up: without this limit, a tenant with a silent name server would occupy all threads of
/// the host.
const LOOKUPS: usize = 8;

/// The permits for a tenant's name lookups. They outlive changes of the tenant's settings.
#[derive(Debug, Clone)]
pub struct Lookups(Arc<Semaphore>);

impl Default for Lookups {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(LOOKUPS)))
    }
}

/// Returns a lookup that asks this machine's resolver.
pub(super) fn system_lookup(permits: Lookups) -> Lookup {
    bounded(permits, |name| Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect()))
}

/// Returns a lookup that calls a blocking function with a permit, on a thread for blocking work.
fn bounded(Lookups(permits): Lookups, look_up: fn(&str) -> io::Result<Vec<IpAddr>>) -> Lookup {
    Arc::new(move |name| {
        let permits = Arc::clone(&permits);
        Box::pin(async move {
            let permit = permits.acquire_owned().await.map_err(io::Error::other)?;
            let looking = tokio::task::spawn_blocking(move || {
                let found = look_up(&name);
                drop(permit);
                found
            });
            looking.await.map_err(io::Error::other)?
        })
    })
}

/// A connector that resolves a name itself, checks each address, and connects to a permitted one.
#[derive(Clone)]
pub(super) struct Guard {
    policy: Arc<Policy>,
    lookup: Lookup,
    tcp: HttpConnector<NoNames>,
}

impl Guard {
    /// Creates a guard. `tcp` gets addresses only.
    pub(super) fn new(policy: Arc<Policy>, lookup: Lookup, tcp: HttpConnector<NoNames>) -> Self {
        Self { policy, lookup, tcp }
    }

    /// Returns the permitted addresses of a URL.
    async fn permitted(&self, uri: &Uri) -> Result<Vec<IpAddr>, BoxError> {
        let host = uri.host().unwrap_or_default();
        let name = host_name(host);
        let addresses = match literal(host) {
            Some(address) => vec![address],
            None => (self.lookup)(host.to_owned()).await?,
        };
        let (mut denied, mut permitted) = (None, Vec::new());
        for address in addresses {
            match self.policy.permit_address(&name, address) {
                Ok(()) => permitted.push(address),
                Err(why) => denied = Some(why),
            }
        }
        match denied {
            Some(why) if permitted.is_empty() => Err(why.into()),
            _ => Ok(permitted),
        }
    }

    async fn connect(self, uri: Uri) -> Result<TokioIo<TcpStream>, BoxError> {
        let addresses = self.permitted(&uri).await?;
        let is_https = uri.scheme() == Some(&Scheme::HTTPS);
        let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        race(addresses, port, |address| {
            let mut tcp = self.tcp.clone();
            async move {
                // Nothing is resolved again: the URL has the address that was checked.
                let uri = Uri::try_from(format!("http://{address}/"))?;
                tcp.call(uri).await.map_err(BoxError::from)
            }
        })
        .await
    }
}

impl Service<Uri> for Guard {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Pending<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

/// A resolver that resolves no name, for a connector that must get addresses only.
#[derive(Debug, Clone)]
pub(super) struct NoNames;

impl Service<Name> for NoNames {
    type Response = std::iter::Empty<SocketAddr>;
    type Error = io::Error;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        std::future::ready(Err(io::Error::other(format!("`{name}` was not resolved and checked"))))
    }
}

/// Returns a URL's host as a policy checks it: an address without brackets.
pub(super) fn host_name(host: &str) -> String {
    literal(host).map_or_else(|| host.to_owned(), |address| address.to_string())
}

/// Returns the address that is written as a URL's host.
fn literal(host: &str) -> Option<IpAddr> {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).parse().ok()
}

/// Returns the denial among an error's causes.
pub(super) fn denied<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e Denied> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(denied) = error.downcast_ref() {
            return Some(denied);
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    static LOOKING: AtomicUsize = AtomicUsize::new(0);
    static MOST: AtomicUsize = AtomicUsize::new(0);

    /// A name server that takes its time.
    fn slow(_: &str) -> io::Result<Vec<IpAddr>> {
        MOST.fetch_max(LOOKING.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::park_timeout(Duration::from_millis(100));
        LOOKING.fetch_sub(1, Ordering::SeqCst);
        Ok(Vec::new())
    }

    #[tokio::test]
    async fn a_lookup_that_was_given_up_keeps_its_permit() {
        let lookup = bounded(Lookups::default(), slow);
        let given_up =
            (0..4 * LOOKUPS).map(|_| tokio::time::timeout(Duration::from_millis(5), lookup("a".to_owned())));
        for given_up in futures::future::join_all(given_up).await {
            assert!(given_up.is_err());
        }
        let others = (0..2 * LOOKUPS).map(|_| lookup("b".to_owned()));
        for found in futures::future::join_all(others).await {
            assert_eq!(found.unwrap(), Vec::<IpAddr>::new());
        }
        assert_eq!(MOST.load(Ordering::SeqCst), LOOKUPS);
    }
}
