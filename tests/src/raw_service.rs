//! A service that answers with bytes that the test chooses, or closes the connection instead.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use program::{Block, Program};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A service over HTTP/1.1. Dropping it closes its port and its connections.
pub struct RawService {
    address: SocketAddr,
    arrived: watch::Sender<Vec<Arrived>>,
    server: JoinHandle<()>,
}

/// A request that a [`RawService`] has read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrived {
    /// The connection, from 0.
    pub connection: usize,
    /// The path.
    pub path: String,
    /// The `Idempotency-Key`.
    pub key: String,
    /// The number of requests with this path before it.
    pub earlier: usize,
}

/// What a [`RawService`] does with a request that it has read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Writes these bytes, and keeps the connection open.
    Bytes(String),
    /// Writes these bytes, and closes the connection.
    Last(String),
    /// Closes the connection.
    Close,
    /// Never answers.
    Never,
}

/// Returns a response with this status and JSON body.
pub fn response(status: u16, body: &str) -> Reply {
    Reply::Bytes(format!("HTTP/1.1 {status} Said\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
}

type Respond = Arc<Mutex<dyn FnMut(&Arrived) -> Reply + Send>>;

impl RawService {
    /// Starts a service.
    pub async fn start(respond: impl FnMut(&Arrived) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        let arrived = watch::Sender::new(Vec::new());
        let (log, respond): (_, Respond) = (arrived.clone(), Arc::new(Mutex::new(respond)));
        let server = tokio::spawn(async move {
            // They end with this task.
            let mut connections = tokio::task::JoinSet::new();
            for connection in 0.. {
                let Ok((stream, _)) = listener.accept().await else { return };
                connections.spawn(serve(stream, connection, log.clone(), Arc::clone(&respond)));
            }
        });
        Self { address, arrived, server }
    }

    /// Returns the interpreter's input for a program that calls this service.
    pub fn program(&self, body: Block) -> Value {
        json!(Program { services: format!("http://{}", self.address), body })
    }

    /// Returns the requests to this path, in order.
    pub fn arrived(&self, path: &str) -> Vec<Arrived> {
        self.arrived.borrow().iter().filter(|request| request.path == path).cloned().collect()
    }

    /// Waits until this many requests to this path have arrived.
    pub async fn until_arrived(&self, path: &str, times: usize) {
        let mut arrived = self.arrived.subscribe();
        let enough = |all: &Vec<Arrived>| all.iter().filter(|request| request.path == path).count() >= times;
        let in_time = tokio::time::timeout(crate::PATIENCE, arrived.wait_for(enough)).await.is_ok();
        assert!(in_time, "waited in vain for {times} requests to {path}: {:?}", self.arrived.borrow());
    }
}

impl Drop for RawService {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(stream: TcpStream, connection: usize, log: watch::Sender<Vec<Arrived>>, respond: Respond) {
    let mut stream = BufReader::new(stream);
    while let Some((path, key)) = read(&mut stream).await {
        let mut request = Arrived { connection, path, key, earlier: 0 };
        log.send_modify(|all| {
            request.earlier = all.iter().filter(|known| known.path == request.path).count();
            all.push(request.clone());
        });
        let reply = respond.lock().unwrap_or_else(PoisonError::into_inner)(&request);
        let (bytes, is_last) = match reply {
            Reply::Bytes(bytes) => (bytes, false),
            Reply::Last(bytes) => (bytes, true),
            Reply::Close => return,
            Reply::Never => return std::future::pending().await,
        };
        if stream.write_all(bytes.as_bytes()).await.is_err() || is_last {
            return;
        }
    }
}

/// Reads a request with its body. Returns its path and its key.
async fn read(stream: &mut BufReader<TcpStream>) -> Option<(String, String)> {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    let header = |name: &str| {
        let headers = head.iter().filter_map(|line| line.split_once(": "));
        headers
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.to_owned())
            .next()
    };
    let length = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    stream.read_exact(&mut vec![0; length]).await.ok()?;
    let path = head.first()?.split(' ').nth(1)?.to_owned();
    Some((path, header("idempotency-key").unwrap_or_default()))
}
