//! How large the parts of a component may be. What these bounds let through may still take long to compile, which
//! is bounded where it is compiled; they name the part that is to blame, and keep what the compiler is given within
//! what real components are made of.

use wasmparser::{FunctionBody, Payload};

use super::{InvalidComponent, damaged};

/// Functions of all modules: an interpreter of JavaScript or Python compiled to WebAssembly has 30,000.
const FUNCTIONS: u64 = 100_000;

/// Bytes of one function: the compiler's time grows faster than these. The main loop of an interpreter has some
/// 200,000.
const FUNCTION_BYTES: u64 = 1 << 20;

/// Locals of one function, of which each may take a register or a place on the stack: unoptimised code has some
/// thousand.
const LOCALS: u64 = 10_000;

/// Types that are declared anywhere: some hundred are usual.
const TYPES: u64 = 20_000;

/// Modules and components inside one another: tools that wrap and compose components need three levels.
const NESTING: usize = 8;

/// What was seen so far.
#[derive(Default)]
pub(super) struct Bounds {
    functions: u64,
    types: u64,
}

impl Bounds {
    /// Looks at one more part, which lies inside so many modules and components.
    pub(super) fn check(&mut self, part: &Payload<'_>, depth: usize) -> Result<(), InvalidComponent> {
        if depth > NESTING {
            return Err(too_large(format!(
                "modules and components that are nested more than {NESTING} deep"
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
        for group in function.get_locals_reader().map_err(|error| damaged(&error))? {
            let (count, _) = group.map_err(|error| damaged(&error))?;
            locals = locals.saturating_add(u64::from(count));
        }
        at_most(&format!("locals in its function {which}"), locals, LOCALS)
    }
}

pub(super) fn at_most(what: &str, count: u64, most: u64) -> Result<(), InvalidComponent> {
    if count <= most {
        return Ok(());
    }
    Err(too_large(format!("{count} {what}; the most is {most}")))
}

fn too_large(what: String) -> InvalidComponent {
    InvalidComponent(format!("the component has {what}: make it smaller, or split it into several"))
}
