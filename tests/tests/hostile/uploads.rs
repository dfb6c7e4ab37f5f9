//! Components that attack when they are uploaded.

use forge_tests::parts::{LOG, SPIN};
use forge_tests::{LimitedHost, Parts, expensive_components};

/// Mutants of a component that are uploaded.
const MUTANTS: u32 = 300;

/// The same mutants each time.
const SEED: u64 = 4_711;

const PASSED: &str = "passed more than 4194304 bytes";

/// A component in text form that has no workflow.
fn text(text: impl AsRef<str>) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

async fn are_refused(host: &LimitedHost, components: Vec<(&str, Vec<u8>, &[&str])>) {
    let mut otherwise = Vec::new();
    for (name, component, words) in components {
        let good = host.start_good().await;
        let answer = host.api().upload(&component).await;
        let said = answer.body.to_string();
        if answer.status != 422 || words.iter().any(|word| !said.contains(word)) || said.len() > 2_000 {
            otherwise.push(format!(
                "{name}: {} {}",
                answer.status,
                said.chars().take(1_000).collect::<String>()
            ));
        }
        host.is_good(&good).await;
    }
    assert!(otherwise.is_empty(), "these were answered otherwise:\n{}", otherwise.join("\n"));
    host.is_unharmed().await;
}

#[tokio::test]
async fn a_component_that_does_not_describe_itself_as_it_should_is_refused() {
    let describing = |describe| Parts { describe, memory: "510", ..Parts::default() }.component();
    let refused: Vec<(&str, Vec<u8>, &[&str])> = vec![
        (
            "spins when it is instantiated",
            Parts { fields: "(func $s (loop $l (br $l))) (start $s)", ..Parts::default() }.component(),
            &["`describe` failed", "out of fuel"],
        ),
        (
            "calls the host when it is instantiated",
            Parts {
                imports: r#"(import "forge:workflow/time@0.1.0" "workflow-time" (func $time (param i64) (result i64)))"#,
                fields: "(func $s (drop (call $time (i64.const 0)))) (start $s)",
                ..Parts::default()
            }
            .component(),
            &["`describe` may not call the host"],
        ),
        (
            "calls the host in describe",
            Parts {
                imports: LOG,
                describe: "(call $log (i64.const 0) (i32.const 2) (i32.const 0) (i32.const 0)) i32.const 0",
                ..Parts::default()
            }
            .component(),
            &["`describe` may not call the host"],
        ),
        (
            "takes memory in describe",
            describing("(loop $l (drop (memory.grow (i32.const 16))) (br $l)) unreachable"),
            &["out of memory", "32 MiB"],
        ),
        (
            "lists a million workflows",
            describing("(i32.store (i32.const 4) (i32.const 1000000)) i32.const 0"),
            &[PASSED],
        ),
        (
            "lists two thousand workflows",
            describing(
                "(i32.store (i32.const 0) (i32.const 65536)) (i32.store (i32.const 4) (i32.const 2000)) i32.const 0",
            ),
            &["2000 workflows; the most is 1000"],
        ),
        (
            "lists more than it has memory",
            describing("(i32.store (i32.const 4) (i32.const -1)) i32.const 0"),
            &["`describe` failed"],
        ),
        (
            "has a name of a megabyte",
            describing(
                "(i32.store (i32.const 20) (i32.const 1048576))
                 (memory.fill (i32.const 48) (i32.const 97) (i32.const 1048576)) i32.const 0",
            ),
            &["name has 1048576 bytes; the most is 255"],
        ),
        (
            "has a name of eight megabytes",
            describing("(i32.store (i32.const 20) (i32.const 8388608)) i32.const 0"),
            &[PASSED],
        ),
        ("answers beyond its memory", describing("i32.const -1"), &["`describe` failed"]),
        ("has version 0", Parts { version: 0, ..Parts::default() }.component(), &["version 0"]),
    ];
    are_refused(&LimitedHost::with(LimitedHost::builder()).await, refused).await;
}

