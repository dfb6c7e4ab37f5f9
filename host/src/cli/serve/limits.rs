//! The flags for limits. [`Limits`] explains them.

use std::time::Duration;

use crate::cli::parse;
use crate::config::{Limits, LogLimits, milliseconds};
use forge_journal::LogLevel;

/// Flags that change [`Limits::default`].
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Default limits of tenants, and limits of the host")]
#[group(skip)]
pub(super) struct Args {
    /// Fuel, about one unit per instruction, between two waits of a run [default: 5G].
    #[arg(long, visible_alias = "fuel-per-activation", value_name = "COUNT", env = "FORGE_FUEL", value_parser = parse::count)]
    fuel: Option<u64>,
    /// Total fuel of a run [default: 500G].
    #[arg(long, value_name = "COUNT", env = "FORGE_FUEL_PER_RUN", value_parser = parse::count)]
    fuel_per_run: Option<u64>,
    /// Memory of a run [default: 64MiB].
    #[arg(long, visible_alias = "memory-bytes", value_name = "SIZE", env = "FORGE_MEMORY", value_parser = parse::bytes)]
    memory: Option<u64>,
    /// Size of an uploaded component [default: 16MiB].
    #[arg(long, visible_alias = "component-bytes", alias = "module-size", value_name = "SIZE", env = "FORGE_COMPONENT_SIZE", value_parser = parse::bytes)]
    component_size: Option<u64>,
    /// CPU time to compile a component, in whole seconds [default: 10s].
    #[arg(long, value_name = "DURATION", env = "FORGE_COMPILE_TIME", value_parser = parse::some_time)]
    compile_time: Option<Duration>,
    /// Memory to compile a component [default: 2GiB].
    #[arg(long, value_name = "SIZE", env = "FORGE_COMPILE_MEMORY", value_parser = parse::bytes)]
    compile_memory: Option<u64>,
    /// Compile time of a tenant's uploads in each hour, in seconds [default: 600].
    #[arg(long, value_name = "COUNT", env = "FORGE_COMPILE_SECONDS", value_parser = parse::count)]
    compile_seconds: Option<u64>,
    /// Memory for the bodies of uploads; further uploads wait before their bodies are read [default: 64MiB].
    #[arg(long, value_name = "SIZE", env = "FORGE_UPLOAD_MEMORY", value_parser = parse::bytes)]
    upload_memory: Option<u64>,
    /// Time for the body of an upload to arrive [default: 1m].
    #[arg(long, value_name = "DURATION", env = "FORGE_UPLOAD_TIME", value_parser = parse::some_time)]
    upload_time: Option<Duration>,
    /// Size of an input, an output or the result of a step [default: 1MiB].
    #[arg(long, visible_alias = "payload-bytes", value_name = "SIZE", env = "FORGE_PAYLOAD_SIZE", value_parser = parse::bytes)]
    payload_size: Option<u64>,
    /// Size of a response to an HTTP request of a workflow [default: 4MiB].
    #[arg(long, visible_alias = "response-bytes", value_name = "SIZE", env = "FORGE_RESPONSE_SIZE", value_parser = parse::bytes)]
    response_size: Option<u64>,
    /// Size of the responses that workflows of all tenants receive at once; further ones wait [default: 1GiB].
    #[arg(long, value_name = "SIZE", env = "FORGE_RESPONSES_IN_FLIGHT", value_parser = parse::bytes)]
    responses_in_flight: Option<u64>,
    /// Size of the runs of a tenant with their journals in the database; then none starts [default: 1TiB].
    #[arg(long, visible_alias = "storage-bytes", value_name = "SIZE", env = "FORGE_STORAGE_SIZE", value_parser = parse::bytes)]
    storage_size: Option<u64>,
    /// Time for an HTTP request of a workflow that sets no timeout [default: 1m].
    #[arg(long, value_name = "DURATION", env = "FORGE_HTTP_TIMEOUT", value_parser = parse::some_time)]
    http_timeout: Option<Duration>,
    /// Time to open a connection for an HTTP request of a workflow [default: 10s].
    #[arg(long, value_name = "DURATION", env = "FORGE_HTTP_CONNECT_TIMEOUT", value_parser = parse::some_time)]
    http_connect_timeout: Option<Duration>,
    /// Concurrent HTTP requests of workflows; further ones wait [default: 1000].
    #[arg(long, value_name = "COUNT", env = "FORGE_HTTP_REQUESTS", value_parser = parse::count)]
    http_requests: Option<u64>,
    /// Calls of a run, at most 8388607 [default: 100k].
    #[arg(long, value_name = "COUNT", env = "FORGE_CALLS_PER_RUN", value_parser = parse::calls)]
    calls_per_run: Option<u64>,
    /// Runs in memory; runs that wait for timers are evicted to load others [default: 1000].
    #[arg(long, value_name = "COUNT", env = "FORGE_LIVE_INSTANCES", value_parser = parse::number(1..=u32::MAX))]
    live_instances: Option<u32>,
    /// Time after which a run that waits is evicted from memory; at once if it waits for a longer timer [default: 10s].
    #[arg(long, value_name = "DURATION", env = "FORGE_EVICT_AFTER", value_parser = parse::duration)]
    evict_after: Option<Duration>,
    /// Starts in the queue; further ones are refused with HTTP status 429 [default: 10k].
    #[arg(long, value_name = "COUNT", env = "FORGE_START_QUEUE", value_parser = parse::count)]
    start_queue: Option<u64>,
    /// Runs of a tenant that are not final; further starts are refused with HTTP status 429 [default: 1M].
    #[arg(long, value_name = "COUNT", env = "FORGE_UNFINISHED_RUNS", value_parser = parse::count)]
    unfinished_runs: Option<u64>,
    /// Size of journal rows in the write queue; at this size, runs wait for the disk [default: 64MiB].
    #[arg(long, value_name = "SIZE", env = "FORGE_WRITE_QUEUE", value_parser = parse::bytes)]
    write_queue: Option<u64>,
    /// Time that a rollback waits for responses to requests under way [default: 30s].
    #[arg(long, value_name = "DURATION", env = "FORGE_ROLLBACK_PATIENCE", value_parser = parse::duration)]
    rollback_patience: Option<Duration>,
    /// Attempts of a compensation, including the first [default: 5].
    #[arg(long, value_name = "COUNT", env = "FORGE_COMPENSATION_ATTEMPTS", value_parser = parse::number(1..=u32::MAX))]
    compensation_attempts: Option<u32>,
    /// Wait before the second attempt of a compensation; it doubles with each further attempt [default: 1s].
    #[arg(long, value_name = "DURATION", env = "FORGE_COMPENSATION_BACKOFF", value_parser = parse::duration)]
    compensation_backoff: Option<Duration>,
    /// Longest wait before a further attempt that a response may ask for with `Retry-After` [default: 1h].
    #[arg(long, value_name = "DURATION", env = "FORGE_MAX_RETRY_AFTER", value_parser = parse::duration)]
    max_retry_after: Option<Duration>,
    /// Keep the lines that workflows log with their runs, from this level on: trace, debug, info, warn, error or off [default: info].
    #[arg(long, value_name = "LEVEL", env = "FORGE_KEPT_LOG_LEVEL", value_parser = log_level)]
    kept_log_level: Option<KeptLogLevel>,
    /// Size of answers of the API that clients have not read yet; one tenant may use a quarter of it [default: 256MiB].
    #[arg(long, value_name = "SIZE", env = "FORGE_API_ANSWERS", value_parser = parse::bytes)]
    api_answers: Option<u64>,
    /// Time until a session of the dashboard ends [default: 12h].
    #[arg(long, value_name = "DURATION", env = "FORGE_SESSION_TIME", value_parser = parse::some_time)]
    session_time: Option<Duration>,
    /// Longest time for which a run token may be valid [default: 24h].
    #[arg(long, value_name = "DURATION", env = "FORGE_RUN_TOKEN_TIME", value_parser = parse::some_time)]
    run_token_time: Option<Duration>,
    /// Time of a read for a caller, such as a list of runs [default: 10s].
    #[arg(long, value_name = "DURATION", env = "FORGE_READ_TIME", value_parser = parse::some_time)]
    read_time: Option<Duration>,
    /// Wait before a failed database is tried again [default: 1s].
    #[arg(long, value_name = "DURATION", env = "FORGE_STORE_RETRY", value_parser = parse::some_time)]
    store_retry: Option<Duration>,
    /// Length from which on SQLite's write-ahead log is truncated as soon as no other program keeps pages in it [default: 64MiB].
    #[arg(long, value_name = "SIZE", env = "FORGE_WAL_TRUNCATE", value_parser = log_length)]
    wal_truncate: Option<u64>,
    /// Length of SQLite's write-ahead log from which on no run is started [default: 8GiB].
    #[arg(long, value_name = "SIZE", env = "FORGE_WAL_LIMIT", value_parser = log_length)]
    wal_limit: Option<u64>,
}

