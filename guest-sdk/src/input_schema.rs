//! The JSON Schema of a workflow's input, if its type derives one.

use std::collections::{BTreeMap, HashMap};
use std::marker::PhantomData;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

/// The input type of a workflow, which is asked for its schema.
///
/// `(&Input::<T>::new()).input_schema()` is the method of [`Derived`] if `T` implements `JsonSchema`, and the one of
/// [`Underived`] otherwise, which needs one more reference. So an input type need not have a schema.
pub struct Input<T>(PhantomData<T>);

impl<T> Input<T> {
    /// Returns the type as a value.
    #[allow(clippy::new_without_default, reason = "only the expansion of `#[forge::workflow]` uses it")]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

/// Common types of which nothing derives a schema. They have one, too, but the code that computes it would be in each component
/// that takes one of them. A method of the type itself comes before those of traits.
macro_rules! plain {
    ($($plain:ty),+ $(,)?) => {$(
        impl Input<$plain> {
            /// Returns `None`.
            pub fn input_schema(&self) -> Option<String> {
                None
            }
        }
    )+};
}

plain! {
    (), bool, char, u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, f32, f64, String, Vec<String>, Option<String>,
    BTreeMap<String, String>, HashMap<String, String>, BTreeMap<String, Value>, HashMap<String, Value>, Value, Vec<Value>,
    Option<Value>, Map<String, Value>, Uuid, DateTime<Utc>,
}

/// An input type with a schema.
pub trait Derived {
    /// Returns the schema as JSON. Returns `None` if no part of the type derives its schema: `String` and `Vec<u32>` have
    /// schemas, too, and nobody has asked for these to be checked.
    fn input_schema(&self) -> Option<String>;
}

#[cfg(feature = "schema")]
impl<T: schemars::JsonSchema> Derived for Input<T> {
    fn input_schema(&self) -> Option<String> {
        let schema = schemars::generate::SchemaSettings::draft2020_12()
            .for_deserialize()
            .into_generator()
            .into_root_schema_for::<T>();
        // Derived types are referred to by their names, and those of the standard library are written out.
        let is_derived = !T::inline_schema() || schema.get("$defs").is_some();
        is_derived.then(|| schema.as_value().to_string())
    }
}

/// Any input type.
pub trait Underived {
    /// Returns `None`.
    fn input_schema(&self) -> Option<String> {
        None
    }
}

impl<T> Underived for &Input<T> {}
