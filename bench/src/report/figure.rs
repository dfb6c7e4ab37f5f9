//! One figure beside its limit.

use crate::measurements::Pair;
use crate::workloads::Workload;

/// A figure: what it is, what limits it, and what it should be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Figure {
    /// The workload; `None` for a limit.
    pub(crate) workload: Option<Workload>,
    /// Runs in flight, where that means something.
    pub(crate) in_flight: Option<u32>,
    /// What it is.
    pub(crate) name: String,
    /// Its value.
    pub(crate) value: f64,
    /// The value's unit.
    pub(crate) unit: &'static str,
    /// What the value is held against, and its name.
    pub(crate) limit: Option<(String, f64)>,
    /// The value over its limit.
    pub(crate) ratio: Option<f64>,
    /// What should be.
    pub(crate) target: Option<Target>,
}

/// What should be: of the ratio to the limit if there is a limit, else of the value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Target {
    /// At least so much.
    AtLeast(f64),
    /// At most so much.
    AtMost(f64),
}

impl Figure {
    /// A figure of a workload.
    pub(crate) fn of(workload: Workload, name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        let name = name.into();
        Self {
            workload: Some(workload),
            in_flight: None,
            name,
            value,
            unit,
            limit: None,
            ratio: None,
            target: None,
        }
    }

    /// A limit, which is a figure of no workload.
    pub(crate) fn of_limit(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        let name = name.into();
        Self { workload: None, in_flight: None, name, value, unit, limit: None, ratio: None, target: None }
    }

    /// With so many runs in flight.
    pub(crate) fn in_flight(self, in_flight: u32) -> Self {
        Self { in_flight: Some(in_flight), ..self }
    }

    /// Held against this.
    pub(crate) fn against(self, name: impl Into<String>, limit: f64) -> Self {
        Self { limit: Some((name.into(), limit)), ratio: Some(self.value / limit), ..self }
    }

    /// Held against what was measured in turns with it.
    pub(crate) fn in_turns_with(self, name: impl Into<String>, pair: Pair) -> Self {
        Self { value: pair.value, ratio: Some(pair.ratio), ..self.against(name, pair.limit) }
    }

    /// It should be at least so much, or so much of its limit.
    pub(crate) fn at_least(self, target: f64) -> Self {
        Self { target: Some(Target::AtLeast(target)), ..self }
    }

    /// It should be at most so much, or so much of its limit.
    pub(crate) fn at_most(self, target: f64) -> Self {
        Self { target: Some(Target::AtMost(target)), ..self }
    }

    /// Whether the target is reached; `None` if there is none.
    pub(crate) fn is_ok(&self) -> Option<bool> {
        let held = self.ratio.unwrap_or(self.value);
        self.target.map(|target| match target {
            Target::AtLeast(target) => held >= target,
            Target::AtMost(target) => held <= target,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(value: f64) -> Figure {
        Figure::of(Workload::W1, "rows", value, "rows/s")
    }

    #[test]
    fn a_target_is_about_the_ratio_where_there_is_a_limit() {
        assert_eq!(figure(30.0).against("SQLite", 100.0).at_least(0.25).is_ok(), Some(true));
        assert_eq!(figure(20.0).against("SQLite", 100.0).at_least(0.25).is_ok(), Some(false));
    }

    #[test]
    fn a_target_is_about_the_value_where_there_is_none() {
        assert_eq!(figure(2.0).at_most(2.0).is_ok(), Some(true));
        assert_eq!(figure(2.1).at_most(2.0).is_ok(), Some(false));
        assert_eq!(figure(2.1).is_ok(), None);
    }
}
