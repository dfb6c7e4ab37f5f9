//! An HTTP client with an interface like reqwest's.
//!
//! A request is an effect: the host sends it after everything before it is durable, and journals the
//! response, so a replay sends nothing. Each request carries an `Idempotency-Key`, which is the same when
//! the host sends the request again after a crash.
//!
//! A response with an error status is a response; [`Response::error_for_status`] turns it into an error.
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
#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod testing;

/// The interface `http` of the host.
#[cfg(target_arch = "wasm32")]
use crate::bindings::forge::workflow::http as host;
#[cfg(not(target_arch = "wasm32"))]
use testing::host;

pub use ::http::StatusCode;

pub use request::RequestBuilder;
pub use response::Response;

/// The HTTP client of [`WorkflowContext::http`](crate::WorkflowContext::http). The functions of this module
/// do the same.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct HttpClient {}

macro_rules! methods {
    ($($name:ident $method:literal)+) => {
        impl HttpClient {
            $(
                #[doc = concat!("Returns a builder of a `", $method, "` request.")]
                pub fn $name(&self, url: impl Into<String>) -> RequestBuilder {
                    $name(url)
                }
            )+
        }

        $(
            #[doc = concat!("Returns a builder of a `", $method, "` request.")]
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

/// Returns a builder of a request with any method.
pub fn request(method: impl Into<String>, url: impl Into<String>) -> RequestBuilder {
    RequestBuilder::new(method, url.into())
}

impl HttpClient {
    /// Returns a builder of a request with any method.
    pub fn request(&self, method: impl Into<String>, url: impl Into<String>) -> RequestBuilder {
        request(method, url)
    }
}
