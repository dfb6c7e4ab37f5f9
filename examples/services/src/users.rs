//! Users: accounts that can be verified.
//!
//! - `POST /users` `{"email", "reference"?}`: `reference` is the caller's id of the user
//! - `POST /users/{user_id}/verify`
//! - `DELETE /users/{user_id}`

use std::collections::BTreeMap;
use std::sync::Mutex;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{delete, post};
use serde::{Deserialize, Serialize};

use crate::answer::{Answer, Json, Problem};
use crate::idempotency::keyed;
use crate::{Services, lock};

/// Accounts by id.
#[derive(Default)]
pub struct Users(Mutex<BTreeMap<String, User>>);

#[derive(Deserialize)]
struct NewUser {
    email: String,
    reference: Option<String>,
}

#[derive(Clone, Serialize)]
struct User {
    user_id: String,
    email: String,
    reference: Option<String>,
    verified: bool,
    deleted: bool,
}

/// `/users`.
pub fn router(services: &Services) -> Router<Services> {
    Router::new()
        .route("/users", keyed(services, "create_user", post(create)))
        .route("/users/{id}", keyed(services, "delete_user", delete(remove)))
        .route("/users/{id}/verify", keyed(services, "verify_user", post(verify)))
}

async fn create(State(services): State<Services>, Json(new): Json<NewUser>) -> Answer<User> {
    let mut users = lock(&services.users.0);
    let user = User {
        user_id: format!("usr_{:06}", users.len() + 1),
        email: new.email,
        reference: new.reference,
        verified: false,
        deleted: false,
    };
    users.insert(user.user_id.clone(), user.clone());
    Answer::created(user)
}

async fn verify(State(services): State<Services>, Path(id): Path<String>) -> Result<Answer<User>, Problem> {
    let mut users = lock(&services.users.0);
    let user =
        users.get_mut(&id).filter(|user| !user.deleted).ok_or_else(|| Problem::not_found("user", &id))?;
    if user.verified {
        return Ok(Answer::unchanged(user.clone()));
    }
    user.verified = true;
    Ok(Answer::ok(user.clone()))
}

async fn remove(State(services): State<Services>, Path(id): Path<String>) -> Result<Answer<User>, Problem> {
    let mut users = lock(&services.users.0);
    let user = users.get_mut(&id).ok_or_else(|| Problem::not_found("user", &id))?;
    if user.deleted {
        return Ok(Answer::unchanged(user.clone()));
    }
    user.deleted = true;
    Ok(Answer::ok(user.clone()))
}
