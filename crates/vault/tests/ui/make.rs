fn main() {
    let _ = vault::Credential(Vec::new().into());
}
