//! What was measured, round by round.

use std::collections::BTreeMap;

use crate::database::Kind;
use crate::stats;
use crate::workloads::Workload;

/// What a value is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Metric {
    /// Runs completed a second.
    RunsPerSecond,
    /// From start to result, or of a step of it, the median in microseconds.
    Latency,
    /// What a further step adds to a run, in microseconds.
    FurtherStep,
    /// The time of a run divided by its steps, beside a round trip and a commit in turns, in microseconds.
    StepInTurns,
    /// Journal rows a second.
    Rows,
    /// CPU time of the host for each run, in microseconds.
    HostCpu,
    /// CPU time of the load generator and the effect server for each run, in microseconds.
    OurCpu,
    /// Bytes that the host wrote for each run.
    Written,
    /// CPU time of the database's server for each run, in microseconds.
    ServerCpu,
    /// Runs completed a second by so many hosts that share the database, more than one.
    RunsPerSecondOf(usize),
    /// Syncs of the host for each run.
    Syncs,
    /// Syncs of the host beyond those that each run needs, for each run.
    SyncsBesides,
    /// Syncs of the host for each further step with a request.
    SyncsPerRequest,
    /// Statements that the database's server gets for each run.
    Statements,
    /// Statements that it gets for each further step with a request.
    StatementsPerRequest,
    /// W4: from the gate's opening to the last result, without a crash, in seconds.
    Undisturbed,
    /// W4: from the start of the process that follows a killed one, or from the end of a host that another one
    /// takes the runs of, to the last result, in seconds.
    Recovered,
    /// W5: bytes of the host's memory for each run that sleeps and has left memory.
    SleeperMemory,
    /// W5: bytes of the host's memory for each run that sleeps in memory.
    ParkedMemory,
    /// W5: from when a run should wake up to its end: the median in milliseconds.
    LatenessMedian,
    /// W5: the same, the time that 99 of 100 runs keep.
    LatenessHigh,
    /// W5: starts acknowledged a second.
    StartsPerSecond,
    /// W6: from when a run with a journal of so many steps should wake up to its end, in milliseconds.
    Replay(u32),
    /// W9: from start to result of a tenant's runs, which 99 of 100 keep, while it is alone; in milliseconds.
    AloneHigh,
    /// W9: the same while another tenant saturates the host.
    BesideHigh,
    /// W9: the median of it.
    BesideMedian,
    /// W9: runs a second of the other tenant.
    NoisyRunsPerSecond,
    /// Ageing: runs a second on a fresh database.
    FreshRunsPerSecond,
    /// Ageing: runs a second after many finished runs.
    AgedRunsPerSecond,
    /// What everything else on the machine used while loads ran, in percent of one CPU.
    Disturbance,
    /// The database alone, commits of one row a second.
    CommitsPerSecond,
    /// The database alone, one commit of one row: the median in microseconds.
    CommitLatency,
    /// The database alone, rows a second in commits of so many.
    RowsPerSecond(usize),
    /// HTTP alone, one round trip over one connection: the median in microseconds.
    RoundTrip,
    /// HTTP alone, round trips a second over 64 connections.
    RoundTripsPerSecond,
    /// wasmtime alone, with fuel: microseconds for an instance and a call.
    BareCall,
    /// The same without fuel.
    BareCallWithoutFuel,
}

/// What was measured: by workload (none for a limit), runs in flight (0 if that means nothing) and metric.
#[derive(Debug, Default)]
pub(crate) struct Measurements {
    database: Kind,
    values: BTreeMap<(Option<Workload>, u32, Metric), Vec<f64>>,
    /// Values of workloads, each with its limit of the same moment.
    pairs: BTreeMap<(Workload, u32, Metric), Vec<(f64, f64)>>,
}

/// A value and its limit, which took turns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pair {
    /// The median of the values.
    pub(crate) value: f64,
    /// The median of the limits.
    pub(crate) limit: f64,
    /// The median of the values over their limits.
    pub(crate) ratio: f64,
}

impl Measurements {
    /// Of hosts with such a database.
    pub(crate) fn with(database: Kind) -> Self {
        Self { database, ..Self::default() }
    }

    /// What the hosts' database was.
    pub(crate) fn database(&self) -> Kind {
        self.database
    }

    /// Adds a value of a workload.
    pub(crate) fn add(&mut self, workload: Workload, in_flight: u32, metric: Metric, value: f64) {
        self.values.entry((Some(workload), in_flight, metric)).or_default().push(value);
    }

    /// Adds a value of a limit.
    pub(crate) fn add_limit(&mut self, metric: Metric, value: f64) {
        self.values.entry((None, 0, metric)).or_default().push(value);
    }

    /// Adds a value of a workload, and its limit of the same moment.
    pub(crate) fn add_pair(
        &mut self,
        workload: Workload,
        in_flight: u32,
        metric: Metric,
        value: f64,
        limit: f64,
    ) {
        self.pairs.entry((workload, in_flight, metric)).or_default().push((value, limit));
    }

    /// A workload's values beside their limits; `None`: they were not measured.
    pub(crate) fn pair(&self, workload: Workload, in_flight: u32, metric: Metric) -> Option<Pair> {
        let pairs = self.pairs.get(&(workload, in_flight, metric))?;
        let median = |of: fn(&(f64, f64)) -> f64| stats::median(&pairs.iter().map(of).collect::<Vec<_>>());
        Some(Pair {
            value: median(|(value, _)| *value)?,
            limit: median(|(_, limit)| *limit)?,
            ratio: median(|(value, limit)| value / limit)?,
        })
    }

    /// The median of a workload's values; `None`: it was not measured.
    pub(crate) fn of(&self, workload: Workload, in_flight: u32, metric: Metric) -> Option<f64> {
        stats::median(self.values.get(&(Some(workload), in_flight, metric))?)
    }

    /// The median of a limit's values; `None`: it was not measured.
    pub(crate) fn limit(&self, metric: Metric) -> Option<f64> {
        stats::median(self.values.get(&(None, 0, metric))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_disturbs_a_value_and_its_limit_at_the_same_time_is_not_in_the_ratio() {
        let mut measured = Measurements::default();
        for slowness in [1.0, 5.0, 2.0] {
            measured.add_pair(Workload::W1, 1, Metric::Latency, 3.0 * slowness, slowness);
        }
        let pair = Pair { value: 6.0, limit: 2.0, ratio: 3.0 };
        assert_eq!(measured.pair(Workload::W1, 1, Metric::Latency), Some(pair));
        assert_eq!(measured.pair(Workload::W1, 64, Metric::Latency), None);
    }

    #[test]
    fn the_figure_is_the_median_of_the_rounds() {
        let mut measured = Measurements::default();
        for value in [3.0, 1.0, 2.0] {
            measured.add(Workload::W1, 64, Metric::Latency, value);
            measured.add_limit(Metric::Latency, value * 10.0);
        }
        assert_eq!(measured.of(Workload::W1, 64, Metric::Latency), Some(2.0));
        assert_eq!(measured.of(Workload::W1, 1, Metric::Latency), None);
        assert_eq!(measured.limit(Metric::Latency), Some(20.0));
    }
}
