fn receive<T: for<'a> serde::Deserialize<'a>>() {}
fn nothing<T: Default>() {}
fn main() {
    receive::<release::ReleaseOrder>();
    nothing::<release::ReleaseOrder>();
}
