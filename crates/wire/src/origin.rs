//! Where requests go.

/// Where requests go, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// TLS or not.
    pub secure: bool,
    /// Host name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// As the `Host` header names it.
    pub authority: String,
}

/// A mail server: `imaps`, `smtps` (TLS from the start, RFC 8314), `smtp+starttls`; `imap` and `smtp` on this machine only. True: TLS is
/// asked for after the greeting.
pub fn mail_server(url: &str) -> Option<(Origin, bool)> {
    let (scheme, rest) = url.split_once("://")?;
    let (secure, port, later) = match scheme {
        "imaps" => (true, 993, false),
        "smtps" => (true, 465, false),
        "smtp+starttls" => (true, 587, true),
        "imap" => (false, 143, false),
        "smtp" => (false, 25, false),
        _ => return None,
    };
    let named = rest.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
    let authority = if named { rest.to_owned() } else { format!("{rest}:{port}") };
    let origin = Origin::read(&format!("{}://{authority}", if secure { "https" } else { "http" }))?;
    Some((origin, later))
}

impl Origin {
    /// Reads `https://host[:port]`, or `http://` on this machine; nothing before and behind it.
    pub fn read(origin: &str) -> Option<Self> {
        let (secure, authority) = match origin.split_once("://")? {
            ("https", authority) => (true, authority),
            ("http", authority) => (false, authority),
            _ => return None,
        };
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b);
        let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
            let (host, port) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, port.strip_prefix(':').map_or_else(|| port.is_empty().then_some(None), |port| Some(Some(port)))?)
        } else {
            let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
            if host.is_empty() || !host.bytes().all(plain) || host.starts_with(['-', '.']) || host.ends_with('.') {
                return None;
            }
            (host, port)
        };
        let port = match port {
            Some(text) => text.parse::<u16>().ok().filter(|port| *port > 0 && port.to_string() == text)?,
            None => {
                if secure {
                    443
                } else {
                    80
                }
            }
        };
        let here = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        // Numbers in other spellings (octal, one number for all) mean different hosts to different readers.
        let number = host.split('.').next_back().is_some_and(|last| last.starts_with(|c: char| c.is_ascii_digit()));
        let odd = number && host.parse::<std::net::Ipv4Addr>().is_err();
        (!odd && (secure || here)).then(|| Self {
            secure,
            host: host.to_owned(),
            port,
            authority: authority.to_owned(),
        })
    }
}
