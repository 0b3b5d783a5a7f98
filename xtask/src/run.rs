//! Starting other programs and finding the project's own folders.

use std::env;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a command of xtask gives back: nothing, or a sentence that says what to do.
pub(crate) type Outcome<T = ()> = Result<T, String>;

/// The workspace's root folder.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Cargo, the one that runs us where there is one.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// The words of a command as a person would type them.
pub(crate) fn spelled(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// Runs to the end with our own terminal and demands success.
pub(crate) fn run(command: &mut Command) -> Outcome {
    let status = command.status().map_err(|error| format!("`{}` did not start: {error}", spelled(command)))?;
    if status.success() { Ok(()) } else { Err(format!("`{}` failed: {status}", spelled(command))) }
}

/// Runs to the end with our own terminal and gives the exit code, 1 where a signal ended it.
pub(crate) fn exit_code(command: &mut Command) -> Outcome<u8> {
    let status = command.status().map_err(|error| format!("`{}` did not start: {error}", spelled(command)))?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// Runs to the end and gives what it printed. Its complaints go to our own terminal.
pub(crate) fn output(command: &mut Command) -> Outcome<String> {
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("`{}` did not start: {error}", spelled(command)))?;
    if !output.status.success() {
        return Err(format!("`{}` failed: {}", spelled(command), output.status));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("`{}` printed something else than UTF-8", spelled(command)))
}

/// Runs to the end, passing on each line as it comes and showing it to `see`. Says whether it succeeded.
pub(crate) fn stream(command: &mut Command, mut see: impl FnMut(&str)) -> Outcome<bool> {
    let name = spelled(command);
    let child = command.stdout(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| format!("`{name}` did not start: {error}"))?;
    if let Some(stdout) = child.stdout.take() {
        let mut lines = BufReader::new(stdout);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).map_err(|error| format!("`{name}`: {error}"))? > 0 {
            let text = String::from_utf8_lossy(&line);
            print!("{text}");
            see(text.trim_end());
            line.clear();
        }
    }
    Ok(child.wait().map_err(|error| format!("`{name}`: {error}"))?.success())
}

/// Whether a program answers on the search path.
pub(crate) fn on_path(program: impl AsRef<OsStr>) -> bool {
    let Some(path) = env::var_os("PATH") else { return false };
    env::split_paths(&path).any(|folder| folder.join(program.as_ref()).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_holds_the_workspace() {
        assert!(root().join("Cargo.lock").is_file());
    }

    #[test]
    fn a_failing_program_is_a_failure() {
        assert!(run(Command::new("false").current_dir(root())).is_err());
        assert!(run(&mut Command::new("no-such-program-anywhere")).unwrap_err().contains("did not start"));
        assert_eq!(exit_code(Command::new("sh").args(["-c", "exit 7"])), Ok(7));
    }

    #[test]
    fn lines_are_seen_as_they_come() {
        let mut seen = Vec::new();
        let done = stream(Command::new("sh").args(["-c", "echo one; printf two"]), |line| seen.push(line.to_owned()));
        assert_eq!((done, seen), (Ok(true), vec!["one".to_owned(), "two".to_owned()]));
    }
}
