//! Which requests share a connection, over TCP with a server of this process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::tests::request;
use super::{Egress, Lookups, Policy, Tls, Withheld};
use crate::EgressLimits;
use crate::secrets::Secrets;
use forge_journal::http::{Body, HttpRequest, HttpResponse};
use forge_journal::{Outcome, Reach, kind};

/// A server that counts its connections and passes each to the test.
pub(super) struct Server {
    address: SocketAddr,
    pub(super) url: Arc<str>,
    connections: Arc<AtomicUsize>,
    pub(super) accepted: mpsc::UnboundedReceiver<TcpStream>,
}

impl Server {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let url = format!("http://{address}/").into();
        let (accept, accepted) = mpsc::unbounded_channel();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                let _ = accept.send(stream);
            }
        });
        Self { address, url, connections, accepted }
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Reads a request and writes an answer.
pub(super) async fn answer(stream: &mut TcpStream, answer: &str) {
    let count = stream.read(&mut [0; 4_096]).await.unwrap();
    assert!(count > 0, "the connection was closed");
    stream.write_all(answer.as_bytes()).await.unwrap();
}

pub(super) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn egress(requests: u64) -> Egress {
    let limits = EgressLimits { http_requests: requests, ..EgressLimits::default() };
    Egress::new(&Tls::new().unwrap(), Policy::open(), Arc::new(Secrets::none()), &limits, Lookups::default())
}

pub(super) fn get(url: &str) -> HttpRequest {
    HttpRequest { timeout_ms: Some(10_000), ..request("GET", url.to_owned()) }
}

