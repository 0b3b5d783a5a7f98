//! What another verifier might read otherwise, or might accept, is refused here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use approve::statement::{Approval, GrantKey, ReleaseRule, RevokeKey};
use approve::webauthn::Passkey;
use approve::{Approved, Assurance, Context, NAMESPACE, Nonce, PublicKey, Refused, Trust, sshsig};
use artifact::claim::{Signature, Signed};
use artifact::effect::{RelationUse, Verb};
use artifact::{Artifact, Digest, Effect, Kind, ProposalId, TaskId};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use testkit::{FixedClock, SoftKey, SoftPasskey, SoftSecurityKey, SshSignature};

const RP: &str = "wetink.example";
const ORIGIN: &str = "https://wetink.example";
const TEXT: &str = "wetink/approval/v1\ngateway: x\n";
const CHALLENGE: &[u8] = b"thirty-two bytes of a challenge!";

fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(u32::try_from(bytes.len()).unwrap().to_be_bytes());
    out.extend(bytes);
}

fn ssh_line(name: &str, fields: &[&[u8]]) -> String {
    let mut blob = Vec::new();
    string(&mut blob, name.as_bytes());
    for field in fields {
        string(&mut blob, field);
    }
    format!("{name} {}", STANDARD.encode(blob))
}

fn passkey_line(algorithm: &str, credential: &[u8], point: &[u8]) -> String {
    let (credential, point) = (URL_SAFE_NO_PAD.encode(credential), URL_SAFE_NO_PAD.encode(point));
    format!("passkey {algorithm} {credential} {point} {RP} {ORIGIN}")
}

/// The three lines an Ed25519 point can be granted under.
fn ed25519_lines(point: &[u8]) -> [String; 3] {
    [
        ssh_line("ssh-ed25519", &[point]),
        ssh_line("sk-ssh-ed25519@openssh.com", &[point, b"ssh:"]),
        passkey_line("eddsa", b"credential", point),
    ]
}

/// The three lines a P-256 point can be granted under.
fn p256_lines(point: &[u8]) -> [String; 3] {
    [
        ssh_line("ecdsa-sha2-nistp256", &[b"nistp256", point]),
        ssh_line("sk-ecdsa-sha2-nistp256@openssh.com", &[b"nistp256", point, b"ssh:"]),
        passkey_line("es256", b"credential", point),
    ]
}

/// Bytes in the order RFC 8032 writes them, of a number written the usual way.
fn little_endian(hex: &str) -> [u8; 32] {
    let mut bytes: Vec<u8> = (0..32).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect();
    bytes.reverse();
    bytes.try_into().unwrap()
}

/// Whoever has such a "key" could say of any text that its person signed it.
#[test]
fn ed25519_points_of_small_order_are_no_keys() {
    let numbers = [
        // Order 4, order 1, order 2 (p - 1); the second spellings p and p + 1; the two of order 8.
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000001",
        "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffec",
        "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed",
        "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffee",
        "05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826",
        "7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7",
    ];
    for number in numbers {
        for sign in [0, 0x80] {
            let mut point = little_endian(number);
            point[31] |= sign;
            for line in ed25519_lines(&point) {
                assert!(matches!(PublicKey::parse(&line), Err(Refused::Key(_))), "{line}");
            }
            // {1: 1, 3: -8, -1: 6, -2: point}
            let cose = [&[0xa4, 1, 1, 3, 0x27, 0x20, 6, 0x21, 0x58, 32], &point[..]].concat();
            let device = SoftPasskey::eddsa(9, RP, ORIGIN);
            assert!(register(&device, &cose).is_err(), "{number}");
        }
    }
    let honest = SoftKey::new(9);
    for line in ed25519_lines(honest.point()) {
        assert_eq!(PublicKey::parse(&line).unwrap().to_string(), line);
    }
    for length in [0, 31, 33, 64] {
        let mut point = honest.point().to_vec();
        point.resize(length, 7);
        assert!(ed25519_lines(&point).iter().all(|line| PublicKey::parse(line).is_err()), "{length} bytes");
    }
}

