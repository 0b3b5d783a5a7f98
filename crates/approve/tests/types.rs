//! What the types do not let anyone do (ARCHITECTURE.md, invariants I2 and I3), held by the compiler's own words.
#![allow(missing_docs)]

#[test]
fn approvals_and_warrants_are_not_made_copied_or_sent() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
