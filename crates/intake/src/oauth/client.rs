//! What a client says of itself. None of it is proved; the page shows where the code goes, which is what counts.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// Addresses a client may register.
const REDIRECTS_MAX: usize = 8;
/// Longest of them, in bytes.
const REDIRECT_MAX: usize = 300;
/// Longest name, in characters.
const NAME_MAX: usize = 80;
/// Longest id, in bytes.
const ID_MAX: usize = 4096;
/// What an id that holds its own registration begins with.
const PREFIX: &str = "wtc.";
/// Schemes that do something else in a browser than call a program.
const NO_PROGRAMS: [&str; 14] = [
    "http",
    "javascript",
    "data",
    "file",
    "blob",
    "about",
    "vbscript",
    "ws",
    "wss",
    "ftp",
    "view-source",
    "chrome",
    "filesystem",
    "mailto",
];

/// A client: its name, and where it may be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// What it calls itself.
    pub name: String,
    /// Where codes may be sent.
    pub redirect_uris: Vec<String>,
    /// The address of its metadata document; none for one that registered.
    document: Option<String>,
}

/// Why a client is not usable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// Not JSON of that form.
    #[error("the client's metadata is not usable: {0}")]
    Metadata(&'static str),
    /// An address that is not one to send a code to.
    #[error("the redirect address {0} is not usable: https, http on this machine, or a program's own scheme")]
    Redirect(String),
}

/// What is read of registrations and documents; there may be more.
#[derive(Deserialize)]
struct Metadata {
    client_id: Option<String>,
    client_name: Option<String>,
    redirect_uris: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Inside {
    n: String,
    r: Vec<String>,
}

impl Client {
    /// From the body of a registration (RFC 7591, section 3.1).
    pub fn registered(body: &[u8]) -> Result<Self, ClientError> {
        let metadata: Metadata = read(body)?;
        Self::checked(metadata.client_name, metadata.redirect_uris, None)
    }

    /// From the metadata document at `id` (OAuth Client ID Metadata Document), which must name itself.
    pub fn documented(id: &str, body: &[u8]) -> Result<Self, ClientError> {
        let metadata: Metadata = read(body)?;
        if metadata.client_id.as_deref() != Some(id) {
            return Err(ClientError::Metadata("the document is not about its own address"));
        }
        Self::checked(metadata.client_name, metadata.redirect_uris, Some(id.to_owned()))
    }

    /// From an id that holds a registration.
    pub fn of_id(id: &str) -> Option<Self> {
        let raw = Some(id).filter(|id| id.len() <= ID_MAX)?.strip_prefix(PREFIX)?;
        let inside: Inside = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(raw).ok()?).ok()?;
        Self::checked(Some(inside.n), inside.r, None).ok()
    }

    fn checked(
        name: Option<String>,
        redirect_uris: Vec<String>,
        document: Option<String>,
    ) -> Result<Self, ClientError> {
        let name = name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
        let name = name.unwrap_or_else(|| "a program without a name".to_owned());
        if name.chars().count() > NAME_MAX || name.chars().any(|c| c == '\n' || c == '\t' || artifact::has_hidden(c)) {
            return Err(ClientError::Metadata("the name is longer than 80 characters, or has hidden ones"));
        }
        if redirect_uris.is_empty() || redirect_uris.len() > REDIRECTS_MAX {
            return Err(ClientError::Metadata("between 1 and 8 redirect addresses"));
        }
        if let Some(bad) = redirect_uris.iter().find(|uri| !usable(uri)) {
            return Err(ClientError::Redirect(artifact::visible(&bad.chars().take(100).collect::<String>())));
        }
        Ok(Self { name, redirect_uris, document })
    }

    /// Its id: the address of its document, or what it registered.
    pub fn id(&self) -> String {
        self.document.clone().unwrap_or_else(|| {
            let inside = Inside { n: self.name.clone(), r: self.redirect_uris.clone() };
            format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(serde_json::to_vec(&inside).unwrap_or_default()))
        })
    }

    /// Whether a code may be sent there: an address it named, letter by letter; on this machine with any port (RFC 8252, section 7.3).
    pub fn allows(&self, redirect_uri: &str) -> bool {
        let local = without_port(redirect_uri);
        usable(redirect_uri)
            && self
                .redirect_uris
                .iter()
                .any(|uri| uri == redirect_uri || (local.is_some() && without_port(uri) == local))
    }
}

fn read(body: &[u8]) -> Result<Metadata, ClientError> {
    serde_json::from_slice(body).map_err(|_| ClientError::Metadata("redirect_uris is missing, or it is not JSON"))
}

