//! The bindings that wit-bindgen generates from `wit/workflow.wit`. Both builds use the types.
//!
//! Public and hidden, because [`export!`](crate::export!) makes the exports in the author's crate.
#![allow(missing_docs, unsafe_code, clippy::all)]

wit_bindgen::generate!({
    path: "../wit",
    world: "workflow-with-schemas",
    pub_export_macro: true,
    default_bindings_module: "forge::__private::bindings",
});
