fn receive<T: for<'a> serde::Deserialize<'a>>() {}
fn nothing<T: Default>() {}
fn again(released: &release::Released) -> release::Released {
    released.clone()
}
fn main() {
    receive::<release::Released>();
    nothing::<release::Released>();
}
