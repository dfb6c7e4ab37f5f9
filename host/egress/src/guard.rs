//! Connections only to addresses that may be reached: a name is looked up once, what may not be reached is left
//! out, and exactly what is left is connected to.

use std::error::Error;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use tokio::sync::Semaphore;
use tower_service::Service;

use super::rules::{Denied, Policy};

type Found<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

/// What finds the addresses of a name.
pub(super) type Lookup = Arc<dyn Fn(String) -> Found<Vec<IpAddr>, io::Error> + Send + Sync>;

/// Names that are looked up at once. Each takes a thread, which who waits for it no longer cannot take back: without a
/// bound, a tenant whose name server does not answer would have all threads of the host wait for it.
const LOOKUPS: usize = 8;

/// Places for the look-ups of a tenant, whatever changes of it meanwhile.
#[derive(Debug, Clone)]
pub struct Lookups(Arc<Semaphore>);

impl Default for Lookups {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(LOOKUPS)))
    }
}

/// As this machine does it.
pub(super) fn system_lookup(places: Lookups) -> Lookup {
    bounded(places, |name| Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect()))
}

/// A look-up that blocks, on threads for that.
fn bounded(Lookups(places): Lookups, look_up: fn(&str) -> io::Result<Vec<IpAddr>>) -> Lookup {
    Arc::new(move |name| {
        let places = Arc::clone(&places);
        Box::pin(async move {
            let place = places.acquire_owned().await.map_err(io::Error::other)?;
            let looking = tokio::task::spawn_blocking(move || {
                let found = look_up(&name);
                drop(place);
                found
            });
            looking.await.map_err(io::Error::other)?
        })
    })
}

/// Names to addresses that may be reached.
#[derive(Clone)]
pub(super) struct Resolver {
    policy: Arc<Policy>,
    lookup: Lookup,
}

impl Resolver {
    pub(super) fn new(policy: Arc<Policy>, lookup: Lookup) -> Self {
        Self { policy, lookup }
    }
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Found<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (policy, looking) = (Arc::clone(&self.policy), (self.lookup)(name.as_str().to_owned()));
        Box::pin(async move {
            let mut denied = None;
            let mut permitted = Vec::new();
            for address in looking.await? {
                match policy.permit_address(name.as_str(), address) {
                    Ok(()) => permitted.push(SocketAddr::new(address, 0)),
                    Err(why) => denied = Some(why),
                }
            }
            match denied {
                Some(why) if permitted.is_empty() => Err(why.into()),
                _ => Ok(permitted.into_iter()),
            }
        })
    }
}

/// Connects, but for addresses that stand in the URL: those are looked up nowhere, so they are checked here.
#[derive(Clone)]
pub(super) struct Guard {
    policy: Arc<Policy>,
    tcp: HttpConnector<Resolver>,
}

impl Guard {
    pub(super) fn new(policy: Arc<Policy>, tcp: HttpConnector<Resolver>) -> Self {
        Self { policy, tcp }
    }
}

impl Service<Uri> for Guard {
    type Response = <HttpConnector<Resolver> as Service<Uri>>::Response;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Found<Self::Response, Self::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.tcp.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        if let Some(denied) =
            literal(&uri).and_then(|it| self.policy.permit_address(&it.to_string(), it).err())
        {
            return Box::pin(async { Err(denied.into()) });
        }
        let connecting = self.tcp.call(uri);
        Box::pin(async { connecting.await.map_err(Into::into) })
    }
}

/// The address that a URL has in the place of a name.
fn literal(uri: &Uri) -> Option<IpAddr> {
    let host = uri.host()?;
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).parse().ok()
}

/// What was denied, somewhere among an error's causes.
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
    async fn a_lookup_that_nobody_waits_for_any_more_keeps_its_place() {
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
