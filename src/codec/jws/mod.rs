//! Signed messages: JSON Web Signature in its compact form (RFC 7515), with Ed25519 (RFC 8037).
//!
//! `BASE64URL(header).BASE64URL(payload).BASE64URL(signature)`. Read strictly, since a second way to
//! read a message is how signatures are got around: the one algorithm is EdDSA; the header has `alg`,
//! `kid` and, if any, `typ`, each once; `kid` names one of the keys that the caller trusts; base64
//! without padding and without spare bits; nothing before, between or after. So one message has one
//! spelling. Knows nothing of what the payload means, and no time.

use base64ct::{Base64UrlUnpadded, Encoding};
use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};

/// Bytes of an Ed25519 public key.
pub const PUBLIC_KEY_BYTES: usize = 32;
/// Longest header that is looked at: two short words and a name.
const HEADER_BYTES_MAX: usize = 1_024;
const ALGORITHM: &str = "EdDSA";

/// Whom a message may be from: the id of a key, and the key.
pub trait Keys {
    fn key(&self, id: &str) -> Option<[u8; PUBLIC_KEY_BYTES]>;
}

/// What a message says, now that it is known who says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The id of the key.
    pub key: String,
    pub payload: Vec<u8>,
}

/// Why a message is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    #[error("it is no signed message: three parts with two points between them are wanted")]
    Form,
    #[error("its {0} is no base64url without padding (RFC 4648, 5)")]
    Base64(&'static str),
    #[error("its header can't be read: {0}")]
    Header(String),
    #[error("it is signed with {0:?}; only {ALGORITHM} is taken")]
    Algorithm(String),
    #[error("its key {0:?} is none of those in the configuration")]
    UnknownKey(String),
    #[error("its signature is not that of the key {0:?}")]
    Signature(String),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    kid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    typ: Option<String>,
}

/// The payload of a message that one of the keys signed.
pub fn verify(message: &[u8], keys: &impl Keys) -> Result<Verified, JwsError> {
    let message = std::str::from_utf8(message).map_err(|_| JwsError::Form)?;
    let (signed, signature) = message.rsplit_once('.').ok_or(JwsError::Form)?;
    let (header, payload) = signed.split_once('.').ok_or(JwsError::Form)?;
    if payload.contains('.') || header.len() > HEADER_BYTES_MAX {
        return Err(JwsError::Form);
    }
    let header: Header = serde_json::from_slice(&decode("header", header)?)
        .map_err(|error| JwsError::Header(error.to_string()))?;
    if header.alg != ALGORITHM {
        return Err(JwsError::Algorithm(header.alg));
    }
    let Some(key) = keys.key(&header.kid) else { return Err(JwsError::UnknownKey(header.kid)) };
    let signature = decode("signature", signature)?;
    if UnparsedPublicKey::new(&ED25519, key).verify(signed.as_bytes(), &signature).is_err() {
        return Err(JwsError::Signature(header.kid));
    }
    Ok(Verified { payload: decode("payload", payload)?, key: header.kid })
}

fn decode(what: &'static str, text: &str) -> Result<Vec<u8>, JwsError> {
    Base64UrlUnpadded::decode_vec(text).map_err(|_| JwsError::Base64(what))
}

/// A private key, for those who sign.
pub struct SigningKey(Ed25519KeyPair);

/// The text is no private key for Ed25519.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no Ed25519 private key in PEM (PKCS #8)")]
pub struct NoKey;

impl SigningKey {
    /// As `openssl genpkey -algorithm ed25519` writes it (RFC 8410, with or without the public key).
    pub fn from_pem(pem: &[u8]) -> Result<Self, NoKey> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| NoKey)?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der());
        pair.map(Self).map_err(|_| NoKey)
    }

    pub fn public(&self) -> [u8; PUBLIC_KEY_BYTES] {
        use ring::signature::KeyPair as _;
        let mut public = [0; PUBLIC_KEY_BYTES];
        public.iter_mut().zip(self.0.public_key().as_ref()).for_each(|(to, from)| *to = *from);
        public
    }

    /// The message that says `payload`; `id` is what receivers call this key.
    pub fn sign(&self, id: &str, payload: &[u8]) -> String {
        let header = serde_json::json!({ "alg": ALGORITHM, "kid": id }).to_string();
        let signed = [header.as_bytes(), payload].map(Base64UrlUnpadded::encode_string);
        let signed = signed.join(".");
        let signature = self.0.sign(signed.as_bytes());
        format!("{signed}.{}", Base64UrlUnpadded::encode_string(signature.as_ref()))
    }
}

#[cfg(test)]
mod tests;
