//! Which inputs have a schema, and that others compile as before.

use std::collections::BTreeMap;

use forge::prelude::*;
use serde::Deserialize;

/// An order of a customer.
#[derive(Deserialize, JsonSchema)]
#[allow(dead_code)]
struct Order {
    /// The article.
    sku: String,
    #[serde(default)]
    amount: u8,
    at: Option<DateTime<Utc>>,
    id: Uuid,
}

#[derive(Deserialize)]
struct Plain {}

#[forge::workflow]
async fn order(_ctx: &WorkflowContext, _order: Order) -> Result<()> {
    Ok(())
}

#[forge::workflow]
async fn orders(_ctx: &WorkflowContext, _orders: BTreeMap<String, Vec<Order>>) -> Result<()> {
    Ok(())
}

#[forge::workflow]
async fn plain(_ctx: &WorkflowContext, _input: Plain) -> Result<()> {
    Ok(())
}

#[forge::workflow]
async fn text(_ctx: &WorkflowContext, _input: String) -> Result<()> {
    Ok(())
}

#[forge::workflow]
async fn nothing(_ctx: &WorkflowContext, _input: ()) -> Result<()> {
    Ok(())
}

/// A type with the name that the expansion uses.
#[derive(Deserialize, JsonSchema)]
#[allow(dead_code)]
struct Input {
    own: bool,
}

#[forge::workflow]
async fn own(_ctx: &WorkflowContext, _input: Input) -> Result<()> {
    Ok(())
}

forge::export!(OrderWorkflow, OrdersWorkflow, PlainWorkflow, TextWorkflow, NothingWorkflow, OwnWorkflow);

fn schema<W: ForgeWorkflow>() -> serde_json::Value {
    serde_json::from_str(&W::input_schema().expect("it has a schema")).unwrap()
}

#[test]
fn an_input_that_derives_its_schema_has_one() {
    let schema = schema::<OrderWorkflow>();
    assert_eq!(schema["title"], "Order");
    assert_eq!(schema["description"], "An order of a customer.");
    assert_eq!(schema["properties"]["sku"], json!({"description": "The article.", "type": "string"}));
    assert_eq!(schema["properties"]["amount"]["maximum"], 255);
    assert_eq!(schema["properties"]["at"]["format"], "date-time");
    assert_eq!(schema["required"], json!(["sku", "id"]));
}

#[test]
fn an_input_with_a_part_that_derives_its_schema_has_one() {
    let schema = schema::<OrdersWorkflow>();
    assert_eq!(schema["additionalProperties"]["items"]["$ref"], "#/$defs/Order");
}

#[test]
fn an_input_that_derives_none_has_no_schema() {
    assert_eq!(PlainWorkflow::input_schema(), None);
    assert_eq!(TextWorkflow::input_schema(), None);
    assert_eq!(NothingWorkflow::input_schema(), None);
}

#[test]
fn names_of_the_expansion_do_not_hide_those_of_the_author() {
    assert_eq!(schema::<OwnWorkflow>()["properties"]["own"]["type"], "boolean");
}
