//! A real PostgreSQL in a temporary place, on a Unix socket of its own.
#![allow(dead_code, reason = "each test program uses its own part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A running server; stopped and removed when dropped.
pub struct Server {
    root: PathBuf,
    bin: PathBuf,
}

/// The server programs to use: those of `WETINK_POSTGRESQL_BIN`, so that another version can be tried, else the newest ones of
/// this machine.
fn programs() -> PathBuf {
    std::env::var_os("WETINK_POSTGRESQL_BIN").map_or_else(packaged, PathBuf::from)
}

/// The newest server programs on this machine.
fn packaged() -> PathBuf {
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|dir| {
            dir.filter_map(Result::ok)
                .filter_map(|e| Some((e.file_name().to_str()?.parse().ok()?, e.path().join("bin"))))
                .collect()
        })
        .unwrap_or_default();
    found.retain(|(_, bin)| bin.join("initdb").exists());
    found.sort();
    found.pop().expect("no PostgreSQL server here; `cargo xtask setup` installs it").1
}

/// The server refuses to run as root, so as root it runs as the packaged user.
fn command(bin: &Path, program: &str) -> Command {
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0);
    let path = bin.join(program);
    if is_root {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(path);
        command
    } else {
        Command::new(path)
    }
}

impl Server {
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// Starts with more options, `-c name=value` each.
    pub fn start_with(more: &str) -> Self {
        let bin = programs();
        let root = std::env::temp_dir().join(format!("wetink-pg-{}", artifact::RunId::random()));
        std::fs::create_dir(&root).unwrap();
        std::fs::set_permissions(&root, std::fs::Permissions::from_mode(0o777)).unwrap();
        let run = |command: &mut Command| {
            let output = command.current_dir("/").stdin(Stdio::null()).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        };
        let data = root.join("data");
        run(command(&bin, "initdb").args(["-A", "trust", "-U", "boss", "-E", "UTF8", "--no-sync", "-D"]).arg(&data));
        let options =
            format!("-c listen_addresses='' -c unix_socket_directories='{}' -c fsync=off {more}", root.display());
        let log = root.join("log");
        run(command(&bin, "pg_ctl")
            .args(["-w", "-s", "-D"])
            .arg(&data)
            .arg("-l")
            .arg(&log)
            .arg("-o")
            .arg(options)
            .arg("start")
            .stdout(Stdio::null()));
        Self { root, bin }
    }

    /// Replaces the rules by which the server lets clients in (pg_hba.conf).
    pub fn let_in(&self, rules: &str) {
        std::fs::write(self.root.join("data/pg_hba.conf"), rules).unwrap();
        self.sql("SELECT pg_reload_conf()");
        std::thread::sleep(std::time::Duration::from_millis(200));
    }

    /// Folder of the Unix socket.
    pub fn socket(&self) -> String {
        self.root.to_str().unwrap().to_owned()
    }

    /// Runs SQL as the superuser; answers unaligned rows.
    pub fn sql(&self, sql: &str) -> String {
        // A folder of another version may have the server only.
        let own = self.bin.join("psql");
        let output = Command::new(if own.exists() { own } else { packaged().join("psql") })
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "boss", "-h"])
            .arg(&self.root)
            .args(["-d", "postgres", "-c", sql])
            .output()
            .unwrap();
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = command(&self.bin, "pg_ctl")
            .args(["-s", "-m", "immediate", "-D"])
            .arg(self.root.join("data"))
            .arg("stop")
            .output();
        let _ = std::fs::remove_dir_all(&self.root);
    }
}
