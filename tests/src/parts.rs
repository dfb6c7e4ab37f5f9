//! A component in text form whose parts can be replaced.

use crate::components::{data, of_core};

/// The parts of a core module for the world `workflow`, in text form. The default has one workflow, `attack`, which
/// ends with `null`.
pub struct Parts<'a> {
    /// The name of the workflow.
    pub workflow: &'static str,
    /// Its version.
    pub version: u32,
    /// Imports, which come first.
    pub imports: &'static str,
    /// The memory, in pages of 64 KiB.
    pub memory: &'static str,
    /// The body of `cabi_realloc`, which returns an address.
    pub realloc: &'static str,
    /// The body of `describe`, which returns the address of its answer. That is at 0.
    pub describe: &'static str,
    /// The body of `run`, which returns the address of its answer. That is at 8192.
    pub run: &'static str,
    /// Further fields.
    pub fields: &'a str,
}

/// The function `log` of the host, as `$log`.
pub const LOG: &str = r#"(import "forge:workflow/run@0.1.0" "log" (func $log (param i64 i32 i32 i32)))"#;

/// An endless loop.
pub const SPIN: &str = "(loop $again (br $again)) unreachable";

impl Default for Parts<'_> {
    fn default() -> Self {
        Self {
            workflow: "attack",
            version: 1,
            imports: "",
            memory: "1",
            realloc: "i32.const 4096",
            describe: "i32.const 0",
            run: "i32.const 8192",
            fields: "",
        }
    }
}

impl Parts<'_> {
    /// Returns the component.
    pub fn component(&self) -> Vec<u8> {
        of_core(&self.core())
    }

    /// Returns the core module in text form.
    pub(crate) fn core(&self) -> String {
        let Self { workflow, version, imports, memory, realloc, describe, run, fields } = self;
        let list = data(&[(*workflow, *version)]);
        // Zero for a result that is no failure, then the address and the length of `null`, then that.
        let output = r#"(data (i32.const 8192) "\00\00\00\00\10\20\00\00\04\00\00\00\00\00\00\00null")"#;
        format!(
            r#"(module
                {imports}
                (memory (export "memory") {memory})
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) {realloc})
                (func (export "describe") (result i32) {describe})
                (func (export "run") (param i32 i32 i32 i32 i32) (result i32) {run})
                {list} {output} {fields})"#
        )
    }
}
