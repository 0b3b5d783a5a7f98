//! A new password for a target's own login. The server gets what it stores of it, so that the password stands in no statement and no log.
//!
//! If we crash here: the login has the old password or the new one. The guard has both by then, and asks once more.

use wire::order::{FailCode, Report};
use wire::target::{Address, Registration};

use crate::child::failed;
use crate::{mariadb, postgresql};

/// The password as it is and as it shall be: four bytes of big-endian length of the first, then both.
fn both(credential: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = credential.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize)
}

/// Changes it and logs in with the new one. What was changed before is found to be so.
pub(crate) fn perform(target: &Registration, credential: &[u8]) -> Result<Report, Report> {
    let (old, new) = both(credential).ok_or_else(|| failed(FailCode::BadOrder, "there are not two passwords"))?;
    let done = || Ok(Report::Resolved { status: Some("rotated".to_owned()) });
    match &target.address {
        Address::Postgresql { .. } => postgresql::block_on(async {
            if let Err(refused) = postgresql::rotate(target, old, new).await {
                // An earlier attempt may have come this far.
                postgresql::opens(target, new).await.map_err(|_| refused)?;
            }
            done()
        }),
        Address::Mariadb { .. } => postgresql::block_on(async {
            if let Err(refused) = mariadb::rotate(target, old, new).await {
                mariadb::opens(target, new).await.map_err(|_| refused)?;
            }
            done()
        }),
        Address::Sqlite { .. } | Address::Http { .. } | Address::Mcp { .. } | Address::Mail { .. } => Err(failed(
            FailCode::BadOrder,
            "only the passwords of PostgreSQL's and MariaDB's logins are changed from here; store a new one with `wetink secret set`",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_passwords_are_told_apart() {
        assert_eq!(both(b"\0\0\0\x03oldnew"), Some((&b"old"[..], &b"new"[..])));
        for bad in [&b""[..], b"\0\0\0", b"\0\0\0\x07oldnew", b"\xff\xff\xff\xffx"] {
            assert!(both(bad).is_none());
        }
    }
}
