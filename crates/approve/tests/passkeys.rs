//! Passkeys: every way an assertion can be bent, each refused for its own reason; and keys that are made of registrations.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use approve::webauthn::Passkey;
use approve::{Assurance, NAMESPACE, PublicKey, Refused};
use artifact::claim::Signature;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use testkit::{Assertion, SoftPasskey};

const RP: &str = "wetink.example";
const ORIGIN: &str = "https://desk.wetink.example";
const TEXT: &str = "wetink/approval/v1\ngateway: x\n";

fn devices() -> [SoftPasskey; 2] {
    [SoftPasskey::es256(RP, ORIGIN), SoftPasskey::eddsa(9, RP, ORIGIN)]
}

fn verify(device: &SoftPasskey, text: &str, signature: &Signature) -> Result<Assurance, Refused> {
    PublicKey::parse(&device.line()).unwrap().verify(NAMESPACE, text, signature)
}

/// The reason a refusal gives, or what was accepted.
fn reason(answer: Result<Assurance, Refused>) -> String {
    match answer {
        Err(Refused::Signature(why)) => why,
        other => format!("{other:?}"),
    }
}

/// A signature's four fields as bytes.
#[derive(Clone)]
struct Parts {
    credential: Vec<u8>,
    data: Vec<u8>,
    client: Vec<u8>,
    signature: Vec<u8>,
}

impl Parts {
    fn of(signature: &Signature) -> Self {
        let Signature::Passkey { credential, authenticator_data, client_data, signature } = signature else {
            panic!("a passkey signs as one");
        };
        let bytes = |field: &str| URL_SAFE_NO_PAD.decode(field).unwrap();
        Self {
            credential: bytes(credential),
            data: bytes(authenticator_data),
            client: bytes(client_data),
            signature: bytes(signature),
        }
    }

    fn claim(&self) -> Signature {
        Signature::Passkey {
            credential: URL_SAFE_NO_PAD.encode(&self.credential),
            authenticator_data: URL_SAFE_NO_PAD.encode(&self.data),
            client_data: URL_SAFE_NO_PAD.encode(&self.client),
            signature: URL_SAFE_NO_PAD.encode(&self.signature),
        }
    }
}

fn honest(device: &SoftPasskey) -> Parts {
    Parts::of(&device.seal(&device.assertion(TEXT)))
}