#[tokio::test]
async fn a_component_whose_parts_are_too_large_or_too_many_is_refused_before_it_is_compiled() {
    let mut instances = "(component (component $c0)".to_owned();
    for level in 1..=20 {
        let inner = level - 1;
        instances += &format!(
            "(component $c{level} (alias outer 1 $c{inner} (component $c))
                (instance (instantiate $c)) (instance (instantiate $c)))"
        );
    }
    instances += "(instance (instantiate $c20)))";
    let modules = |part: &str, instances: usize| {
        let instances = "(core instance (instantiate $m))".repeat(instances);
        text(format!("(component (core module $m {part}) {instances})"))
    };
    let valid = Parts::default().component();
    let locals = format!("(component (core module (func (local {}))))", "i64 ".repeat(40_000));
    let refused: Vec<(&str, Vec<u8>, &[&str])> = vec![
        ("a million instances", text(&instances), &["2097151 component instances", "the most is 100"]),
        ("a hundred modules", modules("", 100), &["100 module instances; the most is 8"]),
        ("fifty memories", modules(&"(memory 1)".repeat(50), 1), &["50 memories; the most is 2"]),
        (
            "a thousand tables",
            modules(&"(table 1 funcref)".repeat(1_000), 1),
            &["1000 tables; the most is 4"],
        ),
        ("many locals", text(locals), &["40000 locals in its function 1; the most is 10000"]),
        ("many functions", modules(&"(func)".repeat(100_001), 0), &["100001 functions; the most is 100000"]),
        ("a deep one", text("(component ".repeat(100) + &")".repeat(100)), &["nested more than 8 deep"]),
        (
            "a large memory",
            Parts { memory: "32768", ..Parts::default() }.component(),
            &["does not fit this host", "memory"],
        ),
        (
            "a large table",
            Parts { fields: "(table 9000000 funcref)", ..Parts::default() }.component(),
            &["does not fit this host", "table"],
        ),
        ("nothing", b"".to_vec(), &["no WebAssembly"]),
        ("text", b"(component)".to_vec(), &["no WebAssembly"]),
        ("a program", std::fs::read("/proc/self/exe").unwrap()[..65_536].to_vec(), &["no WebAssembly"]),
        ("one without its end", valid[..valid.len() - 9].to_vec(), &["damaged or truncated"]),
    ];
    are_refused(&LimitedHost::with(LimitedHost::builder()).await, refused).await;
}

#[tokio::test]
async fn a_component_that_is_slow_to_compile_is_given_up_in_time() {
    let host = LimitedHost::with(LimitedHost::builder().flag(["--compile-time", "3s"])).await;
    let refused: Vec<(&str, Vec<u8>, &[&str])> = vec![
        // Before it is compiled.
        ("many functions", expensive_components::of_many_functions(), &["by estimate", "the most is 10 s"]),
        ("one function", expensive_components::of_one_function(), &["by estimate", "50000 branches"]),
        // More than its estimate.
        ("nested branches", expensive_components::of_minutes(), &["more than 3s", "--compile-time"]),
    ];
    are_refused(&host, refused).await;
}

#[tokio::test]
async fn a_component_that_is_hungry_to_compile_is_given_up_before_it_takes_the_hosts_memory() {
    let host = LimitedHost::with(LimitedHost::builder().flag(["--compile-memory", "192MiB"])).await;
    let refused: Vec<(&str, Vec<u8>, &[&str])> =
        vec![("locals", expensive_components::of_memory(), &["192 MiB", "--compile-memory"])];
    are_refused(&host, refused).await;
}

#[tokio::test]
async fn a_component_that_was_cut_anywhere_is_refused() {
    let host = LimitedHost::with(LimitedHost::builder()).await;
    let valid = Parts::default().component();
    for length in (0..valid.len()).step_by(valid.len() / 40) {
        let answer = host.api().upload(&valid[..length]).await;
        assert_eq!(answer.status, 422, "{length} bytes of {}: {}", valid.len(), answer.body);
    }
    host.is_unharmed().await;
}

#[tokio::test]
async fn a_mutant_of_a_component_is_refused_or_works() {
    let host = LimitedHost::with(LimitedHost::builder()).await;
    let mut random = fastrand::Rng::with_seed(SEED);
    let (mut refused, mut ran) = (0, 0);
    for version in 1..=MUTANTS {
        let mut mutant = Parts { version, imports: LOG, run: LOG_AND_END, ..Parts::default() }.component();
        mutate(&mut mutant, &mut random);
        let answer = host.api().upload(&mutant).await;
        match answer.status {
            200 | 201 => {}
            409 | 422 => {
                refused += 1;
                continue;
            }
            _ => panic!("mutant {version}: {} {}", answer.status, answer.body),
        }
        for workflow in answer.body["workflows"].as_array().unwrap() {
            let name = workflow["name"].as_str().unwrap();
            let body = serde_json::json!({ "input": null, "version": workflow["version"] });
            let started = host.api().try_start(name, &body).await.ok();
            host.api().settled(started["run_id"].as_str().unwrap()).await;
            ran += 1;
        }
    }
    println!("of {MUTANTS} mutants {refused} were refused, and {ran} ran");
    assert!(refused > 20 && ran > 10, "{refused} were refused, {ran} ran");
    host.is_unharmed().await;
}

