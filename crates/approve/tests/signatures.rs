//! Signatures of real and of misbehaving signers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::io::Write as _;
use std::process::{Command, Stdio};

use approve::{Assurance, LOGIN_NAMESPACE, NAMESPACE, PublicKey};
use artifact::Digest;
use artifact::claim::Signature;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

const TEXT: &str = "wetink/approval/v1\ngateway: x\n";

/// OpenSSH's own signer is the oracle.
#[test]
fn openssh_signatures_verify_and_changed_ones_do_not() {
    let folder = tempfile::tempdir().unwrap();
    for kind in ["ed25519", "ecdsa"] {
        let path = folder.path().join(kind);
        let made = Command::new("ssh-keygen").args(["-q", "-t", kind, "-N", "", "-f"]).arg(&path).status().unwrap();
        assert!(made.success(), "ssh-keygen makes a key");
        let public = std::fs::read_to_string(path.with_extension("pub")).unwrap();
        let line = public.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
        let key = PublicKey::parse(&line).unwrap();
        assert_eq!(key.to_string(), line);
        for _ in 0..8 {
            let mut signer = Command::new("ssh-keygen")
                .args(["-q", "-Y", "sign", "-n", NAMESPACE, "-f"])
                .arg(&path)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            signer.stdin.take().unwrap().write_all(TEXT.as_bytes()).unwrap();
            let armored = String::from_utf8(signer.wait_with_output().unwrap().stdout).unwrap();
            let verify = |namespace: &str, text: &str, armored: &str| {
                key.verify(namespace, text, &Signature::Ssh { armored: armored.to_owned() })
            };
            assert_eq!(verify(NAMESPACE, TEXT, &armored), Ok(Assurance::PlainKey), "{kind}");
            assert!(verify(LOGIN_NAMESPACE, TEXT, &armored).is_err());
            assert!(verify(NAMESPACE, "wetink/approval/v1\ngateway: y\n", &armored).is_err());
            // Every byte of the signature, in a decoded form that is armored again.
            let body: String = armored.lines().filter(|l| !l.starts_with('-')).collect();
            let good = STANDARD.decode(body).unwrap();
            for at in 0..good.len() {
                let mut bad = good.clone();
                bad[at] ^= 1;
                let armored =
                    format!("-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n", STANDARD.encode(bad));
                assert!(verify(NAMESPACE, TEXT, &armored).is_err(), "{kind} byte {at}");
            }
            for bad in [good[..good.len() - 1].to_vec(), [&good[..], &[0]].concat()] {
                let armored =
                    format!("-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n", STANDARD.encode(bad));
                assert!(verify(NAMESPACE, TEXT, &armored).is_err());
            }
            for bad in [
                armored.replace("BEGIN", "begin"),
                armored.replace("-----END", "----END"),
                format!(" {armored}"),
                armored.replace('\n', "\r\n"),
            ] {
                assert!(verify(NAMESPACE, TEXT, &bad).is_err(), "{bad}");
            }
        }
    }
}

#[test]
fn keys_have_one_spelling() {
    let key = Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap();
    let line = approve::sshsig::ed25519_line(key.public_key().as_ref());
    assert!(PublicKey::parse(&line).is_ok());
    for bad in [
        format!("{line} comment"),
        format!(" {line}"),
        line.replace("ssh-ed25519", "ssh-rsa"),
        line[..line.len() - 4].to_owned(),
        String::new(),
        "ssh-ed25519 AAAA".into(),
    ] {
        assert!(PublicKey::parse(&bad).is_err(), "{bad}");
    }
}

/// A software authenticator whose every field can be bent.
struct Authenticator {
    es256: EcdsaKeyPair,
    ed25519: Ed25519KeyPair,
}

#[derive(Clone)]
struct Assertion {
    rp_id: String,
    flags: u8,
    tail: Vec<u8>,
    client: String,
    sign_other: bool,
}

const RP: &str = "localhost";
const ORIGIN: &str = "http://localhost:7117";
const CREDENTIAL: &[u8] = b"credential-1";