/// The device signs what is bent, so that nothing but the bend can refuse it.
#[test]
fn each_bend_is_refused_for_its_own_reason() {
    type Bend = fn(&mut Assertion);
    fn put(assertion: &mut Assertion, from: &str, to: &str) {
        let changed = assertion.client.replacen(from, to, 1);
        assert_ne!(changed, assertion.client, "{from}");
        assertion.client = changed;
    }
    let bends: &[(&str, &str, Bend)] = &[
        ("the ceremony of a registration", "it is for another ceremony", |a| put(a, "webauthn.get", "webauthn.create")),
        ("a payment", "it is for another ceremony", |a| put(a, "webauthn.get", "payment.get")),
        ("the type in capitals", "it is for another ceremony", |a| put(a, "webauthn.get", "WebAuthn.get")),
        ("another challenge", "it is about another text", |a| put(a, "challenge\":\"", "challenge\":\"A")),
        ("an empty challenge", "it is about another text", |a| {
            put(a, "challenge\":\"", "challenge\":\"\",\"rest\":\"");
        }),
        ("a padded challenge", "it is about another text", |a| put(a, "\",\"origin", "=\",\"origin")),
        ("another origin", "it was made at another address", |a| put(a, "desk.", "evil.")),
        ("the site itself", "it was made at another address", |a| put(a, "desk.", "")),
        ("without TLS", "it was made at another address", |a| put(a, "https:", "http:")),
        ("another port", "it was made at another address", |a| put(a, ".example", ".example:8443")),
        ("a trailing slash", "it was made at another address", |a| put(a, ".example", ".example/")),
        ("an origin in capitals", "it was made at another address", |a| put(a, "https", "HTTPS")),
        ("crossOrigin", "it was made inside a foreign page", |a| put(a, ":false", ":true")),
        ("topOrigin", "it was made inside a foreign page", |a| {
            put(a, ":false", ":false,\"topOrigin\":\"https://desk.wetink.example\"");
        }),
        ("an empty topOrigin", "it was made inside a foreign page", |a| put(a, ":false", ":false,\"topOrigin\":null")),
        ("crossOrigin as a number", "clientDataJSON is not readable", |a| put(a, ":false", ":0")),
        ("crossOrigin as null", "clientDataJSON is not readable", |a| put(a, ":false", ":null")),
        ("no type", "clientDataJSON is not readable", |a| put(a, "\"type\"", "\"kind\"")),
        ("no challenge", "clientDataJSON is not readable", |a| put(a, "\"challenge\"", "\"chalenge\"")),
        ("no origin", "clientDataJSON is not readable", |a| put(a, "\"origin\"", "\"Origin\"")),
        ("text after it", "clientDataJSON is not readable", |a| a.client.push('x')),
        ("two objects", "clientDataJSON is not readable", |a| a.client = a.client.repeat(2)),
        ("a list", "clientDataJSON is not readable", |a| a.client = format!("[{}]", a.client)),
        ("a byte order mark", "clientDataJSON is not readable", |a| a.client.insert(0, '\u{feff}')),
        ("nothing", "clientDataJSON is not readable", |a| a.client.clear()),
        ("another site", "it is for another site", |a| a.set_rp_id("evil.example")),
        ("the address as the site", "it is for another site", |a| a.set_rp_id("desk.wetink.example")),
        ("nobody touched it", "nobody touched the key", |a| *a.flags() = 0b100),
        ("no flag at all", "nobody touched the key", |a| *a.flags() = 0),
        ("touched, not verified", "the key did not verify who touched it", |a| *a.flags() = 0b001),
        ("copied but not to be copied", "its flags contradict each other", |a| *a.flags() = 0b1_0101),
        ("reserved bit 1", "its reserved flags are in use", |a| *a.flags() |= 1 << 1),
        ("reserved bit 5", "its reserved flags are in use", |a| *a.flags() |= 1 << 5),
        ("a key announced", "it carries data that was not asked for", |a| *a.flags() |= 1 << 6),
        ("extensions announced", "it carries data that was not asked for", |a| *a.flags() |= 1 << 7),
        ("extensions", "it carries data that was not asked for", |a| {
            *a.flags() |= 1 << 7;
            a.data.push(0xa0);
        }),
        ("extensions not announced", "it carries data that was not asked for", |a| a.data.push(0xa0)),
        ("trailing bytes", "it carries data that was not asked for", |a| a.data.extend([0; 8])),
        ("no counter", "authenticatorData is cut short", |a| a.data.truncate(33)),
        ("half a site", "authenticatorData is cut short", |a| a.data.truncate(16)),
        ("no data", "authenticatorData is cut short", |a| a.data.clear()),
        ("signed over one more byte", "it does not fit the text", |a| a.also_signed.push(0)),
    ];
    for device in devices() {
        assert_eq!(verify(&device, TEXT, &honest(&device).claim()), Ok(Assurance::Hardware));
        for (what, why, bend) in bends {
            let mut assertion = device.assertion(TEXT);
            bend(&mut assertion);
            let answer = verify(&device, TEXT, &device.seal(&assertion));
            assert_eq!(reason(answer), format!("passkey: {why}"), "{what}");
        }
    }
}

