//! Components that no Rust compiler makes: they use the canonical ABI, instantiation and the format itself against the host.
//! Each is refused at upload, or fails its own run, beside a run of another tenant.

use forge_tests::components::of_core_in;
use forge_tests::parts::LOG;
use forge_tests::program::{block, effect, step};
use forge_tests::{Api, LimitedHost, Parts};
use serde_json::json;
use wit_component::StringEncoding;

/// What becomes of a component.
enum Outcome {
    /// It is refused at upload with an error that contains these words.
    Refused(&'static str),
    /// Its run fails with this kind of error, which contains these words.
    Fails(&'static str, &'static str),
    /// Its run completes: what it does harms only itself.
    Completes,
}

use Outcome::{Completes, Fails, Refused};

/// Returns the run's information, with two strings that the host puts where `cabi_realloc` says.
const INFO: &str = r#"(import "forge:workflow/run@0.1.0" "info" (func $info (param i32)))"#;

/// Asks for the run's information, then ends.
const ASK: &str = "(call $info (i32.const 12288)) i32.const 8192";

fn text(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

fn with_info(realloc: &'static str) -> Parts<'static> {
    Parts { imports: INFO, run: ASK, realloc, ..Parts::default() }
}

/// A component whose core module has this part and is instantiated, and that exports nothing.
fn instantiating(part: &str) -> Vec<u8> {
    text(&format!("(component (core module $m {part}) (core instance (instantiate $m)))"))
}

fn reallocs() -> Vec<(&'static str, Vec<u8>, Outcome)> {
    let realloc = |name, parts: Parts, outcome| (name, parts.component(), outcome);
    vec![
        realloc("gives one address for all strings", with_info("i32.const 4096"), Completes),
        realloc("gives the address where the answer is written", with_info("i32.const 12288"), Completes),
        realloc("gives the address of its own answer", with_info("i32.const 8192"), Fails("trap", "")),
        realloc("gives the last byte of its memory", with_info("i32.const 65535"), Fails("trap", "realloc")),
        realloc("gives the end of its memory", with_info("i32.const 65536"), Fails("trap", "realloc")),
        realloc("gives -1", with_info("i32.const -1"), Fails("trap", "realloc")),
        realloc("traps in realloc", with_info("unreachable"), Fails("trap", "unreachable")),
        realloc(
            "recurses in realloc",
            with_info("(call 1 (local.get 0) (local.get 1) (local.get 2) (local.get 3))"),
            Fails("trap", "stack"),
        ),
        realloc(
            "takes memory in realloc",
            with_info(
                "(loop $l (br_if $l (i32.ge_s (memory.grow (i32.const 16)) (i32.const 0)))) i32.const 4096",
            ),
            Fails("out-of-memory", "32 MiB"),
        ),
        realloc(
            "overwrites its strings in realloc",
            with_info("(memory.fill (i32.const 4096) (i32.const 255) (i32.const 4000)) i32.const 4096"),
            Completes,
        ),
        realloc(
            "asks for information in realloc",
            with_info("(call $info (i32.const 12288)) i32.const 4096"),
            Fails("trap", "cannot leave"),
        ),
    ]
}

fn returns() -> Vec<(&'static str, Vec<u8>, Outcome)> {
    let parts = |name, parts: Parts, outcome| (name, parts.component(), outcome);
    // The bytes of U+D800 in the form that UTF-8 would have if it were a character.
    let surrogate = "(i32.store (i32.const 8208) (i32.const 0x2280a0ed)) i32.const 8192";
    vec![
        parts(
            "traps after its return",
            Parts { fields: "(func (export \"cabi_post_run\") (param i32) unreachable)", ..Parts::default() },
            Fails("trap", "unreachable"),
        ),
        parts(
            "takes memory after its return",
            Parts {
                fields: "(func (export \"cabi_post_run\") (param i32)
                    (loop $l (br_if $l (i32.ge_s (memory.grow (i32.const 16)) (i32.const 0)))))",
                ..Parts::default()
            },
            Fails("out-of-memory", "32 MiB"),
        ),
        parts(
            "traps after describe",
            Parts {
                fields: "(func (export \"cabi_post_describe\") (param i32) unreachable)",
                ..Parts::default()
            },
            Refused("`describe` failed"),
        ),
        parts(
            "returns a lone surrogate in UTF-8",
            Parts { run: surrogate, ..Parts::default() },
            Fails("trap", "utf-8"),
        ),
        parts(
            "returns a string of 4 GiB",
            Parts { run: "(i32.store (i32.const 8200) (i32.const -1)) i32.const 8192", ..Parts::default() },
            Fails("trap", "bounds"),
        ),
        parts(
            "returns a string that ends beyond its memory",
            Parts {
                run: "(i32.store (i32.const 8196) (i32.const 65533)) i32.const 8192",
                ..Parts::default()
            },
            Fails("trap", "bounds"),
        ),
        parts(
            "returns a failure whose strings are the answer itself",
            Parts {
                run: "(i32.store8 (i32.const 8192) (i32.const 1))
                    (i32.store (i32.const 8196) (i32.const 8192)) (i32.store (i32.const 8200) (i32.const 4))
                    (i32.store (i32.const 8204) (i32.const 8192)) (i32.store (i32.const 8208) (i32.const 4))
                    (i32.store8 (i32.const 8212) (i32.const 1)) i32.const 8192",
                ..Parts::default()
            },
            Fails("\u{1}\0\0\0", ""),
        ),
        (
            "returns a lone surrogate in UTF-16",
            of_core_in(StringEncoding::UTF16, &wide("\\00\\d8\\22\\00")),
            Fails("trap", "unpaired surrogate"),
        ),
        (
            "returns half of a character in UTF-16",
            of_core_in(StringEncoding::UTF16, &wide("\\22\\00\\3d\\d8")),
            Fails("trap", "unpaired surrogate"),
        ),
    ]
}

/// A core module whose strings are UTF-16, with a name and an output of two units.
fn wide(output: &str) -> String {
    format!(
        r#"(module
            (memory (export "memory") 1)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 4096)
            (func (export "describe") (result i32) i32.const 0)
            (func (export "run") (param i32 i32 i32 i32 i32) (result i32) i32.const 8192)
            (data (i32.const 0) "\10\00\00\00\01\00\00\00\00\00\00\00\00\00\00\00")
            (data (i32.const 16) "\30\00\00\00\06\00\00\00\63\00\00\00\00\00\00\00\60\ea\00\00\00\00\00\00\00\00\00\00\00\00\00\00")
            (data (i32.const 48) "a\00t\00t\00a\00c\00k\00")
            (data (i32.const 8192) "\00\00\00\00\10\20\00\00\02\00\00\00\00\00\00\00{output}"))"#
    )
}

