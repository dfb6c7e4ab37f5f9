//! What a tenant whose answers are searched for secrets costs another tenant: the latency of the other's requests, alone
//! and beside it. `cargo run --release -p forge-egress --example neighbour`

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use forge_egress::secrets::{Secret, SecretValue, Secrets};
use forge_egress::{Egress, EgressLimits, Lookups, Policy, Tls, Workers};
use forge_journal::http::{Body, HttpRequest};
use tokio::net::TcpListener;

/// The requests of the tenant with the secret that are in flight at once.
const BESIDE: usize = 64;

/// The sizes of the answers that are searched, in bytes.
const SIZES: [usize; 3] = [32 << 10, 64 << 10, 1 << 20];

/// The requests of the other tenant that are measured.
const MEASURED: usize = 1_000;

type Failed = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    // A server with its own threads, so that the load on it is not what is measured.
    std::thread::spawn(|| serve(listener.into_std()));
    let workers = Workers::default();
    let value = SecretValue::new("sk_live_51Hq0sVerySecretValue")?;
    let secret = Secret { value, hosts: vec![url.parse()?] };
    let secrets = Arc::new(Secrets::new([("KEY".to_owned(), secret)].into())?);
    let searched = Arc::new(tenant("searched", secrets, &workers)?);
    let other = tenant("other", Arc::new(Secrets::new([].into())?), &workers)?;
    println!("alone: {}", latencies(&other, &url).await?);
    for size in SIZES {
        let beside: Vec<_> = (0..BESIDE)
            .map(|_| {
                let (searched, url) = (Arc::clone(&searched), format!("{url}/{size}"));
                tokio::spawn(async move {
                    while searched.send(request(&url, "{{secret:KEY}}"), "run:0").await.is_ok() {}
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(500)).await;
        println!("beside answers of {} KiB: {}", size >> 10, latencies(&other, &url).await?);
        beside.iter().for_each(tokio::task::JoinHandle::abort);
    }
    Ok(())
}

fn tenant(name: &str, secrets: Arc<Secrets>, workers: &Workers) -> Result<Egress, Failed> {
    let egress =
        Egress::new(&Tls::new()?, Policy::open(), secrets, &EgressLimits::default(), Lookups::default());
    Ok(egress.working(workers.clone(), name.into()))
}

/// Serves JSON with escapes of as many bytes as the path says.
fn serve(listener: std::io::Result<std::net::TcpListener>) -> Option<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    runtime.block_on(async {
        let text =
            |Path(size): Path<usize>| async move { "{\"id\":\"0199d1c4-7a3e\\n\"} ".repeat(size / 24) };
        let app = Router::new().route("/{size}", get(text));
        axum::serve(TcpListener::from_std(listener.ok()?).ok()?, app).await.ok()
    })
}

fn request(url: &str, key: &str) -> HttpRequest {
    HttpRequest {
        method: "GET".to_owned(),
        url: url.to_owned(),
        headers: vec![("x-key".to_owned(), key.to_owned())],
        body: Body::default(),
        timeout_ms: None,
        at_most_once: false,
    }
}

/// Sends small requests one after the other and returns how long they took.
async fn latencies(tenant: &Egress, url: &str) -> Result<String, Failed> {
    let url = format!("{url}/240");
    let mut took = Vec::new();
    for _ in 0..MEASURED {
        let begun = Instant::now();
        tenant.send(request(&url, "none"), "run:0").await?;
        took.push(begun.elapsed());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    took.sort_unstable();
    Ok(format!(
        "p50 {:?}, p95 {:?}, p99 {:?}",
        took[MEASURED / 2],
        took[MEASURED * 95 / 100],
        took[MEASURED * 99 / 100]
    ))
}
