fn twice(warrant: approve::Warrant) {
    let _ = warrant.into_order();
    let _ = warrant.into_order();
}
fn main() {}
