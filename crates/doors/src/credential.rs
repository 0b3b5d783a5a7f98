//! With whose credential something would run, in words for whoever signs it, with the weakest link of it.

use artifact::Effect;
use wire::target::{Address, Registration, Rights};
use wire::whose::Whose;

/// One sentence or two. `requester`: who opened the task.
pub fn credential_words(target: &Registration, effect: &Effect, requester: &str) -> String {
    match (target.credential_of, &target.credential) {
        (Some(Whose::Requester), _) => {
            return format!(
                "With the credential of {requester}, who opened the task: what they may not do there, this cannot do."
            );
        }
        (Some(Whose::Signer), _) => {
            return "With the credential of whoever signs: what you may not do there, this cannot do.".to_owned();
        }
        (None, None) => return "With no credential.".to_owned(),
        (None, Some(_)) => {}
    }
    let name = target.credential.as_deref().unwrap_or_default();
    match &target.address {
        Address::Postgresql { mirror: Some(role), .. } => {
            format!("As the role {role}: what it may not do there, this cannot do.")
        }
        _ if target.settled(effect).rights() == Some(Rights::Minted) => {
            "With a login made for this run, which may do what is signed and nothing else.".to_owned()
        }
        Address::Postgresql { rights: Rights::Leased, .. } | Address::Mariadb { rights: Rights::Leased, .. } => {
            format!(
                "With a login that is lent for this run ({name}). The weakest link: it may do more than what is signed, and only the gateway holds it to that."
            )
        }
        _ => format!(
            "With the gateway's own credential ({name}). The weakest link: it may do more than what is signed, and only the gateway holds it to that."
        ),
    }
}