#[test]
fn p256_points_off_the_curve_are_no_keys() {
    let device = SoftPasskey::es256(RP, ORIGIN);
    let good = device.point();
    for line in p256_lines(good) {
        assert_eq!(PublicKey::parse(&line).unwrap().to_string(), line);
    }
    let edited = |at: usize, value: u8| {
        let mut point = good.to_vec();
        point[at] = value;
        point
    };
    let mut swapped = good.to_vec();
    swapped[1..].rotate_left(32);
    let compressed = [&[2 + (good[64] & 1)], &good[1..33]].concat();
    let hybrid = edited(0, 6 + (good[64] & 1));
    let points = [
        ("y is another", edited(64, good[64] ^ 1)),
        ("x is another", edited(32, good[32] ^ 1)),
        ("x and y swapped", swapped),
        ("zero", [&[4], &[0; 64][..]].concat()),
        ("beyond the field", [&[4], &[0xff; 64][..]].concat()),
        ("the point at infinity", vec![0]),
        ("compressed", compressed),
        ("hybrid", hybrid),
        ("cut short", good[..64].to_vec()),
        ("a byte too many", [good, &[0]].concat()),
        ("nothing", Vec::new()),
    ];
    for (what, point) in points {
        for line in p256_lines(&point) {
            assert!(matches!(PublicKey::parse(&line), Err(Refused::Key(_))), "{what}: {line}");
        }
        if point.len() == 65 {
            // {1: 2, 3: -7, -1: 1, -2: x, -3: y}; the leading 4 does not travel.
            let head = [0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32];
            let cose = [&head, &point[1..33], &[0x22, 0x58, 32], &point[33..]].concat();
            assert_eq!(register(&device, &cose).is_ok(), what == "hybrid", "{what}");
        }
    }
}

fn register(device: &SoftPasskey, cose: &[u8]) -> Result<Passkey, String> {
    attest(device, &SoftPasskey::attestation("none", &device.attested_data(0b0100_0101, cose)))
}

fn attest(device: &SoftPasskey, attestation: &[u8]) -> Result<Passkey, String> {
    let client = device.register(CHALLENGE).client;
    Passkey::register(attestation, client.as_bytes(), CHALLENGE, ORIGIN, RP).map_err(|e| e.to_string())
}

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|window| window == from).expect("it stands there");
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}

#[test]
fn cbor_is_in_its_shortest_form() {
    for device in [SoftPasskey::es256(RP, ORIGIN), SoftPasskey::eddsa(9, RP, ORIGIN)] {
        let good = device.register(CHALLENGE).attestation;
        assert!(attest(&device, &good).is_ok());
        let size = u8::try_from(device.attested_data(0, &device.cose()).len()).unwrap();
        let data = [b"hauthData\x58", &[size][..]].concat();
        let wide = |head: &[u8]| [b"hauthData", head, &[size]].concat();
        for (what, from, to) in [
            ("the map's size in a byte", &b"\xa3cfmt"[..], b"\xb8\x03cfmt".to_vec()),
            ("a name's length in a byte", b"cfmt", b"\x78\x03fmt".to_vec()),
            ("a name's length in two", b"cfmt", b"\x79\0\x03fmt".to_vec()),
            ("a name's length in eight", b"cfmt", b"\x7b\0\0\0\0\0\0\0\x03fmt".to_vec()),
            ("an empty map's size in a byte", b"gattStmt\xa0", b"gattStmt\xb8\0".to_vec()),
            ("the data's length in two bytes", &data, wide(&[0x59, 0])),
            ("the data's length in four bytes", &data, wide(&[0x5a, 0, 0, 0])),
            ("a name of no stated length", b"cfmt", b"\x7f\x63fmt\xff".to_vec()),
            ("a map of no stated size", b"gattStmt\xa0", b"gattStmt\xbf\xff".to_vec()),
            ("a name twice", b"\xa3cfmt", b"\xa4cfmtdnonecfmt".to_vec()),
            ("a tag", b"cfmt", b"\xc1cfmt".to_vec()),
        ] {
            assert!(attest(&device, &replaced(&good, from, &to)).is_err(), "{what}");
        }
        let cose = device.cose();
        assert!(register(&device, &cose).is_ok());
        for (what, from, to) in [
            ("the key's size in a byte", &cose[..1], vec![0xb8, cose[0] & 31]),
            ("a label in a byte", &[3, cose[4]], vec![0x18, 3, cose[4]]),
            ("the algorithm in a byte", &[3, cose[4]], vec![3, 0x38, cose[4] & 31]),
            ("the curve's label in a byte", &[0x20, cose[6]], vec![0x38, 0, cose[6]]),
            ("x with two bytes of length", &[0x21, 0x58, 32], vec![0x21, 0x59, 0, 32]),
            ("one member more", &cose[..1], vec![cose[0] + 1, 0x18, 42, 0]),
            ("a member twice", &cose[..3], vec![cose[0] + 1, 1, cose[2], 1, cose[2]]),
        ] {
            assert!(register(&device, &replaced(&cose, from, &to)).is_err(), "{what}");
        }
        assert!(attest(&device, &[&good[..], &[0]].concat()).is_err(), "a byte after it");
    }
}

