//! The host as the rest of the SDK sees it: the functions of `wit/workflow.wit`, one module per
//! interface.
//!
//! In a component they are the imports themselves. In a native build they are a [`TestHost`] of
//! this thread, so that a workflow can be tested with `cargo test` and nothing else. Nothing in
//! the SDK but this folder knows the difference.
//!
//! [`TestHost`]: crate::testing

pub(crate) use bindings::forge::workflow::types::Flow;

#[cfg(target_arch = "wasm32")]
pub(crate) use bindings::forge::workflow::{calls, compensate, http, run, step, time};

#[cfg(not(target_arch = "wasm32"))]
mod native;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use native::{calls, compensate, http, install, run, step, time};

/// What wit-bindgen makes of `wit/workflow.wit`. The types serve both builds.
///
/// Public and hidden because the exports are made in the author's crate, by [`crate::export!`].
#[allow(missing_docs, unsafe_code, clippy::all)]
#[doc(hidden)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../wit",
        world: "workflow",
        pub_export_macro: true,
        default_bindings_module: "forge::__private::bindings",
    });
}
