//! Ada, the demo's person: a software key that lives as long as the demo. Never for real use.

use anyhow::{Context, Result, bail};
use approve::sshsig;
use artifact::claim::{Signature, Signed};
use artifact::{ProposalId, RunId, TaskId};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use desk::api::{LoggedIn, Login, LoginChallenge};
use doors::people::{
    GrantRequest, GrantToSign, HeldView, KeyRequest, NewPass, ReviewView, Selection, SignedGrant, ToSign,
};
use wire::socket::Request;

use crate::client::Client;
use crate::commands::roles::ask_guard;
use crate::home::Home;
use crate::person::line;
use crate::sign;

/// Ada with her demo key.
pub(crate) struct Ada {
    key: Ed25519KeyPair,
    client: Client,
}

impl Ada {
    /// Makes a key, enrolls it as the first one, signs in.
    pub(crate) async fn enroll(home: &Home, people: &str, token: &str) -> Result<Self> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).ok().context("no key could be made")?;
        let key = Ed25519KeyPair::from_pkcs8(document.as_ref()).ok().context("no key could be made")?;
        let public = sshsig::ed25519_line(key.public_key().as_ref());
        ask_guard(home, &Request::EnrollFirst { token: token.to_owned(), person: "Ada".to_owned(), key: public })?;
        let open = Client::new(people, None)?;
        let challenge: LoginChallenge = open.post("/api/v1/login/challenge", &serde_json::json!({})).await?;
        let signature = Signature::Ssh { armored: sshsig::sign_ed25519(&key, sign::LOGIN, challenge.text.as_bytes()) };
        let logged_in: LoggedIn = open.post("/api/v1/login", &Login { id: challenge.id, signature }).await?;
        Ok(Self { key, client: Client::new(people, Some(logged_in.token.0))? })
    }

    /// Signs a statement.
    pub(crate) fn sign(&self, statement: &str) -> Signed {
        let armored = sshsig::sign_ed25519(&self.key, sign::APPROVAL, statement.as_bytes());
        Signed { statement: statement.to_owned(), batch: None, signatures: vec![Signature::Ssh { armored }] }
    }

    /// Grants something; answers the statement.
    pub(crate) async fn grant(&self, request: GrantRequest) -> Result<String> {
        let to_sign: GrantToSign = self.client.post("/api/v1/grant-statement", &request).await?;
        let grant = SignedGrant { claim: self.sign(&to_sign.statement), attachment: to_sign.attachment };
        self.client.post::<serde_json::Value>("/api/v1/grants", &grant).await?;
        Ok(to_sign.statement)
    }

    /// Opens a task; answers its id.
    pub(crate) async fn open_task(&self, request: GrantRequest) -> Result<TaskId> {
        let statement = self.grant(request).await?;
        Ok(line(&statement, "task").context("a task statement names its task")?.parse()?)
    }

    /// Who asks to be let in.
    pub(crate) async fn key_requests(&self) -> Result<Vec<KeyRequest>> {
        self.client.get("/api/v1/key-requests").await
    }

    /// A pass for the task's agent.
    pub(crate) async fn pass(&self, task: TaskId) -> Result<NewPass> {
        self.client.post("/api/v1/passes", &serde_json::json!({ "task": task, "minutes": 30 })).await
    }

    /// Looks at a proposal.
    pub(crate) async fn look(&self, id: ProposalId) -> Result<ReviewView> {
        self.client.get(&format!("/api/v1/proposals/{id}")).await
    }

    /// Hands in a signed approval.
    pub(crate) async fn approve(&self, id: ProposalId, claim: &Signed) -> Result<ReviewView> {
        self.client.post(&format!("/api/v1/proposals/{id}/approve"), claim).await
    }

    /// Says no.
    pub(crate) async fn reject(&self, id: ProposalId, sentence: &str) -> Result<ReviewView> {
        self.client.post(&format!("/api/v1/proposals/{id}/reject"), &serde_json::json!({ "sentence": sentence })).await
    }

    /// Looks at a held result.
    pub(crate) async fn held(&self, run: RunId) -> Result<HeldView> {
        self.client.get(&format!("/api/v1/runs/{run}/held")).await
    }

    /// Releases some columns as they are and some as tokens.
    pub(crate) async fn release(&self, held: &HeldView, show: &[&str], mask: &[&str]) -> Result<ReviewView> {
        let index = |name: &&str| {
            let at = held.result.columns.iter().position(|c| c.name == **name).and_then(|i| u32::try_from(i).ok());
            at.with_context(|| format!("the result has no column {name}"))
        };
        let selection = Selection {
            rows: "all".to_owned(),
            row_indexes: Vec::new(),
            show: show.iter().map(index).collect::<Result<_>>()?,
            mask: mask.iter().map(index).collect::<Result<_>>()?,
            vouch: Vec::new(),
        };
        let run = held.run;
        let to_sign: ToSign = self.client.post(&format!("/api/v1/runs/{run}/release-statement"), &selection).await?;
        let claim = self.sign(&to_sign.statement);
        self.client.post(&format!("/api/v1/runs/{run}/release"), &claim).await
    }

    /// The guard's own view, by way of the desk.
    pub(crate) async fn guard_view(&self, id: ProposalId) -> Result<String> {
        let text = self.client.get_text(&format!("/api/v1/from-guard/{id}")).await?;
        if text.is_empty() {
            bail!("the guard shows nothing");
        }
        Ok(text)
    }
}
