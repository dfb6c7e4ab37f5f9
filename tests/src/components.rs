//! Components that no compiler makes, written as text.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// The version of the interface that the host supports.
const WIT: &str = include_str!("../../wit/workflow.wit");

/// Returns a core module, which is no component.
pub fn core_module() -> Vec<u8> {
    wat("(module (func (export \"run\")))")
}

/// Returns a component that imports a clock from WASI.
pub fn importing_wasi() -> Vec<u8> {
    let clocks = "package wasi:clocks@0.2.0 { interface monotonic-clock { now: func() -> u64; } }";
    let wit = WIT.replace("import calls;", "import calls;\n    import wasi:clocks/monotonic-clock@0.2.0;");
    let import = r#"(import "wasi:clocks/monotonic-clock@0.2.0" "now" (func (result i64)))"#;
    component(&format!("{wit}\n{clocks}"), &core(import, DESCRIBES, ""))
}

/// Returns a component for an interface that this host does not have.
pub fn of_another_version() -> Vec<u8> {
    let wit = WIT.replace("package forge:workflow@0.1.0;", "package forge:workflow@0.9.0;");
    component(&wit, &core("", DESCRIBES, &data(&[("of_the_future", 1)])))
}

/// Returns a component whose `describe` lists these workflows, by name and version.
pub fn describing(workflows: &[(&str, u32)]) -> Vec<u8> {
    component(WIT, &core("", DESCRIBES, &data(workflows)))
}

/// Returns a component with one workflow, `attack`, that exports this schema for a workflow and a version.
pub fn exporting_schema(workflow: &str, version: u32, schema: &str) -> Vec<u8> {
    // A record has the name (address and length), the version and the schema (address and length).
    const LIST: usize = 0x10000;
    const RECORD: usize = 20;
    let (name, text) = (LIST + 8 + RECORD, LIST + 8 + RECORD + workflow.len());
    let words = [LIST + 8, 1, name, workflow.len(), version as usize, text, schema.len()];
    let memory = words.into_iter().flat_map(word).chain(workflow.bytes()).chain(schema.bytes());
    let memory: String = memory.map(|byte| format!("\\{byte:02x}")).collect();
    let export = format!(
        r#"(func (export "input-schemas") (result i32) i32.const {LIST}) (data (i32.const {LIST}) "{memory}")"#
    );
    let core = crate::Parts { memory: "4", fields: &export, ..crate::Parts::default() }.core();
    encoded("workflow-with-schemas", WIT, &core, StringEncoding::UTF8)
}

/// Returns a component whose core module is this, in text form. [`Parts`](crate::Parts) writes one.
pub fn of_core(core: &str) -> Vec<u8> {
    component(WIT, core)
}

/// Returns a component whose core module is this, in text form, and has strings in this encoding.
pub fn of_core_in(encoding: StringEncoding, core: &str) -> Vec<u8> {
    encoded("workflow", WIT, core, encoding)
}

/// Returns a component whose `describe` does not end.
pub fn describing_forever() -> Vec<u8> {
    component(WIT, &core("", "(loop $again (br $again)) unreachable", ""))
}

/// Returns a component whose `describe` traps.
pub fn describing_nothing() -> Vec<u8> {
    component(WIT, &core("", "unreachable", ""))
}

/// The text of a `describe` that returns the address of its answer.
const DESCRIBES: &str = "i32.const 0";

/// A core module with the exports of the world.
fn core(imports: &str, describe: &str, data: &str) -> String {
    format!(
        r#"(module
            {imports}
            (memory (export "memory") 1)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 4096)
            (func (export "describe") (result i32) {describe})
            (func (export "run") (param i32 i32 i32 i32 i32) (result i32) unreachable)
            {data})"#
    )
}

/// The answer of `describe` in memory: at 0 the address and the length of the list, from 16 on its
/// records, then the names. A record has a name (address and length), a version, a timeout in
/// milliseconds and whether it is deprecated.
pub(crate) fn data(workflows: &[(&str, u32)]) -> String {
    const LIST: usize = 16;
    const RECORD: usize = 32;
    const TIMEOUT: u64 = 60_000;
    let mut names = LIST + RECORD * workflows.len();
    let mut memory = Vec::new();
    memory.extend(word(LIST));
    memory.extend(word(workflows.len()));
    memory.resize(LIST, 0);
    for (name, version) in workflows {
        memory.extend(word(names));
        memory.extend(word(name.len()));
        memory.extend(version.to_le_bytes());
        memory.extend([0; 4]);
        memory.extend(TIMEOUT.to_le_bytes());
        memory.extend([0; 8]);
        names += name.len();
    }
    memory.extend(workflows.iter().flat_map(|(name, _)| name.bytes()));
    let escaped: String = memory.iter().map(|byte| format!("\\{byte:02x}")).collect();
    format!("(data (i32.const 0) \"{escaped}\")")
}

fn word(number: usize) -> [u8; 4] {
    u32::try_from(number).expect("the answer is small").to_le_bytes()
}

/// Makes a component from a core module for the world `workflow` of this interface.
fn component(wit: &str, core: &str) -> Vec<u8> {
    encoded("workflow", wit, core, StringEncoding::UTF8)
}

fn encoded(world: &str, wit: &str, core: &str, encoding: StringEncoding) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("workflow.wit", wit).expect("the interface is one");
    let world = resolve.select_world(&[package], Some(world)).expect("it has the world");
    let mut module = wat(core);
    embed_component_metadata(&mut module, &resolve, world, encoding)
        .expect("a module can carry its interface");
    let encoder = ComponentEncoder::default().validate(true);
    let mut encoder = encoder.module(&module).expect("it fits the interface");
    encoder.encode().expect("it is a component")
}

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("it is WebAssembly text")
}

#[cfg(test)]
mod tests {
    #[test]
    fn all_of_them_can_be_made() {
        super::importing_wasi();
        super::of_another_version();
        super::describing(&[("a", 1), ("b", 2)]);
        super::describing_forever();
        super::describing_nothing();
        super::exporting_schema("attack", 1, "true");
    }
}
