//! The value of `--input`: JSON, `@FILE`, or `@-` for the standard input.

use std::io::Read;
use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;

use super::CliError;

/// Reads and parses it.
pub(super) fn read(argument: &str) -> Result<Value, CliError> {
    match argument.strip_prefix('@') {
        None => parse(argument, "--input").map_err(|message| CliError::Usage(message + &hint(argument))),
        Some("-") => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("cannot read the standard input")?;
            parse(&text, "the standard input").map_err(CliError::Usage)
        }
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
            parse(&text, path).map_err(CliError::Usage)
        }
    }
}

fn parse(text: &str, name: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("{name} is no JSON: {error}"))
}

/// The usual mistakes: a file without its `@`, a text without its quotes.
fn hint(argument: &str) -> String {
    if Path::new(argument).is_file() {
        format!(". To read the file: --input @{argument}")
    } else if argument.chars().all(|character| character.is_alphanumeric() || "-_. ".contains(character)) {
        format!(". A text needs quotes: --input '\"{argument}\"'")
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(argument: &str) -> String {
        match read(argument).unwrap_err() {
            CliError::Usage(message) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_input_is_json_or_a_file() {
        assert_eq!(read(r#"{"n":1}"#).unwrap(), serde_json::json!({"n": 1}));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("input.json");
        std::fs::write(&file, "[1, 2]").unwrap();
        assert_eq!(read(&format!("@{}", file.display())).unwrap(), serde_json::json!([1, 2]));
    }

    #[test]
    fn a_mistake_is_answered_with_what_was_probably_meant() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("input.json").display().to_string();
        std::fs::write(&file, "{}").unwrap();
        assert!(usage(&file).ends_with(&format!("To read the file: --input @{file}")));
        assert!(usage("hello").ends_with("A text needs quotes: --input '\"hello\"'"));
        assert_eq!(usage("{\"a\":}"), "--input is no JSON: expected value at line 1 column 6");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        assert!(read("@/nowhere.json").unwrap_err().to_string().starts_with("cannot read /nowhere.json: "));
    }
}
