//! The limits that an operator may want to set. What they mean is in [`Limits`].

use std::time::Duration;

use super::size;
use crate::config::Limits;

/// Flags that change [`Limits::default`].
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Limits of a tenant, unless it has its own, and of the host")]
#[group(skip)]
pub(super) struct Args {
    /// Fuel (about one unit per instruction) from one wait of a run to its next [default: 5G].
    #[arg(long, value_name = "COUNT", env = "FORGE_FUEL", value_parser = size::count)]
    fuel: Option<u64>,
    /// Fuel of a run in all [default: 500G].
    #[arg(long, value_name = "COUNT", env = "FORGE_FUEL_PER_RUN", value_parser = size::count)]
    fuel_per_run: Option<u64>,
    /// Memory of one run [default: 64MiB].
    #[arg(long, value_name = "SIZE", env = "FORGE_MEMORY", value_parser = size::bytes)]
    memory: Option<usize>,
    /// Size of a component at upload [default: 16MiB].
    #[arg(long, value_name = "SIZE", env = "FORGE_MODULE_SIZE", value_parser = size::bytes)]
    module_size: Option<usize>,
    /// How long a component may take to compile [default: 1m].
    #[arg(long, value_name = "DURATION", env = "FORGE_COMPILE_TIME", value_parser = size::some_time)]
    compile_time: Option<Duration>,
    /// Memory that compiling a component may take [default: 2GiB].
    #[arg(long, value_name = "SIZE", env = "FORGE_COMPILE_MEMORY", value_parser = size::bytes)]
    compile_memory: Option<usize>,
    /// Size of an input, an output or a step's result [default: 1MiB].
    #[arg(long, value_name = "SIZE", env = "FORGE_PAYLOAD_SIZE", value_parser = size::bytes)]
    payload_size: Option<usize>,
    /// Size of an answer to a workflow's HTTP request [default: 4MiB].
    #[arg(long, value_name = "SIZE", env = "FORGE_RESPONSE_SIZE", value_parser = size::bytes)]
    response_size: Option<usize>,
    /// How long a workflow's HTTP request may take if it does not say [default: 1m].
    #[arg(long, value_name = "DURATION", env = "FORGE_HTTP_TIMEOUT", value_parser = size::some_time)]
    http_timeout: Option<Duration>,
    /// HTTP requests of workflows under way at once; further ones wait [default: 1000].
    #[arg(long, value_name = "COUNT", env = "FORGE_HTTP_REQUESTS", value_parser = size::count)]
    http_requests: Option<u64>,
    /// Calls that one run may make, 8388607 at most [default: 100k].
    #[arg(long, value_name = "COUNT", env = "FORGE_CALLS_PER_RUN", value_parser = size::calls)]
    calls_per_run: Option<u64>,
    /// Runs in memory at once; those that wait for timers make place for others [default: 1000].
    #[arg(long, value_name = "COUNT", env = "FORGE_LIVE_INSTANCES", value_parser = clap::value_parser!(u32).range(1..))]
    live_instances: Option<u32>,
    /// A run that waits for a timer longer than this leaves memory [default: 10s].
    #[arg(long, value_name = "DURATION", env = "FORGE_EVICT_AFTER", value_parser = humantime::parse_duration)]
    evict_after: Option<Duration>,
    /// Starts that may wait at once; further ones are refused with 429 [default: 10k].
    #[arg(long, value_name = "COUNT", env = "FORGE_START_QUEUE", value_parser = size::count)]
    start_queue: Option<u64>,
    /// Journal that may wait for the disk before runs wait [default: 64MiB].
    #[arg(long, value_name = "SIZE", env = "FORGE_WRITE_QUEUE", value_parser = size::bytes)]
    write_queue: Option<usize>,
    /// How often a compensation is tried, the first time included [default: 5].
    #[arg(long, value_name = "COUNT", env = "FORGE_COMPENSATION_ATTEMPTS", value_parser = clap::value_parser!(u32).range(1..))]
    compensation_attempts: Option<u32>,
    /// The wait before the second attempt; it doubles with each further one [default: 1s].
    #[arg(long, value_name = "DURATION", env = "FORGE_COMPENSATION_BACKOFF", value_parser = humantime::parse_duration)]
    compensation_backoff: Option<Duration>,
    /// The wait before a store that failed is tried again [default: 1s].
    #[arg(long, value_name = "DURATION", env = "FORGE_STORE_RETRY", value_parser = size::some_time)]
    store_retry: Option<Duration>,
}

impl Args {
    /// The defaults with what was set.
    pub(super) fn into_limits(self) -> Limits {
        let mut limits = Limits::default();
        let tenant = &mut limits.tenant;
        set(&mut tenant.fuel_per_activation, self.fuel);
        set(&mut tenant.fuel_per_run, self.fuel_per_run);
        set(&mut tenant.memory_bytes, self.memory.map(wide));
        set(&mut tenant.module_bytes, self.module_size.map(wide));
        set(&mut tenant.payload_bytes, self.payload_size.map(wide));
        set(&mut tenant.response_bytes, self.response_size.map(wide));
        set(&mut tenant.http_timeout_ms, self.http_timeout.map(milliseconds));
        set(&mut tenant.http_requests, self.http_requests);
        set(&mut tenant.calls_per_run, self.calls_per_run);
        set(&mut tenant.start_queue, self.start_queue);
        // By default one tenant may have all that there is.
        set(&mut tenant.runs_in_flight, self.live_instances.map(u64::from));
        set(&mut limits.live_instances, self.live_instances);
        set(&mut limits.evict_after, self.evict_after);
        set(&mut limits.compile_time, self.compile_time);
        set(&mut limits.compile_memory, self.compile_memory.map(wide));
        set(&mut limits.write_queue_bytes, self.write_queue);
        set(&mut limits.store_retry, self.store_retry);
        let retry = &mut limits.compensation_retry;
        set(&mut retry.max_attempts, self.compensation_attempts);
        set(&mut retry.backoff_ms, self.compensation_backoff.map(milliseconds));
        retry.max_backoff_ms = retry.max_backoff_ms.max(retry.backoff_ms);
        limits
    }
}

fn set<T>(limit: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *limit = value;
    }
}

fn wide(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
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

    /// The help names defaults that live elsewhere.
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
    fn a_backoff_longer_than_the_longest_wait_raises_it() {
        let limits = Serve::try_parse_from(["serve", "--compensation-backoff", "5m"]).unwrap();
        let retry = limits.limits.into_limits().compensation_retry;
        assert_eq!((retry.backoff_ms, retry.max_backoff_ms), (300_000, 300_000));
    }
}
