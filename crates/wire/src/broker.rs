//! Servers that give credentials: which, how to ask, and what a child says to the guard meanwhile.
//!
//! The guard writes one [`Ask`] frame and one frame with the secret that opens the server (raw: four bytes of length, then the
//! bytes). The child answers with [`Told`] frames. Before anything is lent it stops at [`Told::Announced`] until the guard,
//! which has written down by then what to take back after a crash, answers with a [`Go`](crate::order::Go) frame. What was lent
//! is taken back when the guard closes the child's standard input, also by ending.

use serde::{Deserialize, Serialize};

use crate::origin::Origin;

/// Largest frame of [`Ask`] and [`Told`] in bytes.
pub const BROKER_LIMIT: usize = 16 * 1024;

/// A server that gives credentials, and what to ask it for. Only the operator names one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Broker {
    /// Scheme, host and maybe port: `https://bao.example:8200`; `http` on this machine only.
    pub origin: String,
    /// True: the host may have a private address.
    #[serde(default)]
    pub private: bool,
    /// Extra root certificate, absolute path of a PEM file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    /// Name of the vault's credential that opens the server: a token, a secret id, a client's secret, a refresh token.
    pub secret: String,
    /// What it gives.
    pub give: Give,
}

/// What a server gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case", deny_unknown_fields)]
pub enum Give {
    /// One field of a secret in the key-value store, version 2, of OpenBao or HashiCorp Vault.
    OpenbaoKv {
        /// Where the store is mounted, e.g. `secret`.
        mount: String,
        /// Path of the secret.
        path: String,
        /// Field of the secret.
        field: String,
        /// Role of the AppRole login; without one the secret is a token.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        role_id: Option<String>,
    },
    /// A login that OpenBao or HashiCorp Vault makes at a database for one run, and takes back after it.
    OpenbaoDatabase {
        /// Where the database secrets engine is mounted, e.g. `database`.
        mount: String,
        /// Its role.
        role: String,
        /// Role of the AppRole login; without one the secret is a token, under which one of its own is made for each run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        role_id: Option<String>,
    },
    /// A secret of AWS Secrets Manager, a text. What opens it is keys (see [`AwsService`](crate::target::AwsService)).
    AwsSecret {
        /// Region, e.g. `eu-central-1`.
        region: String,
        /// Name or ARN of the secret.
        id: String,
        /// Member of the text, which is a JSON object then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        field: Option<String>,
    },
    /// Keys of an IAM role for one run, from AWS STS. The session has the run's and the person's name.
    AwsRole {
        /// Region, e.g. `eu-central-1`.
        region: String,
        /// The role's ARN.
        role_arn: String,
        /// Session policy, JSON: the keys can do what both this and the role allow.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        policy: Option<String>,
        /// External id that the role's trust policy asks for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        external_id: Option<String>,
        /// True: what opens it is a web identity token (OpenID Connect), not keys.
        #[serde(default)]
        web_identity: bool,
    },
    /// An access token of an OAuth 2 authorization server (RFC 6749), for one run.
    Oauth {
        /// Path of the token endpoint, e.g. `/oauth/token`.
        path: String,
        /// Client id.
        client_id: String,
        /// By what right.
        grant: OauthGrant,
        /// Scopes, separated by blanks.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scope: Option<String>,
        /// Resource that the token is for (RFC 8707).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resource: Option<String>,
    },
}

/// By what right an access token is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum OauthGrant {
    /// The client's own; the secret is the client's (RFC 6749 section 4.4).
    ClientCredentials {},
    /// A person's, whom the client may act for; the secret is the refresh token, which a new one replaces (section 6).
    RefreshToken {},
    /// A token in exchange for the secret (RFC 8693).
    TokenExchange {
        /// Type of the token that the secret is, e.g. `urn:ietf:params:oauth:token-type:access_token`.
        subject_token_type: String,
        /// Whom the token is for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        audience: Option<String>,
    },
}

/// What a child is told to do at a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
pub enum Ask {
    /// Get a credential.
    Fetch {
        /// From where.
        broker: Broker,
        /// For what, in letters, digits and `.-@`: the server's own log may name it.
        session: String,
    },
    /// Take back what a child that is gone was lent.
    TakeBack {
        /// Where.
        broker: Broker,
        /// What [`Told::Announced`] named.
        handle: String,
    },
}

