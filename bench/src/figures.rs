//! Figures, their limits and their targets.

use crate::stats;
use crate::workload::Workload;

/// A figure: one row of the table.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    pub(crate) workload: Workload,
    pub(crate) in_flight: Option<u32>,
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) limit_name: &'static str,
    pub(crate) target: Option<Target>,
    /// Values, each with its limit if there is one.
    samples: Vec<(f64, Option<f64>)>,
}

/// The target of a figure: of the ratio to its limit if there is one, or else of its value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
}

impl Figure {
    /// A figure that was measured once.
    pub(crate) fn new(workload: Workload, name: &'static str, value: f64, unit: &'static str) -> Self {
        let samples = vec![(value, None)];
        Self { workload, in_flight: None, name, unit, limit_name: "", target: None, samples }
    }

    pub(crate) fn in_flight(self, in_flight: u32) -> Self {
        Self { in_flight: Some(in_flight), ..self }
    }

    /// Sets the limit, which was measured close to the value.
    pub(crate) fn against(self, limit_name: &'static str, limit: f64) -> Self {
        let samples = self.samples.iter().map(|(value, _)| (*value, Some(limit))).collect();
        Self { limit_name, samples, ..self }
    }

    pub(crate) fn at_least(self, target: f64) -> Self {
        Self { target: Some(Target::AtLeast(target)), ..self }
    }

    pub(crate) fn at_most(self, target: f64) -> Self {
        Self { target: Some(Target::AtMost(target)), ..self }
    }

    /// The median of the values.
    pub(crate) fn value(&self) -> f64 {
        self.median(|(value, _)| Some(*value)).unwrap_or(f64::NAN)
    }

    /// The median of the limits.
    pub(crate) fn limit(&self) -> Option<f64> {
        self.median(|(_, limit)| *limit)
    }

    /// The median of the values over their limits.
    pub(crate) fn ratio(&self) -> Option<f64> {
        self.median(|(value, limit)| Some(value / (*limit)?))
    }

    /// Whether the target is reached; `None` if there is no target.
    pub(crate) fn is_reached(&self) -> Option<bool> {
        let compared = self.ratio().unwrap_or_else(|| self.value());
        self.target.map(|target| match target {
            Target::AtLeast(target) => compared >= target,
            Target::AtMost(target) => compared <= target,
        })
    }

    fn median(&self, of: impl Fn(&(f64, Option<f64>)) -> Option<f64>) -> Option<f64> {
        stats::median(&self.samples.iter().filter_map(of).collect::<Vec<_>>()).ok()
    }
}

/// All figures that were measured.
#[derive(Default)]
pub(crate) struct Figures(Vec<Figure>);

impl Figures {
    /// Adds a figure, or another sample of one that was added before.
    pub(crate) fn add(&mut self, figure: Figure) {
        let key = |figure: &Figure| (figure.workload, figure.in_flight, figure.name);
        match self.0.iter_mut().find(|known| key(known) == key(&figure)) {
            Some(known) => known.samples.extend(figure.samples),
            None => self.0.push(figure),
        }
    }

    /// The figures by workload, in the order in which they were added.
    pub(crate) fn sorted(&self) -> Vec<&Figure> {
        let mut figures: Vec<&Figure> = self.0.iter().collect();
        figures.sort_by_key(|figure| figure.workload);
        figures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(value: f64) -> Figure {
        Figure::new(Workload::W1, "rows", value, "rows/s")
    }

    #[test]
    fn a_target_is_about_the_ratio_if_there_is_a_limit_and_else_about_the_value() {
        assert_eq!(figure(30.0).against("SQLite", 100.0).at_least(0.25).is_reached(), Some(true));
        assert_eq!(figure(20.0).against("SQLite", 100.0).at_least(0.25).is_reached(), Some(false));
        assert_eq!(figure(2.0).at_most(2.0).is_reached(), Some(true));
        assert_eq!(figure(2.1).at_most(2.0).is_reached(), Some(false));
        assert_eq!(figure(2.1).is_reached(), None);
    }

    #[test]
    fn what_disturbs_a_value_and_its_limit_at_the_same_time_is_not_in_the_ratio() {
        let mut figures = Figures::default();
        for slowness in [1.0, 5.0, 2.0] {
            figures.add(figure(3.0 * slowness).against("SQLite", slowness));
        }
        figures.add(figure(1.0).in_flight(64));
        let [figure, other] = figures.sorted()[..] else { panic!("there are two figures") };
        assert_eq!((figure.value(), figure.limit(), figure.ratio()), (6.0, Some(2.0), Some(3.0)));
        assert_eq!((other.value(), other.ratio()), (1.0, None));
    }
}
