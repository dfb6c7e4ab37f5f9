//! The observable result of one execution of a program, in a form in which two of them can be compared.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use crate::Api;

/// A finished run without what differs from run to run: ids, times, the order of what happened at
/// once. What a program drew is numbered, so that it must be the same wherever it appears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    lines: Vec<String>,
}

impl Execution {
    /// Reads the result of a run that has ended.
    pub async fn of(api: &Api, run: &str) -> Self {
        let mut execution = Self::from(&api.record(run).await, &api.steps(run).await);
        execution.lines.extend(logged(&api.logs(run, "").await));
        execution
    }

    /// Creates the result from a run's record and steps, as the API returns them.
    pub fn from_json(record: &Value, steps: &Value) -> Self {
        Self::from(record, steps.as_array().map_or(&[], Vec::as_slice))
    }

    fn from(record: &Value, steps: &[Value]) -> Self {
        let mut lines = vec![
            format!("run is {}", text(&record["status"])),
            without_ids(&format!("error: {}", error(record))),
            format!("kind of error: {}", record["error_kind"]),
            without_ids(&format!("output: {}", record["output"])),
            format!("published: {}", record["published"]),
        ];
        lines.extend(compensations(steps));
        // How often a program tries to change what others change, too, is left to chance.
        let is_shared = |step: &Value| text(&step["kind"]).starts_with("db");
        let mut rows: Vec<(String, String)> = steps
            .iter()
            .filter(|step| !is_shared(step))
            .map(|step| without_ids(&row(step, steps)))
            .map(|row| (number_drawn(&row, &mut Numbers::Hidden), row))
            .collect();
        rows.sort();
        lines.extend(rows.into_iter().map(|(_, row)| row));
        let mut numbers = Numbers::Of(BTreeMap::new());
        Self { lines: lines.iter().map(|line| number_drawn(line, &mut numbers)).collect() }
    }

    /// Returns the differences, one a line; empty if the two are equal.
    pub fn difference(&self, other: &Self) -> String {
        let mut difference = String::new();
        for (sign, of, from) in [("-", self, other), ("+", other, self)] {
            let mut left = from.lines.clone();
            for line in &of.lines {
                match left.iter().position(|known| known == line) {
                    Some(known) => _ = left.swap_remove(known),
                    None => writeln!(difference, "{sign} {line}").expect("a string takes all"),
                }
            }
        }
        if difference.is_empty() && self != other {
            difference = format!("the same lines in another order:\n{self:#?}\n{other:#?}");
        }
        difference
    }
}

/// The lines that the run has logged, with their steps and attempts. Those of parallel branches may differ in their order.
fn logged(lines: &[Value]) -> Vec<String> {
    let line =
        |line: &Value| format!("log of {}[{}]: {}", line["step"], line["attempt"], text(&line["message"]));
    let mut lines: Vec<String> = lines.iter().map(line).collect();
    lines.sort();
    lines
}

/// The compensations, in the order in which they began.
fn compensations(steps: &[Value]) -> Vec<String> {
    let compensations = steps.iter().filter(|step| step["kind"] == "compensation");
    compensations
        .enumerate()
        .map(|(place, step)| format!("compensation {}: {}", place + 1, text(&step["step_name"])))
        .collect()
}

/// A row of the journal, with the way to it from the workflow's body.
fn row(step: &Value, steps: &[Value]) -> String {
    let mut row = format!("{} {} is {}", text(&step["kind"]), path(step, steps), text(&step["status"]));
    write!(row, ", attempt {}, result {}", step["attempt"], result(step)).expect("a string takes all");
    // Whether a request had left when it was dropped, and whether its answer came later, is a matter of time.
    if step["error_kind"] != "in-doubt" {
        write!(row, ", error {} {}", step["error_kind"], step["error"]).expect("a string takes all");
    } else {
        write!(row, ", error null null").expect("a string takes all");
    }
    row
}

