//! Reading, marks and drafts.

use std::fmt::Write as _;
use std::time::Duration;

use artifact::request::Method;
use async_imap::types::{Fetch, Flag, NameAttribute};
use async_imap::{Authenticator, Client, Session};
use futures_util::TryStreamExt as _;
use reading::mail::{self, Place};
use reading::request::{Request, escaped};
use wire::order::{FailCode, Job, RESULT_BYTES_MAX, Report, ResultSet};

use super::{Account, BEGIN, lost, message, refused, table, text};
use crate::child::failed;
use crate::http::{Stream, late, meet};
use crate::secret::Secret;

/// Messages of a listing that does not say how many.
const LISTED: usize = 50;
/// Bytes of a message that are read.
const MESSAGE_MAX: usize = RESULT_BYTES_MAX / 2;
/// Folders that are told of.
const FOLDERS_MAX: usize = 200;
/// What a listing asks of each message.
const HEADERS: &str =
    "(UID FLAGS RFC822.SIZE BODY.PEEK[HEADER.FIELDS (FROM TO CC SUBJECT DATE MESSAGE-ID REFERENCES IN-REPLY-TO)])";

type Server = Session<Box<dyn Stream>>;

/// XOAUTH2, as mail providers define it: the login and a bearer token.
struct Bearer(String);

impl Authenticator for Bearer {
    type Response = String;
    fn process(&mut self, _: &[u8]) -> String {
        std::mem::take(&mut self.0)
    }
}

async fn connect(account: &Account<'_>, secret: &Secret) -> Result<Server, Report> {
    let (origin, _) = Account::server(account.imap)?;
    let mut client = Client::new(meet(&origin, account.private, account.ca_file).await?);
    let greeting = client.read_response().await.map_err(|error| lost(secret, "the mail server", error))?;
    if greeting.is_none() {
        return Err(failed(FailCode::TargetUnreachable, "the mail server hung up"));
    }
    let value = secret.value.as_deref().unwrap_or_default();
    let session = if account.oauth {
        let proof = Bearer(format!("user={}\u{1}auth=Bearer {value}\u{1}\u{1}", account.login));
        client.authenticate("XOAUTH2", proof).await
    } else {
        client.login(account.login, value).await
    };
    session.map_err(|(error, _)| failed(FailCode::LoginRefused, &secret.out_of(&format!("the mail server: {error}"))))
}

/// The folders that can be named, as paths.
pub(super) async fn folders(account: &Account<'_>, secret: &Secret) -> Result<Vec<String>, Report> {
    let mut server = connect(account, secret).await?;
    let names = all_folders(&mut server, secret).await?;
    let _ = server.logout().await;
    // A name in the old encoding of other alphabets is shown as it is written.
    let mut paths: Vec<String> = names.iter().map(|folder| escaped(folder.path.as_bytes(), b"-_.~/")).collect();
    paths.sort_unstable();
    paths.truncate(FOLDERS_MAX);
    Ok(paths)
}

struct Folder {
    name: String,
    path: String,
    delimiter: String,
    drafts: bool,
}

async fn all_folders(server: &mut Server, secret: &Secret) -> Result<Vec<Folder>, Report> {
    let failed = |error| refused(secret, "the folders cannot be listed", error);
    let names: Vec<_> = server.list(Some(""), Some("*")).await.map_err(failed)?.try_collect().await.map_err(failed)?;
    let selectable = names.iter().filter(|name| !name.attributes().contains(&NameAttribute::NoSelect));
    let folder = |name: &async_imap::types::Name| {
        let delimiter = name.delimiter().unwrap_or("/").to_owned();
        Folder {
            name: name.name().to_owned(),
            path: name.name().replace(&delimiter, "/"),
            drafts: name.attributes().contains(&NameAttribute::Drafts),
            delimiter,
        }
    };
    Ok(selectable.map(folder).collect())
}

/// Does what is asked in one session.
pub(super) async fn perform(
    account: &Account<'_>,
    secret: &Secret,
    request: &Request<'_>,
    job: &Job,
    limit: Duration,
    announce: &mut dyn FnMut() -> Result<(), Report>,
) -> Result<ResultSet, Report> {
    let begun = tokio::time::timeout(BEGIN, connect(account, secret)).await;
    let mut server = begun.map_err(|_| late("the mail server took too long to let us in"))??;
    let mut announced = false;
    let mut once = || {
        announced = true;
        announce()
    };
    let done = tokio::time::timeout(limit, ask(&mut server, account, secret, request, job, &mut once)).await;
    let done = match done {
        Ok(done) => done,
        Err(_) if announced => Err(failed(FailCode::OutcomeUnknown, "the mail server gave no answer in time")),
        Err(_) => Err(late("the mail server gave no answer in time")),
    };
    let _ = tokio::time::timeout(Duration::from_secs(2), server.logout()).await;
    done
}

