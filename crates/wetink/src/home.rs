//! The gateway's folder on this machine: who may read what in it.

use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::exit::{Exit, Failure};

/// The folder and what stands in it.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    root: PathBuf,
}

impl Home {
    /// `--dir`, or `~/.wetink`.
    pub(crate) fn find(named: Option<PathBuf>) -> Result<Self> {
        let root = match named {
            Some(path) => path,
            None => PathBuf::from(std::env::var_os("HOME").context("HOME is not set; name a folder with --dir")?)
                .join(".wetink"),
        };
        Ok(Self { root: std::path::absolute(root)? })
    }

    /// Makes the folder, or checks that only this user can enter it.
    pub(crate) fn prepare(&self) -> Result<()> {
        for dir in [self.root.clone(), self.guard(), self.desk()] {
            match std::fs::metadata(&dir) {
                Ok(meta) => {
                    let own = meta.uid() == nix_uid();
                    if !own || meta.permissions().mode() & 0o077 != 0 {
                        let text = format!(
                            "{} can be entered by others; run chmod 700 {} as its owner",
                            dir.display(),
                            dir.display()
                        );
                        return Err(Failure::of(Exit::Error, text));
                    }
                }
                Err(_) => std::fs::DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(&dir)
                    .with_context(|| format!("cannot make {}", dir.display()))?,
            }
        }
        Ok(())
    }

    /// The folder itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The guard's own part: vault and ledger.
    pub(crate) fn guard(&self) -> PathBuf {
        self.root.join("guard")
    }

    /// The desk's part: its view.
    pub(crate) fn desk(&self) -> PathBuf {
        self.root.join("desk")
    }

    /// The desk's view.
    pub(crate) fn view(&self) -> PathBuf {
        self.desk().join("view.db")
    }

    /// What tasks of a type may do and may never do, a file each; there need not be any.
    pub(crate) fn task_types(&self) -> PathBuf {
        self.desk().join("task-types")
    }

    /// Who is told of changes, with the secrets they verify by.
    pub(crate) fn webhooks(&self) -> PathBuf {
        self.desk().join("webhooks.toml")
    }

    /// How the desk reaches what strangers name; there need not be one.
    pub(crate) fn outbound(&self) -> PathBuf {
        self.desk().join("outbound.toml")
    }

    /// The identity provider; there need not be one.
    pub(crate) fn oidc(&self) -> PathBuf {
        self.desk().join("oidc.toml")
    }

    /// An authority of one's own for agents' certificates; there need not be one.
    pub(crate) fn authority(&self) -> PathBuf {
        self.desk().join("authority")
    }

    /// The agents' door over TLS; there need not be one.
    pub(crate) fn agents_tls(&self) -> PathBuf {
        self.desk().join("agents-tls.toml")
    }

    /// Where the desk meets the guard.
    pub(crate) fn desk_socket(&self) -> PathBuf {
        self.root.join("desk.sock")
    }

    /// Where the operator's terminal meets the guard.
    pub(crate) fn operator_socket(&self) -> PathBuf {
        self.root.join("operator.sock")
    }
}

fn nix_uid() -> u32 {
    std::fs::metadata("/proc/self").map_or(u32::MAX, |meta| meta.uid())
}
