fn again(held: &release::Held) -> release::Held {
    held.clone()
}
fn main() {}
