//! A mailbox: reading over IMAP, sending over SMTP (RFC 9051, RFC 5321).
//!
//! What is added to a mail is the mailbox's own address, the date, an id, and what MIME needs to say that it is text. A mail that is
//! sent waits in the outbox first, connected and logged in, with nothing of it gone.
//!
//! If we crash here: what reads did no harm. What changes something was announced before it began; whether it was done, nobody can say.

mod imap;
mod smtp;
mod text;

use std::fmt;
use std::time::{Duration, Instant};

use artifact::Digest;
use artifact::catalog::{Catalog, Tool};
use artifact::request::Method;
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use reading::mail;
use reading::request::{self, Request};
use wire::order::{FailCode, Job, Report, ResultColumn, ResultSet};
use wire::origin;
use wire::target::{Address, Registration};

use crate::child::{Commit, Way, failed};
use crate::http::{late, within};
use crate::secret::Secret;

/// How long connecting and logging in may take.
const BEGIN: Duration = Duration::from_secs(10);

/// A mailbox as it is registered.
struct Account<'a> {
    address: &'a str,
    imap: &'a str,
    smtp: Option<&'a str>,
    login: &'a str,
    oauth: bool,
    outbox_s: u32,
    private: bool,
    ca_file: Option<&'a str>,
}

impl<'a> Account<'a> {
    fn of(target: &'a Registration) -> Result<(Self, &'a [String]), Report> {
        let Address::Mail { address, imap, smtp, login, oauth, outbox_s, requests, private, ca_file } = &target.address
        else {
            return Err(failed(FailCode::BadOrder, "the target is no mailbox"));
        };
        let account = Self {
            address,
            imap,
            smtp: smtp.as_deref(),
            login,
            oauth: *oauth,
            outbox_s: *outbox_s,
            private: *private,
            ca_file: ca_file.as_deref(),
        };
        Ok((account, requests))
    }

    fn server(url: &str) -> Result<(origin::Origin, bool), Report> {
        origin::mail_server(url).ok_or_else(|| failed(FailCode::BadOrder, "the mail server's address is not usable"))
    }
}

fn refused(secret: &Secret, what: &str, error: impl fmt::Display) -> Report {
    failed(FailCode::StatementFailed, &secret.out_of(&format!("{what}: {error}")))
}

fn lost(secret: &Secret, what: &str, error: impl fmt::Display) -> Report {
    failed(FailCode::TargetUnreachable, &secret.out_of(&format!("{what}: {error}")))
}

/// Does what the job asks, once.
pub(crate) async fn perform(job: &Job, credential: &[u8], way: Way, commit: &mut Commit<'_>) -> Result<Report, Report> {
    let (account, requests) = Account::of(&job.target)?;
    if way.is_trial() {
        return Err(failed(FailCode::BadOrder, "nothing at a mailbox can be tried and rolled back"));
    }
    let request = request::read(&job.artifact).map_err(|error| failed(FailCode::BadOrder, &error.to_string()))?;
    within(&request, job, requests)?;
    let secret = Secret::of(credential)?;
    let limit = Duration::from_millis(job.target.statement_timeout_ms);
    let began = Instant::now();
    let changes = !job.effect.is_read_only();
    // Announced with nothing done yet: from then on it may have happened.
    let mut announce = || {
        if changes && !commit(0, None) {
            return Err(failed(FailCode::Withdrawn, "the guard said no at the last moment; nothing was done"));
        }
        Ok(())
    };
    let result = match request.method {
        Method::Send => {
            let mail = message(&account, &request, false)?;
            smtp::send(&account, &secret, mail, limit, &mut announce).await?
        }
        _ => imap::perform(&account, &secret, &request, job, limit, &mut announce).await?,
    };
    let elapsed_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(Report::Done { affected: 0, result, elapsed_ms, undo: None, stays: false })
}

