use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The most tags of a run. Each is a row in an index of the database.
pub const MOST_TAGS: usize = 16;

/// The most characters of a tag's name.
const MOST_NAME: usize = 64;

/// The most bytes of a tag's value: the width of the column for names in the spec.
const MOST_VALUE: usize = 255;

/// The tags of a run: values under names, by which runs are found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
#[schema(value_type = BTreeMap<String, String>)]
pub struct Tags(BTreeMap<Arc<str>, Arc<str>>);

/// Why a run cannot have a tag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTag {
    /// The name is empty, is too long or has other characters.
    #[error(
        "`{0}` cannot be the name of a tag: it must have 1 to {MOST_NAME} characters of A-Z, a-z, 0-9, `_`, `.` and `-`"
    )]
    Name(String),
    /// The value is too long.
    #[error("the value of the tag `{name}` has {bytes} bytes; the most is {MOST_VALUE}")]
    Length {
        /// The name of the tag.
        name: String,
        /// The bytes of the value.
        bytes: usize,
    },
    /// The value has a control character.
    #[error("the value of the tag `{0}` has a control character; every other character is allowed")]
    Control(String),
    /// The run has as many other tags as it may have.
    #[error("a run can have {MOST_TAGS} tags: there is no room for `{0}`")]
    TooMany(String),
}

impl Tags {
    /// Sets the value of a tag.
    ///
    /// Whether that is possible depends on the name, the value and the names that the run has, and these are never
    /// removed. So a replay, which knows the names of later calls, too, gets the answer of the first execution.
    ///
    /// # Errors
    /// [`InvalidTag`]. Nothing is changed then.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), InvalidTag> {
        self.check(name, value)?;
        self.0.insert(name.into(), value.into());
        Ok(())
    }

    /// Checks that [`Tags::set`] is possible.
    ///
    /// # Errors
    /// [`InvalidTag`].
    pub fn check(&self, name: &str, value: &str) -> Result<(), InvalidTag> {
        check_name(name)?;
        if value.len() > MOST_VALUE {
            return Err(InvalidTag::Length { name: name.to_owned(), bytes: value.len() });
        }
        if value.contains(char::is_control) {
            return Err(InvalidTag::Control(name.to_owned()));
        }
        if self.0.len() >= MOST_TAGS && !self.0.contains_key(name) {
            return Err(InvalidTag::TooMany(name.to_owned()));
        }
        Ok(())
    }

    /// Returns the value of a tag.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| &**value)
    }

    /// Returns the names and values, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Returns the number of tags.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the bytes of the tags as a JSON object; 0 for none.
    pub(crate) fn json_length(&self) -> usize {
        // Quotes, a colon and a comma or a brace for each, and one more brace. Two characters are escaped with one more.
        let escaped = |text: &str| text.len() + text.bytes().filter(|byte| b"\"\\".contains(byte)).count();
        let all: usize = self.iter().map(|(name, value)| name.len() + escaped(value) + 6).sum();
        if all == 0 { 0 } else { all + 1 }
    }

    /// Returns whether there are no tags.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn check_name(name: &str) -> Result<(), InvalidTag> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if (1..=MOST_NAME).contains(&name.len()) && name.bytes().all(is_allowed) {
        return Ok(());
    }
    let shown: String = name.chars().take(MOST_NAME).flat_map(char::escape_debug).collect();
    let cut = if name.chars().nth(MOST_NAME).is_some() { "…" } else { "" };
    Err(InvalidTag::Name(format!("{shown}{cut}")))
}

impl TryFrom<BTreeMap<String, String>> for Tags {
    type Error = InvalidTag;

    fn try_from(tags: BTreeMap<String, String>) -> Result<Self, InvalidTag> {
        let mut checked = Self::default();
        tags.iter().try_for_each(|(name, value)| checked.set(name, value))?;
        Ok(checked)
    }
}

impl From<Tags> for BTreeMap<String, String> {
    fn from(tags: Tags) -> Self {
        tags.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_that_cannot_be_searched_for_are_refused_with_what_is_allowed() {
        let mut tags = Tags::default();
        let longest = ("n".repeat(MOST_NAME), "ü".repeat(MOST_VALUE / 2));
        for (name, value) in [("order", "1041"), ("a.b_c-D9", ""), (&longest.0, &longest.1)] {
            tags.set(name, value).unwrap();
            assert_eq!(tags.get(name), Some(value));
        }
        let too_long = "n".repeat(MOST_NAME + 1);
        for name in ["", "a b", "a=b", "ü", "\u{202e}", "\0", "<b>", &too_long] {
            let refused = tags.set(name, "1").unwrap_err().to_string();
            assert!(refused.ends_with("1 to 64 characters of A-Z, a-z, 0-9, `_`, `.` and `-`"), "{refused}");
        }
        assert!(tags.set("\u{202e}", "1").unwrap_err().to_string().starts_with(r"`\u{202e}` cannot"));
        let refused = tags.set("a", &"v".repeat(MOST_VALUE + 1)).unwrap_err().to_string();
        assert_eq!(refused, "the value of the tag `a` has 256 bytes; the most is 255");
        for value in ["\0", "a\nb", "\u{1b}[31m"] {
            assert_eq!(tags.set("a", value).unwrap_err(), InvalidTag::Control("a".to_owned()));
        }
        assert_eq!(tags.get("a"), None);
    }

    #[test]
    fn a_full_run_takes_new_values_and_no_new_names() {
        let mut tags = Tags::default();
        (0..MOST_TAGS).for_each(|number| tags.set(&format!("t{number}"), "1").unwrap());
        tags.set("t3", "2").unwrap();
        let refused = tags.set("order", "1").unwrap_err().to_string();
        assert_eq!(refused, "a run can have 16 tags: there is no room for `order`");
        assert_eq!((tags.len(), tags.get("t3")), (MOST_TAGS, Some("2")));
    }

    #[test]
    fn a_document_with_an_invalid_tag_is_refused() {
        let tags: Tags = serde_json::from_str(r#"{"b":"2","a":"1"}"#).unwrap();
        assert_eq!(serde_json::to_string(&tags).unwrap(), r#"{"a":"1","b":"2"}"#);
        assert_eq!((tags.json_length(), Tags::default().json_length()), (17, 0));
        let mut odd = tags;
        odd.set("c", "\"ü\\/é\u{202e}").unwrap();
        assert_eq!(odd.json_length(), serde_json::to_string(&odd).unwrap().len());
        serde_json::from_str::<Tags>(r#"{"a b":"1"}"#).unwrap_err();
    }
}
