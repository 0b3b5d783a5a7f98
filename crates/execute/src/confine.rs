//! What the child gives up. First at start, the rest when it knows its target and before it meets it.

use std::collections::BTreeMap;
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope,
};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use wire::origin::{self, Origin};
use wire::target::{Address, McpServer};

use crate::mcp;

/// What confines an executor on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confinement {
    /// The kernel restricts files and ports (Landlock).
    pub landlock: bool,
    /// The kernel refuses dangerous system calls (seccomp).
    pub seccomp: bool,
}

/// Memory a child may map, in bytes.
const MEMORY_MAX: u64 = 2 * 1024 * 1024 * 1024;
/// What looking up a name and verifying a certificate reads.
const LOOKED_UP: [&str; 6] = [
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/ssl",
    "/usr/share/ca-certificates",
    "/run/systemd/resolve",
];

/// Where a system keeps its programs, their libraries and what they look up. Nothing that only root may read is among it.
const SYSTEM: [&str; 23] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
    "/opt",
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/group",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/passwd",
    "/etc/pki",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/run/systemd/resolve",
];

/// `fchmodat2`, the same number on every architecture since Linux 6.6.
const FCHMODAT2: i64 = 452;

/// Open files.
const FILES_MAX: u64 = 64;

/// At start, before the order: dies with the guard, leaves no core, gains no rights.
pub(crate) fn first() {
    let _ = prctl::set_pdeathsig(Signal::SIGKILL);
    let _ = prctl::set_dumpable(false);
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
}

/// Whether the connector starts a program of the registration.
const fn starts(address: &Address) -> bool {
    matches!(address, Address::Mcp { server: McpServer::Stdio { .. }, .. })
}

/// Whether this child may end by itself when the guard is gone, since it has something to take back; else it ends with the guard.
pub(crate) fn outlive(guard: bool) {
    let _ = prctl::set_pdeathsig(if guard { None } else { Some(Signal::SIGKILL) });
}

/// With the target known: only its files or its port, and no way to start another program than the registered one.
///
/// Landlock is best effort, since older kernels lack it; no-new-privileges and seccomp are not.
pub(crate) fn second(address: &Address) -> Result<Confinement, String> {
    prctl::set_no_new_privs().map_err(|error| format!("no-new-privileges cannot be set: {error}"))?;
    // Runtimes of other languages reserve more memory than they use.
    let files = if starts(address) { 8 * FILES_MAX } else { FILES_MAX };
    let _ = setrlimit(Resource::RLIMIT_NOFILE, files, files);
    if !starts(address) {
        let _ = setrlimit(Resource::RLIMIT_AS, MEMORY_MAX, MEMORY_MAX);
    }
    let place = if starts(address) {
        Some(mcp::workplace().map_err(|error| format!("there is no folder for the program: {error}"))?)
    } else {
        None
    };
    let landlock = restrict_files(address, place).unwrap_or(false);
    if starts(address) && !landlock {
        return Err("this kernel cannot confine a program to its files (no Landlock)".to_owned());
    }
    let connects = matches!(address, Address::Mcp { server: McpServer::Stdio { ports, .. }, .. } if !ports.is_empty());
    if connects && !holds_ports() {
        return Err("this kernel cannot confine a program to its ports (Linux 6.7 can)".to_owned());
    }
    let program = filter(address).map_err(|error| format!("the system call filter cannot be built: {error}"))?;
    seccompiler::apply_filter(&program)
        .map_err(|error| format!("the system call filter cannot be installed: {error}"))?;
    Ok(Confinement { landlock, seccomp: true })
}

/// Whether Landlock knows of ports.
fn holds_ports() -> bool {
    let rules = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    rules.handle_access(AccessNet::from_all(ABI::V4)).and_then(Ruleset::create).is_ok()
}

/// What would hold here, found out without confining this process.
pub fn probe() -> Confinement {
    let landlock = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))
        .and_then(Ruleset::create)
        .is_ok();
    Confinement { landlock, seccomp: Path::new("/proc/sys/kernel/seccomp").exists() }
}

