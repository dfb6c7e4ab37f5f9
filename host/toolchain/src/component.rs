//! From a core module to a component that the host takes.

use std::collections::BTreeSet;

use wasmparser::{ComponentTypeRef, Encoding, Parser, Payload, TypeBounds};
use wit_component::ComponentEncoder;

/// The only package a workflow may import from.
const ALLOWED: &str = "forge:workflow/";

/// What the world `forge:workflow/workflow` exports.
const EXPORTS: [&str; 2] = ["describe", "run"];

/// Why a module is no workflow component.
#[derive(Debug, thiserror::Error)]
pub enum ComponentError {
    /// The bytes are no WebAssembly.
    #[error("this is no valid WebAssembly module: {source}")]
    Invalid {
        /// What is wrong with them.
        #[from]
        source: wasmparser::BinaryReaderError,
    },
    /// It is a component already.
    #[error("this is a component already, not a core module")]
    AlreadyComponent,
    /// It imports what no host function provides.
    #[error("it imports {}, but a workflow may import only {ALLOWED}*. {}", imports.join(", "), hint(imports))]
    ForeignImports {
        /// The imports, as `module.name` or, of a component, the interface.
        imports: Vec<String>,
    },
    /// It does not implement the interface.
    #[error("it contains no workflow: the exports {} are missing. Does the crate end with `forge::export!(YourWorkflow);`?", missing.join(" and "))]
    NoWorkflow {
        /// The missing exports.
        missing: Vec<&'static str>,
    },
    /// It does not fit the interface that it declares.
    #[error("it cannot be made a component: {0:#}")]
    Encode(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Turns a core module, compiled from a crate with `forge::export!`, into a component, and checks that
/// it imports `forge:workflow/*` only and exports a workflow. No adapters: an import of WASI is an error
/// that names it.
///
/// # Errors
/// [`ComponentError`], worded for the author of the module.
pub fn componentize(core_module: &[u8]) -> Result<Vec<u8>, ComponentError> {
    refuse(core_imports(core_module)?.into_iter().filter(|(module, _)| !is_allowed(module)).map(dotted))?;
    let component = encode(core_module).map_err(ComponentError::Encode)?;
    let surface = Surface::of(&component)?;
    refuse(surface.imports.into_iter().filter(|name| !is_allowed(name)))?;
    let missing: Vec<_> = EXPORTS.into_iter().filter(|name| !surface.exports.contains(*name)).collect();
    if missing.is_empty() { Ok(component) } else { Err(ComponentError::NoWorkflow { missing }) }
}

fn encode(core_module: &[u8]) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    Ok(ComponentEncoder::default().validate(true).module(core_module)?.encode()?)
}

fn is_allowed(import: &str) -> bool {
    import.starts_with(ALLOWED)
}

fn dotted((module, name): (String, String)) -> String {
    format!("{module}.{name}")
}

/// An error if there is any.
fn refuse(imports: impl Iterator<Item = String>) -> Result<(), ComponentError> {
    let imports: Vec<String> = imports.collect();
    if imports.is_empty() { Ok(()) } else { Err(ComponentError::ForeignImports { imports }) }
}

fn core_imports(core_module: &[u8]) -> Result<BTreeSet<(String, String)>, ComponentError> {
    let mut imports = BTreeSet::new();
    for payload in Parser::new(0).parse_all(core_module) {
        match payload? {
            Payload::Version { encoding: Encoding::Component, .. } => {
                return Err(ComponentError::AlreadyComponent);
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    imports.insert((import.module.to_owned(), import.name.to_owned()));
                }
            }
            _ => {}
        }
    }
    Ok(imports)
}

/// What a component wants of its host, and shows to it.
struct Surface {
    /// Interfaces and functions.
    imports: BTreeSet<String>,
    exports: BTreeSet<String>,
}

impl Surface {
    fn of(component: &[u8]) -> Result<Self, ComponentError> {
        let mut surface = Self { imports: BTreeSet::new(), exports: BTreeSet::new() };
        // How many modules and components inside of this one are open: theirs are not the host's concern.
        let mut inner = 0_usize;
        for payload in Parser::new(0).parse_all(component) {
            match payload? {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => inner += 1,
                Payload::End(_) => inner = inner.saturating_sub(1),
                Payload::ComponentImportSection(section) if inner == 0 => {
                    for import in section {
                        let import = import?;
                        if !is_type_name(&import.ty) {
                            surface.imports.insert(import.name.name.to_owned());
                        }
                    }
                }
                Payload::ComponentExportSection(section) if inner == 0 => {
                    for export in section {
                        surface.exports.insert(export?.name.name.to_owned());
                    }
                }
                _ => {}
            }
        }
        Ok(surface)
    }
}

/// The types of the world's own functions, such as `failure`, are imports too, by which a component
/// says which known type it means. Nothing reaches it through them.
fn is_type_name(import: &ComponentTypeRef) -> bool {
    matches!(import, ComponentTypeRef::Type(TypeBounds::Eq(_)))
}

/// The usual cause of a foreign import.
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
    use wit_parser::{ManglingAndAbi, Resolve};

    use super::*;

    const WIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit");

    /// What a compiler makes of a crate that implements `world`.
    fn module_of(resolve: &Resolve, world: wit_parser::WorldId) -> Vec<u8> {
        let abi = ManglingAndAbi::Legacy(wit_parser::LiftLowerAbi::Sync);
        let mut module = wit_component::dummy_module(resolve, world, abi);
        wit_component::embed_component_metadata(&mut module, resolve, world, StringEncoding::UTF8, false)
            .unwrap();
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
        let surface = Surface::of(&component).unwrap();
        assert!(
            surface.imports.iter().all(|name| name.starts_with("forge:workflow/")),
            "{:?}",
            surface.imports
        );
        assert!(!surface.imports.is_empty());
        assert_eq!(surface.exports, EXPORTS.map(str::to_owned).into());
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
