//! What a tenant used over time: a plot for each amount, and a table with the same figures.

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::amounts::with_unit;
use crate::config::Unit;
use crate::dashboard::view::View;
use crate::tenants::UsageReport;
use forge_clock as clock;
use forge_journal::Timestamp;
use forge_store::directory::Amounts;

const HOUR_MS: i64 = 3_600_000;

/// A period that is shown, in parts of equal length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Period {
    /// Its name in the URL.
    name: &'static str,
    title: &'static str,
    parts: usize,
    /// The hours of a part.
    hours: i64,
}

const PERIODS: [Period; 3] = [
    Period { name: "day", title: "24 hours", parts: 24, hours: 1 },
    Period { name: "week", title: "7 days", parts: 28, hours: 6 },
    Period { name: "month", title: "30 days", parts: 30, hours: 24 },
];

/// An amount that is shown.
struct Series {
    title: &'static str,
    unit: Unit,
    of: fn(&Amounts) -> u64,
}

const SERIES: [Series; 6] = [
    Series { title: "Runs started", unit: Unit::Count, of: |amounts| amounts.runs },
    Series { title: "Calls", unit: Unit::Count, of: |amounts| amounts.steps },
    Series { title: "Requests", unit: Unit::Count, of: |amounts| amounts.http_requests },
    Series { title: "Fuel", unit: Unit::Fuel, of: |amounts| amounts.fuel },
    Series { title: "Time in memory", unit: Unit::Milliseconds, of: |amounts| amounts.run_ms },
    Series { title: "Journals written", unit: Unit::Bytes, of: |amounts| amounts.journal_bytes },
];

/// The size of a plot, and of a bar with the gap beside it, in units of the drawing.
const HEIGHT: u64 = 48;
const BAR: usize = 8;
const STRIDE: usize = 10;

impl Period {
    /// Returns the period with this name, or the shortest one.
    pub(super) fn named(name: Option<&str>) -> Self {
        let named = PERIODS.into_iter().find(|period| Some(period.name) == name);
        named.unwrap_or(PERIODS[0])
    }

    /// Returns the begin and the end. The last part contains the present.
    pub(super) fn bounds(self) -> (Timestamp, Timestamp) {
        let part = self.hours * HOUR_MS;
        let end = (clock::now().0.div_euclid(part) + 1) * part;
        (Timestamp(end - self.length()), Timestamp(end))
    }

    fn length(self) -> i64 {
        self.hours * HOUR_MS * i64::try_from(self.parts).unwrap_or(i64::MAX / HOUR_MS)
    }

    /// Returns the sum of each part.
    fn sums(self, from: Timestamp, report: &UsageReport) -> Vec<Amounts> {
        let mut sums = vec![Amounts::default(); self.parts];
        for hour in &report.hours {
            let part = (hour.hour.timestamp_millis() - from.0).div_euclid(self.hours * HOUR_MS);
            if let Some(sum) = usize::try_from(part).ok().and_then(|part| sums.get_mut(part)) {
                *sum = *sum + hour.amounts;
            }
        }
        sums
    }

    /// Returns when each part begins.
    fn begins(self, from: Timestamp) -> impl Iterator<Item = DateTime<Utc>> {
        (0..).map(move |part| Timestamp(from.0 + part * self.hours * HOUR_MS).to_datetime())
    }
}

/// Returns the section about the usage since `from`.
pub(super) fn section(
    view: &View,
    tenant: &str,
    period: Period,
    from: Timestamp,
    report: &UsageReport,
) -> Markup {
    let sums = period.sums(from, report);
    html! {
        section.usage aria-labelledby="usage" {
            div.head {
                h2 #usage { "Usage in " (period.title) }
                nav.actions aria-label="Period" {
                    @for other in PERIODS {
                        a.button href=(view.href_with(&["tenants", tenant], &[("period", other.name)]))
                            aria-current=[(other == period).then_some("true")] { (other.title) }
                    }
                }
            }
            div.plots { @for series in &SERIES { (plot(series, period, from, &sums)) } }
            details {
                summary { "The same as a table" }
                (table(period, from, &sums))
            }
        }
    }
}

