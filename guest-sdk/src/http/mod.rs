//! A small HTTP client, in the manner of reqwest.
//!
//! Every request is an effect: the host sends it only after everything before it is durable, and
//! its answer is in the journal, so that a replay sends nothing. It carries an `Idempotency-Key`
//! that is the same when the host has to send it again after a crash.
//!
//! An answer with an error status is an answer; [`Response::error_for_status`] makes an error of it.
//!
//! ```
//! use forge::prelude::*;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Reservation {
//!     id: String,
//! }
//!
//! async fn reserve(sku: &str) -> Result<Reservation> {
//!     forge::http::post("https://stock.example/reservations")
//!         .json(&json!({ "sku": sku }))
//!         .timeout(Duration::from_secs(10))
//!         .send()
//!         .await?
//!         .error_for_status()?
//!         .json()
//! }
//! # #[forge::workflow]
//! # async fn order(ctx: &WorkflowContext, sku: String) -> Result<String> {
//! #     Ok(ctx.step("reserve", || async { reserve(&sku).await }).run().await?.id)
//! # }
//! # use forge::testing::{TestRun, TestResponse};
//! # let run = TestRun::new(OrderWorkflow).http(|_| TestResponse::json(200, json!({"id": "r-1"}))).run("chair");
//! # assert_eq!(run.output(), "r-1");
//! ```

mod request;
mod response;

pub use ::http::StatusCode;

pub use request::RequestBuilder;
pub use response::Response;

/// Makes requests. [`WorkflowContext::http`](crate::WorkflowContext::http) has one; the functions
/// of this module do the same without.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct HttpClient {}

macro_rules! methods {
    ($($name:ident $method:literal)+) => {
        impl HttpClient {
            $(
                #[doc = concat!("A `", $method, "` request.")]
                pub fn $name(&self, url: impl Into<String>) -> RequestBuilder {
                    $name(url)
                }
            )+
        }

        $(
            #[doc = concat!("A `", $method, "` request.")]
            pub fn $name(url: impl Into<String>) -> RequestBuilder {
                RequestBuilder::new($method, url.into())
            }
        )+
    };
}

methods! {
    get "GET"
    post "POST"
    put "PUT"
    delete "DELETE"
    patch "PATCH"
}

/// A request with any method.
pub fn request(method: impl Into<String>, url: impl Into<String>) -> RequestBuilder {
    RequestBuilder::new(method, url.into())
}

impl HttpClient {
    pub(crate) fn new() -> Self {
        HttpClient {}
    }

    /// A request with any method.
    pub fn request(&self, method: impl Into<String>, url: impl Into<String>) -> RequestBuilder {
        request(method, url)
    }
}
