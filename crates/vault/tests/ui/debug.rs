fn with(credential: &vault::Credential) -> String {
    format!("{credential:?}")
}

fn main() {}
