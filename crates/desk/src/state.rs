//! What the desk keeps in memory: all of it can be had again from the guard.

use std::collections::HashMap;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::{Duration, Instant};

use artifact::{Digest, ProposalId, SessionId, TaskId};
use lifecycle::{Policy, Snapshot};
use review::Change;
use store::{Store, StoreError};
use tokio::sync::{Mutex, MutexGuard, RwLock, broadcast, watch};
use wire::socket::{Answer, NewEntry, Registry, Request};

use crate::authorize::Authorizations;
use crate::config::DeskConfig;
use crate::kept_back::{KeptBack, file_of};
use crate::limits::Limits;
use crate::link::{Link, LinkError};
use crate::oidc::{Oidc, OidcError};
use crate::signin::SignIns;
use crate::sources::Sources;

/// How long a schema snapshot serves before it is read again.
const CATALOG_AGE: Duration = Duration::from_secs(30);
/// How long the desk waits for its own entry to come back through the tail.
const APPLY_WAIT: Duration = Duration::from_secs(20);

/// The desk. Cheap to clone.
#[derive(Clone)]
pub struct Desk {
    pub(crate) inner: Arc<Inner>,
}

/// The last schema read of one target, and whose turn it is to read it again.
#[derive(Default)]
struct CatalogSlot {
    read: tokio::sync::Mutex<Option<(Instant, Arc<Snapshot>)>>,
}

pub(crate) struct Inner {
    pub(crate) config: DeskConfig,
    pub(crate) link: Link,
    pub(crate) store: Arc<Store>,
    pub(crate) kept_back: Arc<KeptBack>,
    pub(crate) sources: Sources,
    pub(crate) gateway: Digest,
    pub(crate) log_key: String,
    /// Index up to which the view is folded (exclusive).
    pub(crate) applied: watch::Sender<u64>,
    pub(crate) changes: broadcast::Sender<Change>,
    pub(crate) limits: Limits,
    pub(crate) signins: SignIns,
    pub(crate) authorizations: Authorizations,
    pub(crate) oidc: Option<Oidc>,
    registry: RwLock<Option<Arc<Registry>>>,
    policy: RwLock<Option<(Digest, Arc<Policy>)>>,
    catalogs: StdMutex<HashMap<String, Arc<CatalogSlot>>>,
    /// One decision at a time for each proposal.
    decisions: Stripes,
    /// The same artifact of a task is handed in once.
    same: Stripes,
    /// A session's proposals are counted and recorded one after the other.
    counted: Stripes,
}

