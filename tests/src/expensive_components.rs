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
    for local in 0..LOCALS {
        body.instruction(&Instruction::LocalGet(local));
        body.instruction(&Instruction::GlobalGet(0));
        body.instruction(&Instruction::I64Add);
        body.instruction(&Instruction::GlobalSet(0));
    }
    body.instruction(&Instruction::End);
    body
}

fn component(functions: &[Function]) -> Vec<u8> {
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
        &ConstExpr::i64_const(1),
    );
    let mut module = Module::new();
    module.section(&types).section(&declared).section(&globals).section(&code);
    let mut component = Component::new();
    component.section(&ModuleSection(&module));
    component.finish()
}