fn instantiations() -> Vec<(&'static str, Vec<u8>, Outcome)> {
    let parts = |name, fields, outcome| (name, Parts { fields, ..Parts::default() }.component(), outcome);
    vec![
        parts("traps when it is started", "(func $s unreachable) (start $s)", Refused("`describe` failed")),
        parts(
            "takes memory when it is started",
            "(func $s (loop $l (br_if $l (i32.ge_s (memory.grow (i32.const 16)) (i32.const 0))))) (start $s)",
            Refused("32 MiB"),
        ),
        parts("has data beyond its memory", r#"(data (i32.const 65536) "x")"#, Refused("out of bounds")),
        parts(
            "has elements beyond its table",
            "(table 1 funcref) (func $f) (elem (i32.const 5) $f)",
            Refused("out of bounds"),
        ),
        (
            "starts a function of the host",
            Parts {
                imports: LOG,
                fields: "(func $s (call $log (i64.const 0) (i32.const 2) (i32.const 0) (i32.const 0))) (start $s)",
                ..Parts::default()
            }
            .component(),
            // What wit-component puts between the host and the module is not ready yet.
            Refused("uninitialized element"),
        ),
    ]
}

fn formats() -> Vec<(&'static str, Vec<u8>, Outcome)> {
    let time = r#"(import "forge:workflow/time@0.1.0" (instance))"#;
    let lift = r#"(core module $m (func (export "run") (result i32) i32.const 0))
        (core instance $i (instantiate $m))"#;
    let drops = r#"
        (type $t (resource (rep i32)))
        (core func $new (canon resource.new $t))
        (core func $drop (canon resource.drop $t))
        (core module $m
            (import "" "new" (func $new (param i32) (result i32)))
            (import "" "drop" (func $drop (param i32)))
            (func $s (local $h i32)
                (local.set $h (call $new (i32.const 1)))
                (call $drop (local.get $h)) (call $drop (local.get $h)))
            (start $s))
        (core instance (instantiate $m (with "" (instance (export "new" (func $new)) (export "drop" (func $drop))))))"#;
    let written = |name, component: &str, outcome| (name, text(&format!("(component {component})")), outcome);
    let module = |name, part: &str, outcome| (name, instantiating(part), outcome);
    let unchecked = |name, component: &str, outcome| (name, unvalidated(component), outcome);
    vec![
        unchecked("imports an interface twice", &format!("{time}{time}"), Refused("time")),
        written("exports nothing", "", Refused("describe")),
        written(
            "exports a number as run",
            &format!("{lift} (func (export \"run\") (result u32) (canon lift (core func $i \"run\")))"),
            Refused("describe"),
        ),
        written(
            "exports describe and run of other types",
            &format!(
                "{lift} (func $f (result u32) (canon lift (core func $i \"run\")))
                 (export \"describe\" (func $f)) (export \"run\" (func $f))"
            ),
            Refused("describe"),
        ),
        written("drops a resource twice", drops, Refused("describe")),
        module("has a memory of 64 bits", "(memory i64 1)", Refused("memory64")),
        module("has a shared memory", "(memory 1 1 shared)", Refused("threads")),
        module("has a table of 64 bits", "(table i64 1 funcref)", Refused("memory64")),
        module(
            "waits for other threads",
            "(memory 1) (func (drop (memory.atomic.notify (i32.const 0) (i32.const 1))))",
            Refused("threads"),
        ),
        module("has exceptions", "(tag)", Refused("exceptions")),
        module("has objects", "(type (struct (field i32)))", Refused("gc")),
        ("has no memory", text("(component (core module (func (export \"run\"))))"), Refused("describe")),
        ("is a core module", text("(module (func (export \"run\")))"), Refused("core module")),
        (
            "has a name that turns around",
            forge_tests::components::describing(&[("pay\u{202e}tnem\n", 1)]),
            Refused("name"),
        ),
    ]
}

/// Returns a component that is not valid.
fn unvalidated(component: &str) -> Vec<u8> {
    text(&format!("(component {component})"))
}

/// Creates a tenant that may reach the services, and returns its API.
async fn tenant(host: &LimitedHost, name: &str) -> Api {
    let egress = [host.services().url()];
    let tenant = json!({ "name": name, "egress": egress, "egress_private": ["127.0.0.0/8"] });
    host.api().post_json("/_api/tenants", &tenant).await.ok();
    host.api().for_tenant(name)
}

#[tokio::test]
async fn a_component_that_no_compiler_makes_is_refused_or_fails_its_own_run() {
    let host = LimitedHost::with(LimitedHost::builder()).await;
    let neighbour = tenant(&host, "neighbour").await;
    neighbour.deploy(&forge_tests::component("interpreter")).await;
    let twice = format!("{LOG} {}", LOG.replace("$log", "$again"));
    let twice = Parts { imports: twice.leak(), ..Parts::default() };
    let mut components =
        [reallocs(), returns(), instantiations(), formats()].into_iter().flatten().collect::<Vec<_>>();
    components.push(("imports a function twice", twice.component(), Completes));
    assert!(components.len() >= 40, "{}", components.len());
    let mut otherwise = Vec::new();
    for (number, (name, component, outcome)) in components.iter().enumerate() {
        let attacker = tenant(&host, &format!("attacker-{number}")).await;
        let body = block![effect("good"), step("s", block![effect("nested")])];
        let good = neighbour.start_program(host.services(), body).await;
        let (found, is_expected) = became(&attacker, component, outcome).await;
        if !is_expected || found.len() > 1_500 {
            otherwise.push(format!("{name}: {}", found.chars().take(700).collect::<String>()));
        }
        let record = neighbour.settled(&good).await;
        assert_eq!(record["status"], "completed", "beside one that {name}: {record:#}");
    }
    assert!(otherwise.is_empty(), "these ended otherwise:\n{}", otherwise.join("\n"));
    host.is_unharmed().await;
}

/// Uploads a component, starts its workflow, and returns what became of it, and whether that is what is expected.
async fn became(attacker: &Api, component: &[u8], outcome: &Outcome) -> (String, bool) {
    let uploaded = attacker.upload(component).await;
    if uploaded.status == 422 {
        let said = uploaded.body.to_string();
        let is_expected = matches!(outcome, Refused(words) if said.contains(words));
        return (format!("refused: {said}"), is_expected);
    }
    let workflow = &uploaded.ok()["workflows"][0];
    let start = json!({ "input": "some text", "version": workflow["version"] });
    let started = attacker.try_start("attack", &start).await.ok();
    let record = attacker.settled(started["run_id"].as_str().unwrap()).await;
    let (kind, error) = (record["error_kind"].as_str().unwrap_or_default(), record["error"].to_string());
    let is_expected = match outcome {
        Refused(_) => false,
        Fails(expected, words) => kind == *expected && error.contains(words),
        Completes => record["status"] == "completed",
    };
    (format!("{}: {kind}: {error}", record["status"]), is_expected)
}
