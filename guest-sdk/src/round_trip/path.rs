//! JSON paths, such as `$.orders[3].price`.

use std::fmt::Write as _;

/// The most characters of a path that a message shows.
const SHOWN: usize = 120;

/// A part of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Key(String),
    Index(usize),
}

/// The parts from the root to a value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Path(pub(super) Vec<Part>);

impl Path {
    /// Returns the path as messages show it. A long one is cut.
    pub(super) fn show(&self) -> String {
        let mut text = "$".to_owned();
        for part in &self.0 {
            // Writing to a string cannot fail.
            _ = match part {
                Part::Index(index) => write!(text, "[{index}]"),
                Part::Key(key) if is_name(key) => write!(text, ".{key}"),
                Part::Key(key) => write!(text, "[{key:?}]"),
            };
            if let Some((end, _)) = text.char_indices().nth(SHOWN) {
                text.truncate(end);
                text.push('…');
                break;
            }
        }
        text
    }
}

fn is_name(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
}

/// Returns the path of the value at which reading a document failed.
pub(super) fn of(json: &str, error: &serde_json::Error) -> Path {
    let lines = json.split_inclusive('\n').take(error.line().saturating_sub(1));
    let end = lines.map(str::len).sum::<usize>() + error.column();
    at(json.as_bytes().get(..end).unwrap_or(json.as_bytes()))
}

/// Returns the path of the first value that is nested deeper than `most` levels.
pub(super) fn too_deep(json: &str, most: usize) -> Option<Path> {
    let (mut depth, mut in_text, mut escaped) = (0, false, false);
    for (position, byte) in json.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_text,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                depth += 1;
                if depth > most {
                    return Some(at(&json.as_bytes()[..position]));
                }
            }
            b']' | b'}' if !in_text => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Returns the path of the value in which the beginning of a document ends.
fn at(beginning: &[u8]) -> Path {
    let mut path = Vec::new();
    let mut text = None;
    let mut bytes = beginning.iter().enumerate();
    while let Some((position, byte)) = bytes.next() {
        match byte {
            b'"' => {
                let start = position;
                let mut end = beginning.len();
                while let Some((position, byte)) = bytes.next() {
                    match byte {
                        b'\\' => _ = bytes.next(),
                        b'"' => {
                            end = position + 1;
                            break;
                        }
                        _ => {}
                    }
                }
                text = beginning.get(start..end);
            }
            // The text before a colon is a key.
            b':' => {
                let key = text.take().and_then(|text| serde_json::from_slice(text).ok());
                if let Some(last) = path.last_mut() {
                    *last = Some(Part::Key(key.unwrap_or_default()));
                }
            }
            b'[' => path.push(Some(Part::Index(0))),
            b'{' => path.push(None),
            b']' | b'}' => _ = path.pop(),
            b',' => match path.last_mut() {
                Some(Some(Part::Index(index))) => *index += 1,
                Some(last) => *last = None,
                None => {}
            },
            _ => {}
        }
    }
    Path(path.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_a_document_leads_to_the_value_in_which_it_ends() {
        for (beginning, path) in [
            ("", "$"),
            ("nul", "$"),
            ("[1,[2,nul", "$[1][1]"),
            ("[1,[2,3]", "$[1]"),
            (r#"{"a":1,"b":{"c d":tru"#, r#"$.b["c d"]"#),
            (r#"{"a":1,"b":{}"#, "$.b"),
            (r#"{"a":1,"#, "$"),
            (r#"["x,]\"[",{"\"":1"#, r#"$[1]["\""]"#),
        ] {
            assert_eq!(at(beginning.as_bytes()).show(), path, "{beginning}");
        }
    }
}
