fn with(credential: &vault::Credential) -> String {
    serde_json::to_string(credential).unwrap_or_default()
}

fn main() {}
