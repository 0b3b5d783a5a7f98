//! `setup`: what a build or a test needs beyond Rust. Installs it by apt where it may; says what to do where it may not.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{Outcome, on_path, output, run};

/// Something a machine may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    /// A C compiler with the C library's headers.
    Compiler,
    /// libclang with clang's own headers.
    Libclang,
    /// `ssh-keygen` and `ssh-agent`.
    Ssh,
    /// A PostgreSQL server, 14 to 18.
    Postgres,
    /// A MariaDB server.
    Mariadb,
    /// Node with npm.
    Node,
    /// A Chromium that Playwright can drive.
    Chromium,
    /// An IMAP server.
    Dovecot,
    /// pip.
    Pip,
}

/// What it takes to build and to try the product.
pub(crate) const TO_DEMO: &[Tool] = &[Tool::Compiler, Tool::Libclang, Tool::Ssh];

/// What it takes to test everything.
pub(crate) const TO_TEST: &[Tool] = &[
    Tool::Compiler,
    Tool::Libclang,
    Tool::Ssh,
    Tool::Postgres,
    Tool::Mariadb,
    Tool::Node,
    Tool::Chromium,
    Tool::Dovecot,
    Tool::Pip,
];

impl Tool {
    fn name(self) -> &'static str {
        match self {
            Self::Compiler => "a C compiler",
            Self::Libclang => "libclang",
            Self::Ssh => "the OpenSSH client",
            Self::Postgres => "a PostgreSQL server (14 to 18)",
            Self::Mariadb => "a MariaDB server",
            Self::Node => "Node with npm",
            Self::Chromium => "Chromium",
            Self::Dovecot => "Dovecot's IMAP server",
            Self::Pip => "Python with pip",
        }
    }

    fn why(self) -> &'static str {
        match self {
            Self::Compiler => "SQLite, PostgreSQL's grammar and the cryptography are built from C",
            Self::Libclang => "bindgen reads the header of PostgreSQL's grammar with it",
            Self::Ssh => "people sign in the terminal with ssh-keygen and ssh-agent",
            Self::Postgres | Self::Mariadb | Self::Dovecot => {
                "tests run against a real server of their own, in a temporary folder"
            }
            Self::Node => "tests drive a browser and real agents' hosts with it",
            Self::Pip => "tests run against AWS as a package of PyPI has it",
            Self::Chromium => "the people's pages are tested in a real browser with a virtual passkey",
        }
    }

    /// Debian's and Ubuntu's packages, the same name in every release.
    fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Compiler => &["gcc", "libc6-dev"],
            Self::Libclang => &["libclang-dev"],
            Self::Ssh => &["openssh-client"],
            Self::Postgres => &["postgresql"],
            Self::Mariadb => &["mariadb-server"],
            Self::Node => &["nodejs", "npm"],
            Self::Chromium => &["chromium"],
            Self::Dovecot => &["dovecot-imapd"],
            Self::Pip => &["python3-pip"],
        }
    }

    fn present(self, host: &Host) -> bool {
        match self {
            Self::Compiler => {
                (host.program("cc") || host.chosen_compiler) && (host.has("usr/include/stdlib.h") || !host.debian)
            }
            Self::Libclang => host.libclang() && host.clang_headers(),
            Self::Ssh => host.program("ssh-keygen") && host.program("ssh-agent"),
            Self::Postgres => host.postgres() || (host.program("initdb") && host.program("postgres")),
            Self::Dovecot => host.has("usr/sbin/dovecot") && host.has("usr/lib/dovecot/imap"),
            Self::Mariadb => host.has("usr/sbin/mariadbd") && host.has("usr/bin/mariadb-install-db"),
            Self::Pip => host.program("python3") && host.program("pip3"),
            Self::Node => host.program("node") && host.program("npm"),
            Self::Chromium => {
                host.chosen_chromium
                    || ["chromium", "chromium-browser", "google-chrome"].iter().any(|p| host.program(p))
            }
        }
    }
}

