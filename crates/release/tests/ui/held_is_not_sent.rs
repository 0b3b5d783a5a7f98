fn send<T: serde::Serialize>(_: &T) {}
fn receive<T: for<'a> serde::Deserialize<'a>>() {}
fn travel(held: &release::Held) {
    send(held);
    receive::<release::Held>();
}
fn main() {}
