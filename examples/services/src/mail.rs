//! Mail to any address. Mail to one address bounces.
//!
//! - `POST /mail` `{"to", "subject", "body"}`; the response for [`BOUNCES`] is 422

use std::sync::Mutex;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use serde::{Deserialize, Serialize};

use crate::answer::{Answer, Json, Problem};
use crate::idempotency::keyed;
use crate::{Services, lock};

/// The address whose mail bounces.
pub const BOUNCES: &str = "bounce@example.com";

/// The messages that were sent.
#[derive(Default)]
pub struct Mail(Mutex<Vec<Message>>);

/// A message.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Message {
    /// The address.
    pub to: String,
    /// The subject line.
    pub subject: String,
    /// The body.
    pub body: String,
}

#[derive(Serialize)]
struct Receipt {
    message_id: String,
    to: String,
}

impl Mail {
    /// Returns the messages that were sent, in order.
    pub fn sent(&self) -> Vec<Message> {
        lock(&self.0).clone()
    }
}

/// `/mail`.
pub fn router(services: &Services) -> Router<Services> {
    Router::new().route("/mail", keyed(services, "send_mail", post(send)))
}

async fn send(
    State(services): State<Services>,
    Json(message): Json<Message>,
) -> Result<Answer<Receipt>, Problem> {
    let to = message.to.clone();
    if to == BOUNCES {
        let problem = format!("{to} does not exist");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "mailbox_unavailable", problem));
    }
    let mut sent = lock(&services.mail.0);
    sent.push(message);
    Ok(Answer::created(Receipt { message_id: format!("msg_{:06}", sent.len()), to }))
}
