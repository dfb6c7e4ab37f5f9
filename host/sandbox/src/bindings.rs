//! The host's side of `wit/workflow.wit`.

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "workflow",
    imports: { default: trappable },
    exports: { default: async },
});
