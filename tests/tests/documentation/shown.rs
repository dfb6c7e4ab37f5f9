//! What a page shows of an output, compared with what a command printed.

use std::sync::LazyLock;

use regex_lite::Regex;

/// What differs each time, and the name that takes its place.
const DIFFERENT: [(&str, &str); 7] = [
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "ID"),
    (r"\b[0-9a-f]{12}\b", "DIGEST"),
    (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d", "TIME"),
    (r"\b\d+(\.\d+)? (ms|s|min|KiB|MiB)\b", "AMOUNT"),
    (r"127\.0\.0\.1:\d+", "ADDRESS"),
    // A column is as wide as its widest cell, which may be an amount.
    (r"\s{2,}", "  "),
    (r"\s+$", ""),
];

static PATTERNS: LazyLock<Vec<(Regex, &str)>> =
    LazyLock::new(|| DIFFERENT.iter().map(|(pattern, name)| (Regex::new(pattern).unwrap(), *name)).collect());

/// Returns the first of these lines that a command has not printed, after the ones before it.
pub(crate) fn missing<'a>(shown: &'a [String], printed: &str) -> Option<&'a str> {
    let mut printed = printed.lines().map(normal);
    shown.iter().map(String::as_str).find(|line| {
        let line = normal(line);
        !printed.any(|printed| printed == line)
    })
}

/// Returns a line with names for what differs each time.
fn normal(line: &str) -> String {
    PATTERNS
        .iter()
        .fold(line.to_owned(), |line, (pattern, name)| pattern.replace_all(&line, *name).into_owned())
}

#[test]
fn lines_may_be_left_out_and_neither_changed_nor_moved() {
    let printed = "one  12 ms\ntwo\nthree 127.0.0.1:7070  \n";
    let lines = |lines: &[&str]| lines.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(missing(&lines(&["one    3.5 s", "three 127.0.0.1:1"]), printed), None);
    assert_eq!(missing(&lines(&["one  12 ms", "zwei"]), printed), Some("zwei"));
    assert_eq!(missing(&lines(&["two", "one  12 ms"]), printed), Some("one  12 ms"));
}
