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
