//! Values that are held against JSON Schemas: the keywords that the OpenAPI document and `docs/live.schema.json` use.
//!
//! Not the crate `jsonschema`: its features would make cargo compile the host twice, for the tests and as the program.

use serde_json::Value;
use uuid::Uuid;

/// Keywords that say nothing about a value that a test can check.
const NOTES: &[&str] = &[
    "$schema",
    "$id",
    "$defs",
    "title",
    "description",
    "default",
    "example",
    "examples",
    "format",
    "deprecated",
    "readOnly",
    "writeOnly",
    "propertyNames",
];

/// Schemas that refer to each other.
pub(crate) struct Schemas {
    /// The schema whose references begin with `#`.
    pub(crate) own: Value,
    /// A document with schemas, and how references to it begin.
    pub(crate) other: (&'static str, Value),
}

/// A schema in one of the documents.
#[derive(Clone, Copy)]
struct At<'s> {
    schema: &'s Value,
    /// The document that it is in.
    document: &'s Value,
}

impl Schemas {
    /// Returns why a value does not fit the whole schema.
    pub(crate) fn check(&self, value: &Value) -> Result<(), String> {
        self.fits(At { schema: &self.own, document: &self.own }, value)
    }

    fn fits(&self, at: At<'_>, value: &Value) -> Result<(), String> {
        let Value::Object(keywords) = at.schema else {
            return if at.schema == &Value::Bool(false) {
                Err("nothing may be here".to_owned())
            } else {
                Ok(())
            };
        };
        for (keyword, operand) in keywords {
            self.obeys(at, keyword, operand, value).map_err(|why| match why.starts_with('/') {
                true => why,
                false => format!("{why}: {value}"),
            })?;
        }
        Ok(())
    }

    fn obeys(&self, at: At<'_>, keyword: &str, operand: &Value, value: &Value) -> Result<(), String> {
        let below = |schema| At { schema, ..at };
        let list = || operand.as_array().expect("it is a list");
        let matching = || list().iter().filter(|schema| self.fits(below(schema), value).is_ok()).count();
        let holds = match keyword {
            "$ref" => return self.fits(self.resolve(at, operand.as_str().expect("it is text")), value),
            "allOf" => return list().iter().try_for_each(|schema| self.fits(below(schema), value)),
            "oneOf" => matching() == 1,
            "anyOf" => matching() > 0,
            "const" => value == operand,
            "enum" => list().contains(value),
            "type" => match operand {
                Value::Array(types) => types.iter().any(|one| has_type(one, value)),
                one => has_type(one, value),
            },
            "minimum" => value.as_f64().is_none_or(|number| Some(number) >= operand.as_f64()),
            "maximum" => value.as_f64().is_none_or(|number| Some(number) <= operand.as_f64()),
            "maxLength" => {
                value.as_str().is_none_or(|text| Some(text.chars().count() as u64) <= operand.as_u64())
            }
            "required" => value.as_object().is_none_or(|fields| {
                list().iter().all(|name| fields.contains_key(name.as_str().unwrap_or("")))
            }),
            "items" => {
                let mut items = value.as_array().into_iter().flatten();
                return items.try_for_each(|item| self.fits(below(operand), item));
            }
            "properties" => {
                let of_fields = operand.as_object().expect("it is an object");
                return of_fields.iter().try_for_each(|(name, schema)| match value.get(name) {
                    Some(field) => self.fits(below(schema), field).map_err(|why| format!("/{name} {why}")),
                    None => Ok(()),
                });
            }
            "additionalProperties" => {
                let known = at.schema["properties"].as_object();
                let mut fields = value.as_object().into_iter().flatten();
                return fields.try_for_each(|(name, field)| {
                    match known.is_some_and(|it| it.contains_key(name)) {
                        true => Ok(()),
                        false => self.fits(below(operand), field).map_err(|why| format!("/{name} {why}")),
                    }
                });
            }
            note => {
                assert!(NOTES.contains(&note), "the tests do not know the keyword {note}");
                let is_id = note == "format" && operand == "uuid";
                !is_id || value.as_str().is_none_or(|text| text.parse::<Uuid>().is_ok())
            }
        };
        if holds { Ok(()) } else { Err(format!("{keyword} is {operand}")) }
    }

    fn resolve<'s>(&'s self, at: At<'s>, reference: &str) -> At<'s> {
        let (prefix, other) = &self.other;
        let (document, pointer) = match reference.strip_prefix(prefix) {
            Some(pointer) => (other, pointer),
            None => (at.document, reference),
        };
        let pointer = pointer.strip_prefix('#').expect("a reference has a fragment");
        let schema = document.pointer(pointer).unwrap_or_else(|| panic!("{reference} leads nowhere"));
        At { schema, document }
    }
}

fn has_type(name: &Value, value: &Value) -> bool {
    match name.as_str() {
        Some("null") => value.is_null(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("string") => value.is_string(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        _ => panic!("the tests do not know the type {name}"),
    }
}
