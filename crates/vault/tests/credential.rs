//! What must not compile does not: a credential can be used and not read (I4).

#[test]
fn a_credential_is_not_copied_shown_or_made() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
