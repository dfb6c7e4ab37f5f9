use std::io::{self, IsTerminal};

use anyhow::anyhow;
use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// The filter if `RUST_LOG` is not set.
const DEFAULT_FILTER: &str = "info";

/// The form of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// Text for people.
    #[default]
    Text,
    /// One JSON document per line.
    Json,
}

/// Starts logging to standard error.
pub(super) fn init(form: Form) -> anyhow::Result<()> {
    let filter = match std::env::var(EnvFilter::DEFAULT_ENV) {
        Ok(filter) if !filter.is_empty() => EnvFilter::try_new(&filter)
            .map_err(|error| anyhow!("RUST_LOG={filter} is not a valid filter: {error}"))?,
        _ => EnvFilter::new(DEFAULT_FILTER),
    };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let result = match form {
        Form::Text => log.with_ansi(io::stderr().is_terminal()).try_init(),
        Form::Json => log.json().flatten_event(true).try_init(),
    };
    result.map_err(|error| anyhow!("cannot start logging: {error}"))
}
