fn again(warrant: &approve::Warrant) -> approve::Warrant {
    warrant.clone()
}
fn made() -> approve::Warrant {
    approve::Warrant { run: artifact::RunId::random() }
}
fn main() {}
