//! Sessions for one order on one target, which may be made before the order comes: connecting and making a role take longer than
//! most statements.

use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use tokio::runtime::Runtime;
use wire::order::{FailCode, Job, Report};
use wire::target::{Address, Registration, Rights};

use super::fence;
use super::mint::Minted;
use super::session::{check, login, not_ours, quote, run};
use super::{Reader, attempt, count_of_written, runtime};
use crate::child::{Commit, Way, failed};

/// Sessions that wait for their order.
pub(crate) struct Ready {
    runtime: Runtime,
    target: Registration,
    session: Session,
}

enum Session {
    /// Of the registered login.
    Login(PgConnection),
    /// Of the login that mints, and of a role that may do nothing yet.
    Minted(Box<Minted>, PgConnection),
}

/// What has to be taken back once the report is out.
pub(crate) struct Leftover {
    runtime: Runtime,
    minted: Minted,
}

impl Leftover {
    /// Takes it back.
    pub(crate) fn clean(self) {
        self.runtime.block_on(self.minted.drop());
    }
}

impl Ready {
    /// Connects, and makes the role.
    pub(crate) fn make(target: &Registration, credential: &[u8]) -> Result<Self, Report> {
        let Address::Postgresql { rights, .. } = &target.address else { return Err(not_ours()) };
        let runtime = runtime()?;
        let session = runtime.block_on(async {
            Ok(match rights {
                Rights::Login => {
                    let mut db = login(target, credential).await?;
                    fence::warm(&mut db).await;
                    Session::Login(db)
                }
                Rights::MintedIfPossible | Rights::Leased => return Err(unsettled()),
                Rights::Minted => {
                    let mut minted = Minted::empty(target, credential).await?;
                    minted.warm().await;
                    match minted.connect(target).await {
                        Ok(mut db) => {
                            fence::warm(&mut db).await;
                            Session::Minted(Box::new(minted), db)
                        }
                        Err(report) => {
                            minted.drop().await;
                            return Err(report);
                        }
                    }
                }
            })
        })?;
        Ok(Self { runtime, target: target.clone(), session })
    }

    /// Whether the sessions still answer, for exactly this target, and its login still has no powers that it must not have.
    pub(crate) fn serves(&mut self, target: &Registration) -> bool {
        let Self { runtime, session, .. } = self;
        self.target == *target
            && runtime.block_on(async {
                match session {
                    Session::Login(db) => check(db, target).await.is_ok(),
                    // Its login is checked before anything is granted.
                    Session::Minted(minted, db) => minted.minter().ping().await.is_ok() && db.ping().await.is_ok(),
                }
            })
    }

    /// Runs the job in these sessions.
    pub(crate) fn perform(
        self,
        job: &Job,
        credential: &[u8],
        way: Way,
        commit: &mut Commit<'_>,
    ) -> (Result<Report, Report>, Option<Leftover>) {
        let Self { runtime, target, session } = self;
        if target != job.target {
            let wrong = failed(FailCode::BadOrder, "the sessions were made for another target");
            return (Err(wrong), session.unused(runtime));
        }
        match session {
            Session::Login(db) => (runtime.block_on(as_login(db, job, credential, way, commit)), None),
            Session::Minted(mut minted, mut db) => {
                let done = runtime.block_on(async {
                    minted.grant(job).await?;
                    as_minted(&mut minted, &mut db, job, way, commit).await
                });
                (done, Some(Leftover { runtime, minted: *minted }))
            }
        }
    }

    /// Takes back what was made for nothing.
    pub(crate) fn unused(self) {
        if let Some(leftover) = self.session.unused(self.runtime) {
            leftover.clean();
        }
    }
}

impl Session {
    fn unused(self, runtime: Runtime) -> Option<Leftover> {
        match self {
            Self::Login(_) => None,
            Self::Minted(minted, _) => Some(Leftover { runtime, minted: *minted }),
        }
    }
}

/// Runs the job with the registered login's rights, or as a role minted for it, with nothing made before.
pub(crate) fn perform(
    job: &Job,
    credential: &[u8],
    way: Way,
    commit: &mut Commit<'_>,
) -> (Result<Report, Report>, Option<Leftover>) {
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(report) => return (Err(report), None),
    };
    match &job.target.address {
        Address::Postgresql { rights: Rights::Login, .. } => {
            let done = runtime.block_on(async {
                let db = login(&job.target, credential).await?;
                as_login(db, job, credential, way, commit).await
            });
            (done, None)
        }
        Address::Postgresql { rights: Rights::Minted, .. } => {
            let mut minted = match runtime.block_on(Minted::empty(&job.target, credential)) {
                Ok(minted) => minted,
                Err(report) => return (Err(report), None),
            };
            let done = runtime.block_on(async {
                let mut db = minted.grant_and_connect(job).await?;
                as_minted(&mut minted, &mut db, job, way, commit).await
            });
            (done, Some(Leftover { runtime, minted }))
        }
        Address::Postgresql { rights: Rights::MintedIfPossible | Rights::Leased, .. } => (Err(unsettled()), None),
        _ => (Err(not_ours()), None),
    }
}

/// The guard says with every order whether anything is minted.
fn unsettled() -> Report {
    failed(FailCode::BadOrder, "the order leaves open with which rights it runs")
}

async fn as_login(
    mut db: PgConnection,
    job: &Job,
    credential: &[u8],
    way: Way,
    commit: &mut Commit<'_>,
) -> Result<Report, Report> {
    let Address::Postgresql { mirror, .. } = &job.target.address else { return Err(not_ours()) };
    let of = if way.is_trial() { count_of_written(&mut db, job).await } else { None };
    if let Some(role) = mirror {
        // The login is a member of this role only, so falling back to it gains nothing.
        run(&mut db, &format!("SET ROLE {}", quote(role))).await?;
    }
    attempt(&mut db, job, way, of, &mut Reader::Login { credential, session: None }, commit).await
}

async fn as_minted(
    minted: &mut Minted,
    db: &mut PgConnection,
    job: &Job,
    way: Way,
    commit: &mut Commit<'_>,
) -> Result<Report, Report> {
    let of = if way.is_trial() { count_of_written(minted.minter(), job).await } else { None };
    attempt(db, job, way, of, &mut Reader::Minter(minted), commit).await
}
