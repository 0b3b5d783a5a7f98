fn with(credential: &vault::Credential) -> &[u8] {
    credential.as_ref()
}

fn main() {}
