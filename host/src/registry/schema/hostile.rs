//! Schemas and inputs that are made to take long. No test measures time: the steps are what bounds it.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::check::Check;
use super::rule::Rule;
use super::{SCHEMA_BYTES, Schema, cost};

/// The size of the largest inputs, in bytes.
const INPUT: usize = 1 << 20;

/// A keyword, a schema of it, an input that fits, and what the check must look at at least.
struct Case {
    keyword: &'static str,
    schema: Value,
    input: Value,
    work: Work,
}

/// What a check looks at. A step stands for at most eight values that are compared, 64 bytes that are read or compared, or
/// one member or item that is visited.
enum Work {
    Compared(usize),
    Read(usize),
    Visited(usize),
}

impl Work {
    fn least_steps(&self) -> u64 {
        let steps = match self {
            Self::Compared(values) => values / 8,
            Self::Read(bytes) => bytes / 64,
            Self::Visited(values) => *values,
        };
        steps as u64
    }
}

/// Returns what a rule is in a schema. A new rule needs a case below, or several.
fn keyword(rule: &Rule) -> &'static str {
    match rule {
        Rule::Never => "false",
        Rule::Types(_) => "type",
        Rule::Values(..) => "enum",
        Rule::Bound(..) => "minimum",
        Rule::MultipleOf(_) => "multipleOf",
        Rule::Length { .. } => "minLength",
        Rule::Pattern(_) => "pattern",
        Rule::Format(_) => "format",
        Rule::Items { .. } => "minItems",
        Rule::Unique => "uniqueItems",
        Rule::Each { .. } => "items",
        Rule::Contains { .. } => "contains",
        Rule::Members { .. } => "minProperties",
        Rule::Properties(_) => "properties",
        Rule::Names(_) => "propertyNames",
        Rule::Required(_) => "required",
        Rule::RequiredWith(..) => "dependentRequired",
        Rule::With(..) => "dependentSchemas",
        Rule::Refer(_) => "$ref",
        Rule::All(_) => "allOf",
        Rule::Any(_) => "anyOf",
        Rule::One(_) => "oneOf",
        Rule::Not(_) => "not",
        Rule::If { .. } => "if",
    }
}

/// The number of keywords above.
const KEYWORDS: usize = 24;