/// Sees to it that the tools are there.
pub(crate) fn ensure(tools: &[Tool]) -> Outcome {
    let host = Host::here();
    let missing = tools.iter().copied().filter(|tool| !tool.present(&host)).collect::<Vec<_>>();
    if missing.is_empty() {
        return Ok(());
    }
    for tool in &missing {
        println!("setup: {} is missing ({})", tool.name(), tool.why());
    }
    let Some(rights) = Rights::of(&host) else {
        return Err(instructions(&missing, host.debian));
    };
    // An index that cannot be refreshed may still do; installing tells.
    if let Err(error) = run(&mut rights.apt(&["update", "--quiet"])) {
        println!("setup: {error}; going on with the package lists that are here");
    }
    let mut words = vec!["install", "--yes", "--no-install-recommends"];
    words.extend(missing.iter().flat_map(|tool| tool.packages()));
    run(&mut rights.apt(&words)).map_err(|error| format!("{error}\n{}", instructions(&missing, true)))?;
    let host = Host::here();
    let still = missing.into_iter().filter(|tool| !tool.present(&host)).collect::<Vec<_>>();
    if still.is_empty() {
        Ok(())
    } else {
        Err(format!("still missing after the installation\n{}", instructions(&still, true)))
    }
}

fn instructions(missing: &[Tool], debian: bool) -> String {
    let mut text = String::from("please install what is missing, then run this again:");
    for tool in missing {
        text.push_str("\n  ");
        text.push_str(tool.name());
        text.push_str(": ");
        text.push_str(tool.why());
    }
    if debian {
        let packages = missing.iter().flat_map(|tool| tool.packages()).copied().collect::<Vec<_>>();
        text.push_str("\n  sudo apt-get update && sudo apt-get install --no-install-recommends ");
        text.push_str(&packages.join(" "));
    } else {
        text.push_str("\n  by your system's package manager; set LIBCLANG_PATH if libclang lies in an unusual place");
    }
    text
}

/// How we may install.
enum Rights {
    Root,
    Sudo,
}

impl Rights {
    fn of(host: &Host) -> Option<Self> {
        if !host.debian {
            return None;
        }
        if output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0") {
            return Some(Self::Root);
        }
        // `-n` fails instead of asking for a password.
        let sudo =
            on_path("sudo") && Command::new("sudo").args(["-n", "true"]).output().is_ok_and(|out| out.status.success());
        sudo.then_some(Self::Sudo)
    }

    fn apt(&self, words: &[&str]) -> Command {
        let mut command = match self {
            Self::Root => Command::new("env"),
            Self::Sudo => {
                let mut command = Command::new("sudo");
                command.args(["-n", "env"]);
                command
            }
        };
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]).args(words);
        command
    }
}

/// The machine, or a folder that looks like one.
struct Host {
    root: PathBuf,
    path: Vec<PathBuf>,
    debian: bool,
    /// `CC` is set.
    chosen_compiler: bool,
    /// `WETINK_CHROMIUM` is set.
    chosen_chromium: bool,
    /// `LIBCLANG_PATH`: a file, or the folder it is in.
    chosen_libclang: Option<PathBuf>,
}

impl Host {
    fn here() -> Self {
        let path = env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default();
        Self {
            root: PathBuf::from("/"),
            path,
            debian: on_path("apt-get"),
            chosen_compiler: env::var_os("CC").is_some(),
            chosen_chromium: env::var_os("WETINK_CHROMIUM").is_some(),
            chosen_libclang: env::var_os("LIBCLANG_PATH").map(PathBuf::from),
        }
    }

