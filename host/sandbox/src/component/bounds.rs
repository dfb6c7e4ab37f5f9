//! The size limits of a component's parts. They keep the compiler's input within the sizes of real components and name
//! the part that is too large. The compiler has limits of its own on time and memory.

use wasmparser::{FunctionBody, Payload};

use super::InvalidComponent;

/// The maximum number of functions in all core modules. A JavaScript or Python interpreter compiled to WebAssembly has
/// 30,000.
const FUNCTIONS: u64 = 100_000;

/// The maximum size of a function, in bytes: compile time grows faster than linearly with it. The main loop of an
/// interpreter has some 200,000.
const FUNCTION_BYTES: u64 = 1 << 20;

/// The maximum number of locals in a function. Unoptimised code has some thousand.
const LOCALS: u64 = 10_000;

/// The maximum number of declared types. Some hundred are usual.
const TYPES: u64 = 20_000;

/// The maximum depth of nested core modules and components. Tools that compose components need three levels.
const NESTING: usize = 8;

/// The counts of the parts read so far.
#[derive(Default)]
pub(super) struct Bounds {
    functions: u64,
    types: u64,
}

impl Bounds {
    /// Checks the next part, which lies at this depth of core modules and components.
    pub(super) fn check(&mut self, part: &Payload<'_>, depth: usize) -> Result<(), InvalidComponent> {
        if depth > NESTING {
            return Err(too_large(format!(
                "core modules and components that are nested more than {NESTING} deep"
            )));
        }
        self.types += match part {
            Payload::TypeSection(types) => u64::from(types.count()),
            Payload::CoreTypeSection(types) => u64::from(types.count()),
            Payload::ComponentTypeSection(types) => u64::from(types.count()),
            _ => 0,
        };
        at_most("types", self.types, TYPES)?;
        if let Payload::CodeSectionEntry(function) = part {
            self.functions += 1;
            at_most("functions", self.functions, FUNCTIONS)?;
            self.check_function(function)?;
        }
        Ok(())
    }

    fn check_function(&self, function: &FunctionBody<'_>) -> Result<(), InvalidComponent> {
        let which = self.functions;
        let bytes = function.as_bytes().len() as u64;
        at_most(&format!("bytes in its function {which}"), bytes, FUNCTION_BYTES)?;
        let mut locals = 0_u64;
        for group in function.get_locals_reader()? {
            let (count, _) = group?;
            locals = locals.saturating_add(u64::from(count));
        }
        at_most(&format!("locals in its function {which}"), locals, LOCALS)
    }
}

/// Checks that a component has at most this many of something.
pub(super) fn at_most(what: &str, count: u64, most: u64) -> Result<(), InvalidComponent> {
    if count <= most {
        return Ok(());
    }
    Err(too_large(format!("{count} {what}; the most is {most}")))
}

fn too_large(what: String) -> InvalidComponent {
    InvalidComponent(format!("the component has {what}: make it smaller, or split it into several"))
}
