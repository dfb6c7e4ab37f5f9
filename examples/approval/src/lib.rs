//! An order that somebody must approve, and that a workflow of its own ships.
//!
//! Shows an event with a deadline, a child, and the tenant's store. If nobody approves the order in time, if
//! it is declined or if it cannot be shipped, the stock gets its units back.
//!
//! ```console
//! $ forge serve &
//! $ forge deploy examples/approval
//! $ forge db put stock/mug 3
//! $ forge start approved_order --input @examples/approval/input.json
//! $ forge runs show last                       # it waits: event `approval` until …
//! $ forge send last approval --payload '{"by": "ada", "approved": true}'
//! $ forge runs show last --deep
//! $ forge db list
//! ```

pub mod stock;

use forge::prelude::*;
use serde::{Deserialize, Serialize};

use stock::Units;

/// An order. A start whose input does not fit its schema is refused.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct OrderInput {
    /// The stock keeping unit.
    #[schemars(length(min = 1))]
    pub sku: String,
    /// The number of units.
    pub quantity: u64,
    /// Where to ship them.
    #[schemars(length(min = 1))]
    pub address: String,
    /// How long the order waits for its approval, in milliseconds.
    #[serde(default = "three_days")]
    pub approve_within_ms: u64,
    /// How long it takes to pack the order, in milliseconds.
    #[serde(default)]
    pub packing_ms: u64,
}

fn three_days() -> u64 {
    3 * 24 * 60 * 60 * 1_000
}

/// The payload of the event `approval`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Approval {
    /// Who has decided.
    pub by: String,
    /// Whether the order is approved.
    pub approved: bool,
}

/// A shipped order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrderOutput {
    /// Who has approved the order.
    pub approved_by: String,
    /// The id of the parcel.
    pub parcel: String,
}

/// Reserves stock, waits for the approval and ships the order.
#[forge::workflow]
#[timeout = "7d"]
pub async fn approved_order(ctx: &WorkflowContext, input: OrderInput) -> Result<OrderOutput> {
    let order = ctx.run_id.to_string();
    let units = Units { sku: input.sku, quantity: input.quantity };

    // A rollback does not undo changes of the store, so they have a compensation like every other effect.
    let (db, reserved) = (ctx.db().clone(), order.clone());
    ctx.step("reserve_stock", || async { stock::reserve(ctx.db(), &order, units).await })
        .compensate(move |_| {
            let (db, order) = (db.clone(), reserved.clone());
            async move { stock::give_back(&db, &order).await }
        })
        .run()
        .await?;

    // The run is not in memory while it waits. An approval that comes early is kept.
    let deadline = Duration::from_millis(input.approve_within_ms);
    let approval: Approval = ctx.event("approval").timeout(deadline).recv().await?;
    if !approval.approved {
        let message = format!("{} has declined the order", approval.by);
        return Err(Failure::new("declined", message).not_retryable().into());
    }

    // A run of its own, which is started once. If this run is cancelled meanwhile, the child is rolled back first.
    let request = ShipInput { order, address: input.address, packing_ms: input.packing_ms };
    let shipment: Shipment = ctx.child("ship_order", &request).run().await?;

    Ok(OrderOutput { approved_by: approval.by, parcel: shipment.parcel })
}

/// What to ship.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ShipInput {
    /// The id of the order, which has reserved units.
    pub order: String,
    /// Where to ship them.
    pub address: String,
    /// How long it takes to pack the order, in milliseconds.
    #[serde(default)]
    pub packing_ms: u64,
}

/// A parcel on its way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shipment {
    /// The id of the parcel.
    pub parcel: String,
    /// What is in it.
    pub units: Units,
}

/// Packs the reserved units of an order and ships them.
#[forge::workflow]
pub async fn ship_order(ctx: &WorkflowContext, input: ShipInput) -> Result<Shipment> {
    if input.address.trim().is_empty() {
        return Err(Failure::permanent("the order has no address").into());
    }
    ctx.sleep(Duration::from_millis(input.packing_ms)).await;

    let (db, shipped) = (ctx.db().clone(), input.order.clone());
    let units = ctx
        .step("hand_over", || async { stock::ship(ctx.db(), &input.order).await })
        .compensate(move |_| {
            let (db, order) = (db.clone(), shipped.clone());
            async move { stock::recall(&db, &order).await }
        })
        .run()
        .await?;

    Ok(Shipment { parcel: format!("parcel_{}", ctx.run_id), units })
}

forge::export!(ApprovedOrderWorkflow, ShipOrderWorkflow);

#[cfg(test)]
mod tests {
    use forge::testing::{ChildStatus, TestChild, TestEvent, TestOutcome, TestReport, TestRun};

    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn mugs(quantity: u64) -> OrderInput {
        OrderInput {
            sku: "mug".to_owned(),
            quantity,
            address: "1 Analytical Row".to_owned(),
            approve_within_ms: three_days(),
            packing_ms: 0,
        }
    }

