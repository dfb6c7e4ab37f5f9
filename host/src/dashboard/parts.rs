//! Small parts that several pages have.

use chrono::{DateTime, SecondsFormat, Utc};
use maud::{Markup, html};

use crate::printable::Printable;
use forge_clock as clock;
use forge_journal::WorkflowStatus;

/// Returns text of others on one line. Characters that would hide or reorder text are visible.
pub(super) fn text(text: &str) -> Markup {
    html! { (Printable::line(text)) }
}

/// Returns the status of a run: its word, with a colour.
pub(super) fn status(status: WorkflowStatus) -> Markup {
    html! { span.status data-status=(status) { (status) } }
}

/// Returns a point in time, relative to now. The title has it in full; `page.js` keeps the text up to date.
pub(super) fn time(at: DateTime<Utc>) -> Markup {
    html! { time datetime=(at.to_rfc3339_opts(SecondsFormat::Millis, true)) title=(full(at)) { (relative(at)) } }
}

/// Returns a point in time in full, such as `2026-11-30 18:50:04 UTC`.
pub(super) fn full(at: DateTime<Utc>) -> String {
    at.format("%F %T UTC").to_string()
}

/// Returns a point in time relative to now, such as `5 min ago` or `in 2 d 23 h`. What is to come has two units: the second
/// one of a long time may be most of a day.
fn relative(at: DateTime<Utc>) -> String {
    let seconds = (clock::now().0 - at.timestamp_millis()).div_euclid(1_000);
    let distance = seconds.unsigned_abs();
    let (amount, unit, rest, smaller) = match distance {
        0..=1 => return "now".to_owned(),
        2..60 => (distance, "s", 0, ""),
        60..3_600 => (distance / 60, "min", distance % 60, "s"),
        3_600..86_400 => (distance / 3_600, "h", distance % 3_600 / 60, "min"),
        _ => (distance / 86_400, "d", distance % 86_400 / 3_600, "h"),
    };
    match rest {
        _ if seconds > 0 => format!("{amount} {unit} ago"),
        0 => format!("in {amount} {unit}"),
        rest => format!("in {amount} {unit} {rest} {smaller}"),
    }
}

/// Returns how long something took, such as `830 ms`, `12.4 s` or `2 h 5 min`.
pub(super) fn duration(milliseconds: u64) -> String {
    match milliseconds {
        0..1_000 => format!("{milliseconds} ms"),
        1_000..60_000 => format!("{}.{} s", milliseconds / 1_000, milliseconds % 1_000 / 100),
        60_000..3_600_000 => format!("{} min {} s", milliseconds / 60_000, milliseconds % 60_000 / 1_000),
        3_600_000..86_400_000 => {
            format!("{} h {} min", milliseconds / 3_600_000, milliseconds % 3_600_000 / 60_000)
        }
        _ => format!("{} d {} h", milliseconds / 86_400_000, milliseconds % 86_400_000 / 3_600_000),
    }
}

/// The name of the column with buttons. It is not seen.
pub(super) const ACTIONS: &str = "Actions";

/// Returns the head of a table whose rows are cards on a narrow screen (`assets/cards.css`). A browser forgets that they are
/// rows then: the roles say it again, here and in the rows.
pub(super) fn head(columns: &[&str]) -> Markup {
    html! {
        thead role="rowgroup" {
            tr role="row" {
                @for &column in columns {
                    th scope="col" role="columnheader" {
                        @if column == ACTIONS { span.unseen { (column) } } @else { (column) }
                    }
                }
            }
        }
    }
}

/// Returns what a list shows that has no entries: what that means, and what to do next.
pub(super) fn empty(title: &str, body: Markup) -> Markup {
    html! { div.empty { p.title { (title) } (body) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units_at_most() {
        for (milliseconds, shown) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1_000, "1.0 s"),
            (12_449, "12.4 s"),
            (60_000, "1 min 0 s"),
            (7_500_000, "2 h 5 min"),
            (90_000_000, "1 d 1 h"),
        ] {
            assert_eq!(duration(milliseconds), shown);
        }
    }

    #[test]
    fn times_are_relative_to_now() {
        let at =
            |seconds: i64| DateTime::from_timestamp_millis(clock::now().0 + seconds * 1_000 + 500).unwrap();
        assert_eq!(relative(at(-10)), "9 s ago");
        assert_eq!(relative(at(-7_205)), "2 h ago");
        assert_eq!(relative(at(90_000)), "in 1 d 1 h");
        assert_eq!(relative(at(3 * 86_400 - 60)), "in 2 d 23 h");
        assert_eq!(relative(at(7_200)), "in 2 h");
        assert_eq!(relative(at(42)), "in 43 s");
        assert_eq!(relative(at(0)), "now");
    }

    #[test]
    fn text_of_others_is_escaped() {
        let hostile = "<script>alert(1)</script>\u{202e}\u{1b}[2J";
        assert_eq!(text(hostile).into_string(), r"&lt;script&gt;alert(1)&lt;/script&gt;\u{202e}\u{1b}[2J");
    }
}