/// What the child says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "told", rename_all = "snake_case", deny_unknown_fields)]
pub enum Told {
    /// Something is about to be lent. The child waits for a word.
    Announced {
        /// By what it can be taken back, whoever asks. No secret.
        handle: String,
    },
    /// A credential, which follows as a raw frame.
    Given {
        /// Id of the lease; the child gives it back when its standard input is closed.
        lease: Option<String>,
        /// True: a second raw frame follows, which replaces the secret.
        replaced: bool,
    },
    /// What was lent is taken back.
    Returned {},
    /// It did not happen.
    Failed {
        /// Why, for a person. Nothing of what was read.
        detail: String,
    },
}

impl Broker {
    /// What is wrong with it, as far as can be seen without asking.
    pub fn check(&self) -> Result<(), &'static str> {
        let word = |text: &str, more: &[u8]| {
            (1..=200).contains(&text.len())
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b) || more.contains(&b))
        };
        let path = |text: &str| word(text, b"/") && !text.split('/').any(|part| ["", ".", ".."].contains(&part));
        let shown = |text: &str| (1..=500).contains(&text.len()) && text.bytes().all(|b| (b' '..=b'~').contains(&b));
        let optional = |text: &Option<String>, ok: &dyn Fn(&str) -> bool| text.as_deref().is_none_or(ok);
        if Origin::read(&self.origin).is_none() || self.origin.len() > 255 {
            return Err("the origin is scheme, host and maybe port; http on this machine only");
        }
        if !word(&self.secret, b"/") {
            return Err("name the vault's credential that opens the server");
        }
        if !optional(&self.ca_file, &|file| file.starts_with('/') && file.len() <= 255) {
            return Err("give the certificate file's whole path");
        }
        let usable = match &self.give {
            Give::OpenbaoKv { mount, path: at, field, role_id } => {
                path(mount) && path(at) && word(field, b" ") && optional(role_id, &|id| word(id, b""))
            }
            Give::OpenbaoDatabase { mount, role, role_id } => {
                path(mount) && word(role, b"") && optional(role_id, &|id| word(id, b""))
            }
            Give::AwsSecret { region, id, field } => {
                word(region, b"") && word(id, b"/+=@:") && optional(field, &|field| word(field, b" "))
            }
            Give::AwsRole { region, role_arn, policy, external_id, web_identity: _ } => {
                // 2,048 characters is what the service takes.
                let document = |text: &str| text.len() <= 2048 && text.starts_with('{') && text.is_ascii();
                word(region, b"")
                    && word(role_arn, b"/+=,@:")
                    && optional(policy, &document)
                    && optional(external_id, &|id| word(id, b"/+=,@:"))
            }
            Give::Oauth { path: at, client_id, grant, scope, resource } => {
                let grant = match grant {
                    OauthGrant::TokenExchange { subject_token_type, audience } => {
                        shown(subject_token_type) && optional(audience, &shown)
                    }
                    OauthGrant::ClientCredentials {} | OauthGrant::RefreshToken {} => true,
                };
                let at = at.strip_prefix('/').is_some_and(path);
                at && shown(client_id) && grant && optional(scope, &shown) && optional(resource, &shown)
            }
        };
        if usable { Ok(()) } else { Err("a name, a path or an id in it is empty, too long, or has other characters") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_cannot_lead_elsewhere() {
        let good = Broker {
            origin: "https://bao.example:8200".into(),
            private: true,
            ca_file: None,
            secret: "bao".into(),
            give: Give::OpenbaoKv {
                mount: "secret".into(),
                path: "shop/db".into(),
                field: "password".into(),
                role_id: None,
            },
        };
        assert_eq!(good.check(), Ok(()));
        for origin in ["http://bao.example", "https://bao.example/x", "https://u@bao.example", ""] {
            assert!(Broker { origin: origin.into(), ..good.clone() }.check().is_err(), "{origin}");
        }
        for at in ["../sys/seal", "a//b", "a/./b", "a?b=c", "a#b", "a%2fb", "", "/a", "a\nb"] {
            let give = Give::OpenbaoKv { mount: "secret".into(), path: at.into(), field: "x".into(), role_id: None };
            assert!(Broker { give, ..good.clone() }.check().is_err(), "{at}");
            let give = Give::OpenbaoDatabase { mount: at.into(), role: "r".into(), role_id: None };
            assert!(Broker { give, ..good.clone() }.check().is_err(), "{at}");
        }
    }
}
