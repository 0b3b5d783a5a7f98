//! What people sign: plain text, one field a line, in one order, so that a person, an auditor and a program read the same
//! bytes. Parsing is the exact inverse of writing: a text that would be written otherwise is refused.

use artifact::effect::Allowance;
use artifact::{Digest, Kind, ProposalId, TaskId, Timestamp};

use crate::Nonce;

/// Longest statement in bytes.
pub const STATEMENT_MAX: usize = 64 * 1024;
/// Longest line in bytes.
pub const LINE_MAX: usize = 1024;
/// Most people an approval may need.
pub const QUORUM_MAX: u32 = 10;
/// Most people an approval may leave out.
const NOT_BY_MAX: usize = 10;
/// Longest title of a task, in characters.
pub const TITLE_MAX: usize = 200;
/// Longest name of a task's type, in characters.
const TYPE_MAX: usize = 40;

/// Text that is not a statement, with the line that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a statement of this form: {0}")]
pub struct StatementError(pub(crate) &'static str);

type Parsed<T> = Result<T, StatementError>;

/// What happens with the result of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReleaseRule {
    /// It is held until a release statement.
    Hold,
}

struct Lines<'a>(std::iter::Peekable<std::str::Split<'a, char>>);

impl<'a> Lines<'a> {
    fn open(text: &'a str, first: &str) -> Parsed<Self> {
        if text.len() > STATEMENT_MAX {
            return Err(StatementError("longer than 64 KiB"));
        }
        let body = text.strip_suffix('\n').ok_or(StatementError("no line feed at the end"))?;
        if body.chars().any(|c| c != '\n' && (c == '\t' || artifact::has_hidden(c))) {
            return Err(StatementError("hidden characters"));
        }
        let mut lines = Self(body.split('\n').peekable());
        if lines.0.next() == Some(first) { Ok(lines) } else { Err(StatementError("another first line")) }
    }

    fn field(&mut self, name: &'static str) -> Parsed<&'a str> {
        self.maybe(name)?.ok_or(StatementError(name))
    }

    fn maybe(&mut self, name: &'static str) -> Parsed<Option<&'a str>> {
        let value = self.0.peek().and_then(|line| line.strip_prefix(name)?.strip_prefix(": "));
        match value {
            Some(value) if value.is_empty() || value.len() > LINE_MAX || value.trim() != value => {
                Err(StatementError(name))
            }
            Some(value) => {
                self.0.next();
                Ok(Some(value))
            }
            None => Ok(None),
        }
    }

    fn read<T: std::str::FromStr>(&mut self, name: &'static str) -> Parsed<T> {
        self.field(name)?.parse().map_err(|_| StatementError(name))
    }

    fn end(mut self) -> Parsed<()> {
        if self.0.next().is_none() { Ok(()) } else { Err(StatementError("more lines than the form has")) }
    }
}

fn one_line(text: &str) -> Parsed<&str> {
    let bad = text.is_empty()
        || text.len() > LINE_MAX
        || text.trim() != text
        || text.chars().any(|c| c == '\n' || c == '\t' || artifact::has_hidden(c));
    if bad { Err(StatementError("a field is empty, too long, or holds hidden characters")) } else { Ok(text) }
}

fn number(name: &'static str, text: &str) -> Parsed<u64> {
    let number: u64 = text.parse().map_err(|_| StatementError(name))?;
    if number.to_string() == text { Ok(number) } else { Err(StatementError(name)) }
}

fn named_digest(name: &'static str, text: &str) -> Parsed<(String, Digest)> {
    let (label, digest) = text.rsplit_once(' ').ok_or(StatementError(name))?;
    Ok((label.to_owned(), digest.parse().map_err(|_| StatementError(name))?))
}

fn revision(name: &'static str, text: &str) -> Parsed<(ProposalId, u32)> {
    let (id, revision) = text.split_once(" r").ok_or(StatementError(name))?;
    let revision = u32::try_from(number(name, revision)?).map_err(|_| StatementError(name))?;
    Ok((id.parse().map_err(|_| StatementError(name))?, revision))
}

/// Parses, and refuses what would be written otherwise.
macro_rules! strict_parse {
    ($type:ty) => {
        impl $type {
            /// Reads the exact text; anything [`to_text`](Self::to_text) would write otherwise is refused.
            pub fn parse(text: &str) -> Result<Self, StatementError> {
                let parsed = Self::read(text)?;
                if parsed.to_text().as_deref() == Ok(text) {
                    Ok(parsed)
                } else {
                    Err(StatementError("another spelling"))
                }
            }
        }
    };
}

mod batch;

pub use batch::Batch;

mod release;

pub use release::{ColumnChoice, Release, RowChoice};

/// Approves one run of one artifact within one effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// Fingerprint of the guard's root.
    pub gateway: Digest,
    /// Proposal.
    pub proposal: ProposalId,
    /// Its revision.
    pub revision: u32,
    /// Digest of the exact bytes.
    pub artifact: Digest,
    /// Kind.
    pub kind: Kind,
    /// Target's name.
    pub target_name: String,
    /// Fingerprint of its registration.
    pub target_fingerprint: Digest,
    /// Person or role it runs as.
    pub run_as: String,
    /// Digest of the canonical effect shown.
    pub effect: Digest,
    /// Most rows changed.
    pub ceiling_rows: u64,
    /// What happens with the result.
    pub release: ReleaseRule,
    /// Task.
    pub task: TaskId,
    /// Digest of the policy in force.
    pub policy: Digest,
    /// Different people who must sign; 1 has no line.
    pub quorum: u32,
    /// People whose signature does not count, in rising order.
    pub not_by: Vec<String>,
    /// One-time value.
    pub nonce: Nonce,
    /// Last instant it may be used.
    pub not_after: Timestamp,
}

impl Approval {
    /// First line.
    pub const FORM: &'static str = "wetink/approval/v1";

