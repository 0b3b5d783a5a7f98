//! Programs of others, where this machine has them.

use std::process::Command;

use anyhow::{Context as _, Result};

const SQLGLOT: &str = "
import sys, time
try:
    import sqlglot
except ImportError:
    sys.exit(3)
sql = sys.argv[1]
sqlglot.parse_one(sql, read='postgres')
start, n = time.perf_counter(), 0
while time.perf_counter() - start < 0.5:
    sqlglot.parse_one(sql, read='postgres')
    n += 1
print((time.perf_counter() - start) / n * 1e9)
";

/// Nanoseconds of sqlglot's parse of this statement, without any analysis; none if it is not installed.
pub(crate) fn sqlglot(sql: &str) -> Result<Option<f64>> {
    let Ok(output) = Command::new("python3").args(["-c", SQLGLOT, sql]).output() else { return Ok(None) };
    if output.status.code() == Some(3) {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let nanos = text.trim().parse().with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    Ok(Some(nanos))
}

const PRESIDIO: &str = "
import sys, time
try:
    import spacy
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import SpacyNlpEngine
except ImportError:
    sys.exit(3)
class Blank(SpacyNlpEngine):
    def __init__(self):
        super().__init__(models=[{'lang_code': 'en', 'model_name': 'blank'}])
        self.nlp = {'en': spacy.blank('en')}
    def load(self):
        pass
    def is_loaded(self):
        return True
text = sys.stdin.read()
engine = AnalyzerEngine(nlp_engine=Blank(), supported_languages=['en'])
pieces = [text[at:at + 1000] for at in range(0, 20000, 1000)]
engine.analyze(text=pieces[0], language='en')
start, done, at = time.perf_counter(), 0, 0
while time.perf_counter() - start < 5:
    engine.analyze(text=pieces[at % len(pieces)], language='en')
    done += len(pieces[at % len(pieces)].encode())
    at += 1
print(done / (time.perf_counter() - start))
";

/// Bytes a second that presidio-analyzer looks through with its own recognizers and no language model, in pieces of 1 kB, where it is
/// fastest; none if it is not installed.
pub(crate) fn presidio(text: &str) -> Result<Option<f64>> {
    use std::io::Write as _;
    use std::process::Stdio;
    let mut command = Command::new("python3");
    command.args(["-c", PRESIDIO]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else { return Ok(None) };
    child.stdin.take().context("no pipe")?.write_all(text.as_bytes())?;
    let output = child.wait_with_output()?;
    if output.status.code() == Some(3) {
        return Ok(None);
    }
    let said = String::from_utf8_lossy(&output.stdout);
    Ok(Some(said.trim().parse().with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?))
}