/// Returns one plot. The figures are in the table, too, so a screen reader gets the sum alone.
fn plot(series: &Series, period: Period, from: Timestamp, sums: &[Amounts]) -> Markup {
    let values: Vec<u64> = sums.iter().map(series.of).collect();
    let most = values.iter().copied().max().unwrap_or_default();
    let sum = values.iter().fold(0_u64, |sum, value| sum.saturating_add(*value));
    let shown = |value| with_unit(series.unit, value);
    html! {
        figure.plot {
            figcaption { span { (series.title) } strong { (shown(sum)) } }
            svg viewBox={ "0 0 " (STRIDE * sums.len()) " " (HEIGHT) } preserveAspectRatio="none" role="img"
                aria-label={ (series.title) ": " (shown(sum)) " in all, at most " (shown(most)) " at once" } {
                @for (at, (value, begin)) in values.iter().zip(period.begins(from)).enumerate() {
                    g {
                        title { (time(begin)) ": " (shown(*value)) }
                        // The whole column, so that its title is found.
                        rect.back x=(at * STRIDE) y="0" width=(STRIDE) height=(HEIGHT) {}
                        rect.amount x=(at * STRIDE) y=(HEIGHT - height(*value, most)) width=(BAR) height=(height(*value, most)) {}
                    }
                }
            }
        }
    }
}

/// Returns the height of a bar. What is not nothing is visible.
fn height(value: u64, most: u64) -> u64 {
    let scaled = u128::from(value) * u128::from(HEIGHT) / u128::from(most.max(1));
    u64::try_from(scaled).unwrap_or(HEIGHT).max(u64::from(value > 0))
}

fn table(period: Period, from: Timestamp, sums: &[Amounts]) -> Markup {
    html! {
        div.scroll {
            table {
                caption.unseen { "Usage in " (period.title) }
                thead {
                    tr {
                        th scope="col" { "From (UTC)" }
                        @for series in &SERIES { th.number scope="col" { (series.title) } }
                    }
                }
                tbody {
                    @for (sum, begin) in sums.iter().zip(period.begins(from)) {
                        tr {
                            th scope="row" { (time(begin)) }
                            @for series in &SERIES { td.number { (with_unit(series.unit, (series.of)(sum))) } }
                        }
                    }
                }
            }
        }
    }
}

fn time(at: DateTime<Utc>) -> String {
    at.format("%F %H:%M").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenants::Usage;

    #[test]
    fn hours_are_summed_up_by_the_parts_of_the_period() {
        let period = Period::named(Some("week"));
        let (from, until) = period.bounds();
        assert_eq!(until.0 - from.0, 7 * 24 * HOUR_MS);
        let hour = |hour: i64, runs| Usage {
            tenant: "acme".to_owned(),
            hour: Timestamp(from.0 + hour * HOUR_MS).to_datetime(),
            amounts: Amounts { runs, ..Amounts::default() },
        };
        let hours = vec![hour(-1, 1_000), hour(0, 1), hour(5, 2), hour(6, 4), hour(167, 8), hour(168, 1_000)];
        let report = UsageReport { hours, total: Amounts::default(), storage_bytes: 0 };
        let runs: Vec<u64> = period.sums(from, &report).iter().map(|sum| sum.runs).collect();
        assert_eq!((runs[0], runs[1], runs[27], runs.iter().sum::<u64>()), (3, 4, 8, 15));
        assert_eq!(Period::named(Some("x")), PERIODS[0]);
    }

    #[test]
    fn bars_are_in_proportion_and_something_is_never_nothing() {
        assert_eq!([height(0, 0), height(0, 9), height(1, u64::MAX)], [0, 0, 1]);
        assert_eq!([height(u64::MAX, u64::MAX), height(1, 2)], [HEIGHT, HEIGHT / 2]);
    }
}