/// What browsers and devices differ in, and may.
#[test]
fn what_may_differ_is_accepted() {
    for device in devices() {
        let mut assertion = device.assertion(TEXT);
        *assertion.flags() = 0b1101;
        assert_eq!(verify(&device, TEXT, &device.seal(&assertion)), Ok(Assurance::SyncedPasskey), "may be copied");
        *assertion.flags() = 0b1_1101;
        assert_eq!(verify(&device, TEXT, &device.seal(&assertion)), Ok(Assurance::SyncedPasskey), "is copied");
        let mut assertion = device.assertion(TEXT);
        assertion.client = assertion.client.replace(",\"crossOrigin\":false", "");
        assert_eq!(verify(&device, TEXT, &device.seal(&assertion)), Ok(Assurance::Hardware), "no crossOrigin");
        let mut assertion = device.assertion(TEXT);
        let more = ",\"other_keys_can_be_added_here\":\"do not compare clientDataJSON against a template\"}";
        assertion.client = assertion.client.replace('}', more);
        assert_eq!(verify(&device, TEXT, &device.seal(&assertion)), Ok(Assurance::Hardware), "a member nobody knows");
        let mut assertion = device.assertion(TEXT);
        assertion.data[33..37].fill(0);
        assert_eq!(
            verify(&device, TEXT, &device.seal(&assertion)),
            Ok(Assurance::Hardware),
            "a device without counter"
        );
    }
}

#[test]
fn a_signature_is_of_one_key_and_one_text() {
    let [one, other] = devices();
    let again = SoftPasskey::es256(RP, ORIGIN);
    for device in [&one, &other] {
        let mut parts = honest(device);
        let signed = parts.claim();
        for text in ["", "wetink/approval/v1\ngateway: x", "wetink/approval/v1\ngateway: y\n"] {
            assert_eq!(reason(verify(device, text, &signed)), "passkey: it is about another text", "{text:?}");
        }
        for owner in [&one, &other, &again].into_iter().filter(|o| o.credential() != device.credential()) {
            assert_eq!(reason(verify(owner, TEXT, &signed)), "passkey: it was made by another key");
            // Under the owner's name the bytes are still another key's.
            parts.credential = owner.credential().to_vec();
            assert_eq!(reason(verify(owner, TEXT, &parts.claim())), "passkey: it does not fit the text");
            assert_eq!(reason(verify(device, TEXT, &parts.claim())), "passkey: it was made by another key");
        }
    }
}

#[test]
fn each_changed_bit_is_refused() {
    let flips = |bytes: &[u8]| {
        let bytes = bytes.to_vec();
        (0..bytes.len() * 8).map(move |bit| {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            changed
        })
    };
    for device in devices() {
        let (key, good) = (PublicKey::parse(&device.line()).unwrap(), honest(&device));
        let refused =
            |parts: Parts, what: &str| assert!(key.verify(NAMESPACE, TEXT, &parts.claim()).is_err(), "{what}");
        assert!(key.verify(NAMESPACE, TEXT, &good.claim()).is_ok());
        for signature in flips(&good.signature) {
            refused(Parts { signature, ..good.clone() }, "signature");
        }
        for data in flips(&good.data) {
            refused(Parts { data, ..good.clone() }, "authenticatorData");
        }
        for client in flips(&good.client) {
            refused(Parts { client, ..good.clone() }, "clientDataJSON");
        }
        for credential in flips(&good.credential) {
            refused(Parts { credential, ..good.clone() }, "credential");
        }
        for cut in 0..good.signature.len() {
            refused(Parts { signature: good.signature[..cut].to_vec(), ..good.clone() }, "a signature cut short");
        }
        refused(
            Parts { signature: [&good.signature[..], &[0]].concat(), ..good.clone() },
            "a byte after the signature",
        );
    }
}

/// The four fields have one base64url spelling each.
#[test]
fn fields_have_one_spelling() {
    for device in devices() {
        let good = honest(&device).claim();
        let each = |change: &dyn Fn(&str) -> String| {
            (0..4).for_each(|at| {
                let mut bent = good.clone();
                let Signature::Passkey { credential, authenticator_data, client_data, signature } = &mut bent else {
                    panic!("a passkey signs as one");
                };
                let field = [credential, authenticator_data, client_data, signature].into_iter().nth(at).unwrap();
                *field = change(field);
                assert!(verify(&device, TEXT, &bent).is_err(), "field {at}: {bent:?}");
            });
        };
        each(&|field| format!("{field}="));
        each(&|field| format!("{field}\n"));
        each(&|field| format!(" {field}"));
        each(&|field| format!("{field}AAAA"));
        each(&|field| field.split_at(4).0.to_owned() + "+/" + &field[6..]);
        each(&|_| String::new());
        each(&|_| "A".repeat(20_000));
    }
}

