//! What authors see when they make a mistake.

/// The messages with spans of ours are golden: `tests/ui/*.stderr`. To accept a change, run with
/// `TRYBUILD=overwrite` and review the difference.
#[test]
fn mistakes_are_explained() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
