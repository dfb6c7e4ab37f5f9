use std::io::{self, IsTerminal};

use anyhow::anyhow;
use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// What is logged unless `RUST_LOG` says otherwise.
const DEFAULT_FILTER: &str = "info";

/// The form of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// Lines for people.
    #[default]
    Text,
    /// A JSON document on every line.
    Json,
}

/// Logs to the standard error from here on.
pub(super) fn init(form: Form) -> anyhow::Result<()> {
    let filter = match std::env::var(EnvFilter::DEFAULT_ENV) {
        Ok(filter) if !filter.is_empty() => EnvFilter::try_new(&filter)
            .map_err(|error| anyhow!("RUST_LOG={filter} makes no sense: {error}"))?,
        _ => EnvFilter::new(DEFAULT_FILTER),
    };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let result = match form {
        Form::Text => log.with_ansi(io::stderr().is_terminal()).try_init(),
        Form::Json => log.json().flatten_event(true).try_init(),
    };
    result.map_err(|error| anyhow!("cannot log: {error}"))
}
