//! Who may sign what. Made of signed grants and of nothing else: the first is signed by the gateway's root at set-up, every
//! later one by a key that stood before it.

use artifact::claim::Signed;
use artifact::{Digest, Timestamp};

use crate::statement::{Batch, GrantKey, Statement};
use crate::{Assurance, NAMESPACE, PublicKey, Refused};

/// Most signatures looked at in one claim.
const SIGNATURES_MAX: usize = 10;
/// Most keys granted.
const KEYS_MAX: usize = 1000;

/// What a key may sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Keys, targets, policy.
    Admin,
    /// Approvals, releases, tasks.
    Reviewer,
    /// Nothing; may look.
    Auditor,
}

impl Role {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Reviewer => "reviewer",
            Self::Auditor => "auditor",
        }
    }

    fn parse_list(text: &str) -> Result<Vec<Self>, Refused> {
        let one = |name: &str| [Self::Admin, Self::Reviewer, Self::Auditor].into_iter().find(|r| r.as_str() == name);
        let roles: Option<Vec<Self>> = text.split(',').map(one).collect();
        let roles = roles.ok_or(Refused::Key("roles are admin, reviewer, auditor, joined by commas".into()))?;
        if roles.windows(2).any(|w| w[0] >= w[1]) {
            return Err(Refused::Key("roles are given once each, in the order admin, reviewer, auditor".into()));
        }
        Ok(roles)
    }
}

/// A granted key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantedKey {
    /// The person.
    pub person: String,
    /// The key.
    pub key: PublicKey,
    /// Its fingerprint.
    pub fingerprint: Digest,
    /// What it may sign.
    pub roles: Vec<Role>,
    /// Since when.
    pub granted_at: Timestamp,
    /// Until when, if revoked.
    pub revoked_at: Option<Timestamp>,
}

/// Somebody whose signature over a statement verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// The person.
    pub person: String,
    /// The key's fingerprint.
    pub key: Digest,
    /// How much the signature says about presence.
    pub assurance: Assurance,
}

/// The keys that may sign.
#[derive(Clone, Debug)]
pub struct Trust {
    gateway: Digest,
    root: PublicKey,
    keys: Vec<GrantedKey>,
}

impl Trust {
    /// Trust in the gateway's own root and nobody else. `root` is its OpenSSH public key line.
    pub fn new(root: &str) -> Result<Self, Refused> {
        let root = PublicKey::parse(root)?;
        Ok(Self { gateway: root.fingerprint(), root, keys: Vec::new() })
    }

    /// Fingerprint of the root: the `gateway` line of every statement.
    pub fn gateway(&self) -> Digest {
        self.gateway
    }

    /// Every key ever granted, in order.
    pub fn keys(&self) -> &[GrantedKey] {
        &self.keys
    }

    /// Parses a claim's statement and checks gateway and time. Proves nothing about signatures.
    pub fn read(&self, claim: &Signed, now: Timestamp) -> Result<Statement, Refused> {
        let statement = Statement::parse(&claim.statement)?;
        let (gateway, _, not_after) = statement.frame();
        if gateway != self.gateway {
            return Err(Refused::OtherGateway);
        }
        if not_after <= now { Err(Refused::Ended(not_after)) } else { Ok(statement) }
    }

