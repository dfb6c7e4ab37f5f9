//! What the workflows call: a server that answers at once, or holds requests at a gate.
//!
//! It has a thread of its own, so that a request to it costs what it would cost between processes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::message;

/// The answer to every request: a JSON number.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1\r\n\r\n1";

/// The path of requests that wait at the gate.
const GATE: &str = "/gate";

/// The effect server, until it is dropped.
pub(crate) struct EffectServer {
    address: SocketAddr,
    stage: Arc<Stage>,
    _stop: watch::Sender<()>,
}

/// What the workloads see and steer.
struct Stage {
    gate_is_open: watch::Sender<bool>,
    arrived_at_gate: AtomicU64,
}

impl EffectServer {
    /// Starts it on a port of its own, on loopback.
    pub(crate) fn start() -> Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").context("no port is free")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, mut stopped) = watch::channel(());
        let stage =
            Arc::new(Stage { gate_is_open: watch::Sender::new(true), arrived_at_gate: AtomicU64::new(0) });
        let serving = Arc::clone(&stage);
        std::thread::Builder::new().name("effects".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    ended = accept(listener, serving) => if let Err(error) = ended {
                        eprintln!("the effect server ended: {error:#}");
                    },
                    // The sender is gone.
                    _ = stopped.changed() => {}
                }
            });
        })?;
        Ok(Self { address, stage, _stop: stop })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, for the inputs of workflows.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Holds requests to the gate from here on.
    pub(crate) fn close_gate(&self) {
        self.stage.arrived_at_gate.store(0, Ordering::Relaxed);
        self.stage.gate_is_open.send_replace(false);
    }

    /// Answers all that are held, and holds no more.
    pub(crate) fn open_gate(&self) {
        self.stage.gate_is_open.send_replace(true);
    }

    /// Requests that came to the gate since it was closed.
    pub(crate) fn arrived_at_gate(&self) -> u64 {
        self.stage.arrived_at_gate.load(Ordering::Relaxed)
    }
}

async fn accept(listener: std::net::TcpListener, stage: Arc<Stage>) -> Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let stage = Arc::clone(&stage);
        // A host that is killed breaks its connections: that is no error here.
        tokio::spawn(async move { drop(serve(stream, &stage).await) });
    }
}

async fn serve(mut stream: TcpStream, stage: &Stage) -> Result<()> {
    let mut received = Vec::with_capacity(4 << 10);
    loop {
        let (is_held, end) = loop {
            if let Some(request) = message::request(&received)?
                && received.len() >= request.body.end
            {
                break (request.first == GATE, request.body.end);
            }
            if stream.read_buf(&mut received).await? == 0 {
                return Ok(());
            }
        };
        received.drain(..end);
        if is_held {
            stage.arrived_at_gate.fetch_add(1, Ordering::Relaxed);
            stage.gate_is_open.subscribe().wait_for(|is_open| *is_open).await?;
        }
        stream.write_all(ANSWER).await?;
    }
}
