//! Whose credential a run meets its target with.

use serde::{Deserialize, Serialize};

use crate::target::{Address, Registration, Rights};

/// What stands between a credential's name and the person's. No registration may name a credential with it, which would be everybody's then.
pub const OF: &str = "/of/";

/// Whose own credential it is. A person's own lets a run do what they may do there, and is counted and paid as theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whose {
    /// That of the person who opened the task.
    Requester,
    /// That of the one person who signed.
    Signer,
}

/// Name in the vault of a person's own credential: letters and digits of the person's name as they are, every other byte as `_` and
/// two hexadecimal digits, so that no two people share one.
pub fn own(credential: &str, person: &str) -> String {
    let escape = |b: u8| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("_{b:02x}") };
    format!("{credential}{OF}{}", person.bytes().map(escape).collect::<String>())
}

impl Registration {
    /// The target as a run with this person's own credential meets it.
    #[must_use]
    pub fn for_person(&self, person: &str) -> Self {
        let credential = self.credential.as_deref().map(|name| own(name, person));
        Self { credential, ..self.clone() }
    }

    /// Whether runs there use this secret of the vault.
    pub fn uses(&self, secret: &str) -> bool {
        let Some(name) = self.credential.as_deref() else { return false };
        let owned = secret.strip_prefix(name).is_some_and(|rest| rest.starts_with(OF));
        name == secret || (owned && self.credential_of.is_some())
    }

    /// Whether people can have credentials of their own there: databases take them with the login's name, a mailbox is one person's anyway.
    /// Whose the signer's is has to be beyond doubt.
    pub(crate) fn may_be_own(&self) -> bool {
        let place = match &self.address {
            Address::Http { .. } | Address::Mcp { .. } => true,
            Address::Sqlite { .. } | Address::Mail { .. } | Address::Postgresql { mirror: Some(_), .. } => false,
            Address::Postgresql { .. } | Address::Mariadb { .. } => self.rights() == Some(Rights::Leased),
        };
        let one = self.credential_of != Some(Whose::Signer)
            || (self.approvals.quorum == 1 && self.payments == crate::payments::Payments::default());
        place && one && self.credential.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_people_share_a_name() {
        assert_eq!(own("bank", "Ada"), "bank/of/Ada");
        let people = ["Ada", "ada", "A_64a", "Ad a", "Ad_a", "Ada/of/Bo", "Ad\u{e1}", "Ad%61", ""];
        let mut names: Vec<_> = people.map(|person| own("bank", person)).to_vec();
        let plain = |name: &String| name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_/".contains(&b));
        assert!(names.iter().all(plain), "{names:?}");
        names.sort();
        names.dedup();
        assert_eq!(names.len(), people.len());
    }
}