    /// Verifies every signature of a claim. All of them have to verify, under keys that hold `role` and are not revoked.
    pub fn signers(&self, claim: &Signed, role: Role) -> Result<Vec<Signer>, Refused> {
        if claim.signatures.is_empty() || claim.signatures.len() > SIGNATURES_MAX {
            return Err(Refused::Signatures(claim.signatures.len()));
        }
        let signed = match &claim.batch {
            None => &claim.statement,
            Some(batch) => {
                self.is_in(batch, &claim.statement)?;
                batch
            }
        };
        let mut signers = Vec::with_capacity(claim.signatures.len());
        for signature in &claim.signatures {
            let mut why = Refused::Signature("no granted key made this signature".into());
            let found = self.keys.iter().filter(|k| k.revoked_at.is_none()).find_map(|k| {
                match k.key.verify(NAMESPACE, signed, signature) {
                    Ok(assurance) => Some((k, assurance)),
                    Err(error) => {
                        if self.keys.len() == 1 {
                            why = error;
                        }
                        None
                    }
                }
            });
            let (key, assurance) = found.ok_or(why)?;
            if !key.roles.contains(&role) {
                return Err(Refused::NotAllowed(key.person.clone()));
            }
            signers.push(Signer { person: key.person.clone(), key: key.fingerprint, assurance });
        }
        Ok(signers)
    }

    /// Only approvals are signed together, and only of one task at one target.
    fn is_in(&self, batch: &str, statement: &str) -> Result<(), Refused> {
        let batch = Batch::parse(batch)?;
        let Statement::Approval(approval) = Statement::parse(statement)? else { return Err(Refused::WrongForm) };
        if batch.gateway != self.gateway {
            return Err(Refused::OtherGateway);
        }
        let own = (approval.proposal, approval.revision, Digest::of(statement.as_bytes()));
        let fits = batch.task == approval.task && batch.target_name == approval.target_name;
        if fits && batch.items.contains(&own) { Ok(()) } else { Err(Refused::Differs("the batch")) }
    }

    /// Whether the gateway's root signed this claim.
    fn root_signed(&self, claim: &Signed) -> bool {
        matches!(&claim.signatures[..], [one] if self.root.verify(NAMESPACE, &claim.statement, one).is_ok())
    }

    /// Verifies a grant or revocation of a key and applies it. The first key is signed by the root, later ones by an admin.
    pub fn apply_key(&mut self, claim: &Signed, now: Timestamp) -> Result<(Statement, Vec<Signer>), Refused> {
        let statement = self.read(claim, now)?;
        let signers = if self.keys.is_empty() && matches!(statement, Statement::Key(_)) && self.root_signed(claim) {
            Vec::new()
        } else {
            self.signers(claim, Role::Admin)?
        };
        match &statement {
            Statement::Key(grant) => self.grant(grant, now)?,
            Statement::RevokeKey(revoke) => {
                let last_admin =
                    self.keys.iter().filter(|k| k.revoked_at.is_none() && k.roles.contains(&Role::Admin)).count() == 1;
                let key = self.keys.iter_mut().find(|k| k.fingerprint == revoke.fingerprint && k.revoked_at.is_none());
                let key = key.ok_or(Refused::State("there is no such key, or it is revoked already"))?;
                if last_admin && key.roles.contains(&Role::Admin) {
                    return Err(Refused::State("this is the last admin key; grant another one first"));
                }
                key.revoked_at = Some(now);
            }
            _ => return Err(Refused::WrongForm),
        }
        Ok((statement, signers))
    }

    fn grant(&mut self, grant: &GrantKey, now: Timestamp) -> Result<(), Refused> {
        let key = PublicKey::parse(&grant.key)?;
        let roles = Role::parse_list(&grant.roles)?;
        let fingerprint = key.fingerprint();
        if self.keys.len() >= KEYS_MAX {
            return Err(Refused::State("too many keys"));
        }
        // The raw key counts, not its line: else a key that was revoked, or is another person's, came back in another form.
        let same = |known: &PublicKey| known.fingerprint() == fingerprint || known.point() == key.point();
        if same(&self.root) || self.keys.iter().any(|k| same(&k.key)) {
            return Err(Refused::State("this key was granted before; a key is granted once"));
        }
        if self.keys.is_empty() && !roles.contains(&Role::Admin) {
            return Err(Refused::State("the first key must be an admin's"));
        }
        self.keys.push(GrantedKey {
            person: grant.person.clone(),
            key,
            fingerprint,
            roles,
            granted_at: now,
            revoked_at: None,
        });
        Ok(())
    }
}
