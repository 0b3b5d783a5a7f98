fn main() {
    let _: approve::Approved = Default::default();
}
