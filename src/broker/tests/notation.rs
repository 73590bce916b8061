//! A short notation for packets: `10[ "MQTT" 04 02 003c "id" ]`.
//!
//! Hex digits stand for bytes, `'text'` for its bytes, `"text"` for a string with its two bytes of
//! length, `[…]` for what it holds with a variable byte integer of its length in front.

pub fn bytes(text: &str) -> Vec<u8> {
    let mut rest = text.trim();
    let bytes = sequence(&mut rest);
    assert!(rest.is_empty(), "unbalanced: {text}");
    bytes
}

fn sequence(rest: &mut &str) -> Vec<u8> {
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
                let mut length = inner.len();
                loop {
                    let digit = u8::try_from(length & 0x7F).unwrap();
                    length >>= 7;
                    if length == 0 {
                        out.push(digit);
                        break;
                    }
                    out.push(digit | 0x80);
                }
                out.extend(inner);
            }
            '\'' | '"' => {
                let end = rest[1..].find(first).expect("a closing quote") + 1;
                let text = &rest[1..end];
                if first == '"' {
                    out.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
                }
                out.extend(text.as_bytes());
                *rest = &rest[end + 1..];
            }
            _ => {
                let pair = rest.get(..2).unwrap_or_else(|| panic!("half a byte: {rest}"));
                out.push(u8::from_str_radix(pair, 16).unwrap_or_else(|_| panic!("hex: {rest}")));
                *rest = &rest[2..];
            }
        }
    }
}

#[test]
fn reads_the_notation() {
    assert_eq!(bytes("10[ 'ab' \"c\" 0f ]"), [0x10, 6, b'a', b'b', 0, 1, b'c', 0x0f]);
    assert_eq!(bytes("[]"), [0]);
    assert_eq!(bytes(&format!("[ '{}' ]", "x".repeat(200)))[..2], [0xC8, 0x01]);
}
