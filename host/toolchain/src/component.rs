//! From a core module to a component.

use std::collections::BTreeSet;

use wasmparser::{Encoding, Parser, Payload};
use wit_component::{ComponentEncoder, DecodedWasm};

/// The package whose interfaces a workflow may import.
const ALLOWED: &str = "forge:workflow/";

/// The exports of the world `forge:workflow/workflow`.
const EXPORTS: [&str; 2] = ["describe", "run"];

/// The reason why a core module is not a workflow.
#[derive(Debug, thiserror::Error)]
pub enum ComponentError {
    /// The bytes are not WebAssembly.
    #[error("this is no valid WebAssembly module: {source}")]
    Invalid {
        /// The parser's error.
        #[from]
        source: wasmparser::BinaryReaderError,
    },
    /// The bytes are a component, not a core module.
    #[error("this is a component already, not a core module")]
    AlreadyComponent,
    /// The module imports functions that the host does not provide.
    #[error("it imports {}, but a workflow may import only {ALLOWED}*. {}", imports.join(", "), hint(imports))]
    ForeignImports {
        /// The imports, as `module.name`.
        imports: Vec<String>,
    },
    /// The module does not implement the interface.
    #[error("it exports no workflow: {} missing. Does the crate end with `forge::export!(YourWorkflow);`?", missing.join(" and "))]
    NoWorkflow {
        /// The missing exports.
        missing: Vec<&'static str>,
    },
    /// The module does not fit the interface that it declares.
    #[error("it cannot be made a component: {0:#}")]
    Encode(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Returns the component of a core module that was compiled from a crate with `forge::export!`. Checks that it imports
/// from `forge:workflow/*` only and exports a workflow. There are no adapters for WASI: its imports are an error.
///
/// # Errors
/// [`ComponentError`], for the author of the module.
pub fn componentize(core_module: &[u8]) -> Result<Vec<u8>, ComponentError> {
    let imports = foreign_imports(core_module)?;
    if !imports.is_empty() {
        return Err(ComponentError::ForeignImports { imports: imports.into_iter().collect() });
    }
    let (component, exports) = encode(core_module).map_err(ComponentError::Encode)?;
    let missing: Vec<_> = EXPORTS.into_iter().filter(|name| !exports.contains(*name)).collect();
    if missing.is_empty() { Ok(component) } else { Err(ComponentError::NoWorkflow { missing }) }
}

/// Returns the imports of a core module that a workflow may not have, in order and each once.
fn foreign_imports(core_module: &[u8]) -> Result<BTreeSet<String>, ComponentError> {
    let mut foreign = BTreeSet::new();
    for payload in Parser::new(0).parse_all(core_module) {
        match payload? {
            Payload::Version { encoding: Encoding::Component, .. } => {
                return Err(ComponentError::AlreadyComponent);
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    if !import.module.starts_with(ALLOWED) {
                        foreign.insert(format!("{}.{}", import.module, import.name));
                    }
                }
            }
            _ => {}
        }
    }
    Ok(foreign)
}

/// Returns the component of a core module, and the names of the component's exports.
fn encode(
    core_module: &[u8],
) -> Result<(Vec<u8>, BTreeSet<String>), Box<dyn std::error::Error + Send + Sync>> {
    let component = ComponentEncoder::default().validate(true).module(core_module)?.encode()?;
    let exports = match wit_component::decode(&component)? {
        DecodedWasm::Component(resolve, world) => {
            let exports = resolve.worlds[world].exports.keys();
            exports.map(|name| resolve.name_world_key(name)).collect()
        }
        DecodedWasm::WitPackage(..) => BTreeSet::new(),
    };
    Ok((component, exports))
}

/// Returns the usual cause of a foreign import.
fn hint(imports: &[String]) -> &'static str {
    let any = |prefix: &str| imports.iter().any(|import| import.starts_with(prefix));
    if any("wasi") {
        "WASI offers clocks, randomness and files that a replay cannot repeat. Compile for wasm32-unknown-unknown and use the workflow's context instead."
    } else if any("__wbindgen") || any("wbg") {
        "A dependency expects JavaScript (wasm-bindgen): look for a feature such as `js` or `wasmbind` and switch it off."
    } else if any("env.") {
        "A dependency declares C functions that nothing here defines."
    } else {
        "Nothing else reaches a workflow, so that every run can be replayed."
    }
}

