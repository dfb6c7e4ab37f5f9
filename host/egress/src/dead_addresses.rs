//! Servers with an address that nobody answers at, over TCP with this process.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use super::tests::request;
use super::{Egress, Policy, Tls};
use crate::EgressLimits;
use crate::secrets::Secrets;
use forge_journal::http::HttpRequest;
use forge_journal::{Failure, Reach, kind};

/// An address of this machine at which a listener's queue is full: the kernel answers no SYN.
struct Dead {
    address: IpAddr,
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl Dead {
    async fn listen(port: u16) -> Self {
        let address = IpAddr::from(Ipv4Addr::new(127, 0, 0, 2));
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((address, port).into()).unwrap();
        let listener = socket.listen(1).unwrap();
        let mut queue = Vec::new();
        while let Ok(stream) = timeout(Duration::from_millis(200), TcpStream::connect((address, port))).await
        {
            queue.push(stream.unwrap());
        }
        Self { address, _listener: listener, _queue: queue }
    }
}

/// Returns an egress for which every name has these addresses.
fn egress(addresses: Vec<IpAddr>, connect_timeout_ms: u64) -> Egress {
    let limits = EgressLimits { http_connect_timeout_ms: connect_timeout_ms, ..EgressLimits::default() };
    let lookup = Arc::new(move |_| {
        let addresses = addresses.clone();
        Box::pin(async move { Ok(addresses) }) as _
    });
    Egress::with_lookup(&Tls::new().unwrap(), Policy::open(), Arc::new(Secrets::none()), &limits, lookup)
}

fn get(port: u16) -> HttpRequest {
    request("GET", format!("http://two.example:{port}/"))
}

#[tokio::test]
async fn a_server_is_reached_though_its_first_address_is_dead() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let live = listener.local_addr().unwrap();
    let dead = Dead::listen(live.port()).await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        assert!(stream.read(&mut [0; 1_000]).await.unwrap() > 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    });
    let egress = egress(vec![dead.address, live.ip()], 10_000);
    egress.send(get(live.port()), "run:0").await.unwrap();
}

#[tokio::test]
async fn a_connection_has_a_timeout_of_its_own() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let dead = Dead::listen(free).await;
    let begun = Instant::now();
    let failed = egress(vec![dead.address], 50).send(get(free), "run:0").await.unwrap_err();
    let message = format!(
        "GET http://two.example:{free}/: no connection within 50ms (http_connect_timeout_ms): the request was not sent"
    );
    assert_eq!(failed, Failure::new(kind::TIMEOUT, message).with_reach(Reach::Nowhere));
    assert!(begun.elapsed() < Duration::from_secs(30), "long before the timeout of the request");
}
