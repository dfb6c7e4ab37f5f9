use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The response to every request: a JSON number.
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1\r\n\r\n1";

/// The path of requests that may be held.
const HELD: &str = "/held";

/// The path of requests whose arrival is timed.
const TIMED: &str = "/timed";

/// The server that workflows send requests to, on a thread of its own until the process ends. It answers at once,
/// except for requests that it is told to hold.
pub(crate) struct EffectServer {
    address: SocketAddr,
    held: Arc<Held>,
    arrival: watch::Sender<Option<Instant>>,
}

struct Held {
    is_holding: watch::Sender<bool>,
    count: AtomicU64,
}

impl EffectServer {
    /// Starts the server on a free port of the loopback interface.
    pub(crate) fn start() -> Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").context("no port is free")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let held = Arc::new(Held { is_holding: watch::Sender::new(false), count: AtomicU64::new(0) });
        let arrival = watch::Sender::new(None);
        let (serving, timing) = (Arc::clone(&held), arrival.clone());
        std::thread::Builder::new().name("effects".to_owned()).spawn(move || {
            if let Err(error) = runtime.block_on(accept(listener, serving, timing)) {
                eprintln!("the effect server ended: {error:#}");
            }
        })?;
        Ok(Self { address, held, arrival })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Holds requests to `/held` from now on.
    pub(crate) fn hold(&self) {
        self.held.count.store(0, Ordering::Relaxed);
        self.held.is_holding.send_replace(true);
    }

    /// Answers the requests that are held, and holds no more.
    pub(crate) fn release(&self) {
        self.held.is_holding.send_replace(false);
    }

    /// The number of requests held since the last [`EffectServer::hold`].
    pub(crate) fn held(&self) -> u64 {
        self.held.count.load(Ordering::Relaxed)
    }

    /// Returns a channel with the time at which the last request to `/timed` arrived.
    pub(crate) fn arrival(&self) -> watch::Receiver<Option<Instant>> {
        self.arrival.subscribe()
    }
}

async fn accept(
    listener: std::net::TcpListener,
    held: Arc<Held>,
    arrival: watch::Sender<Option<Instant>>,
) -> Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (held, arrival) = (Arc::clone(&held), arrival.clone());
        // A host that is killed breaks its connections, which is no error.
        tokio::spawn(async move { drop(serve(stream, &held, &arrival).await) });
    }
}

async fn serve(mut stream: TcpStream, held: &Held, arrival: &watch::Sender<Option<Instant>>) -> Result<()> {
    let mut received = Vec::with_capacity(4 << 10);
    while stream.read_buf(&mut received).await? > 0 {
        let Some(request) = super::parse(&received)? else { continue };
        if request.body.end > received.len() {
            continue;
        }
        if request.subject == TIMED {
            arrival.send_replace(Some(Instant::now()));
        }
        if request.subject == HELD {
            held.count.fetch_add(1, Ordering::Relaxed);
            held.is_holding.subscribe().wait_for(|is_holding| !*is_holding).await?;
        }
        // The client sends its next request after the response.
        received.clear();
        stream.write_all(RESPONSE).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Connection, post_json};
    use super::*;

    #[tokio::test]
    async fn requests_are_answered_at_once_unless_they_are_held() {
        let effects = EffectServer::start().unwrap();
        let request = |path| post_json(path, None, &json!({ "step": 1 }));
        let mut connection = Connection::open(effects.address()).await.unwrap();
        assert_eq!(connection.send_ok(&request("/effect")).await.unwrap(), b"1");

        effects.hold();
        let held = request(HELD);
        let response = tokio::spawn(async move { connection.send_ok(&held).await.unwrap().to_owned() });
        while effects.held() == 0 {
            tokio::task::yield_now().await;
        }
        assert!(!response.is_finished());
        effects.release();
        assert_eq!(response.await.unwrap(), b"1");
    }

    #[tokio::test]
    async fn the_arrival_of_a_request_is_between_its_sending_and_its_response() {
        let effects = EffectServer::start().unwrap();
        let mut arrival = effects.arrival();
        let mut connection = Connection::open(effects.address()).await.unwrap();
        let sent = Instant::now();
        connection.send_ok(&post_json(TIMED, None, &json!({ "step": 1 }))).await.unwrap();
        let answered = Instant::now();
        arrival.changed().await.unwrap();
        let arrived = arrival.borrow().unwrap();
        assert!(sent <= arrived && arrived <= answered);
    }
}
