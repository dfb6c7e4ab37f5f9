//! The host's side of `wit/workflow.wit`.

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "workflow",
    imports: { default: trappable },
    exports: { default: async },
});

/// The export that a component may have in addition.
pub(crate) mod schemas {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "input-schemas",
        exports: { default: async },
    });
}
