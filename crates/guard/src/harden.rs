//! What the guard does to its own process before it opens anything.

use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};

/// What holds after [`harden`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hardened {
    /// No other process of the same user can read this one's memory or trace it, and it leaves no core file.
    pub not_dumpable: bool,
    /// No program it starts can gain rights by set-user-id files.
    pub no_new_privileges: bool,
    /// Core files are off.
    pub no_core: bool,
}

/// Makes this process unreadable to its neighbors. Called first, before a passphrase is read.
pub fn harden() -> Hardened {
    let not_dumpable = prctl::set_dumpable(false).is_ok() && prctl::get_dumpable() == Ok(false);
    let no_new_privileges = prctl::set_no_new_privs().is_ok();
    let no_core = setrlimit(Resource::RLIMIT_CORE, 0, 0).is_ok();
    Hardened { not_dumpable, no_new_privileges, no_core }
}

/// Ends this process when the one that started it ends, so that no guard is left behind without its supervisor. Nothing is
/// lost: whatever was acknowledged is durable.
pub fn end_with_parent() {
    let _ = prctl::set_pdeathsig(nix::sys::signal::Signal::SIGTERM);
}

impl Hardened {
    /// True if all of it holds.
    pub const fn all(self) -> bool {
        self.not_dumpable && self.no_new_privileges && self.no_core
    }
}
