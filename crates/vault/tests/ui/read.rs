fn with(credential: &vault::Credential) -> usize {
    credential.0.len()
}

fn main() {}
