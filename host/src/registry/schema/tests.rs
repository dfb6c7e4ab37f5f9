use serde_json::{Value, json};

use super::check::Misfit;
use super::{InvalidSchema, SCHEMA_BYTES, Schema};

fn schema(schema: &Value) -> Schema {
    Schema::parse(&schema.to_string()).unwrap()
}

fn refused(schema: &Value) -> String {
    let InvalidSchema(why) = Schema::parse(&schema.to_string()).unwrap_err();
    why
}

fn fits(schema: &Schema, value: &Value) -> bool {
    schema.check(&value.to_string()).is_ok()
}

/// Returns the path and the reason of an input that does not fit.
fn misfit(schema: &Schema, value: &Value) -> (String, String) {
    let Misfit { path, why, .. } = schema.check(&value.to_string()).unwrap_err();
    (path, why)
}

#[track_caller]
fn says(schema: &Schema, value: &Value, path: &str, why: &str) {
    assert_eq!(misfit(schema, value), (path.to_owned(), why.to_owned()));
}

/// The schema that `schemars` derives for a struct with a list of tagged enums.
fn order() -> Schema {
    schema(&json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Order",
        "type": "object",
        "properties": {
            "sku": {"type": "string", "minLength": 1},
            "amount": {"type": "integer", "format": "uint8", "minimum": 0, "maximum": 255},
            "note": {"type": ["string", "null"]},
            "at": {"type": "string", "format": "date-time"},
            "pay": {"type": "array", "items": {"$ref": "#/$defs/Payment"}},
        },
        "required": ["sku"],
        "$defs": {"Payment": {"oneOf": [
            {"type": "object", "properties": {"kind": {"type": "string", "const": "card"}, "number": {"type": "string"}},
             "required": ["kind", "number"]},
            {"type": "object", "properties": {"kind": {"type": "string", "const": "debit"}, "iban": {"type": "string"}},
             "required": ["kind", "iban"]},
        ]}},
    }))
}

#[test]
fn a_misfit_has_the_place_and_what_was_expected_there() {
    let order = order();
    assert!(fits(
        &order,
        &json!({"sku": "a", "amount": 7, "note": null, "other": 1, "pay": [{"kind": "debit", "iban": ""}]})
    ));
    says(&order, &json!(7), "$", "expected an object, found an integer");
    says(&order, &json!({}), "$.sku", "the member is required");
    says(&order, &json!({"sku": 1}), "$.sku", "expected a string, found an integer");
    says(&order, &json!({"sku": ""}), "$.sku", "expected at least 1 characters, found 0");
    says(&order, &json!({"sku": "a", "amount": 256}), "$.amount", "expected at most 255, found 256");
    says(&order, &json!({"sku": "a", "note": 1}), "$.note", "expected a string or null, found an integer");
    says(&order, &json!({"sku": "a", "at": "today"}), "$.at", "expected a time such as 2026-11-30T12:00:00Z");
}