#[test]
fn no_member_of_client_data_comes_twice() {
    for device in [SoftPasskey::es256(RP, ORIGIN), SoftPasskey::eddsa(9, RP, ORIGIN)] {
        let key = PublicKey::parse(&device.line()).unwrap();
        let good = device.assertion(TEXT);
        let with = |more: &str| {
            let mut bent = good.clone();
            bent.client = bent.client.replacen('{', &format!("{{{more},"), 1);
            key.verify(NAMESPACE, TEXT, &device.seal(&bent))
        };
        assert_eq!(with(r#""more":1"#), Ok(Assurance::Hardware));
        let value = |name: &str| {
            let rest = good.client.split_once(&format!("\"{name}\":")).unwrap().1;
            rest.split([',', '}']).next().unwrap().to_owned()
        };
        for name in ["type", "challenge", "origin", "crossOrigin"] {
            // The same value again, another value, and the name in escapes.
            let escaped = format!("\\u00{:02x}{}", name.as_bytes()[0], &name[1..]);
            for member in [
                format!("\"{name}\":{}", value(name)),
                format!("\"{name}\":\"https://evil.example\""),
                format!("\"{escaped}\":{}", value(name)),
            ] {
                let refused = with(&member).unwrap_err().to_string();
                assert_eq!(refused, "passkey: clientDataJSON is not readable", "{member}");
            }
        }
        assert!(with(r#""more":1,"more":1"#).is_err(), "also one that nobody knows");
        let many = |count: usize| (0..count).map(|n| format!("\"m{n}\":0")).collect::<Vec<_>>().join(",");
        assert!(with(&many(28)).is_ok());
        assert!(with(&many(29)).is_err(), "33 members");
    }
}

#[test]
fn armored_lines_are_of_one_width() {
    let plain = SoftKey::new(1);
    let (ed25519, p256) = (SoftSecurityKey::ed25519(2), SoftSecurityKey::p256());
    for (line, parts, assurance) in [
        (plain.line(), plain.parts(NAMESPACE, TEXT.as_bytes(), "sha512"), Assurance::PlainKey),
        (plain.line(), plain.parts(NAMESPACE, TEXT.as_bytes(), "sha256"), Assurance::PlainKey),
        (ed25519.line(), ed25519.parts(NAMESPACE, TEXT.as_bytes(), "sha512", 5), Assurance::Hardware),
        (p256.line(), p256.parts(NAMESPACE, TEXT.as_bytes(), "sha256", 1), Assurance::Hardware),
    ] {
        let key = PublicKey::parse(&line).unwrap();
        let verify = |armored: String| key.verify(NAMESPACE, TEXT, &Signature::Ssh { armored });
        let bytes = parts.bytes();
        for width in [1, 4, 63, 64, 70, 75, 76] {
            assert_eq!(verify(SshSignature::armor(&bytes, width)), Ok(assurance), "{width}");
        }
        let good = parts.armored();
        assert_eq!(verify(good.trim_end().to_owned()), Ok(assurance), "without the last line feed");
        let uneven = "ssh signature: its lines are not of one width";
        for width in [77, 80, 4096] {
            assert_eq!(verify(SshSignature::armor(&bytes, width)).unwrap_err().to_string(), uneven, "{width}");
        }
        let mut lines: Vec<String> = good.lines().map(str::to_owned).collect();
        let (last, end) = (lines.len() - 2, lines.len() - 1);
        assert!(last > 2, "more than two lines of base64");
        let mut bent = Vec::new();
        let mut with = |change: &dyn Fn(&mut Vec<String>)| {
            let mut lines = lines.clone();
            change(&mut lines);
            bent.push(lines.join("\n") + "\n");
        };
        with(&|lines| lines.insert(2, String::new()));
        with(&|lines| lines.insert(1, String::new()));
        with(&|lines| lines.insert(end, String::new()));
        with(&|lines| {
            let moved = lines[2].remove(0);
            lines[1].push(moved);
        });
        with(&|lines| {
            let moved = lines[1].pop().unwrap();
            lines[2].insert(0, moved);
        });
        with(&|lines| {
            let rest = lines.remove(last);
            lines[last - 1] += &rest;
        });
        for bad in bent {
            assert_eq!(verify(bad.clone()).unwrap_err().to_string(), uneven, "{bad}");
        }
        lines[1].insert(3, ' ');
        lines[1].pop();
        assert!(verify(lines.join("\n") + "\n").is_err(), "a space inside a line");
        for bad in [
            good.replace('\n', "\r\n"),
            format!("{good}\n"),
            format!("\n{good}"),
            good.replacen("SSH SIGNATURE", "SSH  SIGNATURE", 1),
            good.repeat(2),
            String::new(),
        ] {
            assert!(verify(bad.clone()).is_err(), "{bad:?}");
        }
    }
}

/// Each bit of a signature armored as OpenSSH armors, so that nothing but the bit refuses it.
#[test]
fn each_changed_bit_of_an_ssh_signature_is_refused() {
    let plain = SoftKey::new(1);
    let (ed25519, p256) = (SoftSecurityKey::ed25519(2), SoftSecurityKey::p256());
    for (line, parts) in [
        (plain.line(), plain.parts(NAMESPACE, TEXT.as_bytes(), "sha512")),
        (ed25519.line(), ed25519.parts(NAMESPACE, TEXT.as_bytes(), "sha512", 5)),
        (p256.line(), p256.parts(NAMESPACE, TEXT.as_bytes(), "sha512", 5)),
    ] {
        let key = PublicKey::parse(&line).unwrap();
        let verify = |bytes: &[u8]| {
            let armored = SshSignature::armor(bytes, 70);
            key.verify(NAMESPACE, TEXT, &Signature::Ssh { armored })
        };
        let good = parts.bytes();
        assert!(verify(&good).is_ok());
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(verify(&bad).is_err(), "bit {bit} of {line}");
        }
        for cut in 0..good.len() {
            assert!(verify(&good[..cut]).is_err(), "{cut} bytes of {line}");
        }
        assert!(verify(&[&good[..], &[0]].concat()).is_err());
    }
}

#[test]
fn ssh_signatures_are_bent_in_every_field() {
    type Bend = fn(&mut SshSignature);
    let bends: &[(&str, &str, Bend)] = &[
        ("magic", "it is not an SSHSIG of version 1", |s| s.magic = b"SSHSIH".to_vec()),
        ("version", "it is not an SSHSIG of version 1", |s| s.version = 2),
        ("key", "it was made by another key", |s| s.key.push(0)),
        ("namespace", "it is for another purpose (namespace)", |s| s.namespace = b"wetink-login@v1".to_vec()),
        ("reserved", "its reserved field is in use", |s| s.reserved = b"x".to_vec()),
        ("hash", "its hash is not sha256 or sha512", |s| s.hash = b"sha1".to_vec()),
        ("the other hash", "it does not fit the text", |s| s.hash = b"sha256".to_vec()),
        ("algorithm", "its algorithm is not the key's", |s| s.algorithm = b"ssh-rsa".to_vec()),
        ("inner tail", "it has bytes too many", |s| s.inner_tail = vec![0]),
        ("tail", "it has bytes too many", |s| s.tail = vec![0]),
    ];
    let plain = SoftKey::new(1);
    let device = SoftSecurityKey::ed25519(2);
    let sign = |flags| device.parts(NAMESPACE, TEXT.as_bytes(), "sha512", flags);
    for (line, good) in [(plain.line(), plain.parts(NAMESPACE, TEXT.as_bytes(), "sha512")), (device.line(), sign(5))] {
        let key = PublicKey::parse(&line).unwrap();
        let verify = |parts: &SshSignature| key.verify(NAMESPACE, TEXT, &Signature::Ssh { armored: parts.armored() });
        assert!(verify(&good).is_ok());
        for (what, why, bend) in bends {
            let mut bent = good.clone();
            bend(&mut bent);
            assert_eq!(verify(&bent).unwrap_err().to_string(), format!("ssh signature: {why}"), "{what}");
        }
    }
    let key = PublicKey::parse(&device.line()).unwrap();
    let verify = |parts: &SshSignature| key.verify(NAMESPACE, TEXT, &Signature::Ssh { armored: parts.armored() });
    let untouched = "ssh signature: nobody touched the security key";
    assert_eq!(verify(&sign(0)).unwrap_err().to_string(), untouched);
    assert_eq!(verify(&sign(4)).unwrap_err().to_string(), untouched);
    for presence in [None, Some((5, 8)), Some((1, 7))] {
        let bent = SshSignature { presence, ..sign(5) };
        assert!(verify(&bent).is_err(), "{presence:?}");
    }
    for application in ["", "ssh", "https://wetink.example", "webauthn:"] {
        let line = SoftSecurityKey::ed25519(2).for_application(application).line();
        assert!(PublicKey::parse(&line).is_err(), "{application}");
    }
    let other = SoftSecurityKey::ed25519(2).for_application("ssh:other");
    let mut bent = other.parts(NAMESPACE, TEXT.as_bytes(), "sha512", 5);
    assert!(verify(&bent).is_err());
    bent.key = sign(5).key;
    assert_eq!(verify(&bent).unwrap_err().to_string(), "ssh signature: it does not fit the text");
}

#[test]
fn an_address_fits_its_site() {
    let point = SoftPasskey::eddsa(9, RP, ORIGIN);
    let (credential, point) = (URL_SAFE_NO_PAD.encode("credential"), URL_SAFE_NO_PAD.encode(point.point()));
    let fits = |rp_id: &str, origin: &str| {
        PublicKey::parse(&format!("passkey eddsa {credential} {point} {rp_id} {origin}")).is_ok()
    };
    for (rp_id, origin) in [
        ("wetink.example", "https://wetink.example"),
        ("wetink.example", "https://desk.wetink.example"),
        ("wetink.example", "https://a.b.wetink.example:8443"),
        ("localhost", "http://localhost"),
        ("localhost", "http://localhost:7117"),
        ("localhost", "https://localhost:7117"),
        ("wetink.localhost", "http://wetink.localhost:7117"),
    ] {
        assert!(fits(rp_id, origin), "{rp_id} {origin}");
    }
    for (rp_id, origin) in [
        ("wetink.example", "http://wetink.example"),
        ("wetink.example", "ftp://wetink.example"),
        ("wetink.example", "wetink.example"),
        ("wetink.example", "https://evilwetink.example"),
        ("wetink.example", "https://wetink.example.evil.example"),
        ("desk.wetink.example", "https://wetink.example"),
        ("desk.wetink.example", "https://other.wetink.example"),
        ("wetink.example", "https://.wetink.example"),
        ("wetink.example", "https://a..wetink.example"),
        ("wetink.example", "https://wetink.example."),
        ("wetink.example", "https://wetink.example/"),
        ("wetink.example", "https://wetink.example/path"),
        ("wetink.example", "https://evil.example/.wetink.example"),
        ("wetink.example", "https://evil.example?.wetink.example"),
        ("wetink.example", "https://evil.example#.wetink.example"),
        ("wetink.example", "https://user@wetink.example"),
        ("wetink.example", "https://Wetink.example"),
        ("wetink.example", "https://w\u{435}tink.example"),
        ("wetink.example", "https://wetink.example:"),
        ("wetink.example", "https://wetink.example:0"),
        ("wetink.example", "https://wetink.example:0443"),
        ("wetink.example", "https://wetink.example:+443"),
        ("wetink.example", "https://wetink.example:65536"),
        ("wetink.example", "https://wetink.example:443:443"),
        ("wetink.example", "https://"),
        ("Wetink.example", "https://wetink.example"),
        ("https://wetink.example", "https://wetink.example"),
        ("localhost", "http://evil-localhost"),
        ("localhost", "http://localhost.evil.example"),
        ("evil.example", "http://evil.example"),
        ("", "https://wetink.example"),
        ("*", "https://wetink.example"),
        ("wetink.example:443", "https://wetink.example:443"),
    ] {
        assert!(!fits(rp_id, origin), "{rp_id} {origin}");
    }
    let long = ["a".repeat(60).as_str(); 5].join(".");
    assert!(!fits(&long, &format!("https://{long}")), "a host of more than 253 characters");
}

/// A gateway whose root is seed 0, with Ada (seed 1) as its first admin and reviewer.
struct Gateway {
    trust: Trust,
    clock: FixedClock,
}

const ROOT: u8 = 0;
const ADA: u8 = 1;

impl Gateway {
    fn new() -> Self {
        let (trust, clock) = (Trust::new(&SoftKey::new(ROOT).line()).unwrap(), FixedClock::new());
        let mut gateway = Self { trust, clock };
        gateway.grant(ROOT, "Ada", &SoftKey::new(ADA).line(), "admin,reviewer").unwrap();
        gateway
    }

    fn grant(&mut self, by: u8, person: &str, key: &str, roles: &str) -> Result<(), Refused> {
        let (gateway, nonce, not_after) = (self.trust.gateway(), Nonce::random(), self.clock.after(60));
        let (person, key, roles) = (person.to_owned(), key.to_owned(), roles.to_owned());
        let text = GrantKey { gateway, person, key, roles, nonce, not_after }.to_text().unwrap();
        self.trust.apply_key(&SoftKey::new(by).sign(&text), self.clock.now()).map(|_| ())
    }

    fn revoke(&mut self, line: &str) {
        let fingerprint = PublicKey::parse(line).unwrap().fingerprint();
        let (gateway, nonce, not_after) = (self.trust.gateway(), Nonce::random(), self.clock.after(60));
        let text = RevokeKey { gateway, fingerprint, nonce, not_after }.to_text().unwrap();
        self.trust.apply_key(&SoftKey::new(ADA).sign(&text), self.clock.now()).unwrap();
    }

    /// Approves `effect` with the signatures of `signers` where `quorum` people are needed.
    fn approve(&self, effect: &Effect, signers: &[u8], quorum: usize, seconds: u64) -> Result<Approved, Refused> {
        self.approve_as(effect, signers, (quorum, None), (1, &[]), seconds)
    }

    /// The same with what the guard asks for, and what stands in the statement.
    fn approve_as(
        &self,
        effect: &Effect,
        signers: &[u8],
        (quorum, apart_from): (usize, Option<&str>),
        (signed_quorum, not_by): (u32, &[&str]),
        seconds: u64,
    ) -> Result<Approved, Refused> {
        let artifact = Artifact::new(Kind::SqlSqlite, b"select 1".to_vec()).unwrap();
        let ctx = Context {
            trust: &self.trust,
            proposal: ProposalId::random(),
            revision: 1,
            target_name: "shop",
            target_fingerprint: Digest::of(b"target"),
            kind: Kind::SqlSqlite,
            run_as: "owner",
            policy: Digest::of(b"policy"),
            quorum,
            apart_from,
            least: Assurance::PlainKey,
            now: self.clock.now(),
        };
        let text = Approval {
            gateway: self.trust.gateway(),
            proposal: ctx.proposal,
            revision: 1,
            artifact: artifact.digest(),
            kind: Kind::SqlSqlite,
            target_name: "shop".into(),
            target_fingerprint: ctx.target_fingerprint,
            run_as: "owner".into(),
            effect: effect.digest(),
            ceiling_rows: 0,
            release: ReleaseRule::Hold,
            task: TaskId::random(),
            policy: ctx.policy,
            quorum: signed_quorum,
            not_by: not_by.iter().map(|&person| person.to_owned()).collect(),
            nonce: Nonce::random(),
            not_after: self.clock.after(seconds),
        }
        .to_text()
        .unwrap();
        let unsigned = Signed { statement: text, batch: None, signatures: Vec::new() };
        let claim = signers.iter().fold(unsigned, |claim, seed| SoftKey::new(*seed).cosign(claim));
        Approved::verify(&claim, artifact, effect.clone(), &ctx)
    }
}

/// A relation, its verbs, what is read of it and what is written.
type Use<'a> = (&'a str, &'a [Verb], &'a [&'a str], &'a [&'a str]);

fn effect(verb: Verb, relations: &[Use<'_>]) -> Effect {
    let columns = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let relations = relations.iter().map(|(name, verbs, reads, writes)| RelationUse {
        name: (*name).to_owned(),
        verbs: verbs.to_vec(),
        reads: columns(reads),
        writes: columns(writes),
        ..RelationUse::default()
    });
    Effect { verb, relations: relations.collect(), ..Effect::empty() }
}

fn refused_as_granted_before(answer: Result<(), Refused>, what: &str) {
    let before = Refused::State("this key was granted before; a key is granted once");
    assert_eq!(answer, Err(before), "{what}");
}

/// Else a key that was revoked came back in another form, and one device counted as two.
#[test]
fn one_raw_key_is_granted_once_in_whatever_form() {
    let device = SoftPasskey::es256(RP, ORIGIN);
    for (seed, point) in [(Some(5), SoftKey::new(5).point().to_vec()), (None, device.point().to_vec())] {
        let lines = if seed.is_some() { ed25519_lines(&point) } else { p256_lines(&point) };
        for first in &lines {
            let mut gateway = Gateway::new();
            gateway.grant(ADA, "Ben", first, "reviewer").unwrap();
            for person in ["Ben", "Cleo"] {
                for again in &lines {
                    refused_as_granted_before(gateway.grant(ADA, person, again, "reviewer"), again);
                }
            }
            gateway.revoke(first);
            for again in &lines {
                refused_as_granted_before(gateway.grant(ADA, "Ben", again, "reviewer"), again);
            }
            assert_eq!(gateway.trust.keys().len(), 2);
        }
    }
    let mut gateway = Gateway::new();
    let passkey = passkey_line("eddsa", b"one", SoftKey::new(5).point());
    gateway.grant(ADA, "Ben", &passkey, "reviewer").unwrap();
    let other = passkey_line("eddsa", b"two", SoftKey::new(5).point());
    refused_as_granted_before(gateway.grant(ADA, "Ben", &other, "reviewer"), "another credential id");
    for line in ed25519_lines(SoftKey::new(ROOT).point()) {
        refused_as_granted_before(gateway.grant(ADA, "Ben", &line, "reviewer"), "the gateway's own root");
    }
    gateway.grant(ADA, "Cleo", &SoftKey::new(6).line(), "reviewer").unwrap();
}

#[test]
fn names_that_differ_in_case_are_one_person() {
    let read = effect(Verb::Read, &[("main.orders", &[Verb::Read], &["id"], &[])]);
    for (one, other) in [("Ben", "ben"), ("BEN", "bEn"), ("\u{c4}nne", "\u{e4}nne"), ("Ben", "Ben")] {
        let mut gateway = Gateway::new();
        gateway.grant(ADA, one, &SoftKey::new(2).line(), "reviewer").unwrap();
        gateway.grant(ADA, other, &SoftKey::new(3).line(), "reviewer").unwrap();
        gateway.grant(ADA, "Cleo", &SoftKey::new(4).line(), "reviewer").unwrap();
        let quorum = |answer: Result<Approved, Refused>| answer.map(|_| ()).unwrap_err();
        assert_eq!(quorum(gateway.approve(&read, &[2, 3], 2, 60)), Refused::Quorum { have: 1, need: 2 });
        assert_eq!(quorum(gateway.approve(&read, &[2, 3, 4], 3, 60)), Refused::Quorum { have: 2, need: 3 });
        // The same key twice is no second person either.
        assert_eq!(quorum(gateway.approve(&read, &[2, 2], 2, 60)), Refused::Quorum { have: 1, need: 2 });
        assert!(gateway.approve(&read, &[2, 4], 2, 60).is_ok());
        assert!(gateway.approve(&read, &[3, 4], 2, 60).is_ok());
        assert!(gateway.approve(&read, &[2, 3], 1, 60).is_ok());
    }
}

/// What policy asked for stands in the statement, what the guard asks for does not depend on it; the stricter one holds.
#[test]
fn people_who_are_left_out_do_not_count() {
    let read = effect(Verb::Read, &[("main.orders", &[Verb::Read], &["id"], &[])]);
    let mut gateway = Gateway::new();
    for (seed, person) in [(2, "Ben"), (3, "Cleo")] {
        gateway.grant(ADA, person, &SoftKey::new(seed).line(), "reviewer").unwrap();
    }
    let ask = |signers: &[u8], guard, statement| gateway.approve_as(&read, signers, guard, statement, 60).map(|_| ());
    assert_eq!(ask(&[2], (1, None), (2, &[])), Err(Refused::Quorum { have: 1, need: 2 }));
    assert_eq!(ask(&[2], (3, None), (2, &[])), Err(Refused::Quorum { have: 1, need: 3 }));
    assert_eq!(ask(&[2, 3], (1, None), (2, &[])), Ok(()));
    assert_eq!(ask(&[2, 3], (1, None), (2, &["BEN"])), Err(Refused::Apart("ben".into())));
    assert_eq!(ask(&[2, 3], (2, Some("Cleo")), (1, &[])), Err(Refused::Apart("cleo".into())));
    assert_eq!(ask(&[2, 3], (2, Some("Ada")), (1, &["Ada"])), Ok(()));
}

/// What is written is never shown as a read, and what is touched is touched in some way.
#[test]
fn an_effect_does_not_contradict_itself() {
    let gateway = Gateway::new();
    let why = |effect: &Effect| match gateway.approve(effect, &[ADA], 1, 60) {
        Ok(_) => None,
        Err(Refused::Effect(why)) => Some(why),
        Err(other) => panic!("{other}"),
    };
    let good: Use<'_> = ("main.orders", &[Verb::Read], &["id"], &[]);
    assert_eq!(why(&effect(Verb::Read, &[good])), None);
    assert_eq!(why(&effect(Verb::Update, &[("main.orders", &[Verb::Read, Verb::Update], &["id"], &["status"])])), None);
    assert_eq!(why(&effect(Verb::Delete, &[("main.orders", &[Verb::Delete], &[], &[])])), None);
    let contradicts = Some("what it does to a relation contradicts itself");
    assert_eq!(why(&effect(Verb::Read, &[("main.orders", &[Verb::Read], &[], &["status"])])), contradicts);
    assert_eq!(why(&effect(Verb::Read, &[("main.orders", &[], &[], &["status"])])), contradicts);
    assert_eq!(why(&effect(Verb::Read, &[("main.orders", &[], &["id"], &[])])), contradicts);
    assert_eq!(why(&effect(Verb::Read, &[("main.orders", &[], &[], &[])])), contradicts);
    let beside: Use<'_> = ("main.people", &[Verb::Read], &[], &["email"]);
    assert_eq!(why(&effect(Verb::Update, &[("main.orders", &[Verb::Update], &[], &["status"]), beside])), contradicts);

    let spelling = Some("it is not in its one spelling");
    let people: Use<'_> = ("main.people", &[Verb::Read], &["id"], &[]);
    assert_eq!(why(&effect(Verb::Read, &[people, good])), spelling, "not sorted");
    assert_eq!(why(&effect(Verb::Read, &[good, good])), spelling, "a relation twice");
    assert_eq!(why(&effect(Verb::Read, &[("main.orders", &[Verb::Read], &["id", "id"], &[])])), spelling);
    assert_eq!(why(&effect(Verb::Read, &[("main.orders", &[Verb::Update, Verb::Read], &[], &["a"])])), spelling);
    assert_eq!(why(&effect(Verb::Read, &[("main.orders", &[Verb::Update], &[], &["a"])])), spelling, "a weaker verb");
    let names: Vec<String> = (0..1000).map(|n| format!("{n:0>300}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let large = effect(Verb::Read, &[("main.orders", &[Verb::Read], &names, &[])]);
    assert_eq!(why(&large), Some("it is too large to be reviewed"));
}

#[test]
fn an_approval_lasts_a_day_at_most() {
    let gateway = Gateway::new();
    let read = effect(Verb::Read, &[("main.orders", &[Verb::Read], &["id"], &[])]);
    assert!(gateway.approve(&read, &[ADA], 1, 86_400).is_ok());
    assert_eq!(gateway.approve(&read, &[ADA], 1, 86_401).map(|_| ()), Err(Refused::TooLong));
    assert_eq!(gateway.approve(&read, &[ADA], 1, 0).map(|_| ()), Err(Refused::Ended(gateway.clock.now())));
}

#[test]
fn a_seeded_key_has_the_line_openssh_would_write() {
    let key = SoftKey::new(1);
    assert_eq!(key.line(), ed25519_lines(key.point())[0]);
    assert_eq!(key.line(), sshsig::ed25519_line(key.point()));
    assert_eq!(SoftSecurityKey::ed25519(1).line(), ed25519_lines(key.point())[1]);
}