#[cfg(test)]
mod tests {
    use wit_component::StringEncoding;
    use wit_parser::{ManglingAndAbi, Resolve, World, WorldKey};

    use super::*;

    const WIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit");

    /// Returns what a compiler makes of a crate that implements `world`.
    fn module_of(resolve: &Resolve, world: wit_parser::WorldId) -> Vec<u8> {
        let abi = ManglingAndAbi::Legacy(wit_parser::LiftLowerAbi::Sync);
        let mut module = wit_component::dummy_module(resolve, world, abi);
        wit_component::embed_component_metadata(&mut module, resolve, world, StringEncoding::UTF8).unwrap();
        module
    }

    fn module_of_wit(wit: &str) -> Vec<u8> {
        let mut resolve = Resolve::default();
        let package = resolve.push_str("test.wit", wit).unwrap();
        let world = resolve.select_world(&[package], None).unwrap();
        module_of(&resolve, world)
    }

    #[test]
    fn a_module_of_the_workflow_world_becomes_a_component() {
        let mut resolve = Resolve::default();
        let (package, _) = resolve.push_path(WIT).unwrap();
        let world = resolve.select_world(&[package], Some("workflow")).unwrap();
        let component = componentize(&module_of(&resolve, world)).unwrap();
        let Ok(DecodedWasm::Component(decoded, world)) = wit_component::decode(&component) else {
            panic!("this is no component");
        };
        let World { imports, exports, .. } = &decoded.worlds[world];
        // The types of the world's functions are imports, too.
        let interfaces: Vec<_> = imports.keys().filter(|key| matches!(key, WorldKey::Interface(_))).collect();
        assert!(!interfaces.is_empty());
        for interface in interfaces {
            assert!(decoded.name_world_key(interface).starts_with("forge:workflow/"), "{interface:?}");
        }
        let exports: BTreeSet<_> = exports.keys().map(|key| decoded.name_world_key(key)).collect();
        assert_eq!(exports, EXPORTS.map(str::to_owned).into());
    }

    #[test]
    fn an_import_of_wasi_is_named() {
        let module = module_of_wit(
            "package test:guest; world guest { import wasi:clocks/wall-clock; export run: func(); export describe: func(); }
             package wasi:clocks { interface wall-clock { now: func() -> u64; } }",
        );
        let error = componentize(&module).unwrap_err().to_string();
        assert!(
            error.starts_with("it imports wasi:clocks/wall-clock.now, but a workflow may import only"),
            "{error}"
        );
        assert!(error.contains("WASI offers clocks"), "{error}");
    }

    #[test]
    fn a_module_without_a_workflow_is_told_how_to_export_one() {
        let error = componentize(b"\0asm\x01\0\0\0").unwrap_err();
        assert!(matches!(&error, ComponentError::NoWorkflow { missing } if *missing == EXPORTS), "{error}");
        assert!(error.to_string().contains("forge::export!"), "{error}");
    }

    #[test]
    fn what_is_no_module_is_refused() {
        assert!(matches!(componentize(b"not wasm"), Err(ComponentError::Invalid { .. })));
        assert!(matches!(componentize(b"\0asm"), Err(ComponentError::Invalid { .. })));
        assert!(matches!(componentize(b"\0asm\x0d\0\x01\0"), Err(ComponentError::AlreadyComponent)));
    }

    #[test]
    fn a_foreign_import_comes_with_its_usual_cause() {
        let hint_of = |import: &str| hint(&[import.to_owned()]);
        assert!(hint_of("wasi_snapshot_preview1.fd_write").contains("wasm32-unknown-unknown"));
        assert!(hint_of("__wbindgen_placeholder__.__wbindgen_throw").contains("wasm-bindgen"));
        assert!(hint_of("env.malloc").contains("C functions"));
        assert!(hint_of("other:package/interface").contains("replayed"));
    }
}
