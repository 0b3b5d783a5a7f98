//! `bless`: golden files and the blocks of ARCHITECTURE.md are written anew, for a person to read as a diff.

use crate::run::{Outcome, cargo, run};
use crate::{blocks, setup};

/// Rewrites all, or with `--docs` only the blocks.
pub(crate) fn bless(arguments: &[String]) -> Outcome {
    match arguments {
        [] => {}
        [word] if word == "--docs" => return blocks::write(),
        _ => return Err("usage: cargo xtask bless [--docs]".to_owned()),
    }
    setup::ensure(setup::TO_TEST)?;
    blocks::write()?;
    let mut tests = cargo();
    // WETINK_BLESS is read by our own golden tests, TRYBUILD by the compile-fail tests.
    tests.args(["test", "--workspace", "--no-fail-fast"]).env("WETINK_BLESS", "1").env("TRYBUILD", "overwrite");
    run(&mut tests)?;
    println!("blessed; read the diff before you commit it");
    Ok(())
}
