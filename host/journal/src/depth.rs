//! The depth of documents.

/// The most levels of arrays and objects in a document. What has more is refused where it enters: serde_json reads no more,
/// so a guest could not read it, and the JSON functions of databases have limits, too.
pub const MOST_DEPTH: usize = 127;

/// Returns whether a JSON document has more than [`MOST_DEPTH`] levels.
pub fn is_too_deep(document: &str) -> bool {
    // Each level has a bracket.
    if document.len() <= MOST_DEPTH {
        return false;
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in document.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                if depth > MOST_DEPTH {
                    return true;
                }
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(levels: usize, inner: &str) -> String {
        format!("{}{inner}{}", "[".repeat(levels), "]".repeat(levels))
    }

    #[test]
    fn a_document_may_have_as_many_levels_as_serde_json_reads() {
        for (levels, inner) in [(0, "1"), (MOST_DEPTH, "1"), (MOST_DEPTH - 1, r#"{"a":"]]"}"#)] {
            let document = nested(levels, inner);
            assert!(!is_too_deep(&document), "{levels}");
            serde_json::from_str::<serde_json::Value>(&document).unwrap();
        }
        let document = nested(MOST_DEPTH + 1, "1");
        assert!(is_too_deep(&document) && is_too_deep(&document.replace('1', r#"{"a":1}"#)));
        serde_json::from_str::<serde_json::Value>(&document).unwrap_err();
    }

    #[test]
    fn brackets_in_texts_are_no_levels() {
        assert!(!is_too_deep(&format!(r#"["{}"]"#, "[{".repeat(500))));
        assert!(!is_too_deep(&format!(r#"["\"{}\\"]"#, "[".repeat(500))));
        assert!(is_too_deep(&format!(r#"["\\",{}"#, "[".repeat(500))));
        let wide = format!("[{}]", vec!["[]"; 500].join(","));
        assert!(!is_too_deep(&wide));
    }
}
