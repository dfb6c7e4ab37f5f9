//! Uploads: what looks at them, compiles them and asks them for their workflows.

use std::sync::Arc;

use forge_host::config::Limits;
use forge_host::sandbox::{Compiler, Engine, inspect};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::fuzz;

/// A component with something of all that components of workflows are made of.
const COMPONENT: &str = r#"(component
    (import "forge:workflow/time@0.1.0" (instance $time (export "workflow-time" (func (param "scope" u64) (result u64)))))
    (alias export $time "workflow-time" (func $now))
    (core func $now (canon lower (func $now)))
    (core module $m
        (import "host" "now" (func $now (param i64) (result i64)))
        (memory (export "memory") 1)
        (table 2 funcref)
        (global $g (mut i32) (i32.const 4))
        (elem (i32.const 0) $f $f)
        (data (i32.const 16) "a workflow")
        (func $f (param i32) (result i32)
            (local i64 f64)
            (block (br_table 0 0 (local.get 0)))
            (if (i32.gt_s (local.get 0) (i32.const 3)) (then (return (i32.const 1))))
            (local.set 1 (call $now (i64.const 0)))
            (call_indirect (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)) (i32.const 1)))
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) (global.get $g))
        (func (export "describe") (result i32) (i32.const 0)))
    (core instance $i (instantiate $m (with "host" (instance (export "now" (func $now))))))
    (type $info (record (field "name" string) (field "version" u32) (field "timeout" u64) (field "deprecated" bool)))
    (export $info' "workflow-info" (type $info))
    (func (export "describe") (result (list $info'))
        (canon lift (core func $i "describe") (memory (core memory $i "memory")) (realloc (core func $i "realloc")))))"#;

/// One change of a byte string.
#[derive(Debug, Clone)]
enum Change {
    Set(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    Repeat(Index, u8),
    Cut(Index),
}

fn change() -> impl Strategy<Value = Change> {
    let place = any::<Index>;
    prop_oneof![
        8 => (place(), any::<u8>()).prop_map(|(place, byte)| Change::Set(place, byte)),
        2 => (place(), any::<u8>()).prop_map(|(place, byte)| Change::Insert(place, byte)),
        2 => place().prop_map(Change::Remove),
        2 => (place(), any::<u8>()).prop_map(|(place, length)| Change::Repeat(place, length)),
        1 => place().prop_map(Change::Cut),
    ]
}

fn changed(mut bytes: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        if bytes.is_empty() {
            break;
        }
        match change {
            Change::Set(place, byte) => *place.get_mut(&mut bytes) = *byte,
            Change::Insert(place, byte) => bytes.insert(place.index(bytes.len()), *byte),
            Change::Remove(place) => drop(bytes.remove(place.index(bytes.len()))),
            Change::Repeat(place, length) => {
                let begin = place.index(bytes.len());
                let end = (begin + usize::from(*length)).min(bytes.len());
                let part = bytes[begin..end].to_vec();
                bytes.splice(begin..begin, part);
            }
            Change::Cut(place) => bytes.truncate(place.index(bytes.len())),
        }
    }
    bytes
}

fn engine() -> Arc<Engine> {
    let limits = Limits { live_instances: 4, fuel_for_describe: 100_000, ..Limits::default() };
    Arc::new(Engine::new(limits.engine(), None, Compiler::InProcess).unwrap())
}

#[test]
fn arbitrary_bytes_are_refused() {
    let header = prop_oneof![
        Just(b"\0asm\x0d\0\x01\0".to_vec()),
        Just(b"\0asm\x01\0\0\0".to_vec()),
        Just(Vec::new()),
    ];
    fuzz(20_000, (header, any::<Vec<u8>>()), |(header, bytes)| {
        // An empty component is one, as far as that goes.
        let _ = inspect(&[header, bytes].concat());
        Ok(())
    });
}

#[test]
fn a_mutant_of_a_component_is_refused_or_compiled_and_asked() {
    let engine = engine();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let original = wat::parse_str(COMPONENT).unwrap();
    inspect(&original).unwrap();
    fuzz(400, vec(change(), 1..4), |changes| {
        let mutant = changed(original.clone(), &changes);
        runtime.block_on(async {
            if let Ok(component) = engine.compile(mutant.into()).await {
                let _ = engine.describe(&component).await;
            }
        });
        Ok(())
    });
}