/// Scheme, and what follows `://` or `:`.
fn parts(uri: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = uri.split_once(':')?;
    let plain = scheme.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b));
    (plain && scheme.bytes().next()?.is_ascii_lowercase()).then_some((scheme, rest.strip_prefix("//").unwrap_or(rest)))
}

/// Host and port, and the rest.
fn authority(rest: &str) -> (&str, &str) {
    rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()))
}

/// Host and path of an `http` address on this machine.
fn without_port(uri: &str) -> Option<(&str, &str)> {
    let ("http", rest) = parts(uri)? else { return None };
    let (authority, path) = authority(rest);
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    };
    matches!(host, "127.0.0.1" | "[::1]" | "localhost").then_some((host, path))
}

/// Whether a code may ever go there. Plain characters only, so that it can stand in a header and a policy as it is.
fn usable(uri: &str) -> bool {
    let plain = uri.bytes().all(|b| b.is_ascii_graphic() && !b"\"'<>\\^`{|},;".contains(&b));
    if !plain || uri.len() > REDIRECT_MAX || uri.contains('#') {
        return false;
    }
    match parts(uri) {
        Some(("https", rest)) => {
            let (host, _) = authority(rest);
            !host.is_empty() && !host.contains(['@', '*'])
        }
        Some(("http", _)) => without_port(uri).is_some(),
        Some((scheme, rest)) => !NO_PROGRAMS.contains(&scheme) && !rest.is_empty(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn register(redirects: &[&str]) -> Result<Client, ClientError> {
        Client::registered(
            serde_json::json!({ "client_name": "Robin", "redirect_uris": redirects, "more": 1 }).to_string().as_bytes(),
        )
    }

    #[test]
    fn an_id_holds_what_was_registered() {
        let client =
            register(&["http://127.0.0.1:33418/callback", "cursor://anysphere.cursor-mcp/oauth/callback"]).unwrap();
        assert_eq!(Client::of_id(&client.id()), Some(client));
        for bad in ["", "wtc.", "wtc.x", "wtc.e30", "https://x.example/c.json", &format!("wtc.{}", "e30".repeat(5000))]
        {
            assert_eq!(Client::of_id(bad), None, "{bad}");
        }
    }

    #[test]
    fn codes_go_only_where_the_client_said() {
        let client =
            register(&["http://127.0.0.1:33418/callback", "https://app.example/cb?x=1", "cursor://mcp/cb"]).unwrap();
        for good in [
            "http://127.0.0.1:1/callback",
            "http://127.0.0.1/callback",
            "https://app.example/cb?x=1",
            "cursor://mcp/cb",
        ] {
            assert!(client.allows(good), "{good}");
        }
        for bad in [
            "http://127.0.0.1:1/other",
            "http://localhost:1/callback",
            "http://127.0.0.1:1@evil.example/callback",
            "http://127.0.0.1.evil.example/callback",
            "https://app.example/cb?x=2",
            "https://app.example/cb",
            "https://app.example.evil/cb?x=1",
            "cursor://mcp/cb/",
            "https://app.example/cb?x=1#y",
        ] {
            assert!(!client.allows(bad), "{bad}");
        }
    }

    #[test]
    fn addresses_that_are_no_place_for_a_code_are_refused() {
        for bad in [
            "http://app.example/cb",
            "javascript:alert(1)",
            "data:text/html,x",
            "https://",
            "https://user@app.example/",
            "https://*.example/",
            "file:///etc/passwd",
            "https://app.example/\u{202e}",
            "https://app.example/a;b",
            "HTTPS://app.example/",
            "no-scheme",
            "",
        ] {
            assert!(register(&[bad]).is_err(), "{bad}");
        }
        assert!(register(&[]).is_err() && register(&["https://a.example/"; 9]).is_err());
        let hidden = serde_json::json!({ "client_name": "Ro\u{202e}bin", "redirect_uris": ["https://a.example/"] });
        assert!(Client::registered(hidden.to_string().as_bytes()).is_err());
    }

    #[test]
    fn a_document_is_about_its_own_address() {
        let id = "https://app.example/client.json";
        let body = |client_id: &str| {
            serde_json::json!({ "client_id": client_id, "client_name": "App", "redirect_uris": ["https://app.example/cb"] }).to_string()
        };
        assert_eq!(Client::documented(id, body(id).as_bytes()).unwrap().id(), id);
        assert!(Client::documented(id, body("https://evil.example/client.json").as_bytes()).is_err());
    }
}
