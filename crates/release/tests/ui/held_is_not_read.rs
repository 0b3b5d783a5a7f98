fn rows(held: release::Held) -> release::ResultTable {
    held.table
}
fn affected(held: &release::Held) -> u64 {
    held.affected
}
fn main() {}
