//! Opening tasks, by themselves or after the example of a type.

use std::path::Path;

use anyhow::{Context as _, Result};
use clap::Args;
use doors::people::GrantRequest;
use serde::Deserialize;

use crate::exit::{Exit, Failure};
use crate::home::Home;

#[derive(Args)]
pub(crate) struct New {
    /// What you ask for, in your words.
    title: String,
    /// The agent's name.
    #[arg(long)]
    agent: String,
    /// Target's name.
    #[arg(long)]
    target: String,
    /// What type of task it is. Policies may name it, and what `desk/task-types/TYPE.toml` says is what it may and may never do.
    #[arg(long = "type", value_name = "TYPE")]
    task_type: Option<String>,
    /// What it may do, e.g. "read main.orders(id,status)"; repeatable.
    #[arg(long)]
    may: Vec<String>,
    /// What it may not do, whoever signs it, e.g. "delete main.orders"; repeatable.
    #[arg(long)]
    never: Vec<String>,
    /// Functions that reads may call, e.g. count; repeatable.
    #[arg(long)]
    function: Vec<String>,
    /// Most rows of one run (500 unless the type says otherwise).
    #[arg(long)]
    rows_per_run: Option<u64>,
    /// Most rows of all runs that need no signature of their own (5,000 unless the type says otherwise).
    #[arg(long)]
    rows_total: Option<u64>,
    /// Reads inside the scope run and are released without a further signature.
    #[arg(long)]
    auto_reads: bool,
    /// Minutes until it ends (240 unless the type says otherwise).
    #[arg(long)]
    minutes: Option<u32>,
}

/// What tasks of a type have in common.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Type {
    may: Vec<String>,
    never: Vec<String>,
    functions: Vec<String>,
    rows_per_run: Option<u64>,
    rows_total: Option<u64>,
    auto_reads: bool,
    minutes: Option<u32>,
}

impl Type {
    fn read(folder: &Path, name: &str) -> Result<Self> {
        let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if name.is_empty() || name.len() > 40 || !name.chars().all(known) {
            let sentence = "a type of task has 1 to 40 lowercase letters, digits, `-` or `_`";
            return Err(Failure::of(Exit::Usage, sentence.to_owned()));
        }
        let file = folder.join(format!("{name}.toml"));
        match std::fs::read_to_string(&file) {
            Ok(text) => toml::from_str(&text)
                .map_err(|error| Failure::of(Exit::Usage, format!("{}: {}", file.display(), error.message()))),
            // A name for policies alone.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| file.display().to_string()),
        }
    }
}

impl New {
    /// The request, with what its type adds.
    pub(crate) fn request(self, home: &Home) -> Result<GrantRequest> {
        let of_type = match &self.task_type {
            Some(name) => Type::read(&home.task_types(), name)?,
            None => Type::default(),
        };
        let with = |mut own: Vec<String>, more: Vec<String>| {
            own.extend(more.into_iter().filter(|line| !own.contains(line)).collect::<Vec<_>>());
            own
        };
        let may = with(self.may, of_type.may);
        if may.is_empty() {
            let sentence = "a task says what it may do: --may \"read main.orders(id,status)\", or a --type that does";
            return Err(Failure::of(Exit::Usage, sentence.to_owned()));
        }
        Ok(GrantRequest::Task {
            title: self.title,
            agent: self.agent,
            target: self.target,
            task_type: self.task_type,
            may,
            never: with(self.never, of_type.never),
            functions: with(self.function, of_type.functions),
            rows_per_run: self.rows_per_run.or(of_type.rows_per_run).unwrap_or(500),
            rows_total: self.rows_total.or(of_type.rows_total).unwrap_or(5_000),
            auto_reads: self.auto_reads || of_type.auto_reads,
            minutes: self.minutes.or(of_type.minutes).unwrap_or(240),
        })
    }
}
