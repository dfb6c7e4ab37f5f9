//! The figures for people.

use super::Figure;
use super::figure::Target;
use crate::workloads::Workload;

const COLUMNS: [&str; 8] = ["", "in flight", "figure", "value", "limit", "ratio", "target", ""];

/// Columns with numbers, which end at the same place.
const NUMBERS: [bool; 8] = [false, true, false, true, false, true, true, false];

/// The table for a terminal.
pub(crate) fn text(figures: &[Figure]) -> String {
    let rows: Vec<[String; 8]> = figures.iter().map(cells).collect();
    let mut widths = COLUMNS.map(|name| name.chars().count());
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |cells: [String; 8]| {
        let aligned = cells.into_iter().zip(widths).zip(NUMBERS).map(|((cell, width), is_number)| {
            if is_number { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        aligned.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    let head = line(COLUMNS.map(str::to_owned));
    std::iter::once(head).chain(rows.into_iter().map(line)).collect()
}

/// The same as Markdown.
pub(crate) fn markdown(figures: &[Figure]) -> String {
    let line = |cells: [String; 8]| format!("| {} |\n", cells.join(" | "));
    let head = line(COLUMNS.map(str::to_owned));
    let rule = line(NUMBERS.map(|is_number| if is_number { "--:" } else { "---" }.to_owned()));
    [head, rule].into_iter().chain(figures.iter().map(|figure| line(cells(figure)))).collect()
}

fn cells(figure: &Figure) -> [String; 8] {
    let limit = figure.limit.as_ref();
    [
        figure.workload.map_or("limit", Workload::name).to_owned(),
        figure.in_flight.map(|in_flight| in_flight.to_string()).unwrap_or_default(),
        figure.name.clone(),
        format!("{} {}", number(figure.value), figure.unit).trim_end().to_owned(),
        limit.map(|(name, limit)| format!("{} {} ({name})", number(*limit), figure.unit)).unwrap_or_default(),
        figure.ratio.map(number).unwrap_or_default(),
        figure.target.map(target_text).unwrap_or_default(),
        figure.is_ok().map(|is_ok| if is_ok { "ok" } else { "MISSED" }).unwrap_or_default().to_owned(),
    ]
}

/// `≥ 0.25`.
pub(super) fn target_text(target: Target) -> String {
    match target {
        Target::AtLeast(target) => format!("≥ {}", number(target)),
        Target::AtMost(target) => format!("≤ {}", number(target)),
    }
}

/// With as many digits as mean something.
fn number(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude >= 1_000.0 {
        return with_commas(value.round() as i64);
    }
    let digits = if magnitude >= 100.0 || value.fract() == 0.0 {
        0
    } else if magnitude >= 10.0 {
        1
    } else if magnitude >= 0.1 {
        2
    } else {
        3
    };
    format!("{value:.digits$}")
}

fn with_commas(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::from(if value < 0 { "-" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures() -> [Figure; 2] {
        let rows = Figure::of(Workload::W1, "journal rows", 120_000.0, "rows/s").in_flight(64);
        let latency = Figure::of(Workload::W3, "start to result", 0.51, "ms");
        [rows.against("SQLite alone", 480_000.0).at_least(0.3), latency.at_most(1.0)]
    }

    #[test]
    fn numbers_have_as_many_digits_as_mean_something() {
        let texts = [1_234_567.8, 999.4, 12.34, 1.234, 0.0123, 5.0, -1_500.0].map(number);
        assert_eq!(texts, ["1,234,568", "999", "12.3", "1.23", "0.012", "5", "-1,500"]);
    }

    #[test]
    fn the_table_says_which_target_is_missed() {
        let expected = "    in flight  figure                    value  limit                          ratio  target\n\
                        W1         64  journal rows     120,000 rows/s  480,000 rows/s (SQLite alone)   0.25  ≥ 0.30  MISSED\n\
                        W3             start to result         0.51 ms                                           ≤ 1  ok\n";
        assert_eq!(text(&figures()), expected);
    }

    #[test]
    fn markdown_has_a_rule_below_the_head() {
        let text = markdown(&figures());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "| --- | --: | --- | --: | --- | --: | --: | --- |");
        assert_eq!(lines[3], "| W3 |  | start to result | 0.51 ms |  |  | ≤ 1 | ok |");
    }
}