async fn ask(
    server: &mut Server,
    account: &Account<'_>,
    secret: &Secret,
    request: &Request<'_>,
    job: &Job,
    announce: &mut dyn FnMut() -> Result<(), Report>,
) -> Result<ResultSet, Report> {
    let changed = |error: async_imap::error::Error| match error {
        async_imap::error::Error::No(_) | async_imap::error::Error::Bad(_) => {
            refused(secret, "the mail server refused it", error)
        }
        error => failed(FailCode::OutcomeUnknown, &secret.out_of(&format!("the mail server: {error}"))),
    };
    if request.method == Method::Draft {
        let draft = message(account, request, true)?.formatted();
        let folders = all_folders(server, secret).await?;
        let drafts = folders.iter().find(|folder| folder.drafts);
        let drafts = drafts.or_else(|| folders.iter().find(|folder| folder.name.eq_ignore_ascii_case("drafts")));
        let drafts = drafts.ok_or_else(|| failed(FailCode::StatementFailed, "the mailbox has no folder for drafts"))?;
        announce()?;
        server.append(&drafts.name, Some("(\\Draft)"), None, &draft).await.map_err(changed)?;
        return Ok(table(&["status", "folder"], vec![vec![Some("kept".to_owned()), Some(drafts.path.clone())]], 1));
    }
    let (Place { folder, message }, asked) =
        mail::place(request).map_err(|error| failed(FailCode::BadOrder, &error.to_string()))?;
    let path = folder.join("/");
    let name = if folder.len() == 1 {
        path
    } else {
        let folders = all_folders(server, secret).await?;
        let found = folders.into_iter().find(|known| known.path == path && known.name == folder.join(&known.delimiter));
        found.ok_or_else(|| failed(FailCode::StatementFailed, "the mailbox has no such folder"))?.name
    };
    let marks = request.method == Method::Mark;
    let opened = if marks { server.select(&name).await } else { server.examine(&name).await };
    let opened = opened.map_err(|error| refused(secret, "the folder cannot be opened", error))?;
    let validity = opened.uid_validity.unwrap_or(0);
    let Some((of, uid)) = message else { return list(server, secret, validity, &asked, job).await };
    if of != validity {
        return Err(failed(FailCode::Drifted, "the folder's messages were numbered anew; list them again"));
    }
    if !marks {
        return read(server, secret, validity, uid).await;
    }
    let (mut add, mut remove) = (Vec::new(), Vec::new());
    for (what, mark) in &asked {
        let system = ["Seen", "Flagged", "Answered"].contains(&mark.as_str());
        let flag = if system { format!("\\{mark}") } else { mark.clone() };
        if what == "add" { add.push(flag) } else { remove.push(flag) }
    }
    // It is there still.
    one(server, secret, uid, "(UID FLAGS)").await?;
    announce()?;
    for (sign, marks) in [("+", add), ("-", remove)] {
        if !marks.is_empty() {
            let store = format!("{sign}FLAGS ({})", marks.join(" "));
            let stored = server.uid_store(uid.to_string(), store).await.map_err(changed)?;
            stored.try_collect::<Vec<_>>().await.map_err(changed)?;
        }
    }
    let now = one(server, secret, uid, "(UID FLAGS)").await?;
    Ok(table(&["id", "marks"], vec![vec![Some(format!("{validity}.{uid}")), Some(flags(&now))]], 1))
}

fn flags(fetch: &Fetch) -> String {
    let name = |flag: Flag<'_>| match flag {
        Flag::Seen => "Seen".to_owned(),
        Flag::Answered => "Answered".to_owned(),
        Flag::Flagged => "Flagged".to_owned(),
        Flag::Custom(word) => word.into_owned(),
        other => format!("{other:?}"),
    };
    let mut marks: Vec<String> = fetch.flags().filter(|flag| *flag != Flag::Recent).map(name).collect();
    marks.sort_unstable();
    marks.join(", ")
}