fn client(text: &str) -> String {
    let challenge = URL_SAFE_NO_PAD.encode(Digest::of(text.as_bytes()).as_bytes());
    format!(r#"{{"type":"webauthn.get","challenge":"{challenge}","origin":"{ORIGIN}","crossOrigin":false}}"#)
}

impl Authenticator {
    fn new() -> Self {
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new()).unwrap();
        let es256 = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_ref()).unwrap();
        Self { es256, ed25519: Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap() }
    }

    fn line(&self, eddsa: bool) -> String {
        let (name, point) = if eddsa {
            ("eddsa", self.ed25519.public_key().as_ref())
        } else {
            ("es256", self.es256.public_key().as_ref())
        };
        format!("passkey {name} {} {} {RP} {ORIGIN}", URL_SAFE_NO_PAD.encode(CREDENTIAL), URL_SAFE_NO_PAD.encode(point))
    }

    fn assert(&self, a: &Assertion, eddsa: bool) -> Signature {
        let mut data = Digest::of(a.rp_id.as_bytes()).as_bytes().to_vec();
        data.push(a.flags);
        data.extend([0, 0, 0, 7]);
        data.extend(&a.tail);
        let mut signed = data.clone();
        signed.extend(Digest::of(a.client.as_bytes()).as_bytes());
        if a.sign_other {
            signed.push(0);
        }
        let signature = if eddsa {
            self.ed25519.sign(&signed).as_ref().to_vec()
        } else {
            self.es256.sign(&SystemRandom::new(), &signed).unwrap().as_ref().to_vec()
        };
        Signature::Passkey {
            credential: URL_SAFE_NO_PAD.encode(CREDENTIAL),
            authenticator_data: URL_SAFE_NO_PAD.encode(data),
            client_data: URL_SAFE_NO_PAD.encode(&a.client),
            signature: URL_SAFE_NO_PAD.encode(signature),
        }
    }
}