    /// The exact text.
    pub fn to_text(&self) -> Result<String, StatementError> {
        if !(1..=QUORUM_MAX).contains(&self.quorum) {
            return Err(StatementError("quorum"));
        }
        if self.not_by.len() > NOT_BY_MAX || self.not_by.windows(2).any(|w| w[0] >= w[1]) {
            return Err(StatementError("not-by"));
        }
        let mut who = String::new();
        if self.quorum > 1 {
            who += &format!("quorum: {}\n", self.quorum);
        }
        for person in &self.not_by {
            who += &format!("not-by: {}\n", one_line(person)?);
        }
        Ok(format!(
            "{}\ngateway: {}\nproposal: {} r{}\nartifact: {}\nkind: {}\ntarget: {} {}\nrun-as: {}\neffect: {}\nceiling: rows<={}\nrelease: hold\ntask: {}\npolicy: {}\n{who}nonce: {}\nnot-after: {}\n",
            Self::FORM,
            self.gateway,
            self.proposal,
            self.revision,
            self.artifact,
            self.kind,
            one_line(&self.target_name)?,
            self.target_fingerprint,
            one_line(&self.run_as)?,
            self.effect,
            self.ceiling_rows,
            self.task,
            self.policy,
            self.nonce,
            self.not_after
        ))
    }

    fn read(text: &str) -> Parsed<Self> {
        let mut lines = Lines::open(text, Self::FORM)?;
        let gateway = lines.read("gateway")?;
        let (proposal, revision) = revision("proposal", lines.field("proposal")?)?;
        let artifact = lines.read("artifact")?;
        let kind = lines.read("kind")?;
        let (target_name, target_fingerprint) = named_digest("target", lines.field("target")?)?;
        let run_as = lines.field("run-as")?.to_owned();
        let effect = lines.read("effect")?;
        let ceiling = lines.field("ceiling")?.strip_prefix("rows<=").ok_or(StatementError("ceiling"))?;
        let ceiling_rows = number("ceiling", ceiling)?;
        if lines.field("release")? != "hold" {
            return Err(StatementError("release"));
        }
        let (task, policy) = (lines.read("task")?, lines.read("policy")?);
        let quorum = match lines.maybe("quorum")? {
            Some(text) => u32::try_from(number("quorum", text)?).map_err(|_| StatementError("quorum"))?,
            None => 1,
        };
        let mut not_by = Vec::new();
        while let Some(person) = lines.maybe("not-by")? {
            not_by.push(person.to_owned());
        }
        let (nonce, not_after) = (lines.read("nonce")?, lines.read("not-after")?);
        lines.end()?;
        Ok(Self {
            gateway,
            proposal,
            revision,
            artifact,
            kind,
            target_name,
            target_fingerprint,
            run_as,
            effect,
            ceiling_rows,
            release: ReleaseRule::Hold,
            task,
            policy,
            quorum,
            not_by,
            nonce,
            not_after,
        })
    }
}
strict_parse!(Approval);

/// Opens a task with its scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenTask {
    /// Fingerprint of the guard's root.
    pub gateway: Digest,
    /// Task.
    pub task: TaskId,
    /// What the person asks for, in their words.
    pub title: String,
    /// The agent's name.
    pub agent: String,
    /// Target's name.
    pub target_name: String,
    /// Fingerprint of its registration.
    pub target_fingerprint: Digest,
    /// What type of task it is, e.g. `refunds`; none says nothing about it. At most 40 characters.
    pub task_type: Option<String>,
    /// What may be done.
    pub may: Vec<Allowance>,
    /// What may not be done, whoever signs it.
    pub never: Vec<Allowance>,
    /// Functions that reads without a signature may call.
    pub functions: Vec<String>,
    /// Most rows one run returns to the agent without a signature.
    pub rows_per_run: u64,
    /// Most rows of all such runs.
    pub rows_total: u64,
    /// True: reads inside the scope run without a signature, and their unlabelled columns are released.
    pub auto_reads: bool,
    /// One-time value.
    pub nonce: Nonce,
    /// The task's end.
    pub not_after: Timestamp,
}

