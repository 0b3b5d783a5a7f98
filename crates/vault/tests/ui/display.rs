fn with(credential: &vault::Credential) -> String {
    credential.to_string()
}

fn main() {}
