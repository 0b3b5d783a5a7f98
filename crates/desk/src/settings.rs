//! Files of settings in the desk's folder. Each is its own; what is not there is not set up.

use std::io;
use std::path::{Path, PathBuf};

use intake::tls::TlsConfig;

use crate::{OidcConfig, OutboundConfig};

/// A file of settings that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be used: {why}", file.display())]
pub struct SettingsError {
    file: PathBuf,
    why: String,
}

/// Reads a file of settings; the default where there is none.
fn settings<T: Default + serde::de::DeserializeOwned>(file: &Path) -> Result<T, SettingsError> {
    let failed = |why: String| SettingsError { file: file.to_owned(), why };
    match std::fs::read_to_string(file) {
        Ok(text) => toml::from_str(&text).map_err(|error| failed(error.message().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(T::default()),
        Err(error) => Err(failed(error.to_string())),
    }
}

impl SettingsError {
    fn new(file: &Path, why: &str) -> Self {
        Self { file: file.to_owned(), why: why.to_owned() }
    }
}

/// How the agents' door is opened over TLS; none where there is no such file.
pub fn agents_tls(file: &Path) -> Result<Option<TlsConfig>, SettingsError> {
    settings(file)
}

/// How the desk reaches what strangers name; the default where there is no such file.
pub fn outbound(file: &Path) -> Result<OutboundConfig, SettingsError> {
    settings(file)
}

/// The identity provider; none where there is no such file.
pub fn oidc(file: &Path) -> Result<Option<OidcConfig>, SettingsError> {
    let config: Option<OidcConfig> = settings(file)?;
    config.map(|config| config.checked().map_err(|why| SettingsError::new(file, &why))).transpose()
}
