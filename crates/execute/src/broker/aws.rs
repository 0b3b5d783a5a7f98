//! AWS Secrets Manager, and keys of IAM roles from the Security Token Service.

use artifact::Timestamp;
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderValue};
use reading::aws::Canonical;
use serde_json::{Value, json};
use wire::broker::{Broker, Give};
use wire::origin::Origin;
use wire::target::AwsService;
use zeroize::Zeroizing;

use super::Given;
use super::http::{Question, ask_raw, form};
use crate::aws::{Keys, Signable, sign};

/// How long keys of a role serve, in seconds: the least that the service gives, and longer than any run.
const SESSION_S: &str = "900";

/// Sends a body to the service's one address, signed unless `secret` is `None`.
async fn post(
    broker: &Broker,
    (region, service): (&str, &str),
    secret: Option<&str>,
    given: &[(&'static str, &'static str)],
    body: Zeroizing<Vec<u8>>,
) -> Result<(u16, Vec<u8>), String> {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        headers.insert(*name, HeaderValue::from_static(value));
    }
    if let Some(secret) = secret {
        let origin = Origin::read(&broker.origin).ok_or("the origin is not usable")?;
        let host = HeaderValue::from_str(&origin.authority).map_err(|_| "the origin is not usable")?;
        headers.insert(HOST, host);
        let at = AwsService { region: region.to_owned(), service: service.to_owned() };
        let canonical = Canonical { path: "/".to_owned(), query: String::new() };
        let request = Signable { method: "POST", canonical: &canonical, body: &body };
        sign(&Keys::read(secret)?, &at, &request, &mut headers, Timestamp::now())?;
        // Every question has it already.
        headers.remove(HOST);
    }
    let headers: Vec<(&str, &str)> =
        headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect();
    ask_raw(broker, Question { method: "POST", path: "/", headers: &headers, body }).await
}

/// Their names of errors are words; what goes with them may quote anything.
fn refused(service: &str, status: u16, name: Option<&str>) -> String {
    let name = name.map(|name| name.rsplit('#').next().unwrap_or(name));
    let name = name.filter(|name| name.len() <= 60 && name.bytes().all(|b| b.is_ascii_alphanumeric()));
    format!("{service} answered {status} ({})", name.unwrap_or("no reason"))
}

/// The text of a secret, or a member of it.
pub(super) async fn secret(broker: &Broker, keys: &str) -> Result<Given, String> {
    let Give::AwsSecret { region, id, field } = &broker.give else {
        return Err("this is no AWS Secrets Manager".to_owned());
    };
    let given = [
        ("accept", "application/json"),
        (CONTENT_TYPE.as_str(), "application/x-amz-json-1.1"),
        ("x-amz-target", "secretsmanager.GetSecretValue"),
    ];
    let body = Zeroizing::new(json!({ "SecretId": id }).to_string().into_bytes());
    let (status, answer) = post(broker, (region, "secretsmanager"), Some(keys), &given, body).await?;
    let answer = Zeroizing::new(answer);
    let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
    if status != 200 {
        return Err(refused("Secrets Manager", status, answer["__type"].as_str()));
    }
    let text = answer["SecretString"].as_str().ok_or("the secret is no text")?;
    let value = match field {
        None => Zeroizing::new(text.to_owned()),
        Some(field) => {
            let members: Value =
                serde_json::from_str(text).map_err(|_| "the secret is not JSON, so it has no members")?;
            Zeroizing::new(members[field].as_str().unwrap_or_default().to_owned())
        }
    };
    if value.is_empty() {
        return Err("the secret has no such member, or it is no text".to_owned());
    }
    Ok(Given { credential: Zeroizing::new(value.as_bytes().to_vec()), replaced: None })
}

/// Keys of a role, three lines. Nothing can take them back; they end by themselves.
pub(super) async fn role(broker: &Broker, secret: &str, session: &str) -> Result<Given, String> {
    let Give::AwsRole { region, role_arn, policy, external_id, web_identity } = &broker.give else {
        return Err("this is no AWS Security Token Service".to_owned());
    };
    let action = if *web_identity { "AssumeRoleWithWebIdentity" } else { "AssumeRole" };
    let mut fields = vec![
        ("Action", action),
        ("Version", "2011-06-15"),
        ("RoleArn", role_arn),
        ("RoleSessionName", session),
        ("DurationSeconds", SESSION_S),
    ];
    fields.extend(policy.as_deref().map(|policy| ("Policy", policy)));
    fields.extend(external_id.as_deref().map(|id| ("ExternalId", id)));
    fields.extend(web_identity.then_some(("WebIdentityToken", secret.trim_end())));
    let given = [("accept", "application/xml"), (CONTENT_TYPE.as_str(), "application/x-www-form-urlencoded")];
    let keys = (!web_identity).then_some(secret);
    let (status, answer) = post(broker, (region, "sts"), keys, &given, form(&fields)).await?;
    let answer = Zeroizing::new(String::from_utf8(answer).map_err(|_| "STS gave no text")?);
    if status != 200 {
        return Err(refused("STS", status, element(&answer, "Code")));
    }
    // Letters, digits and signs of Base64: nothing in them is written otherwise in XML.
    let element = |name| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"+/=-_.:".contains(&b);
        element(&answer, name).filter(|text| !text.is_empty() && text.bytes().all(plain))
    };
    match (element("AccessKeyId"), element("SecretAccessKey"), element("SessionToken")) {
        (Some(id), Some(secret), Some(token)) => {
            let credential = Zeroizing::new(format!("{id}\n{secret}\n{token}").into_bytes());
            Ok(Given { credential, replaced: None })
        }
        _ => Err("STS gave no keys with a session token".to_owned()),
    }
}

/// Text of the first element of this name, which has no attributes.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text.trim())
}
