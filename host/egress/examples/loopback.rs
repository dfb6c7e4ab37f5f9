//! Prints the requests per second to a server on loopback, with 64 in flight.

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use forge_egress::secrets::Secrets;
use forge_egress::{Egress, EgressLimits, Lookups, Policy, Tls};
use forge_journal::http::{Body, HttpRequest};
use futures::future::try_join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const IN_FLIGHT: usize = 64;
const REQUESTS: usize = 2_000;
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}/", listener.local_addr()?);
    std::thread::spawn(move || serve(listener));
    let limits = EgressLimits::default();
    let egress =
        Egress::new(&Tls::new()?, Policy::open(), Arc::new(Secrets::none()), &limits, Lookups::default());
    let egress = Arc::new(egress);
    let begun = Instant::now();
    let clients = (0..IN_FLIGHT).map(|_| tokio::spawn(send(Arc::clone(&egress), url.clone())));
    for outcome in try_join_all(clients).await? {
        outcome?;
    }
    println!("{:.0} requests/s", (IN_FLIGHT * REQUESTS) as f64 / begun.elapsed().as_secs_f64());
    Ok(())
}

async fn send(egress: Arc<Egress>, url: String) -> Result<(), String> {
    for _ in 0..REQUESTS {
        let request = HttpRequest {
            method: "POST".to_owned(),
            url: url.clone(),
            headers: Vec::new(),
            body: Body::from(b"{\"amount\":5}".to_vec()),
            timeout_ms: None,
            at_most_once: false,
        };
        egress.send(request, "key").await.map_err(|failure| failure.to_string())?;
    }
    Ok(())
}

/// Answers requests on a thread of its own, so that the client has the runtime to itself.
#[tokio::main(flavor = "current_thread")]
async fn serve(listener: std::net::TcpListener) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let mut request = [0; 4_096];
            while stream.read(&mut request).await? > 0 {
                stream.write_all(ANSWER).await?;
            }
            std::io::Result::Ok(())
        });
    }
}