impl Args {
    /// Returns the default limits with the flags applied.
    pub(super) fn into_limits(self) -> Limits {
        let mut limits = Limits::default();
        let tenant = &mut limits.tenant;
        set(&mut tenant.fuel_per_activation, self.fuel);
        set(&mut tenant.fuel_per_run, self.fuel_per_run);
        set(&mut tenant.memory_bytes, self.memory);
        set(&mut tenant.component_bytes, self.component_size);
        set(&mut tenant.payload_bytes, self.payload_size);
        set(&mut tenant.response_bytes, self.response_size);
        set(&mut tenant.http_timeout_ms, self.http_timeout.map(milliseconds));
        set(&mut tenant.http_connect_timeout_ms, self.http_connect_timeout.map(milliseconds));
        set(&mut tenant.http_requests, self.http_requests);
        set(&mut tenant.calls_per_run, self.calls_per_run);
        set(&mut tenant.start_queue, self.start_queue);
        set(&mut tenant.unfinished_runs, self.unfinished_runs);
        set(&mut tenant.storage_bytes, self.storage_size);
        set(&mut limits.response_bytes_in_flight, self.responses_in_flight);
        // By default, one tenant may use all instances of the host.
        set(&mut tenant.runs_in_flight, self.live_instances.map(u64::from));
        set(&mut limits.live_instances, self.live_instances);
        set(&mut limits.evict_after, self.evict_after);
        set(&mut limits.compile_time, self.compile_time);
        set(&mut limits.compile_memory, self.compile_memory);
        set(&mut tenant.compile_seconds, self.compile_seconds);
        set(&mut limits.upload_memory, self.upload_memory);
        set(&mut limits.upload_time, self.upload_time);
        let write_queue = self.write_queue.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        set(&mut limits.write_queue_bytes, write_queue);
        set(&mut limits.api_answers, self.api_answers);
        set(&mut limits.session_time, self.session_time);
        set(&mut limits.run_token_time, self.run_token_time);
        set(&mut limits.kept_log_level, self.kept_log_level.map(|kept| kept.0));
        set(&mut limits.log.truncate, self.wal_truncate);
        set(&mut limits.log.most, self.wal_limit);
        set(&mut limits.read_time, self.read_time);
        set(&mut limits.store_retry, self.store_retry);
        set(&mut limits.rollback_patience, self.rollback_patience);
        set(&mut limits.max_retry_after, self.max_retry_after);
        let retry = &mut limits.compensation_retry;
        set(&mut retry.max_attempts, self.compensation_attempts);
        set(&mut retry.backoff_ms, self.compensation_backoff.map(milliseconds));
        retry.max_backoff_ms = retry.max_backoff_ms.max(retry.backoff_ms);
        limits
    }
}