impl OpenTask {
    /// First line.
    pub const FORM: &'static str = "wetink/task/v1";

    /// The exact text.
    pub fn to_text(&self) -> Result<String, StatementError> {
        let mut out = format!(
            "{}\ngateway: {}\ntask: {}\ntitle: {}\nagent: {}\ntarget: {} {}\n",
            Self::FORM,
            self.gateway,
            self.task,
            one_line(&self.title)?,
            one_line(&self.agent)?,
            one_line(&self.target_name)?,
            self.target_fingerprint
        );
        if self.title.chars().count() > TITLE_MAX {
            return Err(StatementError("a title has at most 200 characters"));
        }
        if self.may.is_empty() || self.may.len() > 200 || self.never.len() > 200 || self.functions.len() > 200 {
            return Err(StatementError("may"));
        }
        if let Some(name) = &self.task_type {
            if name.is_empty() || name.chars().count() > TYPE_MAX {
                return Err(StatementError("type"));
            }
            out += &format!("type: {}\n", one_line(name)?);
        }
        for allowance in &self.may {
            out += &format!("may: {}\n", one_line(&allowance.to_string())?);
        }
        for denied in &self.never {
            out += &format!("never: {}\n", one_line(&denied.to_string())?);
        }
        for function in &self.functions {
            out += &format!("function: {}\n", one_line(function)?);
        }
        let auto = if self.auto_reads { "reads" } else { "nothing" };
        out += &format!(
            "rows-per-run: {}\nrows-total: {}\nauto: {auto}\nnonce: {}\nnot-after: {}\n",
            self.rows_per_run, self.rows_total, self.nonce, self.not_after
        );
        Ok(out)
    }

    fn read(text: &str) -> Parsed<Self> {
        let mut lines = Lines::open(text, Self::FORM)?;
        let (gateway, task) = (lines.read("gateway")?, lines.read("task")?);
        let (title, agent) = (lines.field("title")?.to_owned(), lines.field("agent")?.to_owned());
        let (target_name, target_fingerprint) = named_digest("target", lines.field("target")?)?;
        let task_type = lines.maybe("type")?.map(str::to_owned);
        let (mut may, mut never, mut functions) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(allowance) = lines.maybe("may")? {
            may.push(allowance.parse().map_err(|_| StatementError("may"))?);
        }
        while let Some(denied) = lines.maybe("never")? {
            never.push(denied.parse().map_err(|_| StatementError("never"))?);
        }
        while let Some(function) = lines.maybe("function")? {
            functions.push(function.to_owned());
        }
        let rows_per_run = number("rows-per-run", lines.field("rows-per-run")?)?;
        let rows_total = number("rows-total", lines.field("rows-total")?)?;
        let auto_reads = match lines.field("auto")? {
            "reads" => true,
            "nothing" => false,
            _ => return Err(StatementError("auto")),
        };
        let (nonce, not_after) = (lines.read("nonce")?, lines.read("not-after")?);
        lines.end()?;
        Ok(Self {
            gateway,
            task,
            title,
            agent,
            target_name,
            target_fingerprint,
            task_type,
            may,
            never,
            functions,
            rows_per_run,
            rows_total,
            auto_reads,
            nonce,
            not_after,
        })
    }
}
strict_parse!(OpenTask);

