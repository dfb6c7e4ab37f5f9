//! The round trip of a step's result: written as JSON, as the journal keeps it, and read again, as a replay
//! reads it.
//!
//! The workflow goes on with the value that was read, so that it sees the same value live and in a replay. A
//! value that comes back as another one is an error instead of a surprise: JSON has no `NaN`, reads
//! `Some(None)` as `None`, and is not read deeper than 127 levels.
//!
//! Without `PartialEq`, two values are compared by what serde is told of them (see [`exact`]). A field that
//! serde is never told of (`skip`, `skip_serializing`) is lost unnoticed, but the workflow sees the loss live, too.

mod compare;
mod exact;
mod path;

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why a value cannot be kept.
#[derive(Debug)]
pub(crate) enum Lost {
    /// It has no JSON form. Holds the reason.
    Unwritable(String),
    /// It is not the same after it was read again. Holds the JSON path and what happens there.
    Changed { path: String, what: String },
}

/// Why a document cannot be read as a type: the message of serde, with the path of the value instead of its position. The host
/// passes documents without whitespace, so nobody has the text in which the position is.
pub(crate) struct Unreadable<'a> {
    pub(crate) document: &'a str,
    pub(crate) error: &'a serde_json::Error,
}

impl fmt::Display for Unreadable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { document, error } = *self;
        let path = path::of(document, error);
        if !path.0.is_empty() {
            write!(f, "`{}`: ", path.show())?;
        }
        let message = error.to_string();
        let position = format!(" at line {} column {}", error.line(), error.column());
        f.write_str(message.strip_suffix(&position).unwrap_or(&message))
    }
}

/// Writes a value as JSON and reads it again. Returns the value that was read, and the JSON.
pub(crate) fn round_trip<T: Serialize + DeserializeOwned>(value: T) -> Result<(T, String), Lost> {
    let before = match exact::write(&value) {
        Ok(before) => Some(before),
        Err(exact::Error::TooDeep(path)) => return Err(too_deep(&path)),
        // serde_json says more about it.
        Err(exact::Error::Custom(_)) => None,
    };
    let json = serde_json::to_string(&value).map_err(|error| Lost::Unwritable(error.to_string()))?;
    drop(value);
    // Raw JSON can be deeper than what serde is told of it.
    if let Some(path) = path::too_deep(&json, exact::MOST_NESTED) {
        return Err(too_deep(&path));
    }
    let read: T = serde_json::from_str(&json)
        .map_err(|error| Lost::Changed { path: path::of(&json, &error).show(), what: error.to_string() })?;
    let after = exact::write(&read).ok();
    match (before, after) {
        (Some(before), Some(after)) => compare::check(&before, &after)?,
        (None, None) => {}
        _ => {
            let what = "it can be written only before or only after it was read".to_owned();
            return Err(Lost::Changed { path: path::Path::default().show(), what });
        }
    }
    Ok((read, json))
}

