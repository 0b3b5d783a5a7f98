fn main() {
    let _ = approve::Approved { ceiling_rows: 0 };
}
