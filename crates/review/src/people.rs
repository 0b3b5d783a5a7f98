use std::fmt;
use std::future::Future;

use artifact::claim::{Signature, Signed};
use artifact::{ProposalId, RunId, TaskId, Timestamp};
use doors::agents::Status;
use doors::people::{
    AuditFilter, AuditRow, AuthorizeRequest, AuthorizeView, GrantRequest, GrantToSign, HeldView, KeyRequest, NewPass,
    Overview, Person, PersonError, PolicyReplay, QueueRow, ReviewView, RowsView, Selection, SessionView, SignalView,
    SignedGrant, ToSign, Together,
};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

/// Namespace of SSH signatures over a sign-in challenge (PROTOCOL.sshsig, section 3).
pub const LOGIN_NAMESPACE: &str = "wetink-login@v1";
/// Rows of one page of the queue.
pub const QUEUE_PAGE: usize = 50;

/// Where a page of alerts begins: before that log entry.
#[derive(Clone, Copy, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Before {
    /// Index of the entry.
    pub(crate) before: Option<u64>,
}

/// What the pages and the API ask of the desk. The desk decides and the guard verifies; this side only shows and carries.
///
/// Every method that takes a [`Person`] is called with one that [`People::person`] returned for this very request.
/// Roles were checked by route before (see `ROUTES`); the desk checks what depends on the thing itself.
pub trait People: Clone + Send + Sync + 'static {
    /// A fresh text to sign, and who may sign it with a passkey. Bounded in number and short-lived.
    fn login_challenge(&self) -> impl Future<Output = Result<LoginChallenge, PersonError>> + Send;
    /// Turns a signed challenge into a session. `address` is the network address as the listener sees it. A challenge
    /// is good for one try.
    fn login(
        &self,
        id: &str,
        signature: Signature,
        address: &str,
    ) -> impl Future<Output = Result<(SessionToken, Person), PersonError>> + Send;
    /// Ends a session. Unknown tokens are no error.
    fn logout(&self, token: &str) -> impl Future<Output = ()> + Send;
    /// The person a session belongs to, if it is alive.
    fn person(&self, token: &str) -> impl Future<Output = Option<Person>> + Send;
    /// The passkeys this person may sign with.
    fn passkeys(&self, who: &Person) -> impl Future<Output = Result<Passkeys, PersonError>> + Send;

    /// Starts the enrollment of a first key; `token` comes from the one-time link.
    fn enroll_begin(&self, token: &str) -> impl Future<Output = Result<EnrollChallenge, PersonError>> + Send;
    /// Finishes it. Both byte fields are base64url without padding, as the browser gave them.
    fn enroll_finish(
        &self,
        token: &str,
        person: &str,
        attestation_object: &str,
        client_data: &str,
    ) -> impl Future<Output = Result<(), PersonError>> + Send;

    /// Starts the making of a passkey by somebody the gateway does not know.
    fn join_begin(&self) -> impl Future<Output = Result<EnrollChallenge, PersonError>> + Send;
    /// Keeps the new passkey as a request. It grants nothing: an admin signs that, or nobody does.
    fn join_finish(
        &self,
        person: &str,
        attestation_object: &str,
        client_data: &str,
    ) -> impl Future<Output = Result<KeyRequest, PersonError>> + Send;
    /// Who asks to be let in, newest first.
    fn key_requests(&self, who: &Person) -> impl Future<Output = Result<Vec<KeyRequest>, PersonError>> + Send;

    /// One page of the queue, newest first, at most [`QUEUE_PAGE`] rows.
    fn queue(
        &self,
        who: &Person,
        filter: QueueFilter,
    ) -> impl Future<Output = Result<Vec<QueueRow>, PersonError>> + Send;
    /// Everything about one revision (the newest if `None`). Marks it as opened by this person.
    fn proposal(
        &self,
        who: &Person,
        id: ProposalId,
        revision: Option<u32>,
    ) -> impl Future<Output = Result<ReviewView, PersonError>> + Send;
    /// Hands a signed approval to the guard, which runs it once; the new state comes back.
    fn approve(
        &self,
        who: &Person,
        id: ProposalId,
        claim: Signed,
    ) -> impl Future<Output = Result<ReviewView, PersonError>> + Send;
    /// Asks for changes. `sentence` is 1 to 500 characters without hidden ones.
    fn changes(
        &self,
        who: &Person,
        id: ProposalId,
        sentence: &str,
    ) -> impl Future<Output = Result<ReviewView, PersonError>> + Send;
    /// Several of one task at one target, none of them grave, with the text that names their statements.
    fn together(
        &self,
        who: &Person,
        ids: Vec<ProposalId>,
    ) -> impl Future<Output = Result<Together, PersonError>> + Send;
    /// Says no. `sentence` is 1 to 500 characters without hidden ones.
    fn reject(
        &self,
        who: &Person,
        id: ProposalId,
        sentence: &str,
    ) -> impl Future<Output = Result<ReviewView, PersonError>> + Send;
    /// Hands in the person's own bytes as a new revision; it comes back and still needs a signature.
    fn take_over(
        &self,
        who: &Person,
        id: ProposalId,
        body: String,
    ) -> impl Future<Output = Result<ReviewView, PersonError>> + Send;

    /// Some of the rows before and after, from a trial that is rolled back and logged.
    fn rows(&self, who: &Person, id: ProposalId) -> impl Future<Output = Result<RowsView, PersonError>> + Send;
    /// Hands in the statement that puts back what a run changed; it comes back and still needs a signature.
    fn undo(&self, who: &Person, run: RunId) -> impl Future<Output = Result<ReviewView, PersonError>> + Send;

    /// A held result. The guard logs who looked.
    fn held(&self, who: &Person, run: RunId) -> impl Future<Output = Result<HeldView, PersonError>> + Send;
    /// The statement that releases this selection.
    fn release_statement(
        &self,
        who: &Person,
        run: RunId,
        selection: Selection,
    ) -> impl Future<Output = Result<ToSign, PersonError>> + Send;
    /// Hands a signed release to the guard.
    fn release(
        &self,
        who: &Person,
        run: RunId,
        claim: Signed,
    ) -> impl Future<Output = Result<ReviewView, PersonError>> + Send;

    /// Keys, targets, tasks, policy, stop switches.
    fn overview(&self, who: &Person) -> impl Future<Output = Result<Overview, PersonError>> + Send;
    /// The statement that grants this.
    fn grant_statement(
        &self,
        who: &Person,
        request: GrantRequest,
    ) -> impl Future<Output = Result<GrantToSign, PersonError>> + Send;
    /// Hands a signed grant to the guard.
    fn grant(&self, who: &Person, grant: SignedGrant) -> impl Future<Output = Result<(), PersonError>> + Send;
    /// A new agent pass for an open task; it cannot be shown again. `key`: thumbprint of the key it is bound to.
    fn new_pass(
        &self,
        who: &Person,
        task: TaskId,
        minutes: u32,
        key: Option<String>,
    ) -> impl Future<Output = Result<NewPass, PersonError>> + Send;
    /// What a program asks to be allowed, and for which tasks it could be.
    fn authorize_view(
        &self,
        who: &Person,
        request: AuthorizeRequest,
    ) -> impl Future<Output = Result<AuthorizeView, PersonError>> + Send;
    /// Allows it for a task, or says no. Gives the address where the browser goes on to.
    fn authorize(
        &self,
        who: &Person,
        request: AuthorizeRequest,
        task: Option<TaskId>,
    ) -> impl Future<Output = Result<String, PersonError>> + Send;
    /// Starts a sign-in at the identity provider; `next`: a local path to go on to.
    fn provider_begin(&self, next: &str) -> impl Future<Output = Result<ProviderStart, PersonError>> + Send;
    /// Ends one: a session, and where to go on to. `browser`: what this browser kept.
    fn provider_finish(
        &self,
        returned: &Returned,
        browser: &str,
    ) -> impl Future<Output = Result<(SessionToken, String), PersonError>> + Send;
    /// The identity provider ends sessions.
    fn provider_logout(&self, token: &str) -> impl Future<Output = Result<(), PersonError>> + Send;
    /// The person's own sessions, the newest first.
    fn sessions(&self, who: &Person) -> impl Future<Output = Vec<SessionView>> + Send;
    /// Ends them all.
    fn logout_everywhere(&self, who: &Person) -> impl Future<Output = ()> + Send;

    /// What a policy of this text would have decided otherwise.
    fn replay_policy(
        &self,
        who: &Person,
        text: String,
    ) -> impl Future<Output = Result<PolicyReplay, PersonError>> + Send;
    /// Presses stop for `all`, `task:<id>`, `target:<name>`, `agent:<name>` or `person:<name>`.
    fn stop(&self, who: &Person, scope: String) -> impl Future<Output = Result<(), PersonError>> + Send;

    /// Log entries, newest first, at most 100.
    fn audit(
        &self,
        who: &Person,
        filter: AuditFilter,
    ) -> impl Future<Output = Result<Vec<AuditRow>, PersonError>> + Send;
    /// What somebody should know about agents, newest first, at most 50.
    fn signals(
        &self,
        who: &Person,
        before: Option<u64>,
    ) -> impl Future<Output = Result<Vec<SignalView>, PersonError>> + Send;
    /// The newest checkpoint, a C2SP signed note.
    fn checkpoint(&self) -> impl Future<Output = Result<String, PersonError>> + Send;
    /// The receipt of a run, JSON.
    fn receipt(&self, who: &Person, run: RunId) -> impl Future<Output = Result<String, PersonError>> + Send;
    /// The guard's own plain-text view of a proposal.
    fn guard_view(&self, who: &Person, id: ProposalId) -> impl Future<Output = Result<String, PersonError>> + Send;

    /// Every change of state from now on. Lagging receivers lose the oldest; pages then reload.
    fn changes_feed(&self) -> broadcast::Receiver<Change>;
}

