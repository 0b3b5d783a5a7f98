fn main() {
    let _: release::Held = Default::default();
}
