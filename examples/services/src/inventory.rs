//! Inventory: the stock of a coffee shop, and reservations.
//!
//! - `GET /inventory`: stock by SKU
//! - `POST /inventory/reservations` `{"items": [{"sku", "quantity"}]}` reserves all items or none
//! - `DELETE /inventory/reservations/{reservation_id}` releases the items

use std::collections::BTreeMap;
use std::sync::Mutex;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use serde::{Deserialize, Serialize};

use crate::answer::{Answer, Json, Problem};
use crate::faults::fallible;
use crate::idempotency::keyed;
use crate::{Services, lock};

/// The initial stock. The last item has few units, for tests of a shortage.
const STOCK: [(&str, u32); 5] = [
    ("beans-yirgacheffe-1kg", 1_000_000),
    ("dripper-v60-02", 1_000_000),
    ("filters-v60-100", 1_000_000),
    ("kettle-gooseneck-1l", 1_000_000),
    ("mug-limited-edition", 3),
];

/// Stock levels and reservations.
pub struct Inventory(Mutex<Tables>);

struct Tables {
    stock: BTreeMap<String, u32>,
    reservations: BTreeMap<String, Reservation>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Item {
    sku: String,
    quantity: u32,
}

#[derive(Deserialize)]
struct NewReservation {
    items: Vec<Item>,
}

#[derive(Clone, Serialize)]
struct Reservation {
    reservation_id: String,
    order_id: String,
    items: Vec<Item>,
    released: bool,
}

impl Default for Inventory {
    fn default() -> Self {
        let stock = STOCK.map(|(sku, quantity)| (sku.to_owned(), quantity));
        Self(Mutex::new(Tables { stock: stock.into(), reservations: BTreeMap::new() }))
    }
}

impl Inventory {
    /// Returns the number of units in stock.
    pub fn stock(&self, sku: &str) -> Option<u32> {
        lock(&self.0).stock.get(sku).copied()
    }
}

/// `/inventory`.
pub fn router(services: &Services) -> Router<Services> {
    Router::new()
        .route("/inventory", fallible(services, get(list)))
        .route("/inventory/reservations", keyed(services, "reserve_inventory", post(reserve)))
        .route("/inventory/reservations/{id}", keyed(services, "release_inventory", delete(release)))
}

async fn list(State(services): State<Services>) -> axum::Json<BTreeMap<String, u32>> {
    axum::Json(lock(&services.inventory.0).stock.clone())
}

async fn reserve(
    State(services): State<Services>,
    Json(new): Json<NewReservation>,
) -> Result<Answer<Reservation>, Problem> {
    let mut tables = lock(&services.inventory.0);
    let stock = tables.take(&new.items)?;
    tables.stock = stock;
    let number = tables.reservations.len() + 1;
    let reservation = Reservation {
        reservation_id: format!("res_{number:06}"),
        order_id: format!("ord_{number:06}"),
        items: new.items,
        released: false,
    };
    tables.reservations.insert(reservation.reservation_id.clone(), reservation.clone());
    Ok(Answer::created(reservation))
}

impl Tables {
    /// Returns the stock without `items`.
    fn take(&self, items: &[Item]) -> Result<BTreeMap<String, u32>, Problem> {
        let conflict = |code, message| Problem::new(StatusCode::CONFLICT, code, message);
        let mut stock = self.stock.clone();
        for Item { sku, quantity } in items {
            let left =
                stock.get_mut(sku).ok_or_else(|| conflict("unknown_sku", format!("there is no {sku}")))?;
            *left = left.checked_sub(*quantity).ok_or_else(|| {
                conflict("out_of_stock", format!("{quantity} of {sku} were asked for, {left} are left"))
            })?;
        }
        Ok(stock)
    }
}

async fn release(
    State(services): State<Services>,
    Path(id): Path<String>,
) -> Result<Answer<Reservation>, Problem> {
    let mut tables = lock(&services.inventory.0);
    let Tables { stock, reservations } = &mut *tables;
    let reservation = reservations.get_mut(&id).ok_or_else(|| Problem::not_found("reservation", &id))?;
    if reservation.released {
        return Ok(Answer::unchanged(reservation.clone()));
    }
    reservation.released = true;
    for item in &reservation.items {
        *stock.entry(item.sku.clone()).or_default() += item.quantity;
    }
    Ok(Answer::ok(reservation.clone()))
}