/// r and s of a DER signature.
fn numbers(der: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let r_end = 4 + usize::from(der[3]);
    (der[4..r_end].to_vec(), der[r_end + 2..].to_vec())
}

fn der(r: &[u8], s: &[u8]) -> Vec<u8> {
    let one = |n: &[u8]| [&[2, u8::try_from(n.len()).unwrap()], n].concat();
    let body = [one(r), one(s)].concat();
    [&[0x30, u8::try_from(body.len()).unwrap()], &body[..]].concat()
}

/// The order of P-256 (FIPS 186-5; SP 800-186, 3.2.1.3).
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7,
    0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// `ORDER - s`, as a DER integer.
fn other_half(s: &[u8]) -> Vec<u8> {
    let mut padded = [0_u8; 32];
    let start = s.len().saturating_sub(32);
    padded[32 - (s.len() - start)..].copy_from_slice(&s[start..]);
    let (mut out, mut borrow) = (vec![0_u8; 33], false);
    for at in (0..32).rev() {
        let (difference, below) = ORDER[at].overflowing_sub(padded[at]);
        let (difference, below_too) = difference.overflowing_sub(u8::from(borrow));
        out[at + 1] = difference;
        borrow = below || below_too;
    }
    while out[0] == 0 && out[1] & 0x80 == 0 {
        out.remove(0);
    }
    out
}

#[test]
fn a_der_signature_has_one_spelling() {
    let device = SoftPasskey::es256(RP, ORIGIN);
    for _ in 0..20 {
        let good = honest(&device);
        let (r, s) = numbers(&good.signature);
        assert_eq!(der(&r, &s), good.signature);
        let zeroed = |n: &[u8]| [&[0], n].concat();
        let mut long_length = good.signature.clone();
        long_length.insert(1, 0x81);
        let mut past_the_end = good.signature.clone();
        past_the_end[1] += 1;
        let mut tagged = good.signature.clone();
        tagged[0] = 0x31;
        let mut indefinite = good.signature.clone();
        indefinite[1] = 0x80;
        indefinite.extend([0, 0]);
        let beyond = [&[0], &ORDER[..]].concat();
        for (what, signature) in [
            ("a zero before r", der(&zeroed(&r), &s)),
            ("a zero before s", der(&r, &zeroed(&s))),
            ("a long length", long_length),
            ("a length past the end", past_the_end),
            ("an indefinite length", indefinite),
            ("a set", tagged),
            ("r is 0", der(&[0], &s)),
            ("s is 0", der(&r, &[0])),
            ("both are 0", der(&[0], &[0])),
            ("r is the order", der(&beyond, &s)),
            ("s is the order", der(&r, &beyond)),
            ("a negative s", der(&r, &[0xff])),
            ("an empty s", der(&r, &[])),
            ("r and s swapped", der(&s, &r)),
            ("three numbers", [&[0x30, good.signature[1] + 3], &good.signature[2..], &[2, 1, 1]].concat()),
            ("bare r and s", [&r[..], &s].concat()),
        ] {
            assert!(verify(&device, TEXT, &Parts { signature, ..good.clone() }.claim()).is_err(), "{what}");
        }
    }
}

