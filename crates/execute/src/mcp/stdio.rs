//! A program that speaks on its standard input and output, one message a line. It is started for one run and ended with it.
//!
//! It inherits what confines the executor: the system's programs and libraries, the registered files and ports, a folder of its
//! own for the run, no new rights.

use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio as Pipe;
use std::sync::OnceLock;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::Value as Json;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use wire::order::{FailCode, Report};
use wire::target::McpServer;

use super::{Heard, MESSAGE_MAX, Silence, heard, message};
use crate::child::failed;
use crate::secret::Secret;

/// How long a program may take to end by itself once its input is closed.
const END: Duration = Duration::from_millis(200);
/// Age at which a folder of a run belongs to no run any more.
const LEFT: Duration = Duration::from_hours(1);
/// Most messages that are read while waiting for one answer.
const MESSAGES_MAX: usize = 10_000;

/// The folder for the program's home and temporary files. Made before the executor is confined to it.
pub(crate) fn workplace() -> io::Result<&'static Path> {
    static PLACE: OnceLock<PathBuf> = OnceLock::new();
    if let Some(place) = PLACE.get() {
        // Taken away after a run; another one in this process is where no guard is.
        if !place.exists() {
            std::fs::DirBuilder::new().mode(0o700).create(place)?;
        }
        return Ok(place);
    }
    let uid = nix::unistd::getuid().as_raw();
    let all = std::env::temp_dir().join(format!("wetink-mcp-{uid}"));
    match std::fs::DirBuilder::new().mode(0o700).create(&all) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // Somebody else's folder of that name, or one that others may write, is none of ours.
    let about = std::fs::symlink_metadata(&all)?;
    if !about.is_dir() || about.uid() != uid || about.permissions().mode() & 0o077 != 0 {
        return Err(io::Error::other(format!("{} is not a private folder of this user", all.display())));
    }
    // What a killed executor left; no run takes as long.
    let old = |about: std::fs::Metadata| about.modified().ok()?.elapsed().ok().filter(|age| *age > LEFT);
    for left in std::fs::read_dir(&all)?.flatten().filter(|left| left.metadata().ok().and_then(old).is_some()) {
        let _ = std::fs::remove_dir_all(left.path());
    }
    let place = all.join(artifact::RunId::random().to_string());
    std::fs::DirBuilder::new().mode(0o700).create(&place)?;
    Ok(PLACE.get_or_init(|| place))
}

pub(super) struct Stdio {
    child: Child,
    /// Everything that it starts is of this group, unless it leaves it.
    group: Pid,
    /// None once it is told that there is no more.
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
    next: u64,
}

impl Stdio {
    pub(super) fn start(server: &McpServer, secret: &Secret) -> Result<Self, Report> {
        let McpServer::Stdio { command, credential_variable, .. } = server else {
            return Err(failed(FailCode::BadOrder, "the server is no program"));
        };
        let unreachable =
            |error: io::Error| failed(FailCode::TargetUnreachable, &format!("the program cannot be started: {error}"));
        let (program, arguments) =
            command.split_first().ok_or_else(|| failed(FailCode::BadOrder, "the server has no program"))?;
        let place = workplace().map_err(unreachable)?;
        let beside = Path::new(program).parent().unwrap_or(Path::new("/usr/bin")).display();
        let mut start = Command::new(program);
        start
            .args(arguments)
            .env_clear()
            .env("PATH", format!("{beside}:/usr/local/bin:/usr/bin:/bin"))
            .env("HOME", place)
            .env("TMPDIR", place)
            .env("LANG", "C.UTF-8")
            .current_dir(place)
            .stdin(Pipe::piped())
            .stdout(Pipe::piped())
            // What it complains about may hold anything.
            .stderr(Pipe::null())
            .process_group(0)
            .kill_on_drop(true);
        match (credential_variable, &secret.value) {
            (Some(name), Some(value)) => _ = start.env(name, value),
            (None, Some(_)) => {
                return Err(failed(FailCode::BadOrder, "the registration names no variable for the credential"));
            }
            (_, None) => {}
        }
        let mut child = start.spawn().map_err(unreachable)?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        let (Some(to), Some(from), Some(group)) = (child.stdin.take(), child.stdout.take(), group) else {
            return Err(failed(FailCode::TargetUnreachable, "the program has no input and output"));
        };
        Ok(Self { child, group, to: Some(to), from: BufReader::new(from), next: 0 })
    }

    pub(super) async fn ask(&mut self, method: &str, params: &str) -> Result<Json, Silence> {
        self.next += 1;
        let id = self.next;
        self.send(&message(Some(id), method, params)).await?;
        for _ in 0..MESSAGES_MAX {
            let mut line = Vec::new();
            let limit = MESSAGE_MAX as u64 + 1;
            let read = (&mut self.from).take(limit).read_until(b'\n', &mut line).await;
            match read {
                Ok(0) => return Err(Silence::Lost("the program ended".to_owned())),
                Ok(_) if line.len() > MESSAGE_MAX => return Err(Silence::Lost("a message is too long".to_owned())),
                Ok(_) => {}
                Err(error) => return Err(Silence::Lost(error.to_string())),
            }
            // Some programs greet on their output; that is nobody's message.
            let Ok(said) = serde_json::from_slice::<Json>(&line) else { continue };
            match heard(&said, id) {
                Heard::Answer(answer) => return answer,
                Heard::Question(reply) => self.send(&reply).await?,
                Heard::Other => {}
            }
        }
        Err(Silence::Lost("the program talks without an answer".to_owned()))
    }

    pub(super) async fn tell(&mut self, method: &str) -> Result<(), Silence> {
        self.send(&message(None, method, "{}")).await
    }

    async fn send(&mut self, text: &str) -> Result<(), Silence> {
        let line = format!("{text}\n");
        let lost = |error: io::Error| Silence::Lost(format!("the program does not listen: {error}"));
        let to = self.to.as_mut().ok_or_else(|| Silence::Lost("the program was told to end".to_owned()))?;
        to.write_all(line.as_bytes()).await.map_err(lost)?;
        to.flush().await.map_err(lost)
    }

    /// Lets it end by itself, and takes everything away.
    pub(super) async fn stop(mut self) {
        self.to = None;
        let _ = tokio::time::timeout(END, self.child.wait()).await;
    }
}

impl Drop for Stdio {
    /// Ends it with everything that it started, and takes its folder away.
    fn drop(&mut self) {
        let _ = killpg(self.group, Signal::SIGKILL);
        if let Ok(place) = workplace() {
            let _ = std::fs::remove_dir_all(place);
        }
    }
}