#[test]
fn the_nearest_of_several_alternatives_is_reported() {
    let order = order();
    let pay = |pay: Value| json!({"sku": "a", "pay": [{"kind": "card", "number": "1"}, pay]});
    says(&order, &pay(json!({"kind": "debit"})), "$.pay[1].iban", "the member is required");
    says(&order, &pay(json!({"kind": "cash"})), "$.pay[1].kind", r#"expected "card", or expected "debit""#);
    says(&order, &pay(json!("card")), "$.pay[1]", "expected an object, found a string");
    let names = schema(&json!({"properties": {"a b": {"anyOf": [{"type": "string"}, {"type": "null"}]}}}));
    says(
        &names,
        &json!({"a b": 1}),
        "$[\"a b\"]",
        "expected a string, found an integer, or expected null, found an integer",
    );
}

#[test]
fn each_keyword_is_checked() {
    // A schema, values that fit and values that do not.
    let table = [
        (json!(true), vec![json!(1)], vec![]),
        (json!(false), vec![], vec![json!(1), json!("a")]),
        (
            json!({"type": "integer"}),
            vec![json!(1), json!(1.0), json!(u64::MAX)],
            vec![json!(1.5), json!("1")],
        ),
        (json!({"type": ["number", "boolean"]}), vec![json!(1.5), json!(true)], vec![json!(null), json!([])]),
        (
            json!({"enum": ["a", 1, null]}),
            vec![json!("a"), json!(1.0), json!(null)],
            vec![json!("b"), json!(2)],
        ),
        (json!({"const": {"a": 1}}), vec![json!({"a": 1})], vec![json!({"a": 2})]),
        (
            json!({"minimum": 1, "exclusiveMaximum": 3}),
            vec![json!(1), json!(2.9), json!("a")],
            vec![json!(0), json!(3)],
        ),
        (json!({"exclusiveMinimum": -1, "maximum": 0}), vec![json!(0)], vec![json!(-1), json!(1)]),
        (json!({"maximum": u64::MAX - 1}), vec![json!(u64::MAX - 1)], vec![json!(u64::MAX)]),
        (json!({"multipleOf": 0.01}), vec![json!(19.99), json!(3)], vec![json!(0.001)]),
        (
            json!({"minLength": 1, "maxLength": 2}),
            vec![json!("é"), json!("éé")],
            vec![json!(""), json!("abc")],
        ),
        (json!({"pattern": "^[a-z]+$"}), vec![json!("abc"), json!(1)], vec![json!("aBc")]),
        (json!({"format": "uuid"}), vec![json!("0199d1c4-7a3e-7000-8000-000000000000")], vec![json!("x")]),
        (json!({"format": "date"}), vec![json!("2026-11-30")], vec![json!("30.11.2026")]),
        (json!({"format": "email"}), vec![json!("not checked")], vec![]),
        (json!({"minItems": 1, "maxItems": 2}), vec![json!([1])], vec![json!([]), json!([1, 2, 3])]),
        (
            json!({"uniqueItems": true}),
            vec![json!([1, 2])],
            vec![json!([{"a": 1, "b": 2}, {"b": 2, "a": 1}])],
        ),
        (
            json!({"prefixItems": [{"type": "string"}], "items": {"type": "integer"}}),
            vec![json!(["a", 1]), json!([])],
            vec![json!([1]), json!(["a", "b"])],
        ),
        (
            json!({"contains": {"type": "string"}, "maxContains": 1}),
            vec![json!([1, "a"])],
            vec![json!([1]), json!(["a", "b"])],
        ),
        (
            json!({"minProperties": 1, "maxProperties": 1}),
            vec![json!({"a": 1})],
            vec![json!({"a": 1, "b": 1})],
        ),
        (
            json!({"properties": {"a": {"type": "string"}}, "patternProperties": {"^x": {"type": "integer"}},
                   "additionalProperties": false}),
            vec![json!({"a": "", "x1": 1})],
            vec![json!({"b": 1}), json!({"x1": ""}), json!({"a": 1})],
        ),
        (
            json!({"additionalProperties": {"type": "integer"}}),
            vec![json!({"a": 1})],
            vec![json!({"a": "1"})],
        ),
        (json!({"propertyNames": {"maxLength": 1}}), vec![json!({"a": 1})], vec![json!({"ab": 1})]),
        (
            json!({"dependentRequired": {"a": ["b"]}}),
            vec![json!({"a": 1, "b": 1}), json!({})],
            vec![json!({"a": 1})],
        ),
        (
            json!({"dependentSchemas": {"a": {"required": ["b"]}}}),
            vec![json!({"b": 1})],
            vec![json!({"a": 1})],
        ),
        (json!({"allOf": [{"minimum": 1}, {"maximum": 2}]}), vec![json!(1)], vec![json!(0), json!(3)]),
        (json!({"anyOf": [{"type": "string"}, {"minimum": 2}]}), vec![json!("a"), json!(2)], vec![json!(1)]),
        (json!({"oneOf": [{"minimum": 1}, {"maximum": 2}]}), vec![json!(0), json!(3)], vec![json!(1)]),
        (json!({"not": {"type": "string"}}), vec![json!(1)], vec![json!("a")]),
        (
            json!({"if": {"type": "string"}, "then": {"minLength": 1}, "else": {"minimum": 1}}),
            vec![json!("a"), json!(1)],
            vec![json!(""), json!(0)],
        ),
        (
            json!({"$ref": "#/$defs/a~1b%20c", "$defs": {"a/b c": {"type": "string"}}}),
            vec![json!("a")],
            vec![json!(1)],
        ),
        (json!({"title": 1, "x-own": [], "$comment": "", "default": 1}), vec![json!(1)], vec![]),
    ];
    for (text, good, bad) in table {
        let schema = schema(&text);
        for value in good {
            assert_eq!(schema.check(&value.to_string()), Ok(()), "{value} fits {text}");
        }
        for value in bad {
            assert!(!fits(&schema, &value), "{value} does not fit {text}");
        }
    }
}

#[test]
fn a_start_without_input_fits_a_schema_of_null() {
    let nothing = schema(&json!({"type": "null"}));
    assert!(fits(&nothing, &json!({})) && fits(&nothing, &json!(null)));
    says(&nothing, &json!({"a": 1}), "$", "expected null, found an object");
}

#[test]
fn a_schema_of_a_recursive_type_is_checked_to_any_depth_of_the_input() {
    let tree = schema(&json!({
        "$ref": "#/$defs/Tree",
        "$defs": {"Tree": {"type": "object", "properties": {
            "value": {"type": "integer"},
            "children": {"type": "array", "items": {"anyOf": [{"$ref": "#/$defs/Tree"}, {"type": "null"}]}},
        }, "required": ["value"]}},
    }));
    // Two levels of a document for each level of the tree; documents have at most 127.
    let nested =
        |value: Value| (0..62).fold(value, |below, _| json!({"value": 1, "children": [null, below]}));
    assert!(fits(&tree, &nested(json!({"value": 1}))));
    let (path, why) = misfit(&tree, &nested(json!({"value": "deep"})));
    assert!(path.ends_with(".children[1].value") && path.len() < 1_010, "{path}");
    assert_eq!(why, "expected an integer, found a string");
}

#[test]
fn a_schema_that_cannot_be_used_is_refused_with_the_place() {
    assert_eq!(refused(&json!(1)), "`#` is no schema: a schema is an object, `true` or `false`");
    assert!(
        refused(&json!({"properties": {"a": {"type": "text"}}}))
            .starts_with("`#/properties/a/type` is no type")
    );
    assert!(refused(&json!({"type": vec!["string"; 8]})).contains("each once"));
    assert_eq!(refused(&json!({"minLength": -1})), "`#/minLength` is no integer from 0");
    assert!(refused(&json!({"$ref": "https://example.com/a"})).contains("a reference is `#` or `#/…`"));
    assert!(refused(&json!({"$ref": "#name"})).contains("a reference is `#` or `#/…`"));
    assert!(refused(&json!({"$ref": "#/$defs/A"})).contains("which is not in the schema"));
    assert!(refused(&json!({"$dynamicRef": "#"})).contains("use `$ref`"));
    assert!(refused(&json!({"pattern": "(?=a)"})).contains("look-around"));
    assert!(refused(&json!({"pattern": "(a)\\1"})).contains("backreferences"));
    assert!(refused(&json!({"pattern": "((a{1000}){1000}){1000}"})).contains("larger than 64 KiB"));
    assert!(refused(&json!({"description": "a".repeat(SCHEMA_BYTES)})).contains("the most is 65536"));
    let place = json!({"a".repeat(60_000): 1});
    assert!(refused(&json!({"properties": place})).len() < 1_200, "names are cut");
    let InvalidSchema(why) = Schema::parse(&"[".repeat(60_000)).unwrap_err();
    assert!(why.starts_with("it is not JSON: recursion limit"), "{why}");
}

#[test]
fn a_schema_that_leads_to_itself_is_refused() {
    for looping in [
        json!({"$ref": "#"}),
        json!({"anyOf": [{"type": "string"}, {"$ref": "#/$defs/A"}], "$defs": {"A": {"not": {"$ref": "#"}}}}),
        json!({"if": {"$ref": "#"}}),
    ] {
        assert!(refused(&looping).contains("leads to itself"), "{looping}");
    }
    let twice = json!({"allOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/A"}], "$defs": {"A": {"items": {"$ref": "#"}}}});
    assert!(fits(&schema(&twice), &json!([[[]]])));
}