    fn has(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    fn program(&self, name: &str) -> bool {
        self.path.iter().any(|folder| folder.join(name).is_file())
    }

    /// Looks where bindgen looks.
    fn libclang(&self) -> bool {
        let mut folders = vec![self.root.join("usr/lib64"), self.root.join("usr/lib"), self.root.join("usr/local/lib")];
        folders.extend(children(&self.root.join("usr/lib"), |name| name.ends_with("-linux-gnu")));
        folders
            .extend(children(&self.root.join("usr/lib"), |name| name.starts_with("llvm")).map(|llvm| llvm.join("lib")));
        folders.push(self.root.join("Library/Developer/CommandLineTools/usr/lib"));
        if let Some(chosen) = &self.chosen_libclang {
            if chosen.is_file() {
                return true;
            }
            folders.push(chosen.clone());
        }
        let library = |name: &str| {
            let stem = name.starts_with("libclang.") || name.starts_with("libclang-");
            stem && !name.starts_with("libclang-cpp") && name.split('.').any(|part| part == "so" || part == "dylib")
        };
        folders.iter().any(|folder| children(folder, library).next().is_some())
    }

    /// libclang alone does not know `stddef.h`; it comes with clang's own headers.
    fn clang_headers(&self) -> bool {
        let mut homes = children(&self.root.join("usr/lib"), |name| name.starts_with("llvm"))
            .map(|llvm| llvm.join("lib/clang"))
            .collect::<Vec<_>>();
        for home in [
            "usr/lib/clang",
            "usr/lib64/clang",
            "usr/local/lib/clang",
            "Library/Developer/CommandLineTools/usr/lib/clang",
        ] {
            homes.push(self.root.join(home));
        }
        let found = |home: &PathBuf| children(home, |_| true).any(|version| version.join("include/stddef.h").is_file());
        homes.iter().any(found) || self.chosen_libclang.is_some()
    }

    fn postgres(&self) -> bool {
        let server = |version: u32| {
            let bin = self.root.join(format!("usr/lib/postgresql/{version}/bin"));
            ["initdb", "postgres"].iter().all(|program| bin.join(program).is_file())
        };
        (14..=18).any(server)
    }
}

fn children(folder: &Path, wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = PathBuf> {
    let entries = folder.read_dir().into_iter().flatten().filter_map(Result::ok);
    entries.filter(move |entry| entry.file_name().to_str().is_some_and(&wanted)).map(|entry| entry.path())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A folder that looks like a machine, gone at the end of the test.
    struct Fake(Host);

    impl Fake {
        fn new(name: &str) -> Self {
            let root = env::temp_dir().join(format!("xtask-setup-{name}-{}", std::process::id()));
            let path = vec![root.join("usr/bin")];
            Self(Host {
                root,
                path,
                debian: true,
                chosen_compiler: false,
                chosen_chromium: false,
                chosen_libclang: None,
            })
        }

        fn add(&self, path: &str) {
            let path = self.0.root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
    }

    impl Drop for Fake {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0.root);
        }
    }

    #[test]
    fn a_bare_machine_lacks_everything() {
        let fake = Fake::new("bare");
        assert!(TO_TEST.iter().all(|tool| !tool.present(&fake.0)));
    }

    #[test]
    fn libclang_needs_its_headers() {
        let fake = Fake::new("clang");
        fake.add("usr/lib/llvm-14/lib/libclang-14.so.1");
        assert!(fake.0.libclang());
        assert!(!Tool::Libclang.present(&fake.0));
        fake.add("usr/lib/llvm-14/lib/clang/14.0.6/include/stddef.h");
        assert!(Tool::Libclang.present(&fake.0));
    }

    #[test]
    fn the_cpp_library_is_not_libclang() {
        let fake = Fake::new("cpp");
        fake.add("usr/lib/x86_64-linux-gnu/libclang-cpp.so.14");
        fake.add("usr/lib/x86_64-linux-gnu/libclangBasic.so");
        assert!(!fake.0.libclang());
    }

    #[test]
    fn a_chosen_libclang_counts() {
        let mut fake = Fake::new("chosen");
        fake.add("opt/clang/libclang.so");
        fake.0.chosen_libclang = Some(fake.0.root.join("opt/clang"));
        assert!(Tool::Libclang.present(&fake.0));
    }

    #[test]
    fn only_supported_servers_count() {
        let fake = Fake::new("postgres");
        for version in ["13", "19"] {
            fake.add(&format!("usr/lib/postgresql/{version}/bin/initdb"));
            fake.add(&format!("usr/lib/postgresql/{version}/bin/postgres"));
        }
        fake.add("usr/lib/postgresql/15/bin/psql");
        assert!(!Tool::Postgres.present(&fake.0));
        fake.add("usr/lib/postgresql/15/bin/initdb");
        fake.add("usr/lib/postgresql/15/bin/postgres");
        assert!(Tool::Postgres.present(&fake.0));
    }

    #[test]
    fn what_is_missing_is_said_with_the_command() {
        let text = instructions(&[Tool::Libclang, Tool::Ssh], true);
        assert!(text.contains("apt-get install --no-install-recommends libclang-dev openssh-client"), "{text}");
        assert!(!instructions(&[Tool::Libclang], false).contains("apt-get"));
    }
}
