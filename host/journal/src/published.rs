use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Document;

/// The last value of each name that a run has published. Clones share the values, and no values need no memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Published(Option<Arc<BTreeMap<String, Document>>>);

impl Published {
    /// Sets the value of a name.
    pub fn set(&mut self, name: &str, value: Document) {
        Arc::make_mut(self.0.get_or_insert_default()).insert(name.to_owned(), value);
    }

    /// Returns the value of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Document> {
        self.0.as_ref()?.get(name)
    }

    /// Returns the names and values, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Document)> {
        self.0.iter().flat_map(|values| values.iter()).map(|(name, value)| (&**name, value))
    }

    /// Returns the number of names.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |values| values.len())
    }

    /// Returns whether nothing is published.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the bytes of the values as a JSON object, as the store has it; 0 for none.
    #[must_use]
    pub fn json_length(&self) -> usize {
        // A colon and a comma or a brace for each, and one more brace.
        let all: usize = self.iter().map(|(name, value)| string_length(name) + value.text().len() + 2).sum();
        if all == 0 { 0 } else { all + 1 }
    }
}

/// Returns the bytes of a text as a JSON string.
fn string_length(text: &str) -> usize {
    let escaped = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 1,
        0..0x20 => 5,
        _ => 0,
    };
    text.len() + text.bytes().map(escaped).sum::<usize>() + 2
}

impl Serialize for Published {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Published {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let values = BTreeMap::deserialize(deserializer)?;
        Ok(Self((!values.is_empty()).then(|| Arc::new(values))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_digits_and_have_the_length_of_their_json() {
        let text = r#"{"a":1.50,"b":{"c":[]}}"#;
        let mut values: Published = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&values).unwrap(), text);
        for name in ["\"\\ü\u{202e}", "\n\t\r\u{8}\u{c}", "\0\u{1b}\u{7f}", "a"] {
            values.set(name, Document::parse(" [ 1e400 ] ").unwrap());
            assert_eq!(values.json_length(), serde_json::to_string(&values).unwrap().len());
        }
        assert_eq!(values.get("a").unwrap().text().as_ref(), "[1e400]");
        assert_eq!((values.len(), Published::default().json_length()), (5, 0));
        assert_eq!(serde_json::from_str::<Published>("{}").unwrap(), Published::default());
        serde_json::from_str::<Published>("[]").unwrap_err();
    }

    #[test]
    fn a_clone_keeps_its_values() {
        let mut values = Published::default();
        values.set("a", Document::default());
        let before = values.clone();
        values.set("b", Document::default());
        assert_eq!((before.len(), values.len()), (1, 2));
    }
}
