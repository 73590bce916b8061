//! Small values of sensor descriptions: byte strings, spans of bytes.

use crate::config::problem::Complaint;
use crate::config::values::quoted;
use crate::model::sensor::Span;

/// Longest string that is sent or looked for.
const BYTES_MAX: usize = 256;

/// A text whose characters are bytes (`"S\r\n"`), or `0x` and hexadecimal digits.
pub(super) fn bytes(text: &str) -> Result<Vec<u8>, Complaint> {
    let wrong = |why: &str| Complaint::new(format!("{} {why}", quoted(text)));
    let hint = "write bytes as in \"\\x02\" within double quotes, or as 0x02";
    let bytes: Option<Vec<u8>> = match text.strip_prefix("0x") {
        Some(digits) => hex(digits),
        None => text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect(),
    };
    let bytes = bytes.ok_or_else(|| wrong("is no string of bytes").hint(hint))?;
    if bytes.is_empty() {
        return Err("is empty".into());
    }
    if bytes.len() > BYTES_MAX {
        return Err(wrong(&format!("has more than {BYTES_MAX} bytes")));
    }
    let escaped = |code: &str| text.contains(&format!("\\{code}"));
    if escaped("r") || escaped("n") || escaped("x") {
        return Err(wrong("holds a backslash").hint("\\r and \\n need double quotes around them"));
    }
    Ok(bytes)
}

fn hex(digits: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let pair = |[high, low]: &[u8; 2]| Some(digit(*high)? << 4 | digit(*low)?);
    rest.is_empty().then(|| pairs.iter().map(pair).collect())?
}

/// A single byte.
pub(super) fn byte(text: &str) -> Result<u8, Complaint> {
    match bytes(text)?.as_slice() {
        [byte] => Ok(*byte),
        several => Err(format!("is {} bytes long, one is needed", several.len()).into()),
    }
}

/// `4`, `-1`, `1..-4`: bytes of a frame, both ends included.
pub(super) fn span(text: &str) -> Result<Span, Complaint> {
    let number = |text: &str| text.trim().parse::<i32>().ok();
    let ends = match text.split_once("..") {
        Some((first, last)) => number(first).zip(number(last)),
        None => number(text).map(|n| (n, n)),
    };
    let wrong = || Complaint::new(format!("{} is no range of bytes", quoted(text)));
    let hint = "bytes count from 0, from the end with -1; both ends belong to it, as in 1..-4";
    let Some((first, last)) = ends else { return Err(wrong().hint(hint)) };
    if (first < 0) == (last < 0) && first > last {
        return Err(wrong().hint("its end is before its beginning"));
    }
    Ok(Span { first, last })
}

/// How many bytes a span has, if that does not depend on the frame.
pub(super) fn length(span: Span) -> Option<usize> {
    let same_end = (span.first < 0) == (span.last < 0);
    same_end.then(|| usize::try_from(span.last - span.first + 1).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_text_or_hexadecimal() {
        assert_eq!(bytes("S\r\n"), Ok(b"S\r\n".to_vec()));
        assert_eq!(bytes("\u{1b}P"), Ok(vec![0x1B, b'P']));
        assert_eq!(bytes("\u{ff}"), Ok(vec![0xFF]));
        assert_eq!(bytes("0x1B1b"), Ok(vec![0x1B, 0x1B]));
        for wrong in ["", "0x1", "0xzz", "€", "S\\r\\n", &"x".repeat(300)] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
        assert!(byte("ab").is_err());
    }

    #[test]
    fn spans_are_written_with_both_ends() {
        assert_eq!(span("1..-4"), Ok(Span { first: 1, last: -4 }));
        assert_eq!(span("-1"), Ok(Span { first: -1, last: -1 }));
        assert_eq!(span(" 3 .. 5 ").map(length), Ok(Some(3)));
        assert_eq!(span("1..-4").map(length), Ok(None));
        for wrong in ["", "a", "5..3", "-1..-2", "1..", "1...2", "99999999999"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }
}
