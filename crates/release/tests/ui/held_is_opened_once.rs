fn twice(held: release::Held, one: release::ReleaseOrder, other: release::ReleaseOrder, masks: &release::MaskKey) {
    let _ = release::open(held, one, masks);
    let _ = release::open(held, other, masks);
}
fn main() {}
