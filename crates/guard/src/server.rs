//! The guard's sockets: who may connect, how much, how fast.

use std::io::{self, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use wire::frame::{self, FrameError, MAX_SOCKET_FRAME};
use wire::socket::{Answer, Refused, Request};

/// Which socket a request came in on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// The desk's: may append its own entries and carry claims.
    Desk,
    /// The operator's terminal: may also store secrets.
    Operator,
}

/// Something that answers requests.
pub trait Answerer: Send + Sync + 'static {
    /// Answers one request. Never panics on any input.
    fn answer(&self, door: Door, request: Request) -> Answer;
}

/// Most connections on one socket. The desk needs a handful.
const CONNECTIONS_MAX: usize = 64;
/// A peer that stops reading is cut off after this long.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Binds `path` (mode 0600 or 0660 for another user) and serves it on threads of its own, for peers with `uid` (and root).
pub fn listen(path: &Path, door: Door, uid: u32, answerer: Arc<dyn Answerer>) -> io::Result<()> {
    // A socket left by a guard that was killed is in the way; the ledger's lock says that no other guard lives.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    let own = nix::unistd::geteuid().as_raw();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(if uid == own { 0o600 } else { 0o660 }))?;
    if uid != own {
        nix::unistd::chown(path, None, Some(nix::unistd::Gid::from_raw(uid)))?;
    }
    std::thread::Builder::new()
        .name(format!("{door:?}-socket"))
        .spawn(move || accept(&listener, door, uid, &answerer))?;
    Ok(())
}

fn accept(listener: &UnixListener, door: Door, uid: u32, answerer: &Arc<dyn Answerer>) {
    let open = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        let Ok(stream) = stream else {
            std::thread::sleep(Duration::from_millis(50));
            continue;
        };
        if !peer_is(&stream, uid) || open.load(Ordering::Acquire) >= CONNECTIONS_MAX {
            continue;
        }
        open.fetch_add(1, Ordering::AcqRel);
        let (answerer, done) = (Arc::clone(answerer), Arc::clone(&open));
        let served = std::thread::Builder::new().name(format!("{door:?}-peer")).spawn(move || {
            serve(&stream, door, answerer.as_ref());
            done.fetch_sub(1, Ordering::AcqRel);
        });
        if served.is_err() {
            open.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

fn peer_is(stream: &UnixStream, uid: u32) -> bool {
    getsockopt(stream, PeerCredentials).is_ok_and(|peer| peer.uid() == uid || peer.uid() == 0)
}

fn serve(stream: &UnixStream, door: Door, answerer: &dyn Answerer) {
    if stream.set_write_timeout(Some(WRITE_TIMEOUT)).is_err() {
        return;
    }
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    loop {
        let answer = match frame::read::<Request>(&mut reader, MAX_SOCKET_FRAME) {
            Ok(request) => answerer.answer(door, request),
            // The stream is still in step after a whole frame that is not a request; after anything else it is not.
            Err(FrameError::Malformed(error)) => {
                Answer::Refused { code: Refused::Malformed, detail: error.to_string() }
            }
            Err(_) => return,
        };
        let sent = match frame::write(&mut writer, &answer, MAX_SOCKET_FRAME) {
            Err(FrameError::TooLarge { .. }) => {
                let refused = Answer::Refused {
                    code: Refused::Malformed,
                    detail: "the answer is larger than a frame; ask for less".into(),
                };
                frame::write(&mut writer, &refused, MAX_SOCKET_FRAME)
            }
            other => other,
        };
        if sent.is_err() {
            return;
        }
    }
}
