fn main() {
    let _ = <vault::Credential as Default>::default();
}
