use serde_json::json;

use super::Figure;
use super::table::target_text;
use crate::database::Kind;
use crate::workloads::Workload;

/// The figure for a program, on one line.
pub(crate) fn json_line(database: Kind, figure: &Figure) -> String {
    json!({
        "database": database.name(),
        "workload": figure.workload.map_or("limit", Workload::name),
        "in_flight": figure.in_flight,
        "figure": figure.name,
        "value": figure.value,
        "unit": figure.unit,
        "limit": figure.limit.as_ref().map(|(_, limit)| limit),
        "limit_name": figure.limit.as_ref().map(|(name, _)| name),
        "ratio": figure.ratio,
        "target": figure.target.map(target_text),
        "ok": figure.is_ok(),
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_all_that_the_table_has() {
        let figure = Figure::of(Workload::W1, "journal rows", 50.0, "rows/s");
        let line = json_line(Kind::Sqlite, &figure.in_flight(64).against("SQLite", 100.0).at_least(0.25));
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            value,
            json!({
                "database": "SQLite", "workload": "W1", "in_flight": 64, "figure": "journal rows", "value": 50.0,
                "unit": "rows/s", "limit": 100.0, "limit_name": "SQLite", "ratio": 0.5, "target": "≥ 0.25", "ok": true,
            })
        );
    }
}
