fn again(approved: &approve::Approved) -> approve::Approved {
    approved.clone()
}
fn main() {}