/// One message; it has to be there.
async fn one(server: &mut Server, secret: &Secret, uid: u32, what: &str) -> Result<Fetch, Report> {
    let failed_to = |error| refused(secret, "the message cannot be read", error);
    let fetched = server.uid_fetch(uid.to_string(), what).await.map_err(failed_to)?;
    let mut found: Vec<Fetch> = fetched.try_collect().await.map_err(failed_to)?;
    found.retain(|fetch| fetch.uid == Some(uid));
    found.pop().ok_or_else(|| failed(FailCode::StatementFailed, "there is no such message any more"))
}

/// Criteria of a search (RFC 9051, section 6.4.4). Values are plain ASCII without quotes.
fn criteria(asked: &[(String, String)]) -> (String, usize) {
    let (mut out, mut limit) = (String::from("ALL"), LISTED);
    for (name, value) in asked {
        let day = || {
            const MONTHS: [&str; 12] =
                ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
            let (year, rest) = value.split_once('-').unwrap_or_default();
            let (month, day) = rest.split_once('-').unwrap_or_default();
            let month = month.parse::<usize>().ok().and_then(|n| MONTHS.get(n.wrapping_sub(1))).unwrap_or(&"Jan");
            format!("{day}-{month}-{year}")
        };
        let _ = match name.as_str() {
            "since" | "before" => write!(out, " {} {}", name.to_uppercase(), day()),
            "unseen" | "flagged" => write!(out, " {}", name.to_uppercase()),
            "limit" => {
                limit = value.parse().unwrap_or(LISTED);
                Ok(())
            }
            _ => write!(out, " {} \"{value}\"", name.to_uppercase()),
        };
    }
    (out, limit)
}

async fn list(
    server: &mut Server,
    secret: &Secret,
    validity: u32,
    asked: &[(String, String)],
    job: &Job,
) -> Result<ResultSet, Report> {
    let failed_to = |error| refused(secret, "the messages cannot be listed", error);
    let (criteria, limit) = criteria(asked);
    let mut uids: Vec<u32> = server.uid_search(criteria).await.map_err(failed_to)?.into_iter().collect();
    let total = uids.len();
    uids.sort_unstable_by_key(|uid| std::cmp::Reverse(*uid));
    uids.truncate(limit.min(usize::try_from(job.target.result_rows_max).unwrap_or(usize::MAX)));
    let mut rows = Vec::with_capacity(uids.len());
    if !uids.is_empty() {
        let set = uids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let mut fetched: Vec<Fetch> =
            server.uid_fetch(set, HEADERS).await.map_err(failed_to)?.try_collect().await.map_err(failed_to)?;
        fetched.retain(|fetch| fetch.uid.is_some_and(|uid| uids.contains(&uid)));
        fetched.sort_unstable_by_key(|fetch| std::cmp::Reverse(fetch.uid));
        fetched.dedup_by_key(|fetch| fetch.uid);
        for fetch in &fetched {
            let head = text::head(fetch.header().unwrap_or_default());
            let clean = |text: String| Some(secret.out_of(&text));
            rows.push(vec![
                Some(format!("{validity}.{}", fetch.uid.unwrap_or(0))),
                head.date.and_then(clean),
                clean(head.from),
                clean(head.to),
                clean(head.subject),
                Some(flags(fetch)),
                fetch.size.map(|size| size.to_string()),
            ]);
        }
    }
    Ok(table(&["id", "date", "from", "to", "subject", "marks", "bytes"], rows, total))
}

async fn read(server: &mut Server, secret: &Secret, validity: u32, uid: u32) -> Result<ResultSet, Report> {
    let fetched = one(server, secret, uid, &format!("(UID RFC822.SIZE BODY.PEEK[]<0.{MESSAGE_MAX}>)")).await?;
    let bytes = fetched.body().ok_or_else(|| failed(FailCode::StatementFailed, "the message has no body"))?;
    let head = text::head(bytes);
    let read = text::read(bytes);
    let clean = |text: String| Some(secret.out_of(&text));
    let row = vec![
        Some(format!("{validity}.{uid}")),
        head.date.and_then(clean),
        clean(head.from),
        clean(head.to),
        clean(head.subject),
        head.message_id.and_then(clean),
        clean(read.text),
        read.html_says.and_then(clean),
        clean(read.links.join(", ")),
        clean(read.attachments.join(", ")),
    ];
    let names = ["id", "date", "from", "to", "subject", "message_id", "text", "html_says", "links", "attachments"];
    Ok(table(&names, vec![row], 1))
}
