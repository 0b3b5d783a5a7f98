use std::time::Duration;

use axum::http::Uri;

/// How the agents' door is reached and how much it takes.
#[derive(Clone, Debug)]
pub struct IntakeConfig {
    /// Where agents reach the gateway, e.g. `https://gw.example`.
    pub public_url: String,
    /// Where people reach their pages, to allow a host that asks by itself. None: passes are made by people only.
    pub people_url: Option<String>,
    /// Accepted `Host` values, written as clients send them: with the port unless it is the scheme's own.
    pub allowed_hosts: Vec<String>,
    /// Accepted `Origin` values, as browsers send them. A request without an Origin is no browser's and passes.
    pub allowed_origins: Vec<String>,
    /// Requests at work at once, all agents together.
    pub requests_max: usize,
    /// Requests at work at once for one session.
    pub session_requests_max: usize,
    /// Longest a request's body may take to arrive.
    pub body_time: Duration,
    /// Longest one call to what stands behind the door may take; waiting for a person is counted apart.
    pub door_time: Duration,
    /// How long `propose` waits before it becomes a task, for clients that declared the tasks extension.
    pub task_after: Duration,
    /// Whether a client that can open pages is asked, once per call, to open the reviewer's page (MCP URL elicitation). Off by
    /// default: clients without a screen answer it too, and people are told by the gateway's own channels anyway.
    pub elicit_urls: bool,
    /// How often a waiting call reports progress to a client that gave a progress token.
    pub progress_every: Duration,
}

/// A public address that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// It is no absolute http or https address.
    #[error("public address `{0}` is not accepted; use the form https://gateway.example or http://127.0.0.1:7117")]
    PublicUrl(String),
}

impl IntakeConfig {
    /// The usual limits, with the address's own host and origin as the only accepted ones.
    ///
    /// # Errors
    /// If `public_url` is anything but a scheme, a host and maybe a port.
    pub fn at(public_url: &str) -> Result<Self, ConfigError> {
        let refused = || ConfigError::PublicUrl(public_url.chars().take(100).map(artifact::visible_char).collect());
        let uri: Uri = public_url.parse().map_err(|_| refused())?;
        let scheme = uri.scheme_str().filter(|s| matches!(*s, "http" | "https")).ok_or_else(refused)?;
        let authority = uri.authority().map(ToString::to_string).ok_or_else(refused)?;
        if authority.contains('@') || !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(refused());
        }
        Ok(Self {
            public_url: public_url.trim_end_matches('/').to_owned(),
            people_url: None,
            allowed_origins: vec![format!("{scheme}://{authority}")],
            allowed_hosts: vec![authority],
            requests_max: 512,
            session_requests_max: 16,
            body_time: Duration::from_secs(10),
            door_time: Duration::from_secs(10),
            task_after: Duration::from_secs(5),
            elicit_urls: false,
            progress_every: Duration::from_secs(10),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_address_gives_host_and_origin() {
        let config = IntakeConfig::at("http://127.0.0.1:7117/").unwrap();
        assert_eq!(config.public_url, "http://127.0.0.1:7117");
        assert_eq!(config.allowed_hosts, ["127.0.0.1:7117"]);
        assert_eq!(config.allowed_origins, ["http://127.0.0.1:7117"]);
        for bad in ["", "gw.example", "ftp://gw.example", "https://u@gw.example", "https://gw.example/x", "/mcp"] {
            assert!(IntakeConfig::at(bad).is_err(), "{bad}");
        }
    }
}
