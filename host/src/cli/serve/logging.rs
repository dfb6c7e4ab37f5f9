use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, Write};

use anyhow::anyhow;
use clap::ValueEnum;
use forge_clock as clock;
use serde_json::json;
use tracing_subscriber::EnvFilter;

use super::log_fields::{self, PrintableJson};
use super::log_writer::{LastLines, LogWriter};
use crate::cli::output;

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

/// Starts logging to standard error. The result waits for the last lines when it is dropped.
pub(super) fn init(form: Form) -> anyhow::Result<LastLines> {
    let filter = match std::env::var(EnvFilter::DEFAULT_ENV) {
        Ok(filter) if !filter.is_empty() => EnvFilter::try_new(&filter)
            .map_err(|error| anyhow!("RUST_LOG={filter} is not a valid filter: {error}"))?,
        _ => EnvFilter::new(DEFAULT_FILTER),
    };
    let report = match form {
        Form::Text => lost_as_text,
        Form::Json => lost_as_json,
    };
    let (writer, last_lines) = LogWriter::start(standard_error()?, report)?;
    let log = tracing_subscriber::fmt().with_env_filter(filter);
    let result = match form {
        Form::Text => {
            let log = log.with_writer(writer).with_ansi(output::notes_have_color());
            log.fmt_fields(log_fields::printable()).try_init()
        }
        Form::Json => log.json().flatten_event(true).with_writer(PrintableJson(writer)).try_init(),
    };
    result.map_err(|error| anyhow!("cannot start logging: {error}"))?;
    std::panic::set_hook(Box::new(|panic| {
        let backtrace = Backtrace::capture();
        let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
        tracing::error!(backtrace, "{panic}");
    }));
    Ok(last_lines)
}

/// Returns standard error, without the lock of the standard library: a write may never end, and others would wait for it.
#[allow(clippy::disallowed_methods, reason = "the log escapes its lines itself")]
fn standard_error() -> anyhow::Result<impl Write + Send> {
    #[cfg(unix)]
    {
        use std::os::fd::AsFd as _;
        let descriptor = io::stderr().as_fd().try_clone_to_owned();
        Ok(std::fs::File::from(descriptor.map_err(|error| anyhow!("cannot use standard error: {error}"))?))
    }
    #[cfg(not(unix))]
    Ok(io::stderr())
}

/// What the log says after it could not be written.
const LOST: &str = "lines of the log were lost: standard error could not be written, or not fast enough";

fn lost_as_text(lines: u64) -> String {
    let time = clock::now().to_rfc3339();
    format!("{time}  WARN {}: {LOST} lines={lines}\n", module_path!())
}

fn lost_as_json(lines: u64) -> String {
    let time = clock::now().to_rfc3339();
    let line = json!({
        "timestamp": time, "level": "WARN", "message": LOST, "lines": lines, "target": module_path!(),
    });
    format!("{line}\n")
}