/// What can go wrong inside the desk.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// The guard.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The view.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The policy in force does not load.
    #[error("the policy in force does not load, so everything is denied: {0}")]
    Policy(#[from] lifecycle::PolicyError),
    /// The identity provider cannot be set up.
    #[error(transparent)]
    Oidc(#[from] OidcError),
    /// A blocking task was lost.
    #[error("the desk is shutting down")]
    ShuttingDown,
    /// The view does not follow the log.
    #[error("the view does not follow the log; nothing is decided on an old view")]
    Behind,
}

impl Desk {
    pub(crate) async fn connect(config: DeskConfig) -> Result<Self, DeskError> {
        let link = Link::new(config.guard_socket.clone());
        let Answer::Hello { gateway, log_key, .. } = link.ask(&Request::Hello {}).await? else {
            return Err(LinkError::Protocol.into());
        };
        let path = config.view.clone();
        let open = move || Ok::<_, StoreError>((Store::open(&path)?, KeptBack::open(&file_of(&path))?));
        let (store, kept_back) = tokio::task::spawn_blocking(open).await.map_err(|_| DeskError::ShuttingDown)??;
        let next = store.next()?;
        let inner = Inner {
            limits: Limits::new(config.requests_per_minute),
            signins: SignIns::default(),
            authorizations: Authorizations::default(),
            oidc: config.oidc.clone().map(|oidc| Oidc::new(oidc, &config.people_url)).transpose()?,
            link,
            store: Arc::new(store),
            kept_back: Arc::new(kept_back),
            sources: Sources::default(),
            gateway,
            log_key,
            applied: watch::channel(next).0,
            changes: broadcast::channel(1024).0,
            registry: RwLock::new(None),
            policy: RwLock::new(None),
            catalogs: StdMutex::new(HashMap::new()),
            decisions: Stripes::default(),
            same: Stripes::default(),
            counted: Stripes::default(),
            config,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Runs a query of the view off the async threads.
    pub(crate) async fn view<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, DeskError> {
        let store = Arc::clone(&self.inner.store);
        let result = tokio::task::spawn_blocking(move || query(&store)).await.map_err(|_| DeskError::ShuttingDown)?;
        Ok(result?)
    }

    /// Asks what was kept back, off the async threads.
    pub(crate) async fn kept_back<T: Send + 'static>(
        &self,
        question: impl FnOnce(&KeptBack) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, DeskError> {
        let kept_back = Arc::clone(&self.inner.kept_back);
        let answer = tokio::task::spawn_blocking(move || question(&kept_back)).await;
        Ok(answer.map_err(|_| DeskError::ShuttingDown)??)
    }

    /// Appends entries and returns once they are durable and in the view.
    pub(crate) async fn record(&self, entries: Vec<NewEntry>) -> Result<u64, DeskError> {
        let count = entries.len() as u64;
        let first = self.inner.link.append(entries).await?;
        self.applied(first + count).await?;
        Ok(first)
    }

    /// Waits until the view holds every entry below `index`.
    pub(crate) async fn applied(&self, index: u64) -> Result<(), DeskError> {
        let mut applied = self.inner.applied.subscribe();
        let seen = tokio::time::timeout(APPLY_WAIT, applied.wait_for(|at| *at >= index)).await;
        match seen {
            Ok(Ok(_)) => Ok(()),
            _ => Err(DeskError::Behind),
        }
    }

    /// What is granted. Read from the guard after every grant.
    pub(crate) async fn registry(&self) -> Result<Arc<Registry>, DeskError> {
        if let Some(registry) = self.inner.registry.read().await.as_ref() {
            return Ok(Arc::clone(registry));
        }
        self.fresh_registry().await
    }

    /// What is granted, read now.
    pub(crate) async fn fresh_registry(&self) -> Result<Arc<Registry>, DeskError> {
        let mut slot = self.inner.registry.write().await;
        let Answer::Registry { registry } = self.inner.link.ask(&Request::Registry {}).await? else {
            return Err(LinkError::Protocol.into());
        };
        let registry = Arc::new(registry);
        *slot = Some(Arc::clone(&registry));
        Ok(registry)
    }

    pub(crate) async fn forget_registry(&self) {
        *self.inner.registry.write().await = None;
        self.inner.catalogs.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The policy in force, compiled once for each text.
    pub(crate) async fn policy(&self) -> Result<Arc<Policy>, DeskError> {
        let registry = self.registry().await?;
        if let Some((digest, policy)) = self.inner.policy.read().await.as_ref()
            && *digest == registry.policy
        {
            return Ok(Arc::clone(policy));
        }
        let policy = Arc::new(Policy::load(&registry.policy_text)?);
        *self.inner.policy.write().await = Some((registry.policy, Arc::clone(&policy)));
        Ok(policy)
    }

    /// The schema of a target, at most half a minute old; `fresh` reads it now.
    pub(crate) async fn catalog(&self, target: &str, fresh: bool) -> Result<Arc<Snapshot>, DeskError> {
        let slot = {
            let mut catalogs = self.inner.catalogs.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(catalogs.entry(target.to_owned()).or_default())
        };
        // One reads, the others wait for what it read: each reading costs the guard an executor.
        let asked = Instant::now();
        let mut read = slot.read.lock().await;
        if let Some((at, catalog)) = read.as_ref()
            && (*at >= asked || !fresh && at.elapsed() < CATALOG_AGE)
        {
            return Ok(Arc::clone(catalog));
        }
        let Answer::Catalog { catalog } = self.inner.link.ask(&Request::Catalog { target: target.to_owned() }).await?
        else {
            return Err(LinkError::Protocol.into());
        };
        let catalog = match read.take() {
            // Nothing changed, so what was found by it still holds.
            Some((_, known)) if **known == *catalog => known,
            _ => Arc::new(Snapshot::from(*catalog)),
        };
        *read = Some((Instant::now(), Arc::clone(&catalog)));
        Ok(catalog)
    }

    /// Reads the schema anew when it is asked for next.
    pub(crate) async fn forget_catalog(&self, target: &str) {
        let slot = {
            let catalogs = self.inner.catalogs.lock().unwrap_or_else(PoisonError::into_inner);
            catalogs.get(target).map(Arc::clone)
        };
        if let Some(slot) = slot {
            *slot.read.lock().await = None;
        }
    }

    /// One decision at a time about this proposal. Taken before any other lock.
    pub(crate) async fn lock(&self, id: ProposalId) -> MutexGuard<'_, ()> {
        self.inner.decisions.of(&id).await
    }

    /// One at a time hands this artifact in for this task. Taken before [`count`](Self::count).
    pub(crate) async fn same(&self, task: TaskId, target: &str, artifact: Digest) -> MutexGuard<'_, ()> {
        self.inner.same.of(&(task, target, artifact)).await
    }

    /// One at a time counts and adds to what waits in this session. Taken last.
    pub(crate) async fn count(&self, session: SessionId) -> MutexGuard<'_, ()> {
        self.inner.counted.of(&session).await
    }
}

/// Locks by what they are about; striped, so that they are bounded. Whoever holds one of them takes none of the same set.
struct Stripes(Vec<Mutex<()>>);

impl Default for Stripes {
    fn default() -> Self {
        Self((0..64).map(|_| Mutex::new(())).collect())
    }
}

impl Stripes {
    async fn of(&self, about: &impl std::hash::Hash) -> MutexGuard<'_, ()> {
        use std::hash::{DefaultHasher, Hasher};
        let mut hasher = DefaultHasher::new();
        about.hash(&mut hasher);
        #[allow(clippy::cast_possible_truncation, reason = "only the remainder counts")]
        self.0[hasher.finish() as usize % self.0.len()].lock().await
    }
}
