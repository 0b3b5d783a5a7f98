//! Servers of an existing `mcp.json` as targets: the commands that register them, for a person to read, complete and run. Which
//! tools may be called, and which of them only read, the file does not say.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::exit::{Exit, Failure};
use crate::person::Terminal;

/// Largest file that is read, in bytes.
const FILE_MAX: u64 = 1024 * 1024;

/// Prints one command for each server of the file.
pub(crate) fn run(terminal: &Terminal, file: &Path) -> Result<()> {
    let about = std::fs::metadata(file).with_context(|| format!("cannot read {}", file.display()))?;
    if about.len() > FILE_MAX {
        return Err(Failure::of(Exit::Usage, "the file is larger than 1 MiB"));
    }
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let lines = commands(&text).map_err(|why| Failure::of(Exit::Usage, why))?;
    terminal.print(&lines, || lines.join("\n"))
}

/// A word as a shell takes it.
fn word(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:=@%+,".contains(&b);
    if !text.is_empty() && text.bytes().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// Reads `mcpServers` (or `servers`, as some hosts call it). No value of an environment or a header is repeated.
fn commands(text: &str) -> std::result::Result<Vec<String>, String> {
    let json: Value = serde_json::from_str(text).map_err(|error| format!("the file is no JSON: {error}"))?;
    let servers = json.get("mcpServers").or_else(|| json.get("servers")).and_then(Value::as_object);
    let servers = servers.ok_or("the file has no `mcpServers`")?;
    let mut out = Vec::new();
    for (name, server) in servers {
        if artifact::visible(name) != *name || name.len() > 100 {
            return Err("a server's name holds hidden characters or is too long".to_owned());
        }
        let lower: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
            .take(40)
            .collect();
        out.push(format!("# {name}"));
        let text = |key: &str| server.get(key).and_then(Value::as_str);
        let mut line = format!("wetink target add {lower} ");
        let mut secrets: Vec<&String> = Vec::new();
        if let Some(url) = text("url").or_else(|| text("serverUrl")) {
            line += &word(&format!("mcp+{url}"));
            let headers = server.get("headers").and_then(Value::as_object);
            secrets.extend(headers.into_iter().flatten().map(|(header, _)| header));
            if let Some(header) = secrets.first() {
                let _ = write!(line, " --credential {lower} --credential-header {}", word(&header.to_lowercase()));
            }
        } else if let Some(program) = text("command") {
            let arguments = server.get("args").and_then(Value::as_array).into_iter().flatten();
            let arguments: Vec<&str> = arguments.filter_map(Value::as_str).collect();
            let whole = std::iter::once(program).chain(arguments.iter().copied()).collect::<Vec<_>>().join(" ");
            line += &word(&format!("mcp:{whole}"));
            if arguments.iter().any(|argument| argument.contains(char::is_whitespace)) {
                out.push(
                    "#   an argument has a blank in it, which an address cannot say; give it a path without one"
                        .to_owned(),
                );
            }
            if !program.starts_with('/') {
                out.push(format!(
                    "#   name `{}` by its whole path; npx and uvx load code when they run, so install it instead",
                    artifact::visible(program)
                ));
            }
            let environment = server.get("env").and_then(Value::as_object);
            secrets.extend(environment.into_iter().flatten().map(|(variable, _)| variable));
            if let Some(variable) = secrets.first() {
                let _ = write!(line, " --credential {lower} --credential-variable {}", word(variable));
            }
            line += " --reads FOLDER-OF-THE-PROGRAM";
        } else {
            out.push("#   it has neither a url nor a command".to_owned());
            continue;
        }
        if let Some(secret) = secrets.first() {
            out.push(format!(
                "wetink secret set {lower}    # the value of {}; then delete it from the file",
                artifact::visible(secret)
            ));
        }
        for more in secrets.iter().skip(1) {
            out.push(format!("#   {} is left out: a target has one credential", artifact::visible(more)));
        }
        out.push(format!("{line} --request \"ASK /TOOL-THAT-READS\" --request \"CALL /OTHER-TOOL\""));
    }
    if out.is_empty() {
        return Err("the file names no server".to_owned());
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_become_commands_without_their_secrets() {
        let file = r#"{"mcpServers": {
            "GitHub": {"command": "/usr/bin/node", "args": ["/opt/gh/index.js"], "env": {"GITHUB_TOKEN": "ghp_planted4711", "X": "planted"}},
            "loose": {"command": "npx", "args": ["-y", "some'thing; rm -rf /"]},
            "docs": {"url": "https://mcp.example/mcp", "headers": {"Authorization": "Bearer planted4712"}}}}"#;
        let text = commands(file).unwrap().join("\n");
        assert!(!text.contains("planted"), "{text}");
        for wanted in [
            "wetink target add github 'mcp:/usr/bin/node /opt/gh/index.js' --credential github --credential-variable GITHUB_TOKEN",
            "wetink secret set github ",
            "X is left out",
            "name `npx` by its whole path",
            r"'mcp:npx -y some'\''thing; rm -rf /'",
            "wetink target add docs mcp+https://mcp.example/mcp --credential docs --credential-header authorization",
        ] {
            assert!(text.contains(wanted), "{wanted}\n{text}");
        }
        for bad in ["", "[]", "{}", "{\"mcpServers\":{}}", "{\"mcpServers\":{\"a\u{202e}b\":{\"url\":\"x\"}}}"] {
            assert!(commands(bad).is_err(), "{bad}");
        }
    }
}