fn cases() -> Vec<Case> {
    let long = |bytes: usize| "k".repeat(bytes);
    let case = |keyword, schema, input, work| Case { keyword, schema, input, work };
    let (zeros, lists) = (vec![json!(0); 500_000], vec![json!([]); 300_000]);
    let (many, alike) = (members(90_000), names_alike(20_000, 50));
    let both = json!([format!("{}7", long(20_000)), format!("{}8", long(20_000))]);
    let (mut first_true, mut last_true) = (vec![json!(false); 5_000], vec![json!(false); 5_000]);
    (first_true[0], last_true[4_999]) = (json!(true), json!(true));
    let known: Map<String, Value> = (0..3_000).map(|at| (format!("{at}"), json!(true))).collect();
    vec![
        case("false", json!({"not": false}), json!(0), Work::Visited(1)),
        case(
            "type",
            json!({"type": ["null", "boolean", "string", "array", "object", "number"]}),
            json!(0),
            Work::Compared(6),
        ),
        case("enum", json!({"enum": numbers(10_000)}), json!(9_999), Work::Compared(10_000)),
        case("enum", json!({"const": long(50_000)}), json!(long(50_000)), Work::Read(50_000)),
        case("enum", json!({"const": lists[..15_000]}), json!(lists[..15_000]), Work::Compared(15_000)),
        case("enum", json!({"const": names_alike(4_000, 10)}), names_alike(4_000, 10), Work::Read(40_000)),
        case(
            "minimum",
            json!({"minimum": 0, "maximum": 0, "exclusiveMinimum": -1.5, "exclusiveMaximum": 1}),
            json!(0),
            Work::Visited(4),
        ),
        case("multipleOf", json!({"multipleOf": 0.01}), json!(19.99), Work::Visited(1)),
        case(
            "minLength",
            json!({"minLength": 1, "maxLength": INPUT}),
            json!(long(1_000_000)),
            Work::Read(1_000_000),
        ),
        // Each of hundreds of states is visited for each byte.
        case(
            "pattern",
            json!({"pattern": "(?:[ab]{0,50}){10}c|d"}),
            json!("abbab".repeat(200) + "d"),
            Work::Compared(500_000),
        ),
        case("pattern", json!({"pattern": "k$"}), json!(long(1_000_000)), Work::Read(1_000_000)),
        case(
            "format",
            json!({"anyOf": [{"format": "date-time"}, {"format": "date"}, true]}),
            json!(" ".repeat(1_000_000)),
            Work::Read(2_000_000),
        ),
        case("minItems", json!({"minItems": 1, "maxItems": 1 << 30}), json!(zeros), Work::Visited(1)),
        case("uniqueItems", json!({"uniqueItems": true}), json!(numbers(120_000)), Work::Visited(120_000)),
        case("uniqueItems", json!({"uniqueItems": true}), json!([long(500_000), ""]), Work::Read(500_000)),
        case("uniqueItems", json!({"uniqueItems": true}), json!([lists, 0]), Work::Visited(300_000)),
        case("items", json!({"items": true}), json!(zeros), Work::Visited(500_000)),
        case("items", json!({"prefixItems": [false, {}], "items": {}}), json!([]), Work::Visited(1)),
        case("contains", json!({"contains": true}), json!(zeros), Work::Visited(500_000)),
        case(
            "contains",
            json!({"contains": {"type": "null"}, "minContains": 0}),
            json!(zeros),
            Work::Visited(500_000),
        ),
        case("minProperties", json!({"minProperties": 1}), many.clone(), Work::Visited(1)),
        case("properties", json!({"properties": {"zz": true}}), many.clone(), Work::Visited(90_000)),
        case("properties", json!({"properties": {}}), many.clone(), Work::Visited(90_000)),
        case("properties", json!({"properties": known}), many.clone(), Work::Compared(90_000 * 11)),
        case("properties", json!({"additionalProperties": true}), many.clone(), Work::Visited(90_000)),
        case("properties", json!({"patternProperties": {"^zz": false}}), many.clone(), Work::Visited(90_000)),
        case("properties", json!({"properties": {long(20_000): true}}), alike.clone(), Work::Read(1_000_000)),
        case("properties", json!({"patternProperties": {"z$": false}}), alike.clone(), Work::Read(1_000_000)),
        case("propertyNames", json!({"propertyNames": true}), many.clone(), Work::Visited(90_000)),
        case("propertyNames", json!({"propertyNames": {}}), alike.clone(), Work::Read(1_000_000)),
        // A name is compared with others that begin alike: with one of two halves of the rest each time.
        case("required", json!({"required": both}), alike.clone(), Work::Read(2 * 5 * 20_000)),
        case("required", json!({"required": names(3_000)}), many.clone(), Work::Compared(3_000 * 16)),
        case(
            "dependentRequired",
            json!({"dependentRequired": {format!("{}7", long(20_000)): [format!("{}8", long(20_000))]}}),
            alike.clone(),
            Work::Read(2 * 5 * 20_000),
        ),
        case(
            "dependentSchemas",
            json!({"dependentSchemas": {format!("{}7", long(20_000)): true, format!("{}x", long(20_000)): false}}),
            alike,
            Work::Read(2 * 5 * 20_000),
        ),
        case("$ref", json!({"$ref": "#/$defs/nothing"}), json!(0), Work::Visited(1)),
        case("allOf", json!({"allOf": vec![true; 5_000]}), json!(0), Work::Visited(5_000)),
        case("anyOf", json!({"anyOf": last_true}), json!(0), Work::Visited(5_000)),
        case("oneOf", json!({"oneOf": first_true}), json!(0), Work::Visited(5_000)),
        case("not", json!({"not": {"not": {}}}), json!(0), Work::Visited(2)),
        case("if", json!({"if": false, "then": false, "else": {"minimum": 0}}), json!(0), Work::Visited(2)),
    ]
}

fn numbers(count: usize) -> Vec<Value> {
    (0..count).map(Value::from).collect()
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|at| at.to_string()).collect()
}

/// Returns an object with this many members, of short names.
fn members(count: usize) -> Value {
    names(count).into_iter().map(|name| (name, json!(0))).collect::<Map<_, _>>().into()
}

/// Returns an object with this many members, whose names begin with the same bytes.
fn names_alike(bytes: usize, count: usize) -> Value {
    let begin = "k".repeat(bytes);
    names(count).into_iter().map(|name| (format!("{begin}{name}"), json!(0))).collect::<Map<_, _>>().into()
}

fn parse(schema: &Value) -> Schema {
    Schema::parse(&schema.to_string()).unwrap_or_else(|error| panic!("{error}"))
}

/// Returns a schema that applies another one as often as its size allows: up to 300 million times.
fn often(schema: &Value) -> Schema {
    let applies =
        |times: usize, what: &str| json!({"allOf": vec![json!({"$ref": format!("#/$defs/{what}")}); times]});
    // Three references of up to 24 bytes each time.
    let times = (SCHEMA_BYTES - 200 - schema.to_string().len()) / 75;
    let defs = json!({
        "nothing": true, "one": schema, "many": applies(times, "one"), "more": applies(times, "many"),
    });
    parse(&json!({"allOf": applies(times, "more")["allOf"], "$defs": defs}))
}