/// ECDSA gives two values of s for one signature, and WebAuthn leaves it to the device which one it sends: half of all
/// honest assertions have the high one. Both say the same about the same text; that an approval is used once is held by its
/// nonce, never by the bytes of a signature.
#[test]
fn either_half_of_s_is_accepted_and_neither_fits_another_text() {
    let device = SoftPasskey::es256(RP, ORIGIN);
    let (mut high, mut low) = (0, 0);
    for _ in 0..40 {
        let good = honest(&device);
        let (r, s) = numbers(&good.signature);
        let other = other_half(&s);
        assert_eq!(other_half(&other), s);
        *(if (s.len(), &s) > (other.len(), &other) { &mut high } else { &mut low }) += 1;
        let turned = Parts { signature: der(&r, &other), ..good.clone() };
        for parts in [&good, &turned] {
            assert_eq!(verify(&device, TEXT, &parts.claim()), Ok(Assurance::Hardware));
            assert!(verify(&device, "another text", &parts.claim()).is_err());
        }
    }
    assert!(high > 0 && low > 0, "{high} high, {low} low");
}

#[test]
fn a_registration_is_refused_wherever_it_is_bent() {
    const CHALLENGE: &[u8] = b"thirty-two bytes of a challenge!";
    let register = |attestation: &[u8], client: &str| {
        Passkey::register(attestation, client.as_bytes(), CHALLENGE, ORIGIN, RP).map_err(|e| e.to_string())
    };
    for device in devices() {
        let good = device.register(CHALLENGE);
        assert_eq!(register(&good.attestation, &good.client).map(|key| key.to_line()), Ok(device.line()));
        for (what, from, to) in [
            ("an assertion", "webauthn.create", "webauthn.get"),
            ("another challenge", "challenge\":\"", "challenge\":\"A"),
            ("another origin", "desk.", "evil."),
            ("a foreign page", ":false", ":true"),
            ("a topOrigin", ":false", ":false,\"topOrigin\":\"x\""),
            ("text after it", "}", "} x"),
        ] {
            let client = good.client.replace(from, to);
            assert_ne!(client, good.client, "{what}");
            assert!(register(&good.attestation, &client).is_err(), "{what}");
        }
        let made = |data: &[u8]| register(&SoftPasskey::attestation("none", data), &good.client);
        let cose = device.cose();
        for (what, flags) in [
            ("no key announced", 0b0000_0101),
            ("extensions announced", 0b1100_0101),
            ("nobody touched it", 0b0100_0100),
            ("nobody was verified", 0b0100_0001),
            ("copied but not to be copied", 0b0101_0101),
            ("a reserved flag", 0b0100_0111),
        ] {
            assert!(made(&device.attested_data(flags, &cose)).is_err(), "{what}");
        }
        let flags = 0b0100_0101;
        assert!(made(&device.attested_data(flags, &cose)).is_ok());
        assert!(made(&device.attested_data(flags, &[&cose[..], &[0xa0]].concat())).is_err(), "bytes after the key");
        let data = device.attested_data(flags, &cose);
        for cut in 0..data.len() {
            assert!(made(&data[..cut]).is_err(), "authData of {cut} bytes");
        }
        for at in 0..32 {
            let mut elsewhere = data.clone();
            elsewhere[at] ^= 1;
            assert!(made(&elsewhere).is_err(), "another site, byte {at}");
        }
        // Kind, algorithm and curve of the key, each changed alone.
        for at in [2, 4, 6] {
            let mut bent = cose.clone();
            bent[at] ^= 1;
            assert!(made(&device.attested_data(flags, &bent)).is_err(), "byte {at} of the key");
        }
    }
}

#[test]
fn a_credential_is_at_least_one_and_at_most_1023_bytes() {
    let line = SoftPasskey::eddsa(9, RP, ORIGIN).line();
    let words: Vec<&str> = line.split(' ').collect();
    let with = |credential: usize| {
        let mut words = words.clone();
        let encoded = URL_SAFE_NO_PAD.encode(vec![7; credential]);
        words[2] = &encoded;
        PublicKey::parse(&words.join(" ")).is_ok()
    };
    assert_eq!([0, 1, 16, 1023, 1024].map(with), [false, true, true, true, false]);
}
