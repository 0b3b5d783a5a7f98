fn send<T: serde::Serialize>(_: &T) {}
fn receive<T: for<'a> serde::Deserialize<'a>>() {}
fn travel(approved: &approve::Approved) {
    send(approved);
    receive::<approve::Approved>();
}
fn main() {}
