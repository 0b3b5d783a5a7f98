fn debug(held: &release::Held) -> String {
    format!("{held:?}")
}
fn display(held: &release::Held) -> String {
    format!("{held}")
}
fn main() {}