/// Logs a word, then ends.
const LOG_AND_END: &str =
    "(call $log (i64.const 0) (i32.const 2) (i32.const 8208) (i32.const 4)) i32.const 8192";

/// Changes, inserts, removes or repeats a few bytes.
fn mutate(bytes: &mut Vec<u8>, random: &mut fastrand::Rng) {
    for _ in 0..random.usize(1..3) {
        let place = random.usize(8..bytes.len());
        match random.u8(0..5) {
            0 => bytes[place] = random.u8(..),
            1 => bytes[place] ^= 1 << random.u8(0..8),
            2 => bytes.insert(place, random.u8(..)),
            3 => drop(bytes.remove(place)),
            _ => {
                let end = (place + random.usize(1..32)).min(bytes.len());
                let part = bytes[place..end].to_vec();
                bytes.splice(place..place, part);
            }
        }
    }
}

#[tokio::test]
async fn an_abi_that_is_used_against_the_host_is_a_trap() {
    let host = LimitedHost::with(LimitedHost::builder()).await;
    let attacks: Vec<(&str, Parts, &str, &str)> = vec![
        ("spins in realloc", Parts { realloc: SPIN, ..Parts::default() }, "out-of-fuel", "200000000"),
        (
            "calls the host in realloc",
            Parts {
                imports: LOG,
                realloc: "(call $log (i64.const 0) (i32.const 2) (i32.const 8208) (i32.const 4)) i32.const 4096",
                ..Parts::default()
            },
            "trap",
            "cannot leave",
        ),
        ("allocates nowhere", Parts { realloc: "i32.const -8", ..Parts::default() }, "trap", "realloc"),
        ("allocates askew", Parts { realloc: "i32.const 4097", ..Parts::default() }, "", ""),
        (
            "spins after its return",
            Parts {
                fields: "(func (export \"cabi_post_run\") (param i32) (loop $l (br $l)))",
                ..Parts::default()
            },
            "out-of-fuel",
            "200000000",
        ),
        (
            "calls the host after its return",
            Parts {
                imports: LOG,
                fields: "(func (export \"cabi_post_run\") (param i32)
                    (call $log (i64.const 0) (i32.const 2) (i32.const 8208) (i32.const 4)))",
                ..Parts::default()
            },
            "trap",
            "cannot leave",
        ),
        ("returns nowhere", Parts { run: "i32.const -8", ..Parts::default() }, "trap", "bounds"),
        ("returns askew", Parts { run: "i32.const 8193", ..Parts::default() }, "trap", "align"),
        (
            "returns no such variant",
            Parts { run: "(i32.store8 (i32.const 8192) (i32.const 7)) i32.const 8192", ..Parts::default() },
            "trap",
            "discriminant",
        ),
        (
            "returns no UTF-8",
            Parts { run: "(i32.store (i32.const 8208) (i32.const -1)) i32.const 8192", ..Parts::default() },
            "trap",
            "utf-8",
        ),
        (
            "returns all its memory",
            Parts {
                memory: "500",
                run: "(i32.store (i32.const 8196) (i32.const 0))
                    (i32.store (i32.const 8200) (i32.const 32000000)) i32.const 8192",
                ..Parts::default()
            },
            "limit",
            PASSED,
        ),
        (
            "grows a table",
            Parts {
                fields: "(table $t 1 funcref)",
                run: "(loop $l (drop (table.grow $t (ref.null func) (i32.const 1000))) (br $l)) unreachable",
                ..Parts::default()
            },
            "out-of-memory",
            "the most is 100000",
        ),
        (
            "drops data without end",
            Parts {
                fields: "(data $d \"d\")",
                run: "(loop $l (data.drop $d) (br $l)) unreachable",
                ..Parts::default()
            },
            "out-of-fuel",
            "200000000",
        ),
    ];
    let mut otherwise = Vec::new();
    for ((name, parts, kind, words), version) in attacks.into_iter().zip(1..) {
        host.api().deploy(&Parts { version, ..parts }.component()).await;
        let record = host.attacked("attack").await;
        let (found, error) = (record["error_kind"].as_str().unwrap_or_default(), record["error"].to_string());
        if found != kind || !error.contains(words) {
            otherwise.push(format!("{name}: {} {found} {error}", record["status"]));
        }
    }
    assert!(otherwise.is_empty(), "these ended otherwise:\n{}", otherwise.join("\n"));
    host.is_unharmed().await;
}