/// The small grants: a first line, the gateway, a few fields, nonce and end.
macro_rules! grants {
    ($($(#[$doc:meta])* $name:ident $form:literal { $($(#[$fdoc:meta])* $field:ident $label:literal $type:ty;)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            /// Fingerprint of the guard's root.
            pub gateway: Digest,
            $($(#[$fdoc])* pub $field: $type,)*
            /// One-time value.
            pub nonce: Nonce,
            /// Last instant it may be used.
            pub not_after: Timestamp,
        }

        impl $name {
            /// First line.
            pub const FORM: &'static str = $form;

            /// The exact text.
            pub fn to_text(&self) -> Result<String, StatementError> {
                let mut out = format!("{}\ngateway: {}\n", Self::FORM, self.gateway);
                $(out += &format!("{}: {}\n", $label, one_line(&self.$field.to_string())?);)*
                out += &format!("nonce: {}\nnot-after: {}\n", self.nonce, self.not_after);
                Ok(out)
            }

            fn read(text: &str) -> Parsed<Self> {
                let mut lines = Lines::open(text, Self::FORM)?;
                let gateway = lines.read("gateway")?;
                $(let $field = lines.read($label)?;)*
                let (nonce, not_after) = (lines.read("nonce")?, lines.read("not-after")?);
                lines.end()?;
                Ok(Self { gateway, $($field,)* nonce, not_after })
            }
        }
        strict_parse!($name);
    )*};
}

grants! {
    /// Lets a key sign.
    GrantKey "wetink/key/v1" {
        /// The person.
        person "person" String;
        /// Public key, one line.
        key "key" String;
        /// Roles, joined by commas.
        roles "roles" String;
    }
    /// Ends a key.
    RevokeKey "wetink/revoke-key/v1" {
        /// Its fingerprint.
        fingerprint "key" Digest;
    }
    /// Registers a target. The registration travels beside.
    GrantTarget "wetink/target/v1" {
        /// Its name.
        name "target" String;
        /// Digest of the registration's canonical JSON.
        registration "registration" Digest;
    }
    /// Ends a task.
    CloseTask "wetink/close-task/v1" {
        /// The task.
        task "task" TaskId;
    }
    /// Puts a policy in force. Its text travels beside.
    SetPolicy "wetink/policy/v1" {
        /// Its name.
        name "name" String;
        /// Digest of its text.
        policy "policy" Digest;
    }
    /// Resumes what was stopped.
    Resume "wetink/resume/v1" {
        /// What was stopped.
        scope "scope" String;
    }
}

/// Any statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// Approves a run.
    Approval(Approval),
    /// Releases a part of a result.
    Release(Release),
    /// Lets a key sign.
    Key(GrantKey),
    /// Ends a key.
    RevokeKey(RevokeKey),
    /// Registers a target.
    Target(GrantTarget),
    /// Opens a task.
    Task(OpenTask),
    /// Ends a task.
    CloseTask(CloseTask),
    /// Puts a policy in force.
    Policy(SetPolicy),
    /// Resumes.
    Resume(Resume),
}

impl Statement {
    /// Reads any statement by its first line.
    pub fn parse(text: &str) -> Result<Self, StatementError> {
        match text.split('\n').next().unwrap_or_default() {
            Approval::FORM => Approval::parse(text).map(Self::Approval),
            Release::FORM => Release::parse(text).map(Self::Release),
            GrantKey::FORM => GrantKey::parse(text).map(Self::Key),
            RevokeKey::FORM => RevokeKey::parse(text).map(Self::RevokeKey),
            GrantTarget::FORM => GrantTarget::parse(text).map(Self::Target),
            OpenTask::FORM => OpenTask::parse(text).map(Self::Task),
            CloseTask::FORM => CloseTask::parse(text).map(Self::CloseTask),
            SetPolicy::FORM => SetPolicy::parse(text).map(Self::Policy),
            Resume::FORM => Resume::parse(text).map(Self::Resume),
            _ => Err(StatementError("an unknown first line")),
        }
    }

    /// Gateway, nonce and end, which every statement has.
    pub fn frame(&self) -> (Digest, &Nonce, Timestamp) {
        match self {
            Self::Approval(s) => (s.gateway, &s.nonce, s.not_after),
            Self::Release(s) => (s.gateway, &s.nonce, s.not_after),
            Self::Key(s) => (s.gateway, &s.nonce, s.not_after),
            Self::RevokeKey(s) => (s.gateway, &s.nonce, s.not_after),
            Self::Target(s) => (s.gateway, &s.nonce, s.not_after),
            Self::Task(s) => (s.gateway, &s.nonce, s.not_after),
            Self::CloseTask(s) => (s.gateway, &s.nonce, s.not_after),
            Self::Policy(s) => (s.gateway, &s.nonce, s.not_after),
            Self::Resume(s) => (s.gateway, &s.nonce, s.not_after),
        }
    }
}