fn restrict_files(address: &Address, place: Option<&Path>) -> Result<bool, landlock::RulesetError> {
    let abi = ABI::V6;
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))?
        .handle_access(AccessNet::from_all(abi))?
        .scope(Scope::from_all(abi))?
        .create()?;
    let mut allow = |path: &Path, access: BitFlags<AccessFs>| -> Result<(), landlock::RulesetError> {
        // A path that is not there needs no rule.
        if let Ok(fd) = PathFd::new(path) {
            (&mut rules).add_rule(PathBeneath::new(fd, access))?;
        }
        Ok(())
    };
    if let Address::Http { openapi: Some(description), .. } = address {
        allow(Path::new(description), AccessFs::ReadFile.into())?;
    }
    match address {
        // SQLite makes its journal beside the file, so the folder is what it needs.
        Address::Sqlite { path } => {
            let folder = Path::new(path).parent().unwrap_or(Path::new("/"));
            allow(folder, AccessFs::from_all(abi) & !AccessFs::Execute)?;
        }
        Address::Mcp { server: McpServer::Stdio { command, reads, writes, ports, .. }, .. } => {
            let (run, write) = (AccessFs::from_read(abi), AccessFs::from_all(abi));
            for path in SYSTEM.into_iter().map(Path::new).chain(reads.iter().map(Path::new)) {
                allow(path, run)?;
            }
            if let Some(program) = command.first() {
                allow(Path::new(program), AccessFs::ReadFile | AccessFs::Execute)?;
            }
            for path in writes {
                allow(Path::new(path), write)?;
            }
            for device in ["/dev/null", "/dev/zero", "/dev/urandom", "/dev/random"] {
                allow(Path::new(device), AccessFs::ReadFile | AccessFs::WriteFile)?;
            }
            if let Some(place) = place {
                allow(place, write)?;
                // So that the folder can go when it is empty.
                allow(place.parent().unwrap_or(place), AccessFs::RemoveDir.into())?;
            }
            for port in ports {
                (&mut rules).add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
            }
        }
        Address::Http { origin, ca_file, .. }
        | Address::Mcp { server: McpServer::Http { origin, ca_file, .. }, .. } => {
            for file in LOOKED_UP {
                allow(Path::new(file), AccessFs::from_read(abi) & !AccessFs::Execute)?;
            }
            if let Some(file) = ca_file {
                allow(Path::new(file), AccessFs::ReadFile.into())?;
            }
            if let Some(origin) = Origin::read(origin) {
                (&mut rules).add_rule(NetPort::new(origin.port, AccessNet::ConnectTcp))?;
            }
        }
        Address::Mail { imap, smtp, ca_file, .. } => {
            for file in LOOKED_UP {
                allow(Path::new(file), AccessFs::from_read(abi) & !AccessFs::Execute)?;
            }
            if let Some(file) = ca_file {
                allow(Path::new(file), AccessFs::ReadFile.into())?;
            }
            for server in [Some(imap), smtp.as_ref()].into_iter().flatten() {
                if let Some((origin, _)) = origin::mail_server(server) {
                    (&mut rules).add_rule(NetPort::new(origin.port, AccessNet::ConnectTcp))?;
                }
            }
        }
        Address::Postgresql { host, port, ca_file, .. } | Address::Mariadb { host, port, ca_file, .. } => {
            for file in LOOKED_UP {
                allow(Path::new(file), AccessFs::from_read(abi) & !AccessFs::Execute)?;
            }
            if let Some(file) = ca_file {
                allow(Path::new(file), AccessFs::ReadFile.into())?;
            }
            if host.starts_with('/') {
                // A folder of sockets, or a socket in one.
                let host = Path::new(host);
                let folder = if host.is_dir() { host } else { host.parent().unwrap_or(host) };
                allow(folder, AccessFs::from_all(abi) & !AccessFs::Execute)?;
            }
            (&mut rules).add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
        }
    }
    Ok(rules.restrict_self()?.ruleset != RulesetStatus::NotEnforced)
}

