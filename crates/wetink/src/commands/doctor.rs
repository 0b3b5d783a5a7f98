//! What holds on this machine and what does not, and which ways around the gateway are left. The gateway protects only what
//! an agent cannot reach some other way.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Serialize;

use crate::exit::{Exit, Failure};
use crate::home::Home;
use crate::person::Terminal;
use crate::up;

/// Files that are looked into, at most this large.
const FILE_MAX: u64 = 1024 * 1024;

#[derive(Serialize)]
struct Line {
    good: bool,
    /// A way around the gateway, rather than something that does not hold.
    bypass: bool,
    text: String,
    fix: Option<String>,
}

/// Looks, prints, and fails with exit code 7 while a way around is left.
pub(crate) fn run(terminal: &Terminal, home: &Home, folder: &Path) -> Result<()> {
    let mut lines = vec![];
    let confined = execute::probe();
    let mut holds = |good: bool, yes: &str, no: &str| {
        let text = if good { yes } else { no };
        lines.push(Line { good, bypass: false, text: text.to_owned(), fix: None });
    };
    holds(
        confined.landlock,
        "executors see only their target's files and port (Landlock)",
        "this kernel has no Landlock: executors can read what you can read",
    );
    holds(
        confined.seccomp,
        "executors cannot start programs (seccomp)",
        "this kernel has no seccomp: executors refuse to run",
    );
    holds(up::socket_exists(&home.operator_socket()), "a guard has its sockets here", "no guard runs here (wetink up)");
    if up::is_set_up(home) {
        let key_file = home.guard().join("key").exists();
        holds(
            !key_file,
            "the vault is sealed by a passphrase",
            "the vault's key lies in a file: whatever runs as you can open it (use --passphrase-file at set-up)",
        );
    }
    for path in candidates(folder) {
        for (number, what) in credentials_in(&path) {
            lines.push(Line {
                good: false,
                bypass: true,
                text: format!("{}:{number} {what}", path.display()),
                fix: Some(
                    "store it with `wetink secret set` and delete it here; agents read what you can read".to_owned(),
                ),
            });
        }
    }
    let bypasses = lines.iter().filter(|l| l.bypass).count();
    terminal.print(&lines, || {
        let mut text = String::new();
        for line in &lines {
            text += &format!("{} {}\n", if line.good { "ok  " } else { "FAIL" }, artifact::visible(&line.text));
            if let Some(fix) = &line.fix {
                text += &format!("     fix: {fix}\n");
            }
        }
        text + &format!("{bypasses} ways around the gateway found. This looks in usual places; it cannot prove that there are no others.\n")
    })?;
    if bypasses > 0 {
        Err(Failure::of(Exit::Bypass, "an agent can still reach a target without the gateway"))
    } else {
        Ok(())
    }
}

/// Usual places of credentials: the folder's own files and the home folder's.
fn candidates(folder: &Path) -> Vec<PathBuf> {
    let in_folder = [
        ".env",
        ".env.local",
        ".env.production",
        ".mcp.json",
        "docker-compose.yml",
        "compose.yaml",
        ".cursor/mcp.json",
        ".vscode/mcp.json",
    ];
    let in_home = [
        ".pgpass",
        ".my.cnf",
        ".aws/credentials",
        ".bashrc",
        ".zshrc",
        ".profile",
        ".netrc",
        ".cursor/mcp.json",
        ".codex/config.toml",
        ".claude.json",
    ];
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let mut paths: Vec<PathBuf> = in_folder.iter().map(|name| folder.join(name)).collect();
    paths.extend(home.iter().flat_map(|home| in_home.iter().map(|name| home.join(name))));
    paths.retain(|path| path.is_file());
    paths
}

/// Lines that hold a credential of a database or a cloud, by their form. The value is never shown.
fn credentials_in(path: &Path) -> Vec<(usize, &'static str)> {
    let small = std::fs::metadata(path).is_ok_and(|meta| meta.len() <= FILE_MAX);
    let Some(text) = Some(path).filter(|_| small).and_then(|p| std::fs::read_to_string(p).ok()) else {
        return Vec::new();
    };
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let lower = line.trim().to_lowercase();
        if lower.starts_with('#') {
            continue;
        }
        let what = if has_password_in_url(&lower) {
            "holds a database address with a password"
        } else if name == ".pgpass" && lower.matches(':').count() >= 4 {
            "holds a PostgreSQL password"
        } else if ["password=", "pgpassword=", "mysql_pwd=", "aws_secret_access_key"].iter().any(|k| lower.contains(k))
            && !lower.ends_with('=')
        {
            "holds a password or key"
        } else {
            continue;
        };
        found.push((number, what));
    }
    found
}

fn has_password_in_url(line: &str) -> bool {
    ["postgres://", "postgresql://", "mysql://", "mariadb://"].iter().any(|scheme| {
        line.split(scheme).skip(1).any(|rest| {
            let authority = rest.split(['/', '"', '\'', ' ']).next().unwrap_or_default();
            authority
                .rsplit_once('@')
                .is_some_and(|(user, _)| user.split_once(':').is_some_and(|(_, password)| !password.is_empty()))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_planted_credentials_and_nothing_else() {
        let dir = std::env::temp_dir().join(format!("wetink-doctor-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join(".env"), "# DATABASE_URL=postgres://a:b@h/d\nA=1\nDATABASE_URL=postgres://app:pw@db/shop\nURL=postgres://app@db/shop\nPASSWORD=\n").unwrap();
        let found = credentials_in(&dir.join(".env"));
        std::fs::remove_dir_all(&dir).unwrap();
        assert_eq!(found, [(3, "holds a database address with a password")]);
    }
}
