//! The program that runs the example services.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context;
use clap::Parser;
use forge_example_services::{Services, serve};
use tokio::net::TcpListener;

/// The HTTP services that the example workflows call: inventory, payments, users, customers and
/// mail. Everything is in memory; `GET /ledger` shows what happened.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The address to listen on, or a port on 127.0.0.1. Port 0 selects a free port.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7080", value_parser = address)]
    listen: SocketAddr,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Arguments { listen } = Arguments::parse();
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    println!("listening on http://{}", listener.local_addr()?);
    serve(listener, Services::default()).await?;
    Ok(())
}

fn address(text: &str) -> Result<SocketAddr, std::net::AddrParseError> {
    match text.parse::<u16>() {
        Ok(port) => Ok((Ipv4Addr::LOCALHOST, port).into()),
        Err(_) => text.parse(),
    }
}
