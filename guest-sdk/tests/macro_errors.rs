//! The errors that `#[forge::workflow]` and `forge::export!` report.

/// The expected messages are in `tests/ui/*.stderr`. To accept a change, run with `TRYBUILD=overwrite` and
/// review the difference.
#[test]
fn mistakes_are_explained() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