#[tokio::test]
async fn one_request_after_the_other_takes_one_connection() {
    let (mut server, egress) = (Server::start().await, egress(8));
    let (connections, url) = (Arc::clone(&server.connections), Arc::clone(&server.url));
    tokio::spawn(async move {
        let mut stream = server.accepted.recv().await.unwrap();
        for _ in 0..3 {
            answer(&mut stream, OK).await;
        }
    });
    for _ in 0..3 {
        egress.send(get(&url), "run:0").await.unwrap();
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_connection_that_its_server_closed_is_replaced_and_the_request_arrives_once() {
    let (mut server, mut other, egress) = (Server::start().await, Server::start().await, egress(8));
    for _ in 0..3 {
        let (sent, stream) = tokio::join!(egress.send(get(&server.url), "run:0"), async {
            let mut stream = server.accepted.recv().await.unwrap();
            answer(&mut stream, OK).await;
            stream
        });
        assert!(!is_resent(sent), "it was not written to the closed connection");
        drop(stream);
        // Connecting elsewhere gives the runtime time to see that the first connection is closed.
        let _connected = TcpStream::connect(other.address).await.unwrap();
        other.accepted.recv().await.unwrap();
    }
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn a_connection_that_its_server_says_it_closes_is_not_kept() {
    let (mut server, egress) = (Server::start().await, egress(8));
    let mut open = Vec::new();
    for _ in 0..2 {
        let (sent, stream) = tokio::join!(egress.send(get(&server.url), "run:0"), async {
            let mut stream = server.accepted.recv().await.unwrap();
            answer(&mut stream, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await;
            stream
        });
        sent.unwrap();
        open.push(stream);
    }
    assert_eq!(server.connections(), 2);
}

/// Sends a request whose answer leaves a connection that is kept, and returns the server's end of it.
async fn kept(server: &mut Server, egress: &Egress) -> TcpStream {
    let (sent, stream) = tokio::join!(egress.send(get(&server.url), "run:0"), async {
        let mut stream = server.accepted.recv().await.unwrap();
        answer(&mut stream, OK).await;
        stream
    });
    sent.unwrap();
    stream
}

/// Returns whether the answer is to a request that was sent before.
fn is_resent(sent: Outcome) -> bool {
    HttpResponse::from_json(&sent.unwrap().unwrap()).unwrap().resent
}

/// Reads a request, and closes the connection after these bytes of an answer.
async fn read_and_close(mut stream: TcpStream, answer: &str) -> String {
    let mut request = [0; 4_096];
    let count = stream.read(&mut request).await.unwrap();
    stream.write_all(answer.as_bytes()).await.unwrap();
    String::from_utf8(request[..count].to_vec()).unwrap()
}

#[tokio::test]
async fn a_request_that_a_kept_connection_lost_is_sent_once_more_on_a_new_one() {
    for method in ["GET", "POST"] {
        let (mut server, egress) = (Server::start().await, egress(8));
        let stream = kept(&mut server, &egress).await;
        let request = HttpRequest {
            method: method.to_owned(),
            body: Body::from(b"hello".to_vec()),
            ..get(&server.url)
        };
        let (sent, (first, second)) = tokio::join!(egress.send(request, "run:1"), async {
            let first = read_and_close(stream, "").await;
            (first, read_and_close(server.accepted.recv().await.unwrap(), OK).await)
        });
        assert!(is_resent(sent));
        assert_eq!(first, second);
        assert!(first.starts_with(method) && first.contains("idempotency-key: run:1"), "{first}");
    }
}

#[tokio::test]
async fn a_request_that_a_new_connection_loses_is_not_sent_again() {
    let (mut server, egress) = (Server::start().await, egress(8));
    let stream = kept(&mut server, &egress).await;
    let (sent, ()) = tokio::join!(egress.send(get(&server.url), "run:1"), async {
        read_and_close(stream, "").await;
        read_and_close(server.accepted.recv().await.unwrap(), "").await;
    });
    let failure = sent.unwrap_err();
    assert_eq!((failure.kind.as_str(), failure.retryable), (kind::HTTP, true), "{failure}");
    assert_eq!((failure.reach, server.connections()), (Some(Reach::Unanswered), 2));
}

#[tokio::test]
async fn a_request_whose_answer_had_begun_is_not_sent_again() {
    let (mut server, egress) = (Server::start().await, egress(8));
    let stream = kept(&mut server, &egress).await;
    let (sent, _) =
        tokio::join!(egress.send(get(&server.url), "run:1"), read_and_close(stream, "HTTP/1.1 2"));
    let failure = sent.unwrap_err();
    assert_eq!((failure.kind.as_str(), failure.retryable), (kind::HTTP, true), "{failure}");
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_request_that_must_arrive_at_most_once_takes_a_new_connection_and_is_not_sent_again() {
    let (mut server, egress) = (Server::start().await, egress(8));
    let _stream = kept(&mut server, &egress).await;
    let request = HttpRequest { at_most_once: true, ..get(&server.url) };
    let (sent, _) = tokio::join!(egress.send(request, "run:1"), async {
        read_and_close(server.accepted.recv().await.unwrap(), "").await
    });
    assert_eq!(sent.unwrap_err().kind, kind::HTTP);
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_connection_is_not_used_when_its_server_is_about_to_close_it() {
    let (mut server, egress) = (Server::start().await, egress(8));
    let mut open = Vec::new();
    for parameters in ["timeout=1", "max=5, timeout=0", "timeout=60"] {
        let (sent, stream) = tokio::join!(egress.send(get(&server.url), "run:0"), async {
            let mut stream = server.accepted.recv().await.unwrap();
            let head = format!("HTTP/1.1 200 OK\r\nkeep-alive: {parameters}\r\ncontent-length: 0\r\n\r\n");
            answer(&mut stream, &head).await;
            stream
        });
        sent.unwrap();
        open.push(stream);
    }
    let (sent, ()) = tokio::join!(egress.send(get(&server.url), "run:1"), answer(&mut open[2], OK));
    sent.unwrap();
    assert_eq!(server.connections(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_comes_before_the_request_was_read_is_delivered() {
    let (mut server, egress) = (Server::start().await, egress(8));
    let url = Arc::clone(&server.url);
    // On a thread of its own, so that it also answers while the client is writing.
    tokio::spawn(async move {
        while let Some(mut stream) = server.accepted.recv().await {
            // It reads the head alone, answers, and closes: the rest of the request meets a reset.
            assert!(stream.read(&mut [0; 512]).await.unwrap() > 0);
            let head = "HTTP/1.1 413 Too Large\r\nconnection: close\r\ncontent-length: 9\r\n\r\ntoo large";
            stream.write_all(head.as_bytes()).await.unwrap();
        }
    });
    for round in 0..100 {
        let body = Body::from(vec![b'x'; 1 << 20]);
        let request = HttpRequest { method: "POST".to_owned(), body, ..get(&url) };
        let sent = egress.send(request, "run:0").await;
        let answer = sent.unwrap_or_else(|failure| panic!("round {round}: {failure}")).unwrap();
        let answer = HttpResponse::from_json(&answer).unwrap();
        assert_eq!((answer.status, answer.body.into_bytes()), (413, b"too large".to_vec()));
    }
}

#[tokio::test]
async fn no_more_idle_connections_are_kept_than_requests_may_be_under_way() {
    let (mut first, mut second, egress) = (Server::start().await, Server::start().await, egress(1));
    let mut streams = Vec::new();
    for server in [&mut first, &mut second] {
        let (sent, stream) = tokio::join!(egress.send(get(&server.url), "run:0"), async {
            let mut stream = server.accepted.recv().await.unwrap();
            answer(&mut stream, OK).await;
            stream
        });
        sent.unwrap();
        streams.push(stream);
    }
    // The limit is reached, so the client has closed the second connection.
    assert_eq!(streams[1].read(&mut [0; 1]).await.unwrap(), 0);
    let (sent, ()) = tokio::join!(egress.send(get(&first.url), "run:1"), answer(&mut streams[0], OK));
    sent.unwrap();
    assert_eq!(first.connections(), 1);
}

#[tokio::test]
async fn a_request_that_may_not_leave_any_more_when_its_connection_is_open_is_not_sent() {
    let (mut server, egress) = (Server::start().await, egress(8));
    let asked = AtomicUsize::new(0);
    // It may leave as many times as this says.
    let leaves = |times: usize| {
        let asked = &asked;
        asked.store(0, Ordering::SeqCst);
        move || asked.fetch_add(1, Ordering::SeqCst) < times
    };
    let withheld = egress.send_while(get(&server.url), "run:0", &leaves(0)).await;
    assert_eq!(withheld, Err(Withheld));
    let mut stream = server.accepted.recv().await.unwrap();
    assert_eq!(stream.read(&mut [0; 4_096]).await.unwrap(), 0, "nothing was written");

    let may_leave = leaves(1);
    let (withheld, stream) = tokio::join!(egress.send_while(get(&server.url), "run:0", &may_leave), async {
        let mut stream = server.accepted.recv().await.unwrap();
        answer(&mut stream, "HTTP/1.1 302 Found\r\nlocation: /next\r\ncontent-length: 0\r\n\r\n").await;
        stream
    });
    assert_eq!(withheld, Err(Withheld), "a redirect leaves, too");
    drop(stream);
}
