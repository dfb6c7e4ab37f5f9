//! Inspects uploaded bytes before they are compiled.

mod bounds;
mod instances;
#[cfg(test)]
mod tests;
mod work;

use wasmparser::{BinaryReaderError, Encoding, Parser, Payload};

use self::bounds::Bounds;
use self::instances::Instances;

pub use work::check_work;

/// The package from which a component may import.
const PACKAGE: &str = "forge:workflow/";

/// The version of the package that this host provides.
const VERSION: &str = "0.1.0";

/// The reason why bytes are no workflow component, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidComponent(pub String);

/// Checks that the bytes are a component that imports only this host's interfaces, and that its parts are small enough
/// to compile and instantiate.
///
/// # Errors
/// [`InvalidComponent`] that names the first problem.
pub fn inspect(bytes: &[u8]) -> Result<(), InvalidComponent> {
    let invalid = |text: String| Err(InvalidComponent(text));
    if !bytes.starts_with(b"\0asm") {
        return invalid(
            "this is no WebAssembly: upload the file that `forge build` writes (precompiled code is never accepted)".to_owned(),
        );
    }
    let (mut bounds, mut instances) = (Bounds::default(), Instances::default());
    for part in Parser::new(0).parse_all(bytes) {
        let part = part?;
        match &part {
            Payload::Version { encoding: Encoding::Module, .. } if instances.depth() == 0 => {
                return invalid(
                    "this is a core module, not a component: build it with `forge build`".to_owned(),
                );
            }
            Payload::ComponentImportSection(imports) if instances.depth() == 1 => {
                for import in imports.clone() {
                    let import = import?;
                    check_import(import.name.name, &import.ty)?;
                }
            }
            _ => {}
        }
        instances.check(&part)?;
        bounds.check(&part, instances.depth())?;
    }
    Ok(())
}

impl From<BinaryReaderError> for InvalidComponent {
    fn from(error: BinaryReaderError) -> Self {
        Self(format!("the WebAssembly is damaged or truncated ({error}): build and upload it again"))
    }
}

fn check_import(name: &str, ty: &wasmparser::ComponentTypeRef) -> Result<(), InvalidComponent> {
    if matches!(ty, wasmparser::ComponentTypeRef::Type(_)) {
        return Ok(());
    }
    let Some(rest) = name.strip_prefix(PACKAGE) else {
        let why = if name.starts_with("wasi:") {
            " (workflows have no WASI: time, randomness and HTTP come from the `forge` crate; a dependency may \
             bring it in)"
        } else {
            ""
        };
        return Err(InvalidComponent(format!(
            "the component imports `{name}`; it may import forge:workflow@{VERSION} and nothing else{why}"
        )));
    };
    let version = rest.split_once('@').map_or("none", |(_, version)| version);
    if version != VERSION {
        return Err(InvalidComponent(format!(
            "the component is built for version {version} of forge:workflow (`{name}`); this host has {VERSION}: \
             build it with the SDK of this host's version"
        )));
    }
    Ok(())
}
