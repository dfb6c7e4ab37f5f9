//! JSON documents that are carried as they were sent.
//!
//! A number may have more digits than any type of Rust, and an object's order may matter to its reader. So the host does not
//! read a document that it passes on.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::depth::{MOST_DEPTH, is_too_deep};

/// A JSON document, as the bytes that were sent without insignificant whitespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document(Arc<str>);

/// The error of a document that a guest or a database could not read, although it is JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDocument {
    /// Too many arrays and objects within one another.
    #[error("it has more than {MOST_DEPTH} levels of arrays and objects")]
    TooDeep,
    /// `\ud800` without its other half.
    #[error("a string has half a surrogate pair, which is no character")]
    LoneSurrogate,
}

impl Document {
    /// Reads a document. [`Document::check`] tells whether everybody else can.
    ///
    /// # Errors
    /// [`serde_json::Error`] if the text is not JSON.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// Returns the document of a value.
    ///
    /// # Errors
    /// [`serde_json::Error`] if the value has no JSON form.
    pub fn of(value: &impl Serialize) -> Result<Self, serde_json::Error> {
        Ok(Self(serde_json::to_string(value)?.into()))
    }

    /// Returns a document of the journal. One that was changed by hand and is no longer JSON is shown as a string.
    pub fn stored(text: Arc<str>) -> Self {
        Self(text)
    }

    /// Returns the text.
    pub fn text(&self) -> &Arc<str> {
        &self.0
    }

    /// Returns the value. Numbers beyond 64 bits lose digits.
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.0).unwrap_or_else(|_| Value::String(self.0.to_string()))
    }

    /// Checks that a guest can read the document.
    ///
    /// # Errors
    /// [`InvalidDocument`] if it is too deep, or a string is not Unicode.
    pub fn check(&self) -> Result<(), InvalidDocument> {
        if is_too_deep(&self.0) {
            return Err(InvalidDocument::TooDeep);
        }
        let mut rest = self.0.as_bytes();
        while let [first, tail @ ..] = rest {
            rest = tail;
            if *first == b'"' {
                let (string, after) = split_string(rest);
                if has_lone_surrogate(string) {
                    return Err(InvalidDocument::LoneSurrogate);
                }
                rest = after;
            }
        }
        Ok(())
    }

    /// Returns whether two documents are the same: the same text, apart from the order of an object's members and from
    /// escapes in strings. Numbers are the same if they are written in the same way: `1` is not `1.0`.
    pub fn is_same(&self, other: &Self) -> bool {
        self == other || matches!((Node::read(&self.0), Node::read(&other.0)), (Some(a), Some(b)) if a == b)
    }
}

impl Default for Document {
    /// Returns `{}`.
    fn default() -> Self {
        Self("{}".into())
    }
}

impl From<Value> for Document {
    fn from(value: Value) -> Self {
        Self(value.to_string().into())
    }
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match serde_json::from_str::<&RawValue>(&self.0) {
            Ok(raw) => raw.serialize(serializer),
            Err(_) => self.0.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Self(written(raw.get(), None).into()))
    }
}

impl fmt::Display for Document {
    /// Writes the document on one line, or with `{:#}` on many.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() { f.write_str(&written(&self.0, Some(0))) } else { f.write_str(&self.0) }
    }
}

/// Returns a JSON object with these members, whose values are JSON.
pub(crate) fn object<'m>(members: impl IntoIterator<Item = (&'m str, Option<Cow<'m, str>>)>) -> String {
    let mut text = String::from("{");
    for (name, value) in members {
        let Some(value) = value else { continue };
        text.push_str(if text.len() > 1 { ",\"" } else { "\"" });
        text.push_str(name);
        text.push_str("\":");
        text.push_str(&value);
    }
    text.push('}');
    text
}

/// Returns a text as a JSON string.
pub(crate) fn quoted(text: &str) -> Cow<'static, str> {
    Value::from(text).to_string().into()
}