#[test]
fn a_chain_of_references_as_long_as_a_schema_does_not_use_up_the_stack() {
    let chain: serde_json::Map<String, Value> =
        (0..2_000).map(|at| (at.to_string(), json!({"$ref": format!("#/$defs/{}", at + 1)}))).collect();
    let mut chain = json!({"$ref": "#/$defs/0", "$defs": chain});
    chain["$defs"]["2000"] = json!({"type": "string"});
    let (path, why) = misfit(&schema(&chain), &json!("a"));
    assert_eq!(path, "$");
    assert!(why.contains("has too many alternatives and references within one another: let fewer"), "{why}");
}

#[test]
fn references_to_one_part_are_read_once() {
    // Read for each spelling of the reference, this would take gigabytes.
    let refs: Vec<Value> = (0..700)
        .map(|at| json!({"$ref": format!("#/%24defs/{}", "%41".to_owned() + &"A".repeat(at % 7))}))
        .collect();
    let parts: Vec<Value> = (0..7_000).map(|_| json!({})).collect();
    let defs: serde_json::Map<String, Value> =
        (1..8).map(|length| ("A".repeat(length), json!({"allOf": parts[..1_000]}))).collect();
    let schema = schema(&json!({"anyOf": refs, "$defs": defs}));
    assert!(schema.nodes.len() < 8_000, "{}", schema.nodes.len());
}

#[test]
fn names_of_the_input_are_cut_in_messages() {
    let strings = schema(&json!({"additionalProperties": {"type": "string"}}));
    let (path, _) = misfit(&strings, &json!({"k".repeat(100_000): 1}));
    assert!(path.len() < 1_010 && path.ends_with('…'), "{}", path.len());
}