/// A text to sign at sign-in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginChallenge {
    /// Names the challenge when it is answered.
    pub id: String,
    /// The exact text. A terminal signs it with namespace [`LOGIN_NAMESPACE`]; for a passkey the WebAuthn challenge is
    /// SHA-256 of it.
    pub text: String,
    /// Credential ids that may answer, base64url. Empty: the authenticator offers what it has.
    pub passkeys: Vec<String>,
    /// WebAuthn relying party id.
    pub rp_id: String,
    /// The identity provider where people may sign in as well, by its host.
    #[serde(default)]
    pub provider: Option<String>,
}

/// Where a browser goes to sign in elsewhere.
#[derive(Clone, PartialEq, Eq)]
pub struct ProviderStart {
    /// The provider's page.
    pub url: String,
    /// A secret that this browser keeps until it is back.
    pub browser: String,
}

/// What a browser brings back from the identity provider (OpenID Connect Core 1.0, section 3.1.2.5; RFC 9207).
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Returned {
    /// The code.
    pub code: String,
    /// What it was sent with.
    pub state: String,
    /// Who answers.
    pub iss: Option<String>,
    /// Why there is no code.
    pub error: Option<String>,
}

/// An answer to a [`LoginChallenge`], as the API takes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The challenge's id.
    pub id: String,
    /// Signature over its text.
    pub signature: Signature,
}