/// The error of a run, without the requests in doubt.
fn error(record: &Value) -> Value {
    let Some(error) = record["error"].as_str() else { return Value::Null };
    let in_doubt = record["in_doubt"].as_array().into_iter().flatten();
    let left =
        in_doubt.fold(error.to_owned(), |error, doubt| error.replace(&format!("; {}", text(doubt)), ""));
    left.into()
}

fn path(step: &Value, steps: &[Value]) -> String {
    let name = text(&step["step_name"]);
    let parent = steps.iter().find(|other| !step["parent"].is_null() && other["seq"] == step["parent"]);
    match parent {
        Some(parent) => format!("{}[{}] > {name}", path(parent, steps), step["parent_attempt"]),
        None => name.to_owned(),
    }
}

/// The result, without what no replay needs to repeat: the time itself, the answer's headers, which say
/// when it was given, and whether its request was sent again after a kill.
fn result(step: &Value) -> Value {
    if step["status"] == "skipped" {
        return Value::Null;
    }
    let mut result = step["result"].clone();
    match text(&step["kind"]) {
        "time" => Value::Null,
        "http" => {
            if let Some(answer) = result.as_object_mut() {
                answer.remove("headers");
                answer.remove("resent");
            }
            result
        }
        _ => result,
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Replaces the ids of runs, which differ from run to run. What a program drew stays.
fn without_ids(line: &str) -> String {
    const LENGTH: usize = 36;
    let mut replaced = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(next) = rest.chars().next() {
        let is_drawn = replaced.ends_with([':', '-']);
        let id = rest.get(..LENGTH).filter(|id| !is_drawn && uuid::Uuid::try_parse(id).is_ok());
        match id {
            Some(_) => replaced.push_str("(a run)"),
            None => replaced.push(next),
        }
        rest = &rest[id.map_or(next.len_utf8(), str::len)..];
    }
    replaced
}

enum Numbers {
    /// Everything drawn looks the same.
    Hidden,
    /// In the order in which it first appears.
    Of(BTreeMap<String, usize>),
}

/// Replaces what a program drew. It begins with `drawn:` wherever it appears.
fn number_drawn(line: &str, numbers: &mut Numbers) -> String {
    const MARK: &str = "drawn:";
    let mut pieces = line.split(MARK);
    let mut numbered = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == ':' || c == '-';
        let end = piece.find(|c| !is_part(c)).unwrap_or(piece.len());
        let (drawn, rest) = piece.split_at(end);
        numbered.push_str(MARK);
        if let Numbers::Of(known) = numbers {
            let next = known.len() + 1;
            let number = known.entry(drawn.to_owned()).or_insert(next);
            numbered.push_str(&number.to_string());
        }
        numbered.push_str(rest);
    }
    numbered
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn execution(output: &str, sent: &str, order: [&str; 2]) -> Execution {
        let record = json!({"id": output, "status": "completed", "output": [output]});
        let step = |seq: usize, kind: &str, name: &str, parent: Option<usize>| {
            json!({
                "seq": seq, "kind": kind, "step_name": name, "parent": parent, "parent_attempt": parent.map(|_| 1),
                "status": "completed", "attempt": 1, "result": {"body": sent},
            })
        };
        let mut steps = [
            step(1, "step", order[0], None),
            step(2, "step", order[1], None),
            step(3, "http", "POST /effects/a", Some(if order[0] == "a" { 1 } else { 2 })),
        ];
        steps[2]["result"]["headers"] = json!([["date", output]]);
        Execution::from(&record, &steps)
    }

    #[test]
    fn what_was_drawn_and_the_order_of_parallel_steps_may_differ() {
        let one = execution("drawn:1f", "drawn:1f", ["a", "b"]);
        let other = execution("drawn:2e:7", "drawn:2e:7", ["b", "a"]);
        assert_eq!(one.difference(&other), "");
    }

    #[test]
    fn what_was_drawn_is_the_same_wherever_it_appears() {
        let one = execution("drawn:1", "drawn:1", ["a", "b"]);
        let other = execution("drawn:1", "drawn:2", ["a", "b"]);
        assert_ne!(one.difference(&other), "");
    }
}
