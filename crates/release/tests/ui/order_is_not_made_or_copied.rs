fn made() -> release::ReleaseOrder {
    release::ReleaseOrder { columns: vec![(0, false)] }
}
fn widened(order: &mut release::ReleaseOrder) {
    order.columns.push((1, false));
}
fn again(order: &release::ReleaseOrder) -> release::ReleaseOrder {
    order.clone()
}
fn main() {}
