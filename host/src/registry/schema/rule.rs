//! What a schema asks of a value. To add a keyword, add a rule, read it in `parse.rs` and check it in `check.rs`.

use std::collections::BTreeMap;

use serde_json::{Number, Value};

use super::pattern::Pattern;
use super::text::Format;

/// A schema or a part of it: all of its rules apply to the value.
pub(super) type Node = Vec<Rule>;

/// The place of a node in the schema's list.
pub(super) type NodeId = usize;

#[derive(Debug)]
pub(super) enum Rule {
    /// `false`: no value fits.
    Never,
    /// `type`.
    Types(Vec<Type>),
    /// `enum` and `const`, with the steps to compare a value with all of them.
    Values(Vec<Value>, u64),
    /// `minimum`, `exclusiveMinimum`, `maximum` and `exclusiveMaximum`.
    Bound(Bound, Number),
    /// `multipleOf`.
    MultipleOf(f64),
    /// `minLength` and `maxLength`, in characters.
    Length { least: u64, most: u64 },
    /// `pattern`.
    Pattern(Pattern),
    /// `format`, of those that a type of Rust reads.
    Format(Format),
    /// `minItems` and `maxItems`.
    Items { least: u64, most: u64 },
    /// `uniqueItems`.
    Unique,
    /// `prefixItems` and `items`.
    Each { prefix: Vec<NodeId>, rest: Option<NodeId> },
    /// `contains` with `minContains` and `maxContains`.
    Contains { item: NodeId, least: u64, most: u64 },
    /// `minProperties` and `maxProperties`.
    Members { least: u64, most: u64 },
    /// `properties`, `patternProperties` and `additionalProperties`.
    Properties(Box<Properties>),
    /// `propertyNames`.
    Names(NodeId),
    /// `required`.
    Required(Vec<String>),
    /// `dependentRequired`: members that another member requires.
    RequiredWith(String, Vec<String>),
    /// `dependentSchemas`: a schema that applies if there is a member.
    With(String, NodeId),
    /// `$ref`.
    Refer(NodeId),
    /// `allOf`.
    All(Vec<NodeId>),
    /// `anyOf`.
    Any(Vec<NodeId>),
    /// `oneOf`.
    One(Vec<NodeId>),
    /// `not`.
    Not(NodeId),
    /// `if`, `then` and `else`.
    If { condition: NodeId, then: Option<NodeId>, otherwise: Option<NodeId> },
}

#[derive(Debug, Default)]
pub(super) struct Properties {
    pub(super) named: BTreeMap<String, NodeId>,
    pub(super) patterns: Vec<(Pattern, NodeId)>,
    /// For members without a name or pattern above.
    pub(super) others: Option<NodeId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    Least,
    MoreThan,
    Most,
    LessThan,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Null,
    Boolean,
    Integer,
    Number,
    String,
    Array,
    Object,
}

impl Type {
    /// The number of types.
    pub(super) const ALL: usize = 7;

    /// Returns the type with this name in a schema.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "null" => Self::Null,
            "boolean" => Self::Boolean,
            "integer" => Self::Integer,
            "number" => Self::Number,
            "string" => Self::String,
            "array" => Self::Array,
            "object" => Self::Object,
            _ => return None,
        })
    }

    /// Returns the type with its article, for messages.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "a boolean",
            Self::Integer => "an integer",
            Self::Number => "a number",
            Self::String => "a string",
            Self::Array => "an array",
            Self::Object => "an object",
        }
    }

    /// Returns whether a value has the type. `1.0` is an integer, as the specification of JSON Schema has it.
    pub(super) fn fits(self, value: &Value) -> bool {
        match self {
            Self::Null => value.is_null(),
            Self::Boolean => value.is_boolean(),
            Self::Integer => value.as_number().is_some_and(is_whole),
            Self::Number => value.is_number(),
            Self::String => value.is_string(),
            Self::Array => value.is_array(),
            Self::Object => value.is_object(),
        }
    }

    /// Returns the type of a value, for messages.
    pub(super) fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Boolean,
            Value::Number(number) if is_whole(number) => Self::Integer,
            Value::Number(_) => Self::Number,
            Value::String(_) => Self::String,
            Value::Array(_) => Self::Array,
            Value::Object(_) => Self::Object,
        }
    }
}

fn is_whole(number: &Number) -> bool {
    !number.is_f64() || number.as_f64().is_some_and(|number| number.fract() == 0.0)
}
