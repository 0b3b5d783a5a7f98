//! Signing in, enrolling a first key, and asking for a further one to be granted.

use doors::people::KeyRequest;
use maud::{Markup, html};

use super::{At, framed, page};
use crate::gate::escaped;
use crate::input::exact;
use crate::people::{EnrollChallenge, LOGIN_NAMESPACE, LoginChallenge};
use crate::text::{line, marked, marked_lines};

pub(crate) fn login_page(challenge: &LoginChallenge, next: &str) -> Markup {
    let quoted = (!challenge.text.contains('\'')).then(|| {
        format!("printf '%s' '{}' | ssh-keygen -Y sign -n {LOGIN_NAMESPACE} -f ~/.ssh/id_ed25519", challenge.text)
    });
    page(
        None,
        At::Elsewhere,
        "Sign in",
        html! {
            section.card.narrow {
                h1 { "Sign in" }
                p { "Your key proves who you are. There is no password." }
                form.sign method="post" action="/login" data-sign data-rp=(challenge.rp_id)
                    data-credentials=(challenge.passkeys.join(" ")) {
                    input type="hidden" name="id" value=(challenge.id);
                    input type="hidden" name="next" value=(next);
                    input type="hidden" name="statement" value=(exact(&challenge.text));
                    @for name in ["credential", "authenticator_data", "client_data", "signature"] {
                        input type="hidden" name=(name);
                    }
                    p.check role="status" data-check hidden {}
                    button.primary.needs-js type="submit" disabled { "Sign in with a passkey" }
                    noscript { p { "Passkeys need JavaScript. Sign with an SSH key below." } }
                }
                details {
                    summary { "Sign in with an SSH key" }
                    p { "Sign this text and paste what comes out. It is good for one try." }
                    @if let Some(command) = &quoted { pre.statement { (marked_lines(command)) } }
                    @else { pre.statement { (marked_lines(&challenge.text)) } }
                    form method="post" action="/login" {
                        input type="hidden" name="id" value=(challenge.id);
                        input type="hidden" name="next" value=(next);
                        label { "Signature"
                            textarea name="armored" rows="6" required spellcheck="false"
                                placeholder="-----BEGIN SSH SIGNATURE-----" {} }
                        button type="submit" { "Sign in" }
                    }
                }
                @if let Some(provider) = &challenge.provider {
                    // A link: where a form leads is bound to this place.
                    p { a.button href={ "/login/provider?next=" (escaped(next)) } { "Sign in at " (marked(provider)) } }
                }
                p { "Not known here yet, or on a new device? " a href="/join" { "Make a passkey and ask to be let in" } }
            }
        },
    )
}

/// Leads on after a sign-in elsewhere.
pub(crate) fn back_page(next: &str) -> Markup {
    let head = html! { meta http-equiv="refresh" content={ "0;url=" (next) }; };
    framed(
        None,
        At::Elsewhere,
        "Signed in",
        head,
        html! {
            section.card.narrow { h1 { "Signed in" } p { a href=(next) { "Go on" } } }
        },
    )
}

/// Asks for the one-time token; the script takes it from the fragment, which no server and no log ever sees.
pub(crate) fn enroll_page() -> Markup {
    page(
        None,
        At::Elsewhere,
        "Enroll your key",
        html! {
            section.card.narrow {
                h1 { "Enroll your key" }
                p { "This gateway knows no one yet, or somebody invited you. The one-time token proves that the link was meant for you." }
                form method="post" action="/enroll" data-enroll-token {
                    label { "One-time token"
                        input name="token" type="text" required autocomplete="off" spellcheck="false" maxlength="200"; }
                    button.primary type="submit" { "Continue" }
                }
                p.terminal { "In a terminal, with an SSH key: " code { "wetink key enroll YOUR-NAME --token TOKEN" } }
            }
        },
    )
}

pub(crate) fn enroll_ceremony(challenge: &EnrollChallenge, token: &str) -> Markup {
    let token = html! { input type="hidden" name="token" value=(token); };
    let note = "Your name goes into the log with everything you sign. The key stays on your device.";
    let otherwise = ("With an SSH key, in a terminal: ", "wetink key enroll YOUR-NAME --token TOKEN");
    ceremony(challenge, "/enroll/finish", &token, note, otherwise)
}

/// Somebody the gateway does not know makes a passkey, which an admin may then grant.
pub(crate) fn join_page(challenge: &EnrollChallenge) -> Markup {
    let note =
        "The key stays on your device. It opens nothing until an admin of this gateway has signed a grant of it.";
    let otherwise = ("With an SSH key, an admin who has your public key: ", "wetink key grant YOUR-NAME YOUR-KEY.pub");
    ceremony(challenge, "/join", &html! {}, note, otherwise)
}

fn ceremony(
    challenge: &EnrollChallenge,
    action: &str,
    hidden: &Markup,
    note: &str,
    (otherwise, command): (&str, &str),
) -> Markup {
    page(
        None,
        At::Elsewhere,
        "Make a passkey",
        html! {
            section.card.narrow {
                h1 { "Make a passkey" }
                p { (note) }
                form.sign method="post" action=(action) data-enroll data-rp=(challenge.rp_id) data-challenge=(challenge.challenge) {
                    (hidden)
                    input type="hidden" name="attestation_object";
                    input type="hidden" name="client_data";
                    label { "Your name"
                        input name="person" type="text" required autocomplete="username" maxlength="60" value=(line(&challenge.user_name)); }
                    p.check role="status" data-check hidden {}
                    button.primary.needs-js type="submit" disabled { "Make a passkey" }
                    noscript { p { "A passkey needs JavaScript. " (otherwise) code { (command) } } }
                }
            }
        },
    )
}

pub(crate) fn joined_page(asked: &KeyRequest) -> Markup {
    page(
        None,
        At::Elsewhere,
        "Asked to be let in",
        html! {
            section.card.narrow {
                h1 { "Asked to be let in" }
                p { "An admin sees your request under Settings, as " strong { (marked(&asked.person)) } ", with these words:" }
                p.mono { strong { (asked.words) } }
                p { "Tell them the words by another way: whoever grants a key that only claims your name lets somebody else sign as you. The request is kept for an hour." }
                details { summary { "The public key" } pre.statement { (marked_lines(&asked.key)) } }
                p { a.button.primary href="/login" { "Sign in once it is granted" } }
            }
        },
    )
}

pub(crate) fn enrolled_page() -> Markup {
    page(
        None,
        At::Elsewhere,
        "Key enrolled",
        html! {
            section.card.narrow {
                h1 { "Key enrolled" }
                p { "The guard knows your key now. Sign in with it." }
                p { a.button.primary href="/login" { "Sign in" } }
            }
        },
    )
}
