//! A workflow that uses the crates that people use. Names of crates mean the crates, beside the prelude.

use forge::prelude::*;
use itertools::Itertools as _;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub struct Order {
    #[serde(rename = "sku")]
    article: String,
    count: u32,
}

#[serde_with::serde_as]
#[derive(Serialize)]
pub struct Receipt {
    #[serde_as(as = "serde_with::DisplayFromStr")]
    total: u32,
    articles: String,
    day: String,
    numbers: Vec<u32>,
    /// Random numbers of both versions of `rand`, and a UUID, as a replay gives them, too.
    random: Vec<String>,
}

#[forge::workflow]
pub async fn popular(ctx: &WorkflowContext, table: String) -> Result<Receipt> {
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    let orders: Vec<Order> = reader.deserialize().try_collect()?;
    let (one, two) = futures::join!(ready(1), ready(2));
    let (three, four) = join!(ready(3), ready(4));
    let random = vec![
        rand::random::<u64>().to_string(),
        rand_08::random::<u64>().to_string(),
        uuid::Uuid::new_v4().to_string(),
    ];
    // The name of the step must be the same in a replay.
    ctx.step(format!("wait {}", random.iter().join(" ")), || async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        Ok(())
    })
    .run()
    .await?;
    let plain = regex::Regex::new("^[a-z]+$")?;
    Ok(Receipt {
        total: orders.iter().map(|order| order.count).sum(),
        articles: orders
            .iter()
            .map(|order| &order.article)
            .filter(|sku| plain.is_match(sku))
            .sorted()
            .join("+"),
        day: ctx.workflow_time().date_naive().format("%Y").to_string(),
        numbers: [one, two, three, four].into(),
        random,
    })
}

forge::export!(PopularWorkflow);

/// Passes a number through a channel of tokio.
async fn ready(number: u32) -> u32 {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let _ = sender.send(number);
    receiver.await.unwrap_or_default()
}
