//! Against the vectors of RFC 8037, and against everything that is nearly a message.

use proptest::prelude::*;

use super::*;

/// RFC 8037, A.1 and A.2: the private key `d`, in PKCS #8 as openssl writes it, and the public `x`.
const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
    -----END PRIVATE KEY-----\n";
const PUBLIC: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
/// RFC 8037, A.4: the signature of `{"alg":"EdDSA"}` over "Example of Ed25519 signing".
const SIGNED: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
const SIGNATURE: &str =
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

struct One(&'static str, [u8; 32]);

impl Keys for One {
    fn key(&self, id: &str) -> Option<[u8; 32]> {
        (id == self.0).then_some(self.1)
    }
}

fn key() -> SigningKey {
    SigningKey::from_pem(PRIVATE.as_bytes()).unwrap()
}

fn ops() -> One {
    One("ops", key().public())
}

fn encoded(text: &str) -> String {
    Base64UrlUnpadded::encode_string(text.as_bytes())
}

/// A message whose header is this text, rightly signed.
fn with_header(header: &str) -> String {
    let signed = format!("{}.{}", encoded(header), encoded("{}"));
    format!(
        "{signed}.{}",
        Base64UrlUnpadded::encode_string(key().0.sign(signed.as_bytes()).as_ref())
    )
}

#[test]
fn the_keys_of_rfc_8037_are_ours() {
    assert_eq!(Base64UrlUnpadded::encode_string(&key().public()), PUBLIC);
}

#[test]
fn the_signature_of_rfc_8037_is_made_and_believed() {
    assert_eq!(
        Base64UrlUnpadded::encode_string(key().0.sign(SIGNED.as_bytes()).as_ref()),
        SIGNATURE
    );
    let signature = Base64UrlUnpadded::decode_vec(SIGNATURE).unwrap();
    let public = UnparsedPublicKey::new(&ED25519, key().public());
    assert!(public.verify(SIGNED.as_bytes(), &signature).is_ok());
    // Its header names no key, so nobody vouches for it here.
    let refused = verify(format!("{SIGNED}.{SIGNATURE}").as_bytes(), &ops()).unwrap_err();
    assert!(matches!(refused, JwsError::Header(_)), "{refused}");
}

#[test]
fn what_was_signed_is_read_back() {
    let message = key().sign("ops", b"{\"serial\":7}");
    let verified = verify(message.as_bytes(), &ops()).unwrap();
    assert_eq!(
        (verified.key.as_str(), verified.payload.as_slice()),
        ("ops", &b"{\"serial\":7}"[..])
    );
    let stranger = One("ops", [7; 32]);
    assert_eq!(verify(message.as_bytes(), &stranger), Err(JwsError::Signature("ops".into())));
    let other = One("night-shift", key().public());
    assert_eq!(verify(message.as_bytes(), &other), Err(JwsError::UnknownKey("ops".into())));
}

#[test]
fn no_changed_character_is_believed() {
    let message = key().sign("ops", br#"{"serial":7,"aud":["works/edge"],"config":"gateway: {}"}"#);
    let good = message.as_bytes();
    assert!(verify(good, &ops()).is_ok());
    for at in 0..good.len() {
        for with in 0..=u8::MAX {
            let mut changed = good.to_vec();
            if std::mem::replace(&mut changed[at], with) == with {
                continue;
            }
            assert!(verify(&changed, &ops()).is_err(), "byte {at} as {with}");
        }
        for changed in [&good[..at], &good[at + 1..], &[&good[..at], &good[at + 1..]].concat()] {
            assert!(verify(changed, &ops()).is_err(), "cut at {at}");
        }
        let doubled = [&good[..=at], &good[at..]].concat();
        assert!(verify(&doubled, &ops()).is_err(), "byte {at} twice");
    }
}

#[test]
fn one_message_has_one_spelling() {
    let message = key().sign("ops", b"{}");
    for around in ["{m}\n", " {m}", "{m}=", "{m}.", "{m}.{m}", "\u{feff}{m}"] {
        let changed = around.replace("{m}", &message);
        assert!(verify(changed.as_bytes(), &ops()).is_err(), "{around:?}");
    }
    // 64 bytes are 86 characters, the last of which has four bits to spare.
    let (rest, last) = message.split_at(message.len() - 1);
    for spare in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".chars() {
        let changed = format!("{rest}{spare}");
        assert_eq!(verify(changed.as_bytes(), &ops()).is_ok(), spare.to_string() == last);
    }
}

#[test]
fn a_header_says_what_it_must_and_nothing_else() {
    assert!(verify(with_header(r#"{"alg":"EdDSA","kid":"ops"}"#).as_bytes(), &ops()).is_ok());
    assert!(
        verify(with_header(r#"{"alg":"EdDSA","kid":"ops","typ":"JWT"}"#).as_bytes(), &ops())
            .is_ok()
    );
    for algorithm in ["none", "HS256", "ES256", "eddsa", ""] {
        let message = with_header(&format!(r#"{{"alg":"{algorithm}","kid":"ops"}}"#));
        let refused = verify(message.as_bytes(), &ops()).unwrap_err();
        assert_eq!(refused, JwsError::Algorithm(algorithm.into()));
    }
    for header in [
        "",
        "{}",
        "[]",
        r#"{"alg":"EdDSA"}"#,
        r#"{"kid":"ops"}"#,
        r#"{"alg":"EdDSA","kid":"ops","kid":"ops"}"#,
        r#"{"alg":"EdDSA","kid":"ops","crit":["b64"],"b64":false}"#,
        r#"{"alg":"EdDSA","kid":"ops","jwk":{}}"#,
        r#"{"alg":"EdDSA","kid":["ops"]}"#,
        r#"{"alg":"EdDSA","kid":"ops"} x"#,
    ] {
        let refused = verify(with_header(header).as_bytes(), &ops()).unwrap_err();
        assert!(matches!(refused, JwsError::Header(_)), "{header}: {refused}");
    }
}

#[test]
fn only_a_private_key_signs() {
    for pem in ["", "x", &PRIVATE.replace("MC4C", "MC4D"), &PRIVATE.replace("PRIVATE", "PUBLIC")] {
        assert!(SigningKey::from_pem(pem.as_bytes()).is_err(), "{pem}");
    }
}

proptest! {
    #[test]
    fn nothing_from_outside_panics(message in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(verify(&message, &ops()).is_err());
    }

    #[test]
    fn no_three_parts_panic(parts in prop::collection::vec("[A-Za-z0-9_-]{0,80}", 3)) {
        prop_assert!(verify(parts.join(".").as_bytes(), &ops()).is_err());
    }
}