    fn decision(approved: bool) -> TestEvent {
        TestEvent::new("approval", json!({"by": "ada", "approved": approved}))
    }

    fn parcel(_: &TestChild) -> TestOutcome {
        TestOutcome::completed(json!({"parcel": "p-1", "units": {"sku": "mug", "quantity": 2}}))
    }

    /// A shop with three mugs.
    fn shop() -> TestRun<ApprovedOrderWorkflow> {
        TestRun::new(ApprovedOrderWorkflow).db_entry("stock/mug", 3).child("ship_order", parcel)
    }

    #[track_caller]
    fn is_rolled_back(run: &TestReport<OrderOutput>, kind: &str) {
        assert_eq!(run.failure().kind, kind);
        assert_eq!(run.compensations, ["reserve_stock"]);
        assert_eq!((run.db.len(), &run.db["stock/mug"]), (1, &json!(3)), "{:?}", run.db);
    }

    #[test]
    fn an_order_that_is_approved_is_shipped() {
        let run = shop().event(decision(true).after(5 * HOUR)).run(mugs(2));
        assert_eq!(run.output(), &OrderOutput { approved_by: "ada".to_owned(), parcel: "p-1".to_owned() });
        assert_eq!(run.elapsed, 5 * HOUR);
        assert_eq!(run.children[0].status, ChildStatus::Completed);
        assert_eq!(run.db["stock/mug"], 1);
    }

    #[test]
    fn an_approval_that_comes_at_once_is_kept() {
        let run = shop().event(decision(true)).run(mugs(3));
        assert_eq!((run.db["stock/mug"].clone(), run.elapsed), (json!(0), Duration::ZERO));
    }

    #[test]
    fn an_order_that_nobody_approves_gives_its_units_back() {
        let run = shop().event(decision(true).after(73 * HOUR)).run(mugs(2));
        is_rolled_back(&run, "timeout");
        assert_eq!(run.elapsed, 72 * HOUR);
        assert!(run.children.is_empty());
    }

    #[test]
    fn an_order_that_is_declined_gives_its_units_back() {
        is_rolled_back(&shop().event(decision(false)).run(mugs(2)), "declined");
    }

    #[test]
    fn an_order_that_cannot_be_shipped_gives_its_units_back() {
        let shop = shop().child("ship_order", |_| TestOutcome::failed("error", "the order has no address"));
        let run = shop.event(decision(true)).run(mugs(2));
        is_rolled_back(&run, "child");
        let child = run.failure().child().map(|child| child.message);
        assert_eq!(child.as_deref(), Some("the order has no address"));
    }

    #[test]
    fn an_order_of_more_than_there_is_does_not_wait() {
        let run = shop().run(mugs(4));
        assert_eq!((&*run.failure().kind, run.elapsed), ("sold-out", Duration::ZERO));
        assert_eq!((run.db.len(), &run.db["stock/mug"]), (1, &json!(3)));
    }

    #[test]
    fn an_order_that_is_cancelled_while_it_is_shipped_cancels_the_child() {
        let shop = shop().child("ship_order", |_| TestOutcome::never());
        let run = shop.event(decision(true)).cancel_at(HOUR).run(mugs(2));
        is_rolled_back(&run, "cancelled");
        assert_eq!(run.children[0].status, ChildStatus::Cancelled);
    }

    fn shipping() -> TestRun<ShipOrderWorkflow> {
        TestRun::new(ShipOrderWorkflow).db_entry("reserved/1", json!({"sku": "mug", "quantity": 2}))
    }

    fn to(address: &str) -> ShipInput {
        ShipInput { order: "1".to_owned(), address: address.to_owned(), packing_ms: 60_000 }
    }

    #[test]
    fn shipping_moves_what_is_reserved() {
        let run = shipping().run(to("1 Analytical Row"));
        assert_eq!(run.output().units, Units { sku: "mug".to_owned(), quantity: 2 });
        assert_eq!(run.db.into_keys().collect::<Vec<_>>(), ["shipped/1"]);
    }

    #[test]
    fn a_shipment_that_is_rolled_back_is_reserved_again() {
        let run = shipping().cancel_after(1).run(to("1 Analytical Row"));
        assert_eq!(run.compensations, ["hand_over"]);
        assert_eq!(run.db.into_keys().collect::<Vec<_>>(), ["reserved/1"]);
    }

    #[test]
    fn nothing_is_shipped_without_an_address_or_a_reservation() {
        assert_eq!(shipping().run(to(" ")).failure().message, "the order has no address");
        let run = TestRun::new(ShipOrderWorkflow).run(to("1 Analytical Row"));
        assert_eq!(run.failure().message, "nothing is reserved for order 1");
    }
}
