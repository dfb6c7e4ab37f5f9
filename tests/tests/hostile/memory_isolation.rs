//! What one run leaves in its memory, no other one finds there.

use forge_tests::{LimitedHost, Parts};
use serde_json::json;

/// Runs of each kind: more than the host has places for instances, so that each place has been used before.
const RUNS: usize = 40;

/// Writes a word all over the memory and a function all over the table, if the workflow's version is odd; otherwise
/// looks for anything that is there, and gives the number of words and functions found, as one digit each.
const RUN: &str = r#"
    (local $at i32) (local $words i32) (local $functions i32)
    (drop (memory.grow (i32.const 480)))
    (drop (table.grow $t (ref.null func) (i32.const 50000)))
    (local.set $at (i32.const 65536))
    (loop $next
        (if (i32.and (local.get 2) (i32.const 1))
            (then (i64.store (local.get $at) (i64.const 0x5ca1ab1e0ddba115)))
            (else (if (i64.ne (i64.load (local.get $at)) (i64.const 0)) (then (local.set $words (i32.const 1))))))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (br_if $next (i32.lt_u (local.get $at) (i32.mul (memory.size) (i32.const 65536)))))
    (local.set $at (i32.const 0))
    (loop $next
        (if (i32.and (local.get 2) (i32.const 1))
            (then (table.set $t (local.get $at) (ref.func $f)))
            (else (if (i32.eqz (ref.is_null (table.get $t (local.get $at))))
                (then (local.set $functions (i32.const 1))))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br_if $next (i32.lt_u (local.get $at) (table.size $t))))
    (i32.store8 (i32.const 8208) (i32.add (i32.const 49) (local.get $words)))
    (i32.store8 (i32.const 8209) (i32.add (i32.const 49) (local.get $functions)))
    (i32.store (i32.const 8200) (i32.const 2))
    i32.const 8192"#;

fn component(version: u32) -> Vec<u8> {
    let fields = "(table $t 0 funcref) (func $f) (elem declare func $f)";
    Parts { version, run: RUN, fields, ..Parts::default() }.component()
}

#[tokio::test]
async fn no_run_finds_in_its_memory_what_another_has_left_there() {
    let host = LimitedHost::with(LimitedHost::builder().flag(["--live-instances", "1"])).await;
    for version in [1, 2] {
        host.api().deploy(&component(version)).await;
    }
    for round in 0..RUNS {
        let mut found = Vec::new();
        for version in [1, 2] {
            let started =
                host.api().try_start("attack", &json!({ "input": null, "version": version })).await.ok();
            found.push(host.api().settled(started["run_id"].as_str().unwrap()).await);
        }
        // One more than what was found.
        for record in &found {
            assert_eq!(
                (&record["status"], &record["output"]),
                (&json!("completed"), &json!(11)),
                "{round}: {record:#}"
            );
        }
    }
    host.is_unharmed().await;
}