/// The mail as it goes out.
fn message(account: &Account<'_>, request: &Request<'_>, draft: bool) -> Result<Message, Report> {
    let bad = |detail: &dyn fmt::Display| failed(FailCode::BadOrder, &format!("the mail cannot be made: {detail}"));
    let mail = mail::read(request).map_err(|error| bad(&error))?;
    let mailbox = |address: &str| -> Result<Mailbox, Report> {
        Ok(Mailbox::new(None, address.parse().map_err(|error: lettre::address::AddressError| bad(&error))?))
    };
    let domain = account.address.split_once('@').map_or("localhost", |(_, domain)| domain);
    let id = artifact::RunId::random();
    let mut builder = Message::builder()
        .from(mailbox(account.address)?)
        .date_now()
        .message_id(Some(format!("<{}@{domain}>", id.to_string().trim_start_matches("r-"))))
        .subject(mail.subject);
    for address in &mail.to {
        builder = builder.to(mailbox(address)?);
    }
    for address in &mail.cc {
        builder = builder.cc(mailbox(address)?);
    }
    for address in &mail.bcc {
        builder = builder.bcc(mailbox(address)?);
    }
    if draft {
        builder = builder.keep_bcc();
    }
    if let Some(id) = mail.in_reply_to {
        builder = builder.in_reply_to(id.to_owned());
    }
    if let Some(ids) = mail.references {
        builder = builder.references(ids.to_owned());
    }
    if draft && mail.to.is_empty() && mail.cc.is_empty() && mail.bcc.is_empty() {
        // A draft may have nobody yet, an envelope may not.
        let own: lettre::Address =
            account.address.parse().map_err(|error: lettre::address::AddressError| bad(&error))?;
        let envelope = lettre::address::Envelope::new(Some(own.clone()), vec![own]).map_err(|error| bad(&error))?;
        builder = builder.envelope(envelope);
    }
    builder.header(ContentType::TEXT_PLAIN).body(mail.body.to_owned()).map_err(|error| bad(&error))
}

/// What may be asked of it: its folders, and what goes with them.
pub(crate) async fn read_catalog(target: &Registration, credential: &[u8]) -> Result<Catalog, Report> {
    let (account, _) = Account::of(target)?;
    let secret = Secret::of(credential)?;
    let folders = tokio::time::timeout(2 * BEGIN, imap::folders(&account, &secret)).await;
    let folders = folders.map_err(|_| late("the mail server took too long to list its folders"))??;
    let tool = |name: String, description: &str, reads: bool| Tool {
        digest: Digest::of(name.as_bytes()),
        name,
        description: description.to_owned(),
        input_schema: "{}".to_owned(),
        reads_only: Some(reads),
        destroys: None,
    };
    let mut tools = Vec::new();
    for folder in folders {
        tools.push(tool(
            format!("LIST /{folder}"),
            "Lists its messages, newest first. Query: since, before (YYYY-MM-DD), from, to, subject, text, unseen=yes, flagged=yes, limit.",
            true,
        ));
        tools.push(tool(format!("READ /{folder}/{{id}}"), "One message, by the id that a listing gives.", true));
        tools.push(tool(
            format!("MARK /{folder}/{{id}}"),
            "Marks. Query: add, remove; Seen, Flagged, Answered or a word.",
            false,
        ));
    }
    tools.push(tool("DRAFT /".to_owned(), "Keeps a mail with the drafts; the form is that of SEND.", false));
    if account.smtp.is_some() {
        tools.push(tool(
            "SEND /".to_owned(),
            "Sends a mail. Lines `to: a@b.example, c@d.example`, cc, bcc, subject, in-reply-to, references; an empty line; the text.",
            false,
        ));
    }
    Ok(Catalog { tools, ..Catalog::default() })
}

/// Rows of named columns, whose labels are those of `mail.NAME`.
fn table(names: &[&str], rows: Vec<Vec<Option<String>>>, total: usize) -> ResultSet {
    let column = |name: &&str| ResultColumn { name: (*name).to_owned(), origin: Some(format!("mail.{name}")) };
    ResultSet { columns: names.iter().map(column).collect(), rows, total_rows: total as u64 }
}