fn too_deep(path: &path::Path) -> Lost {
    Lost::Changed {
        path: path.show(),
        what: format!("it is nested deeper than {} levels", exact::MOST_NESTED),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap, HashSet};

    use serde::{Deserialize, Serialize};
    use serde_json::value::RawValue;
    use serde_json::{Value, json};

    use super::*;

    /// Returns the path and the description of what is lost.
    fn lost<T: Serialize + DeserializeOwned>(value: T) -> (String, String) {
        match round_trip(value) {
            Err(Lost::Changed { path, what }) => (path, what),
            Err(Lost::Unwritable(why)) => panic!("unwritable: {why}"),
            Ok((_, json)) => panic!("nothing is lost in {json}"),
        }
    }

    fn kept<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug + Clone>(value: T) -> String {
        let (read, json) = round_trip(value.clone()).expect("the value is kept");
        assert_eq!(read, value);
        json
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Order {
        id: u128,
        lines: Vec<Line>,
        note: Option<Option<String>>,
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    enum Line {
        Empty,
        Discount(f64),
        Item { price: Option<f64> },
        Pair(i8, char),
    }

    fn order(lines: Vec<Line>) -> Order {
        Order { id: u128::MAX, lines, note: Some(Some("n".into())) }
    }

    #[test]
    fn values_that_json_can_express_are_kept() {
        let lines = vec![
            Line::Empty,
            Line::Discount(-0.0),
            Line::Item { price: None },
            Line::Item { price: Some(0.1) },
            Line::Pair(-1, 'ü'),
        ];
        kept(order(lines));
        kept(((), Some(1), [f64::MIN_POSITIVE, 1e300], "\u{0}\"\\\n".to_owned(), i128::MIN));
        kept(json!({ "a": [null, 1, 1.0, -1, "x", { "b": [] }], "c": u64::MAX, "d": 1e308 }));
        kept(BTreeMap::from([(1, Some(2.5_f32)), (-1, None)]));
        kept(None::<Order>);
        kept(Ok::<u8, String>(1));
    }

    #[test]
    fn the_order_of_a_hash_does_not_matter() {
        let map: HashMap<String, HashSet<u32>> =
            (0..50).map(|n| (format!("key {n}"), (n..n + 50).collect())).collect();
        kept(map);
    }

    #[test]
    fn a_number_of_any_size_is_kept_as_raw_json() {
        let text = "{\"n\": 123456789012345678901234567890.000000000000000000000001}";
        let raw: Box<RawValue> = serde_json::from_str(text).unwrap();
        let (read, json) = round_trip(raw).unwrap();
        assert_eq!((read.get(), json.as_str()), (text, text));
    }

    #[test]
    fn numbers_that_json_does_not_have_are_found_with_their_path() {
        let (path, what) = lost(f64::NAN);
        assert_eq!(path, "$");
        assert!(what.contains("invalid type: null"), "{what}");
        assert_eq!(lost(order(vec![Line::Empty, Line::Discount(f64::INFINITY)])).0, "$.lines[1].Discount");
        let (path, what) = lost(order(vec![Line::Item { price: Some(f64::NAN) }]));
        assert_eq!((path.as_str(), what.as_str()), ("$.lines[0].Item.price", "Some(NaN) becomes None"));
        assert_eq!(lost(vec![("a".to_owned(), f32::NAN)]).0, "$[0][1]");
    }

    #[test]
    fn some_of_nothing_is_found_with_its_path() {
        assert_eq!(lost(Some(None::<u8>)), ("$".to_owned(), "Some(None) becomes None".to_owned()));
        assert_eq!(lost(vec![Some(Value::Null)]).1, "Some(null) becomes None");
        assert_eq!(lost(Some(())).1, "Some(null) becomes None");
        assert_eq!(lost(Order { note: Some(None), ..order(Vec::new()) }).0, "$.note");
        let map = HashMap::from([("not a name".to_owned(), Some(Some(1))), ("b".to_owned(), Some(None))]);
        assert_eq!(lost(map).0, "$.b");
        let map = BTreeMap::from([("not a name".to_owned(), Some(None::<u8>))]);
        assert_eq!(lost(map).0, "$[\"not a name\"]");
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Skips {
        #[serde(default = "seven", skip_serializing_if = "is_zero")]
        number: u8,
        #[serde(skip)]
        cache: u8,
        #[serde(default = "seven", skip_serializing)]
        secret: u8,
    }

    fn seven() -> u8 {
        7
    }

    fn is_zero(number: &u8) -> bool {
        *number == 0
    }

    #[test]
    fn a_skipped_field_that_comes_back_with_another_value_is_found() {
        assert_eq!(
            lost(Skips { number: 0, cache: 0, secret: 7 }),
            ("$.number".to_owned(), "it appears".to_owned())
        );
        // A field that serde is not told of is lost live, too.
        let (read, _) = round_trip(Skips { number: 1, cache: 1, secret: 1 }).unwrap();
        assert_eq!(read, Skips { number: 1, cache: 0, secret: 7 });
    }

    #[derive(Debug, Serialize, Deserialize)]
    struct OneWay {
        #[serde(rename(serialize = "written"))]
        read: u8,
    }

    #[test]
    fn a_field_that_is_not_found_again_is_named() {
        let (path, what) = lost(vec![OneWay { read: 1 }]);
        assert_eq!(path, "$[0]");
        assert!(what.contains("missing field `read`"), "{what}");
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Number {
        Float(f64),
        Integer(i64),
    }

    #[test]
    fn a_variant_that_is_read_as_another_one_is_found() {
        let (path, what) = lost(vec![Number::Float(1.0), Number::Integer(5)]);
        assert_eq!((path.as_str(), what.as_str()), ("$[1]", "5 becomes 5.0"));
    }

    #[test]
    fn a_value_that_is_too_deep_is_found_with_the_beginning_of_its_path() {
        fn nested(levels: usize) -> Value {
            (0..levels).fold(Value::Null, |inner, _| json!([inner]))
        }
        kept(nested(127));
        for levels in [128, 129, 1_000] {
            let (path, what) = lost(nested(levels));
            assert!(path.starts_with("$[0][0][0]") && path.ends_with('…'), "{path}");
            assert_eq!(what, "it is nested deeper than 127 levels");
            let raw = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
            let raw: Box<RawValue> = serde_json::from_str(&raw).unwrap();
            assert_eq!(lost(raw), (path, what));
        }
        let raw: Box<RawValue> = serde_json::from_str("{\"[[[\\\"[\": [\"[\"]}").unwrap();
        round_trip(raw).unwrap();
    }

    #[test]
    fn a_value_without_a_json_form_says_why() {
        let map = BTreeMap::from([(vec![1], 1)]);
        let Err(Lost::Unwritable(why)) = round_trip(map) else { panic!("it is written") };
        assert_eq!(why, "key must be a string");
    }
}