/// Parses a length of the write-ahead log.
fn log_length(text: &str) -> Result<u64, String> {
    match parse::bytes(text)? {
        bytes if bytes < LogLimits::LEAST => {
            Err(format!("it must be at least {} bytes: the log is reused at 23 MB", LogLimits::LEAST))
        }
        bytes => Ok(bytes),
    }
}

/// The level of the lines that are kept; `None`: no line is kept.
#[derive(Debug, Clone, Copy)]
struct KeptLogLevel(Option<LogLevel>);

fn log_level(word: &str) -> Result<KeptLogLevel, String> {
    if word == "off" {
        return Ok(KeptLogLevel(None));
    }
    parse::log_level(word).map(|level| KeptLogLevel(Some(level))).map_err(|why| format!("{why}, or off"))
}

fn set<T>(limit: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *limit = value;
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Parser)]
    struct Serve {
        #[command(flatten)]
        limits: Args,
    }

    /// The help repeats defaults that are defined elsewhere.
    #[test]
    fn the_defaults_in_the_help_are_those_of_the_limits() {
        let command = Serve::command();
        let mut arguments = vec!["serve".to_owned()];
        for argument in command.get_arguments().filter(|argument| argument.get_id() != "help") {
            let help = argument.get_help().unwrap().to_string();
            let default = help.split("[default: ").nth(1).unwrap().trim_end_matches(']').to_owned();
            arguments.extend([format!("--{}", argument.get_long().unwrap()), default]);
        }
        let from_help = Serve::try_parse_from(arguments).unwrap().limits.into_limits();
        assert_eq!(format!("{from_help:?}"), format!("{:?}", Limits::default()));
    }

    #[test]
    fn a_log_is_not_truncated_before_it_is_reused() {
        assert!(Serve::try_parse_from(["serve", "--wal-truncate", "16MiB"]).is_err());
        let limits =
            Serve::try_parse_from(["serve", "--wal-truncate", "32MiB", "--wal-limit", "1GiB"]).unwrap();
        assert_eq!(limits.limits.into_limits().log, LogLimits { truncate: 32 << 20, most: 1 << 30 });
    }

    #[test]
    fn a_backoff_longer_than_the_longest_wait_raises_it() {
        let limits = Serve::try_parse_from(["serve", "--compensation-backoff", "5m"]).unwrap();
        let retry = limits.limits.into_limits().compensation_retry;
        assert_eq!((retry.backoff_ms, retry.max_backoff_ms), (300_000, 300_000));
    }
}
