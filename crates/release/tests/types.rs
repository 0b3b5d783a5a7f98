//! What the types do not let anyone do (ARCHITECTURE.md, invariants I5 and I6), held by the compiler's own words.
#![allow(missing_docs)]

#[test]
fn results_are_not_read_and_orders_not_made() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
