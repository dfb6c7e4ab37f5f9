//! The figures as a Markdown table.

use crate::figures::{Figure, Target};

const COLUMNS: [&str; 8] = ["", "in flight", "figure", "value", "limit", "ratio", "target", ""];

/// Columns that are aligned to the right.
const IS_NUMBER: [bool; 8] = [false, true, false, true, false, true, true, false];

/// Returns the figures as a table with aligned columns.
pub(crate) fn markdown(figures: &[&Figure]) -> String {
    let rule = IS_NUMBER.map(|is_number| if is_number { "--:" } else { "---" });
    let head = [COLUMNS, rule].map(|row| row.map(str::to_owned));
    let rows: Vec<[String; 8]> = head.into_iter().chain(figures.iter().map(|figure| cells(figure))).collect();
    let mut widths = [0; 8];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |row: &[String; 8]| {
        let aligned = row.iter().zip(widths).zip(IS_NUMBER).map(|((cell, width), is_number)| {
            if is_number { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        format!("| {} |\n", aligned.collect::<Vec<_>>().join(" | "))
    };
    rows.iter().map(line).collect()
}

fn cells(figure: &Figure) -> [String; 8] {
    let with_unit = |value| format!("{} {}", number(value), figure.unit).trim_end().to_owned();
    [
        format!("{:?}", figure.workload),
        figure.in_flight.map(|in_flight| in_flight.to_string()).unwrap_or_default(),
        figure.name.to_owned(),
        with_unit(figure.value()),
        figure
            .limit()
            .map(|limit| format!("{} ({})", with_unit(limit), figure.limit_name))
            .unwrap_or_default(),
        figure.ratio().map(number).unwrap_or_default(),
        figure.target.map(target).unwrap_or_default(),
        figure.is_reached().map(|yes| if yes { "ok" } else { "MISSED" }).unwrap_or_default().to_owned(),
    ]
}

fn target(target: Target) -> String {
    match target {
        Target::AtLeast(target) => format!("≥ {}", number(target)),
        Target::AtMost(target) => format!("≤ {}", number(target)),
    }
}

fn number(value: f64) -> String {
    let digits = if value.fract() == 0.0 || value.abs() >= 100.0 { 0 } else { 2 };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Workload;

    fn rows() -> Figure {
        let rows = Figure::new(Workload::W1, "journal rows", 120_000.0, "rows/s").in_flight(64);
        rows.against("SQLite", 480_000.0).at_least(0.3)
    }

    #[test]
    fn the_table_says_which_target_is_missed() {
        let latency = Figure::new(Workload::W3, "start to result", 0.51, "ms").at_most(1.0);
        let expected = "\
|     | in flight | figure          |         value | limit                  | ratio | target |        |
| --- |       --: | ---             |           --: | ---                    |   --: |    --: | ---    |
| W1  |        64 | journal rows    | 120000 rows/s | 480000 rows/s (SQLite) |  0.25 | ≥ 0.30 | MISSED |
| W3  |           | start to result |       0.51 ms |                        |       |    ≤ 1 | ok     |
";
        assert_eq!(markdown(&[&rows(), &latency]), expected);
    }
}
