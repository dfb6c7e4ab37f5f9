use super::{check_work, inspect};

/// What is said of a component in text form.
fn inspected(text: &str) -> Result<(), String> {
    inspect(&wat::parse_str(text).unwrap()).map_err(|error| error.0)
}

#[track_caller]
fn is_refused(text: &str, words: &str) {
    let refused = inspected(text).unwrap_err();
    assert!(refused.contains(words), "{refused}");
}

#[test]
fn what_tools_make_is_let_through() {
    inspected(
        "(component
            (core module $m (memory 1) (table 1 funcref) (func))
            (core instance (instantiate $m))
            (component $c (core module $m (func)) (core instance (instantiate $m)))
            (instance (instantiate $c)))",
    )
    .unwrap();
}

#[test]
fn instances_are_counted_however_deep_they_are() {
    // Each makes two of the one before: 2 to the power of 20 in all.
    let mut text = "(component (component $c0)".to_owned();
    for level in 1..=20 {
        let inner = level - 1;
        text += &format!(
            "(component $c{level} (alias outer 1 $c{inner} (component $c))
                (instance (instantiate $c)) (instance (instantiate $c)))"
        );
    }
    text += "(instance (instantiate $c20)))";
    is_refused(&text, "2097151 component instances inside it; the most is 100");
}

#[test]
fn modules_memories_and_tables_are_counted_once_for_each_instance() {
    let with = |part: &str, instances: usize| {
        let instances = "(core instance (instantiate $m))".repeat(instances);
        format!("(component (core module $m {part}) {instances})")
    };
    inspected(&with("", 8)).unwrap();
    is_refused(&with("", 9), "9 module instances; the most is 8");
    is_refused(&with("(memory 1)", 3), "3 memories; the most is 2");
    is_refused(&with("(table 1 funcref) (table 1 funcref)", 3), "6 tables; the most is 4");
    let inner = "(component $c (core module $m (memory 1)) (core instance (instantiate $m)))";
    let outer = "(instance (instantiate $c))".repeat(3);
    is_refused(&format!("(component {inner} {outer})"), "3 memories; the most is 2");
}

#[test]
fn what_cannot_be_counted_is_refused() {
    is_refused("(component (component $c) (export \"c\" (component $c)))", "as such");
    is_refused(
        "(component (component $c (import \"c\" (component $i)) (instance (instantiate $i))))",
        "as such",
    );
}

#[test]
fn parts_have_a_size() {
    let locals = format!("(component (core module (func (local {}))))", "i64 ".repeat(10_001));
    is_refused(&locals, "10001 locals in its function 1; the most is 10000");
    let body = "(drop (i32.const 1))".repeat(400_000);
    is_refused(
        &format!("(component (core module (func) (func {body})))"),
        "bytes in its function 2; the most is 1048576",
    );
    let functions = format!("(component (core module {}))", "(func)".repeat(100_001));
    is_refused(&functions, "100001 functions; the most is 100000");
    let types = "(core type (func (param i32)))".repeat(20_001);
    is_refused(&format!("(component {types})"), "20001 types; the most is 20000");
    let deep = "(component ".repeat(9) + &")".repeat(9);
    is_refused(&deep, "nested more than 8 deep");
    inspected(&("(component ".repeat(8) + &")".repeat(8))).unwrap();
}

#[test]
fn the_work_of_compiling_is_bounded_and_the_function_that_has_most_of_it_is_named() {
    let checked = |text: &str| check_work(&wat::parse_str(text).unwrap()).map_err(|error| error.0);
    let branching = |branches: usize| {
        let branches = "(br_if 0 (local.get 0))".repeat(branches);
        format!("(component (core module (func) (func (param i32) (local i64) (block {branches}))))")
    };
    checked(&branching(3_000)).unwrap();
    let refused = checked(&branching(6_000)).unwrap_err();
    assert!(refused.contains("by estimate, and the most is 10 s. Its function 2 takes longest"), "{refused}");
    assert!(refused.contains("6000 branches and 2 locals"), "{refused}");
    let ordinary = "(local.set 0 (i64.add (local.get 0) (i64.const 7)))".repeat(10_000);
    let functions = |count: usize| {
        format!("(component (core module {}))", format!("(func (local i64) {ordinary})").repeat(count))
    };
    checked(&functions(50)).unwrap();
    assert!(checked(&functions(100)).unwrap_err().contains("12.0 s by estimate"));
}
