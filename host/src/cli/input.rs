//! The value of `--input`: JSON, `@FILE`, or `@-` for standard input.

use std::io::Read;
use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;

use super::CliError;

/// Reads and parses the input.
pub(super) fn read(argument: &str) -> Result<Value, CliError> {
    read_option("--input", argument)
}

/// Reads and parses the value of an option that is given like the input.
pub(super) fn read_option(option: &str, argument: &str) -> Result<Value, CliError> {
    match argument.strip_prefix('@') {
        None => parse(argument, option).map_err(|message| CliError::Usage(message + &hint(option, argument))),
        Some("-") => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
            parse(&text, "standard input").map_err(CliError::Usage)
        }
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
            parse(&text, path).map_err(CliError::Usage)
        }
    }
}

fn parse(text: &str, name: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("{name} is not valid JSON: {error}"))
}

/// Returns a hint for the usual mistakes: a file without `@`, a string without quotes.
fn hint(option: &str, argument: &str) -> String {
    if Path::new(argument).is_file() {
        format!(". To read the file: {option} @{argument}")
    } else if argument.chars().all(|character| character.is_alphanumeric() || "-_. ".contains(character)) {
        format!(". A string needs quotes: {option} '\"{argument}\"'")
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
    fn the_error_hints_at_what_was_probably_meant() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("input.json").display().to_string();
        std::fs::write(&file, "{}").unwrap();
        assert!(usage(&file).ends_with(&format!("To read the file: --input @{file}")));
        assert!(usage("hello").ends_with("A string needs quotes: --input '\"hello\"'"));
        assert_eq!(usage("{\"a\":}"), "--input is not valid JSON: expected value at line 1 column 6");
    }

    #[test]
    fn a_missing_file_is_named() {
        assert!(read("@/nowhere.json").unwrap_err().to_string().starts_with("cannot read /nowhere.json: "));
    }
}
