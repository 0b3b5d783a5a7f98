fn twice(one: release::Held, other: release::Held, order: release::ReleaseOrder, masks: &release::MaskKey) {
    let _ = release::open(one, order, masks);
    let _ = release::open(other, order, masks);
}
fn main() {}
