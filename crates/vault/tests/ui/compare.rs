fn with(one: &vault::Credential, other: &vault::Credential) -> bool {
    one == other
}

fn main() {}
