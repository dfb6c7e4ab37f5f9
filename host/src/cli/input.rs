//! The value of `--input`: JSON, `@FILE`, or `@-` or `-` for standard input.

use std::io::Read;
use std::path::Path;

use anyhow::Context as _;

use super::CliError;
use forge_journal::{MOST_DEPTH, is_too_deep};

use crate::encoding;
use forge_journal::Document;

/// Reads and parses the input.
pub(super) fn read(argument: &str) -> Result<Document, CliError> {
    read_option("--input", argument)
}

/// Reads and parses the value of an option that is given like the input.
pub(super) fn read_option(option: &str, argument: &str) -> Result<Document, CliError> {
    match argument.strip_prefix('@') {
        None if argument == "-" => read_option(option, "@-"),
        None => parse(argument.as_bytes(), option)
            .map_err(|message| CliError::Usage(message + &hint(option, argument))),
        Some("-") => {
            let mut bytes = Vec::new();
            std::io::stdin().read_to_end(&mut bytes).context("cannot read standard input")?;
            parse(&bytes, "standard input").map_err(CliError::Usage)
        }
        Some(path) => {
            let bytes = std::fs::read(path).with_context(|| format!("cannot read {path}"))?;
            parse(&bytes, path).map_err(CliError::Usage)
        }
    }
}

fn parse(bytes: &[u8], name: &str) -> Result<Document, String> {
    let text = encoding::utf8(bytes).map_err(|why| format!("{name} {why}"))?;
    Document::parse(text).map_err(|error| match is_too_deep(text) {
        true => format!("{name} has more than {MOST_DEPTH} levels of arrays and objects"),
        false => format!("{name} is not valid JSON: {error}"),
    })
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
        assert_eq!(read(r#"{"n": 1}"#).unwrap().to_string(), r#"{"n":1}"#);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("input.json");
        for text in ["[1, 2]", "\u{feff}[1, 2]"] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(read(&format!("@{}", file.display())).unwrap().to_string(), "[1,2]");
        }
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
    fn a_file_in_utf_16_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("input.json").display().to_string();
        let utf16: Vec<u8> = "\u{feff}{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
        std::fs::write(&file, utf16).unwrap();
        assert_eq!(usage(&format!("@{file}")), format!("{file} is encoded in UTF-16: encode it in UTF-8"));
    }

    #[test]
    fn a_missing_file_is_named() {
        assert!(read("@/nowhere.json").unwrap_err().to_string().starts_with("cannot read /nowhere.json: "));
    }
}
