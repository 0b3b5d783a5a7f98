fn take<T: Clone>(_: &T) {}

fn with(credential: &vault::Credential) {
    take(credential);
}

fn main() {}
