//! Access tokens of an OAuth 2 authorization server: RFC 6749 sections 4.4 and 6, RFC 8693, RFC 8707.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use wire::broker::{Broker, Give, OauthGrant};
use zeroize::Zeroizing;

use super::Given;
use super::http::{Question, ask, escaped, form};

/// Asks for a token.
pub(super) async fn token(broker: &Broker, secret: &str) -> Result<Given, String> {
    let Give::Oauth { path, client_id, grant, scope, resource } = &broker.give else {
        return Err("this is no authorization server".to_owned());
    };
    let mut fields: Vec<(&str, &str)> = Vec::new();
    let mut basic = None;
    match grant {
        OauthGrant::ClientCredentials {} => {
            fields.push(("grant_type", "client_credentials"));
            // Section 2.3.1: every server takes the client's secret this way; both parts are escaped first.
            let pair = Zeroizing::new(format!("{}:{}", escaped(client_id), escaped(secret)));
            basic = Some(Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes()))));
        }
        OauthGrant::RefreshToken {} => {
            fields.extend([("grant_type", "refresh_token"), ("refresh_token", secret), ("client_id", client_id)]);
        }
        OauthGrant::TokenExchange { subject_token_type, audience } => {
            fields.extend([
                ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
                ("subject_token", secret),
                ("subject_token_type", subject_token_type),
                ("client_id", client_id),
            ]);
            fields.extend(audience.as_deref().map(|audience| ("audience", audience)));
        }
    }
    fields.extend(scope.as_deref().map(|scope| ("scope", scope)));
    fields.extend(resource.as_deref().map(|resource| ("resource", resource)));
    let mut headers = vec![("content-type", "application/x-www-form-urlencoded")];
    headers.extend(basic.as_ref().map(|basic| ("authorization", basic.as_str())));
    let (status, answer) =
        ask(broker, Question { method: "POST", path, headers: &headers, body: form(&fields) }).await?;
    if status != 200 {
        // Section 5.2 has a closed list of words, and texts that may quote anything.
        let error = answer["error"]
            .as_str()
            .filter(|word| word.len() <= 40 && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
        return Err(format!("the authorization server answered {status} ({})", error.unwrap_or("no reason")));
    }
    let kind = answer["token_type"].as_str().unwrap_or_default();
    if !kind.eq_ignore_ascii_case("bearer") && !kind.eq_ignore_ascii_case("n_a") {
        return Err("the authorization server gave no bearer token".to_owned());
    }
    let text = |name: &str| answer[name].as_str().filter(|text| !text.is_empty() && *text != secret);
    let given = text("access_token").ok_or("the authorization server gave no token")?;
    let bytes = |text: &str| Zeroizing::new(text.as_bytes().to_vec());
    let replaced = matches!(grant, OauthGrant::RefreshToken {}).then(|| text("refresh_token").map(bytes)).flatten();
    Ok(Given { credential: bytes(given), replaced })
}
