//! Tokens of verification links, and their addresses.
//!
//! - `PUT /tokens/{token}` `{"email"?}`
//! - `GET /tokens/{token}`

use std::collections::BTreeMap;
use std::sync::Mutex;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, put};
use serde::{Deserialize, Serialize};

use crate::answer::{Answer, Json, Problem};
use crate::faults::fallible;
use crate::idempotency::keyed;
use crate::{Services, lock};

/// Addresses by token.
#[derive(Default)]
pub struct Tokens(Mutex<BTreeMap<String, Option<String>>>);

#[derive(Deserialize)]
struct NewToken {
    email: Option<String>,
}

#[derive(Serialize)]
struct Token {
    token: String,
    email: Option<String>,
}

/// `/tokens`.
pub fn router(services: &Services) -> Router<Services> {
    let read = fallible(services, get(read));
    Router::new().route("/tokens/{token}", keyed(services, "store_token", put(store)).merge(read))
}

async fn store(
    State(services): State<Services>,
    Path(token): Path<String>,
    Json(new): Json<NewToken>,
) -> Answer<Token> {
    let previous = lock(&services.tokens.0).insert(token.clone(), new.email.clone());
    let unchanged = previous.as_ref() == Some(&new.email);
    let stored = Token { token, email: new.email };
    if unchanged { Answer::unchanged(stored) } else { Answer::ok(stored) }
}

async fn read(
    State(services): State<Services>,
    Path(token): Path<String>,
) -> Result<axum::Json<Token>, Problem> {
    let email = lock(&services.tokens.0).get(&token).cloned();
    let email = email.ok_or_else(|| Problem::not_found("token", &token))?;
    Ok(axum::Json(Token { token, email }))
}
