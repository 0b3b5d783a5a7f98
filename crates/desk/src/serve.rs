use std::net::SocketAddr;
use std::path::Path;

use intake::IntakeConfig;
use intake::tls::{Peer, TlsError, TlsListener};
use review::ReviewConfig;
use tokio::net::TcpListener;

use crate::config::DeskConfig;
use crate::state::{Desk, DeskError};
use crate::{expire, hooks, tail};

/// A desk whose doors are open.
pub struct Ready {
    /// The desk.
    pub desk: Desk,
    /// Where people's pages listen.
    pub people: SocketAddr,
    /// Where the agents' door listens.
    pub agents: SocketAddr,
    people_listener: TcpListener,
    agents_listener: TcpListener,
    agents_tls: Option<TlsListener>,
}

/// Why a desk does not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A setting.
    #[error(transparent)]
    Config(#[from] crate::ConfigError),
    /// The guard or the view.
    #[error(transparent)]
    Desk(#[from] DeskError),
    /// A port cannot be opened.
    #[error("cannot listen on {0}: {1}; choose another port")]
    Listen(SocketAddr, #[source] std::io::Error),
    /// A door's settings.
    #[error("{0}")]
    Door(String),
    /// The door over TLS.
    #[error("the agents' door over TLS: {0}")]
    Tls(#[from] TlsError),
    /// Serving ended.
    #[error("serving ended")]
    Io(#[from] std::io::Error),
}

/// Connects to the guard, folds the log, opens the doors' ports. Nothing is served before the view is complete.
pub async fn serve(mut config: DeskConfig) -> Result<Ready, ServeError> {
    config.check()?;
    let people_listener = listen(config.people).await?;
    let agents_listener = listen(config.agents).await?;
    let (people, agents) = (people_listener.local_addr()?, agents_listener.local_addr()?);
    let agents_tls = match &config.agents_tls {
        Some(tls) => Some(TlsListener::open(tls).await?),
        None => None,
    };
    // Port 0 means any port; the addresses people and agents use carry the one that was given.
    let with_port =
        |url: &str, port: u16| url.strip_suffix(":0").map_or_else(|| url.to_owned(), |base| format!("{base}:{port}"));
    config.people_url = with_port(&config.people_url, people.port());
    config.agents_url = with_port(&config.agents_url, agents.port());
    let desk = Desk::connect(config).await?;
    tail::catch_up(&desk).await?;
    Ok(Ready { desk, people, agents, people_listener, agents_listener, agents_tls })
}

async fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|error| ServeError::Listen(address, error))
}

impl Ready {
    /// How people reach their pages.
    pub fn people_url(&self) -> &str {
        &self.desk.inner.config.people_url
    }

    /// How agents reach their door.
    pub fn agents_url(&self) -> &str {
        &self.desk.inner.config.agents_url
    }

    /// Serves until `stop` ends.
    pub async fn run(self, stop: impl Future<Output = ()> + Send + 'static) -> Result<(), ServeError> {
        let config = self.desk.inner.config.clone();
        let mut intake_config =
            IntakeConfig::at(&config.agents_url).map_err(|error| ServeError::Door(error.to_string()))?;
        intake_config.people_url = Some(config.people_url.clone());
        intake_config.allowed_hosts.extend(config.agents_tls.iter().map(|tls| tls.host.clone()));
        let host = config.people_url.split("://").nth(1).unwrap_or_default().to_owned();
        let secure_cookies = config.people_url.starts_with("https://");
        let review_config = ReviewConfig { public_url: config.people_url.clone(), secure_cookies, hosts: vec![host] };
        let following = tokio::spawn(tail::follow(self.desk.clone()));
        let watching = tokio::spawn(expire::watch(self.desk.clone()));
        let telling = tokio::spawn(hooks::serve(self.desk.clone(), config.hooks.clone()));
        let agents = intake::router(self.desk.clone(), intake_config).into_make_service_with_connect_info::<Peer>();
        let agents_over_tls = agents.clone();
        let people =
            review::router(self.desk.clone(), review_config).into_make_service_with_connect_info::<SocketAddr>();
        let ended = tokio::select! {
            result = async { axum::serve(self.agents_listener, agents).await } => result,
            result = async { axum::serve(self.people_listener, people).await } => result,
            result = async {
                match self.agents_tls {
                    Some(listener) => axum::serve(listener, agents_over_tls).await,
                    None => std::future::pending().await,
                }
            } => result,
            () = stop => Ok(()),
        };
        following.abort();
        watching.abort();
        telling.abort();
        Ok(ended?)
    }
}

/// Makes the view anew from the log, into `view`.
pub async fn rebuild(guard_socket: &Path, view: &Path) -> Result<Desk, DeskError> {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = view.as_os_str().to_owned();
        name.push(suffix);
        let _ = std::fs::remove_file(name);
    }
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let desk = Desk::connect(DeskConfig::local(guard_socket.to_owned(), view.to_owned(), any, any)).await?;
    tail::fold_all(&desk).await?;
    Ok(desk)
}

impl Desk {
    /// A digest over every row of the view, to compare a rebuilt one with a grown one.
    pub async fn view_fingerprint(&self) -> Result<artifact::Digest, DeskError> {
        self.view(store::Store::fingerprint).await
    }
}
