//! Components that are small to upload and expensive to compile.

use wasm_encoder::{
    BlockType, CodeSection, Component, ConstExpr, Function, FunctionSection, GlobalSection, GlobalType,
    Instruction, Module, ModuleSection, TypeSection, ValType,
};

/// The locals of each function. All of them are live to its end.
const LOCALS: u32 = 200;

/// Returns a component with thousands of equal functions.
pub fn of_many_functions() -> Vec<u8> {
    component(&vec![function(300); 2_000])
}

/// Returns a component with one function of the maximum size that consists mostly of jumps.
pub fn of_one_function() -> Vec<u8> {
    component(&[function(50_000)])
}

/// Returns a component within the bounds of what is compiled, which takes seconds to compile. It has no workflows. Another
/// `number` gives another component.
pub fn of_seconds(number: i64) -> Vec<u8> {
    with_start(&vec![nested(250); 3], number)
}

/// Returns a component that takes far longer to compile than its bounds suggest.
pub fn of_minutes() -> Vec<u8> {
    component(&vec![nested(250); 60])
}

/// Returns a component within the bounds of what is compiled, which takes hundreds of mebibytes to compile.
pub fn of_memory() -> Vec<u8> {
    let (tables, cases) = (8, 1_000);
    let mut body = Function::new([(LOCALS, ValType::I64)]);
    set_locals(&mut body);
    for table in 0..tables {
        let local = |step: u32| (table * 7 + step) % LOCALS;
        for _ in 0..cases {
            body.instruction(&Instruction::Block(BlockType::Empty));
        }
        body.instruction(&Instruction::LocalGet(local(1)));
        body.instruction(&Instruction::I32WrapI64);
        body.instruction(&Instruction::BrTable((0..cases - 1).collect::<Vec<_>>().into(), cases - 1));
        for case in 0..cases {
            body.instruction(&Instruction::End);
            body.instruction(&Instruction::LocalGet(local(1)));
            body.instruction(&Instruction::LocalGet(local(case)));
            body.instruction(&Instruction::I64Add);
            body.instruction(&Instruction::LocalSet(local(60 + case)));
        }
    }
    store_locals(&mut body);
    component(&[body])
}

/// Returns a function with this many nested branches, each of which assigns one of many locals.
fn nested(depth: u32) -> Function {
    let mut body = Function::new([(LOCALS, ValType::I64)]);
    set_locals(&mut body);
    for level in 0..depth {
        let local = |step: u32| (level * 7 + step) % LOCALS;
        body.instruction(&Instruction::LocalGet(local(1)));
        body.instruction(&Instruction::I64Eqz);
        body.instruction(&Instruction::If(BlockType::Empty));
        body.instruction(&Instruction::LocalGet(local(33)));
        body.instruction(&Instruction::LocalSet(local(1)));
    }
    for _ in 0..depth {
        body.instruction(&Instruction::End);
    }
    store_locals(&mut body);
    body
}

/// Returns a function with this many jumps, and computations of locals between them.
fn function(jumps: u32) -> Function {
    let mut body = Function::new([(LOCALS, ValType::I64)]);
    for jump in 0..jumps {
        let local = |step: u32| (jump * 7 + step) % LOCALS;
        body.instruction(&Instruction::LocalGet(local(1)));
        body.instruction(&Instruction::LocalGet(local(60)));
        body.instruction(&Instruction::I64Mul);
        body.instruction(&Instruction::LocalTee(local(120)));
        body.instruction(&Instruction::I64Eqz);
        body.instruction(&Instruction::If(BlockType::Empty));
        body.instruction(&Instruction::LocalGet(local(33)));
        body.instruction(&Instruction::LocalSet(local(1)));
        body.instruction(&Instruction::End);
    }
    store_locals(&mut body);
    body
}

/// Sets all locals to values that the compiler does not know.
fn set_locals(body: &mut Function) {
    for local in 0..LOCALS {
        body.instruction(&Instruction::GlobalGet(0));
        body.instruction(&Instruction::I64Const(i64::from(local)));
        body.instruction(&Instruction::I64Add);
        body.instruction(&Instruction::LocalSet(local));
    }
}

/// Uses all locals, and ends the function.
fn store_locals(body: &mut Function) {
    for local in 0..LOCALS {
        body.instruction(&Instruction::LocalGet(local));
        body.instruction(&Instruction::GlobalGet(0));
        body.instruction(&Instruction::I64Add);
        body.instruction(&Instruction::GlobalSet(0));
    }
    body.instruction(&Instruction::End);
}

fn component(functions: &[Function]) -> Vec<u8> {
    with_start(functions, 1)
}

/// Returns a component of these functions, whose global starts with this number.
fn with_start(functions: &[Function], start: i64) -> Vec<u8> {
    let (mut types, mut declared, mut code) =
        (TypeSection::new(), FunctionSection::new(), CodeSection::new());
    types.ty().function([], []);
    for function in functions {
        declared.function(0);
        code.function(function);
    }
    let mut globals = GlobalSection::new();
    globals.global(
        GlobalType { val_type: ValType::I64, mutable: true, shared: false },
        &ConstExpr::i64_const(start),
    );
    let mut module = Module::new();
    module.section(&types).section(&declared).section(&globals).section(&code);
    let mut component = Component::new();
    component.section(&ModuleSection(&module));
    component.finish()
}
