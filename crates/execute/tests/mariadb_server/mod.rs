//! A real MariaDB in a temporary place, on a Unix socket of its own.
#![allow(dead_code, reason = "each test program uses its own part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running server; stopped and removed when dropped.
pub struct Mariadb {
    root: PathBuf,
    server: Child,
}

/// Debian keeps the server out of the search path of ordinary users.
fn program(name: &str) -> Command {
    let found = ["/usr/sbin", "/usr/bin", "/usr/local/bin"].map(|dir| Path::new(dir).join(name));
    Command::new(
        found
            .into_iter()
            .find(|path| path.exists())
            .unwrap_or_else(|| panic!("no MariaDB server here ({name}); `cargo xtask setup` installs it")),
    )
}

impl Mariadb {
    pub fn start() -> Self {
        let root = std::env::temp_dir().join(format!("wetink-my-{}", artifact::RunId::random()));
        // A temporary folder of its own: a server that starts removes what others have in a shared one.
        let (data, temporary) = (root.join("data"), root.join("tmp"));
        std::fs::create_dir_all(&temporary).unwrap();
        let as_root = std::fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0);
        let user = if as_root { "--user=root" } else { "--skip-name-resolve" };
        let made = program("mariadb-install-db")
            .env("TMPDIR", &temporary)
            .args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", user])
            .arg(format!("--datadir={}", data.display()))
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let log = std::fs::File::create(root.join("log")).unwrap();
        let server = program("mariadbd")
            .env("TMPDIR", &temporary)
            .args([
                "--no-defaults",
                "--skip-networking",
                "--skip-name-resolve",
                "--innodb-flush-log-at-trx-commit=0",
                user,
            ])
            .args(["--innodb-buffer-pool-size=32M", "--lower-case-table-names=0", "--secure-file-priv="])
            .arg(format!("--datadir={}", data.display()))
            .arg(format!("--socket={}", root.join("sock").display()))
            .arg(format!("--pid-file={}", root.join("pid").display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut made = Self { root, server };
        let until = Instant::now() + Duration::from_mins(1);
        while !made.client("SELECT 1").output().unwrap().status.success() {
            assert!(made.server.try_wait().unwrap().is_none() && Instant::now() < until, "the server does not come up");
            std::thread::sleep(Duration::from_millis(50));
        }
        made.sql("CREATE DATABASE shop");
        made
    }

    /// The Unix socket.
    pub fn socket(&self) -> String {
        self.root.join("sock").to_str().unwrap().to_owned()
    }

    /// Path of a file of the server's.
    pub fn file(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn client(&self, sql: &str) -> Command {
        let mut command = program("mariadb");
        command.args([
            "--no-defaults",
            "--batch",
            "--skip-column-names",
            "--user=root",
            "--default-character-set=utf8mb4",
        ]);
        command.arg(format!("--socket={}", self.root.join("sock").display())).args(["-e", sql]);
        command.stdin(Stdio::null());
        command
    }

    /// Runs SQL as the superuser; answers tab-separated rows.
    pub fn sql(&self, sql: &str) -> String {
        let output = self.client(sql).output().unwrap();
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

impl Drop for Mariadb {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = std::fs::remove_dir_all(&self.root);
    }
}