/// What the API returns for a [`Login`]. The token is a secret of this terminal.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedIn {
    /// Send as `Authorization: Bearer <token>`.
    pub token: SessionToken,
    /// Who signed in.
    pub person: Person,
}

/// A session's token: 1 to 200 characters of `A-Z a-z 0-9 - _ .`; never in Debug output.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionToken(pub String);

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionToken(...)")
    }
}

/// Passkeys a person may sign with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passkeys {
    /// WebAuthn relying party id.
    pub rp_id: String,
    /// Credential ids, base64url.
    pub credentials: Vec<String>,
}

/// What the browser needs to make a person's first passkey.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrollChallenge {
    /// Challenge, base64url.
    pub challenge: String,
    /// WebAuthn relying party id.
    pub rp_id: String,
    /// A name to offer in the form.
    pub user_name: String,
}

/// Which rows of the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueueFilter {
    /// Group of states.
    pub group: QueueGroup,
    /// Only rows handed in before this instant (keyset paging).
    pub before: Option<Timestamp>,
}

/// Groups of states in the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueueGroup {
    /// Somebody has to do something: pending and held.
    #[default]
    Pending,
    /// Everything else.
    Decided,
    /// Both.
    All,
}

impl QueueGroup {
    /// The name in queries.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Decided => "decided",
            Self::All => "all",
        }
    }

    /// Whether a state belongs to the group.
    pub const fn has(self, status: Status) -> bool {
        match self {
            Self::Pending => matches!(status, Status::Pending | Status::Held),
            Self::Decided => !matches!(status, Status::Pending | Status::Held),
            Self::All => true,
        }
    }
}

/// A proposal changed its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The proposal.
    pub id: ProposalId,
    /// Its state now.
    pub status: Status,
}
