use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A TCP proxy that a test can cut: it then passes nothing and closes nothing, like a pulled cable.
pub struct Proxy {
    address: SocketAddr,
    target: Arc<watch::Sender<SocketAddr>>,
    gate: Arc<watch::Sender<Gate>>,
}

/// What passes.
#[derive(Clone, Copy)]
struct Gate {
    requests: bool,
    answers: bool,
}

const OPEN: Gate = Gate { requests: true, answers: true };

impl Proxy {
    /// Starts a proxy in front of this address.
    pub async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there are free ports");
        let address = listener.local_addr().expect("it is bound");
        let gate = Arc::new(watch::Sender::new(OPEN));
        let passing = Arc::clone(&gate);
        let target = Arc::new(watch::Sender::new(target));
        let current = Arc::clone(&target);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let target = *current.borrow();
                tokio::spawn(connect(client, target, Arc::clone(&passing)));
            }
        });
        Self { address, target, gate }
    }

    /// Leads new connections to another address from now on.
    pub fn lead_to(&self, target: SocketAddr) {
        self.target.send_replace(target);
    }

    /// Returns the address of the proxy.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Passes nothing from now on.
    pub fn cut(&self) {
        self.gate.send_replace(Gate { requests: false, answers: false });
    }

    /// Passes requests and no answers from now on.
    pub fn cut_answers(&self) {
        self.gate.send_replace(Gate { requests: true, answers: false });
    }

    /// Passes everything again, first the bytes that were sent meanwhile.
    pub fn heal(&self) {
        self.gate.send_replace(OPEN);
    }
}

async fn connect(client: TcpStream, target: SocketAddr, gate: Arc<watch::Sender<Gate>>) {
    let requests = |gate: &Gate| gate.requests;
    let answers = |gate: &Gate| gate.answers;
    let mut passing = gate.subscribe();
    if passing.wait_for(requests).await.is_err() {
        return;
    }
    let Ok(server) = TcpStream::connect(target).await else { return };
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    // Whichever side closes ends both.
    tokio::select! {
        () = pass(from_client, to_server, gate.subscribe(), requests) => {}
        () = pass(from_server, to_client, gate.subscribe(), answers) => {}
    }
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut gate: watch::Receiver<Gate>,
    passes: fn(&Gate) -> bool,
) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if gate.wait_for(passes).await.is_err() || to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
    // An end does not pass either while it is cut.
    let _ = gate.wait_for(passes).await;
}
