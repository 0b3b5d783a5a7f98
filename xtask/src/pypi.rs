//! Packages of PyPI that tests and measurements need: exact versions, in the target folder, nothing global.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::graph::Workspace;
use crate::run::{Outcome, run};

/// A set of packages, in a folder of its own.
pub(crate) struct Set {
    folder: &'static str,
    packages: &'static [&'static str],
    /// Whether what they depend on comes along.
    whole: bool,
}

/// AWS as its services answer, with signatures and policies checked by Amazon's own library.
pub(crate) const AWS: Set = Set {
    folder: "pypi-aws",
    packages: &[
        "moto==5.2.5",
        "boto3==1.44.5",
        "botocore==1.44.5",
        "flask==3.1.3",
        "flask-cors==6.0.5",
        "py-partiql-parser==0.6.3",
        "PyYAML==6.0.3",
    ],
    whole: true,
};

/// Sentences and people that others measure detectors with.
pub(crate) const PUBLIC_SET: Set = Set { folder: "pypi", packages: &["presidio-evaluator==0.3.2"], whole: false };

/// Brings a set, once a version, and answers where it is.
pub(crate) fn ensure(set: &Set) -> Outcome<PathBuf> {
    let folder = Workspace::load()?.target.join(set.folder);
    let (marker, wanted) = (folder.join("brought"), set.packages.join(" "));
    if fs::read_to_string(&marker).is_ok_and(|brought| brought == wanted) {
        return Ok(folder);
    }
    println!("setup: bringing {wanted} by pip into the target folder");
    let _ = fs::remove_dir_all(&folder);
    let mut command = Command::new("python3");
    command.args(["-m", "pip", "install", "--quiet", "--no-warn-conflicts", "--disable-pip-version-check"]);
    command.args((!set.whole).then_some("--no-deps")).arg("--target").arg(&folder).args(set.packages);
    run(&mut command).map_err(|error| {
        format!("{error}\n{wanted} of PyPI: install python3-pip, and see to it that pip reaches its registry")
    })?;
    fs::write(&marker, wanted).map_err(|error| format!("`{}`: {error}", marker.display()))?;
    Ok(folder)
}
