//! A short notation for packets: `10[ "MQTT" 04 02 003c "id" ]`.
//!
//! Hex digits stand for bytes, `'text'` for its bytes, `"text"` for a string with its two bytes of
//! length, `[…]` for what it holds with a variable byte integer of its length in front, `'x'*300`
//! for a text again and again, `@offer` for what the CONNACK of an accepted 5.0 client tells,
//! `@why:8f` for properties that hold the reason string that goes with a code, and, in what is
//! expected, `..` for any byte.

/// Bytes that are expected; `None` is any.
pub type Pattern = Vec<Option<u8>>;

/// Receive maximum 1024, packets of 4096 bytes at most, 32 aliases.
const OFFER: &str = "210400 2700001000 220020";

/// The words that go with a reason code where nothing more is known.
const WHY: &[(&str, &str)] = &[
    ("81", "a packet that does not fit its format"),
    ("82", "a packet that is not allowed here, or not with these values"),
    ("85", "a client id that is too long, or another user's"),
    ("86", "a wrong user name or password"),
    ("87", "not allowed to this user, or on this listener"),
    ("8b", "the gateway stops"),
    ("8c", "only user name and password, or a certificate"),
    ("8d", "nothing was heard for one and a half keep-alives"),
    ("8e", "another connection has come with this client id"),
    ("8f", "a filter that is not valid, too long or too deep"),
    ("90", "a topic with wildcards, too long or too deep"),
    ("93", "more messages on their way than were allowed"),
    ("94", "an alias of 0, or above the maximum"),
    ("95", "a packet above the maximum packet size"),
    ("97", "as many as a client may have"),
    ("98", "by an operator, or no longer allowed"),
];

pub fn bytes(text: &str) -> Vec<u8> {
    let all: Option<Vec<u8>> = pattern(text).into_iter().collect();
    all.unwrap_or_else(|| panic!("'..' in what is sent: {text}"))
}

pub fn pattern(text: &str) -> Pattern {
    let mut rest = text.trim();
    let pattern = sequence(&mut rest);
    assert!(rest.is_empty(), "unbalanced: {text}");
    pattern
}

fn sequence(rest: &mut &str) -> Pattern {
    let mut out = Vec::new();
    loop {
        *rest = rest.trim_start();
        let Some(first) = rest.chars().next() else { return out };
        match first {
            ']' => return out,
            '[' => {
                *rest = &rest[1..];
                let inner = sequence(rest);
                *rest = rest.strip_prefix(']').expect("a closing bracket");
                out.extend(variable(inner.len()).into_iter().map(Some));
                out.extend(inner);
            }
            '\'' | '"' => {
                let end = rest[1..].find(first).expect("a closing quote") + 1;
                let mut text = rest[1..end].to_owned();
                *rest = &rest[end + 1..];
                if let Some(after) = rest.strip_prefix('*') {
                    let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
                    text = text.repeat(after[..end].parse().expect("a number after '*'"));
                    *rest = &after[end..];
                }
                if first == '"' {
                    let length = u16::try_from(text.len()).expect("a short text");
                    out.extend(length.to_be_bytes().map(Some));
                }
                out.extend(text.bytes().map(Some));
            }
            '@' if rest.starts_with("@offer") => {
                *rest = &rest["@offer".len()..];
                out.extend(pattern(OFFER));
            }
            '@' => {
                let after = rest.strip_prefix("@why:").expect("'@offer' or '@why:'");
                let (code, after) = after.split_at(2);
                let why = WHY.iter().find(|(of, _)| *of == code);
                let (_, why) = why.unwrap_or_else(|| panic!("no words for {code}"));
                out.extend(pattern(&format!("[ 1f \"{why}\" ]")));
                *rest = after;
            }
            '.' => {
                *rest = rest.strip_prefix("..").expect("'..'");
                out.push(None);
            }
            _ => {
                let pair = rest.get(..2).unwrap_or_else(|| panic!("half a byte: {rest}"));
                let byte = u8::from_str_radix(pair, 16).unwrap_or_else(|_| panic!("hex: {rest}"));
                out.push(Some(byte));
                *rest = &rest[2..];
            }
        }
    }
}

fn variable(mut length: usize) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let digit = u8::try_from(length & 0x7F).unwrap();
        length >>= 7;
        if length == 0 {
            out.push(digit);
            return out;
        }
        out.push(digit | 0x80);
    }
}

#[test]
fn reads_the_notation() {
    assert_eq!(bytes("10[ 'ab' \"c\" 0f ]"), [0x10, 6, b'a', b'b', 0, 1, b'c', 0x0f]);
    assert_eq!(bytes("[]"), [0]);
    assert_eq!(bytes("['x'*200]")[..3], [0xC8, 0x01, b'x']);
    assert_eq!(pattern("[ .. ]"), [Some(1), None]);
}
