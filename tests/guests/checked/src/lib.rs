//! A workflow whose input has a schema, and one that starts it with whatever it gets.

use forge::prelude::*;
use serde::{Deserialize, Serialize};

/// An order of a customer.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Order {
    /// The article's number in the catalogue.
    pub sku: String,
    /// How many to send.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 100))]
    pub count: u32,
    /// Send it as a gift.
    #[serde(default)]
    pub gift: bool,
    /// When it must be there.
    pub until: Option<DateTime<Utc>>,
    /// How it is sent.
    #[serde(default)]
    pub delivery: Delivery,
    /// How it is paid.
    pub payment: Payment,
    /// Where it is sent.
    pub address: Option<Address>,
    /// Words for the courier.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Whatever the shop adds.
    #[serde(default)]
    pub extra: serde_json::Value,
}

/// A speed.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    #[default]
    Standard,
    Express,
}

/// A means of payment.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Payment {
    /// By card.
    Card {
        /// The card's token.
        token: String,
    },
    /// By transfer.
    Transfer {
        /// The account.
        iban: String,
        /// The name of its owner.
        owner: Option<String>,
    },
}

/// A place.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Address {
    /// The street and the number.
    pub street: String,
    /// The town.
    pub town: String,
}

fn one() -> u32 {
    1
}

/// Ends with the number of articles.
#[forge::workflow]
pub async fn order(_ctx: &WorkflowContext, order: Order) -> Result<u32> {
    Ok(order.count)
}

/// Starts an order with each input, and ends with its output or the kind and message of its failure.
#[forge::workflow]
pub async fn orders(ctx: &WorkflowContext, inputs: Vec<serde_json::Value>) -> Result<Vec<serde_json::Value>> {
    let mut ended = Vec::new();
    for input in inputs {
        ended.push(match ctx.child("order", &input).run::<u32>().await {
            Ok(count) => json!(count),
            Err(error) => {
                let failure = error.downcast_ref::<Failure>().context("every failure is one")?;
                json!({"kind": failure.kind, "message": failure.message})
            }
        });
    }
    Ok(ended)
}

forge::export!(OrderWorkflow, OrdersWorkflow);
