//! A network between a node and the server that can stop carrying what the node says.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub(crate) struct Proxy {
    port: u16,
    /// The server's port.
    server: Arc<AtomicU16>,
    /// Connections before this one are held.
    held: Arc<watch::Sender<u64>>,
    /// Connections so far.
    made: Arc<watch::Sender<u64>>,
}

impl Proxy {
    pub(crate) async fn before(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let held = Arc::new(watch::Sender::new(0));
        let made = Arc::new(watch::Sender::new(0));
        let server = Arc::new(AtomicU16::new(server));
        let proxy =
            Self { port, server: Arc::clone(&server), held: Arc::clone(&held), made: Arc::clone(&made) };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let number = *made.borrow();
                made.send_replace(number + 1);
                let server = server.load(Ordering::Acquire);
                tokio::spawn(carry(client, server, number, held.subscribe()));
            }
        });
        proxy
    }

    /// The URL through it.
    pub(crate) fn url(&self, direct: &str) -> String {
        let (user, rest) = direct.split_once("@127.0.0.1:").unwrap();
        let (_, database) = rest.split_once('/').unwrap();
        format!("{user}@127.0.0.1:{}/{database}", self.port)
    }

    /// From now on new connections lead to this server.
    pub(crate) fn lead_to(&self, server: u16) {
        self.server.store(server, Ordering::Release);
    }

    /// From now on nothing that is said on any connection arrives.
    pub(crate) fn hold_all(&self) {
        self.held.send_replace(u64::MAX);
    }

    /// The same for the connections that there are.
    pub(crate) fn hold_these(&self) {
        self.held.send_replace(*self.made.borrow());
    }

    /// All that was said arrives now, also from those who are gone.
    pub(crate) fn release(&self) {
        self.held.send_replace(0);
    }
}

async fn carry(client: TcpStream, server: u16, number: u64, mut held: watch::Receiver<u64>) {
    // If there is no server, the client is told by the end of its connection.
    let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    tokio::spawn(async move {
        // When either is gone there is nothing to do.
        let _ = copy(&mut from_server, &mut to_client).await;
    });
    let mut said = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from_client.read(&mut said).await {
        if held.wait_for(|held| *held <= number).await.is_err() {
            return;
        }
        if to_server.write_all(&said[..length]).await.is_err() {
            return;
        }
    }
}