#[test]
fn all_that_a_keyword_looks_at_spends_steps() {
    let mut seen = BTreeSet::new();
    for Case { keyword: name, schema, input, work } in cases() {
        let mut schema = schema;
        schema["$defs"] = json!({"nothing": true});
        let parsed = parse(&schema);
        let keywords: BTreeSet<&str> = parsed.nodes.iter().flatten().map(keyword).collect();
        assert!(keywords.contains(name), "the case of {name} has {keywords:?}");
        seen.insert(name);
        assert!(input.to_string().len() <= INPUT, "{name}");
        let mut check = Check::new(&parsed, u64::MAX);
        assert_eq!(check.check(&input), Ok(()), "the input of {name} fits");
        let spent = u64::MAX - check.steps;
        assert!(spent >= work.least_steps(), "{name} spends {spent} steps, not {}", work.least_steps());
    }
    assert_eq!(seen.len(), KEYWORDS, "{seen:?}");
}

#[test]
fn each_keyword_that_is_applied_without_end_is_given_up() {
    for Case { keyword, schema, input, .. } in cases() {
        let (schema, input) = (often(&schema), input.to_string());
        let misfit = schema.check(&input).unwrap_err();
        let most = cost::budget(input.len());
        assert!(misfit.is_given_up() && most <= 10_000_000, "{keyword}: {misfit}");
        let why = format!("needs more than {most} steps for an input of this size: send a smaller input");
        assert!(misfit.why.contains(&why), "{keyword}: {misfit}");
        // The budget of a small input is at once used up.
        let at_once = schema.check_at_once(&input);
        assert!(at_once.is_none_or(|checked| checked == Err(misfit)), "{keyword}");
    }
}

#[test]
fn an_ordinary_input_as_large_as_one_may_be_is_checked() {
    let items = json!({"type": "array", "items": {"$ref": "#/$defs/Item"}, "minItems": 1});
    let schema = parse(&json!({
        "type": "object", "properties": {"items": items, "note": {"type": "string"}}, "required": ["items"],
        "$defs": {"Item": {"oneOf": [
            {"type": "object", "properties": {"kind": {"const": "book"}, "isbn": {"type": "string", "pattern": "^[0-9-]{10,17}$"}},
             "required": ["kind", "isbn"]},
            {"type": "object", "properties": {"kind": {"const": "film"}, "minutes": {"type": "integer", "minimum": 1},
             "by": {"enum": ["a", "b", "c", "d"]}}, "required": ["kind", "minutes"], "additionalProperties": false},
        ]}},
    }));
    let item =
        json!([{"kind": "book", "isbn": "978-3-16-148410-0"}, {"kind": "film", "minutes": 90, "by": "d"}]);
    let items: Vec<Value> = (0..25_000).map(|at| item[at % 2].clone()).collect();
    let input = json!({"items": items, "note": "n".repeat(10_000)});
    let bytes = input.to_string().len();
    assert!(bytes <= INPUT && bytes > 9 * INPUT / 10, "{bytes}");
    let mut check = Check::new(&schema, cost::budget(bytes));
    assert_eq!(check.check(&input), Ok(()));
}

#[test]
fn a_small_input_is_checked_at_once_unless_it_takes_long() {
    let ordinary = parse(&json!({"additionalProperties": {"type": "integer"}}));
    let input = members(300).to_string();
    assert_eq!(ordinary.check_at_once(&input), Some(Ok(())));
    assert_eq!(ordinary.check_at_once(&members(90_000).to_string()), None);
    // It fits, and takes longer than a task may keep its thread.
    let slow = parse(&json!({"allOf": vec![json!({"additionalProperties": {"type": "integer"}}); 100]}));
    assert_eq!(slow.check_at_once(&input), None);
    assert_eq!(slow.check(&input), Ok(()));
}

#[test]
fn alternatives_that_double_at_each_level_are_given_up() {
    let next = |at: usize| json!({"$ref": format!("#/$defs/{}", at + 1)});
    let mut defs: Map<String, Value> =
        (0..40).map(|at| (at.to_string(), json!({"anyOf": [next(at), next(at)]}))).collect();
    defs.insert("40".to_owned(), json!({"type": "string"}));
    let doubling = parse(&json!({"$ref": "#/$defs/0", "$defs": defs}));
    let misfit = doubling.check("1").unwrap_err();
    assert!(misfit.is_given_up() && misfit.why.contains("fewer alternatives"), "{misfit}");
}

#[test]
fn the_steps_of_an_input_are_bounded_whatever_its_size() {
    assert!(cost::budget(0) < cost::budget(1_000));
    assert_eq!(cost::budget(INPUT), cost::budget(usize::MAX));
}
