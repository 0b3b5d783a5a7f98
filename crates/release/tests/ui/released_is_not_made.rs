fn made() -> release::Released {
    release::Released { note: "", affected: 0, total_rows: 0, columns: vec![], rows: vec![] }
}
fn column() -> release::ReleasedColumn {
    release::ReleasedColumn { name: String::new(), masked: true }
}
fn main() {}
