//! Customers of the payment provider, in the manner of Stripe.
//!
//! - `POST /customers` `{"email", "user_id"?}`
//! - `DELETE /customers/{customer_id}`

use std::collections::BTreeMap;
use std::sync::Mutex;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{delete, post};
use serde::{Deserialize, Serialize};

use crate::answer::{Answer, Json, Problem};
use crate::idempotency::keyed;
use crate::{Services, lock};

/// Customers by id.
#[derive(Default)]
pub struct Customers(Mutex<BTreeMap<String, Customer>>);

#[derive(Deserialize)]
struct NewCustomer {
    email: String,
    user_id: Option<String>,
}

#[derive(Clone, Serialize)]
struct Customer {
    customer_id: String,
    email: String,
    user_id: Option<String>,
    deleted: bool,
}

/// `/customers`.
pub fn router(services: &Services) -> Router<Services> {
    Router::new()
        .route("/customers", keyed(services, "create_customer", post(create)))
        .route("/customers/{id}", keyed(services, "delete_customer", delete(remove)))
}

async fn create(State(services): State<Services>, Json(new): Json<NewCustomer>) -> Answer<Customer> {
    let mut customers = lock(&services.customers.0);
    let customer = Customer {
        customer_id: format!("cus_{:06}", customers.len() + 1),
        email: new.email,
        user_id: new.user_id,
        deleted: false,
    };
    customers.insert(customer.customer_id.clone(), customer.clone());
    Answer::created(customer)
}

async fn remove(
    State(services): State<Services>,
    Path(id): Path<String>,
) -> Result<Answer<Customer>, Problem> {
    let mut customers = lock(&services.customers.0);
    let customer = customers.get_mut(&id).ok_or_else(|| Problem::not_found("customer", &id))?;
    if customer.deleted {
        return Ok(Answer::unchanged(customer.clone()));
    }
    customer.deleted = true;
    Ok(Answer::ok(customer.clone()))
}