/// Refuses what no connector needs: starting programs (but where the registration names one), tracing, mounting, modules, keys,
/// listening.
fn filter(address: &Address) -> Result<BpfProgram, seccompiler::BackendError> {
    let starts = starts(address);
    let starting = [nix::libc::SYS_execve, nix::libc::SYS_execveat];
    let refused = [
        nix::libc::SYS_ptrace,
        nix::libc::SYS_process_vm_readv,
        nix::libc::SYS_process_vm_writev,
        nix::libc::SYS_pidfd_getfd,
        nix::libc::SYS_mount,
        nix::libc::SYS_umount2,
        nix::libc::SYS_pivot_root,
        nix::libc::SYS_chroot,
        nix::libc::SYS_bpf,
        nix::libc::SYS_keyctl,
        nix::libc::SYS_add_key,
        nix::libc::SYS_request_key,
        nix::libc::SYS_init_module,
        nix::libc::SYS_finit_module,
        nix::libc::SYS_kexec_load,
        nix::libc::SYS_perf_event_open,
        nix::libc::SYS_userfaultfd,
        nix::libc::SYS_unshare,
        nix::libc::SYS_setns,
        nix::libc::SYS_open_by_handle_at,
        nix::libc::SYS_io_uring_setup,
        nix::libc::SYS_listen,
        nix::libc::SYS_accept,
        nix::libc::SYS_accept4,
        nix::libc::SYS_bind,
        nix::libc::SYS_reboot,
        nix::libc::SYS_swapon,
        nix::libc::SYS_setuid,
        nix::libc::SYS_setgid,
    ];
    // Landlock has no rule for who may change a file's mode, owner or attributes, and an old one none for cutting it off: what a
    // program may do by a path, it could do to the guard's own files.
    let by_path = [
        nix::libc::SYS_fchmodat,
        nix::libc::SYS_fchownat,
        nix::libc::SYS_setxattr,
        nix::libc::SYS_lsetxattr,
        nix::libc::SYS_removexattr,
        nix::libc::SYS_lremovexattr,
        nix::libc::SYS_truncate,
        FCHMODAT2,
    ];
    #[cfg(target_arch = "x86_64")]
    let old_by_path = [nix::libc::SYS_chmod, nix::libc::SYS_chown, nix::libc::SYS_lchown];
    #[cfg(not(target_arch = "x86_64"))]
    let old_by_path: [i64; 0] = [];
    let refused = refused
        .into_iter()
        .chain(starting.into_iter().filter(|_| !starts))
        .chain(by_path.into_iter().chain(old_by_path).filter(|_| starts));
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = refused.map(|call| (call, vec![])).collect();
    // Sockets of other families than Unix, IPv4 and IPv6. A program that is started gets none but those of its ports: a Unix
    // socket's path is no matter of Landlock's, and behind some of them is the guard.
    let other = |family: i32| {
        SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, u64::from(family.unsigned_abs()))
    };
    let families: &[i32] = match address {
        Address::Mcp { server: McpServer::Stdio { ports, .. }, .. } if ports.is_empty() => &[],
        Address::Mcp { server: McpServer::Stdio { .. }, .. } => &[nix::libc::AF_INET, nix::libc::AF_INET6],
        _ => &[nix::libc::AF_UNIX, nix::libc::AF_INET, nix::libc::AF_INET6],
    };
    let families = families.iter().copied().map(other).collect::<Result<Vec<_>, _>>()?;
    // No condition: none at all.
    let sockets = if families.is_empty() { vec![] } else { vec![SeccompRule::new(families)?] };
    rules.insert(nix::libc::SYS_socket, sockets);
    let arch = std::env::consts::ARCH.try_into()?;
    let errno = u32::try_from(nix::libc::EPERM).unwrap_or(1);
    SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(errno), arch)?.try_into()
}
