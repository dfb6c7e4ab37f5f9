//! The host's side of `wit/workflow.wit`, generated as for the host.
#![allow(missing_docs, unreachable_pub, reason = "it is generated")]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "workflow",
    imports: { default: trappable },
    exports: { default: async },
});
