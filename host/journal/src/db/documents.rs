//! The JSON documents that the journal stores for calls of the tenant's store.
//!
//! | call | input | result |
//! |---|---|---|
//! | read | [`Get`] | an [`Entry`](super::Entry), or `null` |
//! | list | [`List`] | a list of entries |
//! | transaction | a list of [operations](super::Operation) | a version for each operation: see [`State::apply`](super::State::apply) |

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The input of a call that reads an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Get {
    /// The key.
    pub key: String,
    /// The run is going to change the entry.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub for_update: bool,
}

/// The input of a call that lists entries, in the order of their keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct List {
    /// Selects keys that begin with this.
    pub prefix: String,
    /// Selects keys after this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// The most entries.
    pub limit: u32,
}

/// Returns the document of an input or a result.
///
/// # Errors
/// The reason why it has none.
pub fn encode(document: &impl Serialize) -> Result<String, String> {
    serde_json::to_string(document).map_err(|error| format!("cannot encode a document of the store: {error}"))
}

/// Reads an input or a result.
///
/// # Errors
/// What is wrong with the document.
pub fn decode<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| format!("it is no document of the store: {error}"))
}

#[cfg(test)]
mod tests {
    use super::super::{Entry, Operation};
    use super::*;
    use crate::Document;

    #[test]
    fn what_the_journal_keeps_is_what_was_called() {
        let value = |text| Document::parse(text).unwrap();
        let operations = vec![
            Operation::Require { key: "a".to_owned(), version: Some(7) },
            Operation::Require { key: "b".to_owned(), version: None },
            Operation::Put { key: "a".to_owned(), value: value("null") },
            Operation::Put { key: "c".to_owned(), value: value(r#"{"n": 1.00000000000000000000001}"#) },
            Operation::Delete { key: "d\"".to_owned() },
        ];
        let text = encode(&operations).unwrap();
        assert_eq!(
            text,
            r#"[{"require":{"key":"a","version":7}},{"require":{"key":"b","version":null}},{"put":{"key":"a","value":null}},{"put":{"key":"c","value":{"n":1.00000000000000000000001}}},{"delete":{"key":"d\""}}]"#
        );
        assert_eq!(decode::<Vec<Operation>>(&text), Ok(operations));

        let entry = Entry { key: "a".to_owned(), version: 1, value: value("null") };
        assert_eq!(decode::<Option<Entry>>(&encode(&Some(&entry)).unwrap()), Ok(Some(entry)));
        assert_eq!(decode::<Option<Entry>>("null"), Ok(None));
        assert!(decode::<Vec<Entry>>("{}").unwrap_err().contains("no document of the store"));

        let get = Get { key: "a".to_owned(), for_update: false };
        assert_eq!((encode(&get).unwrap().as_str(), decode(r#"{"key":"a"}"#)), (r#"{"key":"a"}"#, Ok(get)));
        let list = List { prefix: "a/".to_owned(), after: None, limit: 10 };
        assert_eq!(encode(&list).unwrap(), r#"{"prefix":"a/","limit":10}"#);
        assert_eq!(decode::<List>(r#"{"prefix":"a/","limit":10}"#), Ok(list));
    }
}