/// Returns JSON without insignificant whitespace, or indented from a level on.
fn written(json: &str, mut level: Option<usize>) -> String {
    let mut text = Vec::with_capacity(json.len());
    let mut rest = json.as_bytes();
    let line = |text: &mut Vec<u8>, level: usize| {
        text.push(b'\n');
        text.resize(text.len() + 2 * level, b' ');
    };
    while let [first, tail @ ..] = rest {
        rest = tail;
        if first.is_ascii_whitespace() {
            continue;
        }
        let is_empty = matches!(text.last(), Some(b'{' | b'['));
        match (first, &mut level) {
            (b'}' | b']', Some(level)) => {
                *level = level.saturating_sub(1);
                if !is_empty {
                    line(&mut text, *level);
                }
                text.push(*first);
            }
            (b'{' | b'[', Some(level)) => {
                text.push(*first);
                *level += 1;
                if !matches!(rest.trim_ascii_start(), [b'}' | b']', ..]) {
                    line(&mut text, *level);
                }
            }
            (b',', Some(level)) => {
                text.push(*first);
                line(&mut text, *level);
            }
            (b':', Some(_)) => text.extend_from_slice(b": "),
            (b'"', _) => {
                let (string, after) = split_string(rest);
                text.push(b'"');
                text.extend_from_slice(string);
                text.push(b'"');
                rest = after;
            }
            _ => text.push(*first),
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// Splits after the quotation mark that begins a string: what is in the string, and what comes after its end.
fn split_string(bytes: &[u8]) -> (&[u8], &[u8]) {
    let mut is_escaped = false;
    for (index, byte) in bytes.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return (&bytes[..index], &bytes[index + 1..]),
            _ => {}
        }
    }
    (bytes, &[])
}

/// Returns whether a string of JSON has an escaped half of a surrogate pair alone.
fn has_lone_surrogate(string: &[u8]) -> bool {
    // Only `\ud8` to `\udf` begin one, which few strings contain.
    let is_suspect = string.windows(3).any(|part| part.eq_ignore_ascii_case(br"\ud"));
    let quoted = || format!("\"{}\"", String::from_utf8_lossy(string));
    is_suspect && serde_json::from_str::<String>(&quoted()).is_err()
}

/// A document that can be compared.
#[derive(PartialEq)]
enum Node<'d> {
    Object(BTreeMap<String, Node<'d>>),
    Array(Vec<Node<'d>>),
    String(String),
    /// A number, `true`, `false` or `null`.
    Word(&'d str),
}

impl<'d> Node<'d> {
    /// Reads a document that passed [`Document::check`]; `None` if it is none.
    fn read(text: &'d str) -> Option<Self> {
        let read = |raw: &'d RawValue| Self::read(raw.get());
        match text.as_bytes().first()? {
            b'{' => {
                let members = serde_json::from_str::<BTreeMap<String, &RawValue>>(text).ok()?;
                let members = members.into_iter().map(|(name, raw)| Some((name, read(raw)?)));
                members.collect::<Option<_>>().map(Self::Object)
            }
            b'[' => {
                let items = serde_json::from_str::<Vec<&RawValue>>(text).ok()?;
                items.into_iter().map(read).collect::<Option<_>>().map(Self::Array)
            }
            b'"' => serde_json::from_str(text).ok().map(Self::String),
            _ => Some(Self::Word(text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> Document {
        Document::parse(text).unwrap()
    }

    #[test]
    fn a_document_stays_as_it_was_sent_without_whitespace_between_its_parts() {
        let text = r#" { "b" : [ 18446744073709551617 , 1.50 , 1e400 , 0.1 ] , "a\"  \\" : { } , "a" : " \u00e9 " } "#;
        let short = r#"{"b":[18446744073709551617,1.50,1e400,0.1],"a\"  \\":{},"a":" \u00e9 "}"#;
        let document = document(text);
        assert_eq!(document.to_string(), short);
        assert_eq!(serde_json::to_string(&document).unwrap(), short);
        assert_eq!(document.check(), Ok(()));
        let pretty = "{\n  \"b\": [\n    18446744073709551617,\n    1.50,\n    1e400,\n    0.1\n  ],\n  \"a\\\"  \\\\\": {},\n  \"a\": \" \\u00e9 \"\n}";
        assert_eq!(format!("{document:#}"), pretty);
        assert_eq!(Document::parse(pretty).unwrap(), document);
    }

    #[test]
    fn a_document_of_a_value_is_what_serde_writes() {
        let value = serde_json::json!({"a": [1, {}, []], "b": "c"});
        assert_eq!(Document::from(value.clone()), Document::of(&value).unwrap());
        assert_eq!(Document::from(value.clone()).value(), value);
        assert_eq!(format!("{:#}", Document::from(value.clone())), format!("{value:#}"));
    }

    #[test]
    fn what_is_not_json_is_refused_and_shown_as_text_if_it_was_stored() {
        for text in ["", "{", "{} {}", "nul", "'a'", "{\"a\":1,}"] {
            Document::parse(text).unwrap_err();
        }
        let stored = Document::stored("changed by hand".into());
        assert_eq!(serde_json::to_string(&stored).unwrap(), "\"changed by hand\"");
        assert_eq!(stored.value(), "changed by hand");
    }

    #[test]
    fn what_nobody_else_can_read_is_found() {
        let deep = |depth: usize| document(&format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
        assert_eq!(deep(MOST_DEPTH).check(), Ok(()));
        assert!(serde_json::from_str::<Value>(deep(MOST_DEPTH).text()).is_ok(), "a guest can read it");
        assert_eq!(deep(MOST_DEPTH + 1).check(), Err(InvalidDocument::TooDeep));
        assert!(serde_json::from_str::<Value>(deep(MOST_DEPTH + 1).text()).is_err());
        assert_eq!(document(r#"["[[", "\"["]"#).check(), Ok(()));
        for lone in [r#""\ud800""#, r#"{"\uDFFF":1}"#, r#"["\ud800\u0041"]"#] {
            assert_eq!(document(lone).check(), Err(InvalidDocument::LoneSurrogate), "{lone}");
        }
        for pair in [r#""\ud83d\ude00""#, r#""\\ud800""#, r#""\u00e9""#] {
            assert_eq!(document(pair).check(), Ok(()), "{pair}");
        }
    }

    #[test]
    fn documents_are_the_same_whatever_the_order_of_their_members() {
        let same = |a: &str, b: &str| document(a).is_same(&document(b));
        assert!(same(
            r#"{"a":1,"b":{"c":[true,"\u00e9"],"d":null}}"#,
            r#"{"b":{"d":null,"c":[true,"é"]},"a":1}"#
        ));
        assert!(!same("18446744073709551617", "18446744073709551618"));
        assert!(!same("[1,2]", "[2,1]"));
        assert!(!same("1", "1.0") && !same("1", "\"1\""));
        assert!(!same(r#"{"a":1}"#, r#"{"a":1,"b":2}"#));
    }
}
