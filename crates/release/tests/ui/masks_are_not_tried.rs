fn guess(masks: &release::MaskKey) -> String {
    masks.token("people.email", "ada@example.com")
}
fn main() {}