#[test]
fn passkeys_sign_this_text_at_this_site_with_the_person_verified() {
    let device = Authenticator::new();
    let good =
        Assertion { rp_id: RP.into(), flags: 0b0000_0101, tail: vec![], client: client(TEXT), sign_other: false };
    for eddsa in [false, true] {
        let key = PublicKey::parse(&device.line(eddsa)).unwrap();
        let verify = |text: &str, signature: &Signature| key.verify(NAMESPACE, text, signature);
        assert_eq!(verify(TEXT, &device.assert(&good, eddsa)), Ok(Assurance::Hardware));
        let synced = Assertion { flags: 0b0001_1101, ..good.clone() };
        assert_eq!(verify(TEXT, &device.assert(&synced, eddsa)), Ok(Assurance::SyncedPasskey));
        assert!(verify("another text", &device.assert(&good, eddsa)).is_err());
        assert!(verify(TEXT, &device.assert(&good, !eddsa)).is_err(), "the other algorithm");

        let bend = |change: &dyn Fn(&mut Assertion)| {
            let mut bent = good.clone();
            change(&mut bent);
            bent
        };
        let swap = |from: &str, to: &str| {
            let changed = good.client.replace(from, to);
            assert_ne!(changed, good.client, "{from}");
            bend(&|a: &mut Assertion| a.client.clone_from(&changed))
        };
        let vectors = [
            ("another site", bend(&|a| a.rp_id = "evil.example".into())),
            ("nobody touched it", bend(&|a| a.flags = 0b0000_0100)),
            ("nobody was verified", bend(&|a| a.flags = 0b0000_0001)),
            ("no flags", bend(&|a| a.flags = 0)),
            ("backed up but not eligible", bend(&|a| a.flags = 0b0001_0101)),
            ("reserved flag 1", bend(&|a| a.flags = 0b0000_0111)),
            ("reserved flag 5", bend(&|a| a.flags = 0b0010_0101)),
            ("attested data announced", bend(&|a| a.flags = 0b0100_0101)),
            ("extensions announced", bend(&|a| a.flags = 0b1000_0101)),
            ("trailing bytes", bend(&|a| a.tail = vec![0])),
            ("signature over other bytes", bend(&|a| a.sign_other = true)),
            ("a registration", swap("webauthn.get", "webauthn.create")),
            ("another ceremony", swap("webauthn.get", "payment.get")),
            ("another origin", swap("http://localhost:7117", "http://evil.example")),
            ("another port", swap("localhost:7117", "localhost:7118")),
            ("https instead", swap("http://", "https://")),
            ("cross origin", swap(r#""crossOrigin":false"#, r#""crossOrigin":true"#)),
            ("cross origin as text", swap(r#""crossOrigin":false"#, r#""crossOrigin":"no""#)),
            ("inside another page", swap(r#""crossOrigin":false"#, r#""topOrigin":"http://evil.example""#)),
            ("the type twice", swap(r#"{"type""#, r#"{"type":"webauthn.get","type""#)),
            ("the challenge twice", swap(r#""origin""#, r#""challenge":"AAAA","origin""#)),
            ("no challenge", swap("challenge", "chalenge")),
            ("a padded challenge", swap(r#"","origin"#, r#"=","origin"#)),
            ("trailing text", bend(&|a| a.client.push('x'))),
            ("two objects", bend(&|a| a.client = a.client.clone() + &a.client)),
            ("no object", bend(&|a| a.client = "[]".into())),
            ("nothing", bend(&|a| a.client.clear())),
        ];
        for (what, bent) in vectors {
            assert!(verify(TEXT, &device.assert(&bent, eddsa)).is_err(), "{what}");
        }
        let Signature::Passkey { credential, authenticator_data, client_data, signature } = device.assert(&good, eddsa)
        else {
            panic!("passkey")
        };
        let with = |c: &str, a: &str, d: &str, s: &str| Signature::Passkey {
            credential: c.into(),
            authenticator_data: a.into(),
            client_data: d.into(),
            signature: s.into(),
        };
        let long = "A".repeat(200_000);
        for bad in [
            with("AAAA", &authenticator_data, &client_data, &signature),
            with(&format!("{credential}="), &authenticator_data, &client_data, &signature),
            with(&credential, "", &client_data, &signature),
            with(&credential, &authenticator_data[..40], &client_data, &signature),
            with(&credential, &authenticator_data, &client_data, ""),
            with(&credential, &authenticator_data, &client_data, &signature[..signature.len() - 2]),
            with(&credential, &authenticator_data, &long, &signature),
            with(&credential, "+/+/", &client_data, &signature),
        ] {
            assert!(verify(TEXT, &bad).is_err());
        }
    }
}

#[test]
fn a_registration_gives_the_key_that_signs() {
    let device = Authenticator::new();
    let challenge = b"challenge-1";
    let client = |kind: &str| {
        format!(r#"{{"type":"{kind}","challenge":"{}","origin":"{ORIGIN}"}}"#, URL_SAFE_NO_PAD.encode(challenge))
    };
    let point = device.es256.public_key().as_ref().to_vec();
    // COSE: {1: 2, 3: -7, -1: 1, -2: x, -3: y}
    let mut cose = vec![0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32];
    cose.extend(&point[1..33]);
    cose.extend([0x22, 0x58, 32]);
    cose.extend(&point[33..]);
    let mut data = Digest::of(RP.as_bytes()).as_bytes().to_vec();
    data.extend([0b0100_0101, 0, 0, 0, 0]);
    data.extend([0; 16]);
    data.extend(u16::try_from(CREDENTIAL.len()).unwrap().to_be_bytes());
    data.extend(CREDENTIAL);
    data.extend(&cose);
    let object = |data: &[u8]| {
        let mut object = vec![0xa3, 0x63];
        object.extend(b"fmt");
        object.push(0x64);
        object.extend(b"none");
        object.push(0x67);
        object.extend(b"attStmt");
        object.push(0xa0);
        object.push(0x68);
        object.extend(b"authData");
        object.push(0x58);
        object.push(u8::try_from(data.len()).unwrap());
        object.extend(data);
        object
    };
    let register = |object: &[u8], client: &str, challenge: &[u8]| {
        approve::webauthn::Passkey::register(object, client.as_bytes(), challenge, ORIGIN, RP)
    };
    let key = register(&object(&data), &client("webauthn.create"), challenge).unwrap();
    assert_eq!(key.to_line(), device.line(false));
    assert!(register(&object(&data), &client("webauthn.get"), challenge).is_err());
    assert!(register(&object(&data), &client("webauthn.create"), b"another").is_err());
    let mut unverified = data.clone();
    unverified[32] = 0b0100_0001;
    assert!(register(&object(&unverified), &client("webauthn.create"), challenge).is_err());
    for cut in 0..object(&data).len() {
        assert!(register(&object(&data)[..cut], &client("webauthn.create"), challenge).is_err(), "{cut}");
    }
}
