//! Where the bytes come from: the command line, a file, standard input.

use std::io::Read as _;
use std::path::Path;

use anyhow::Context;

use super::Arguments;
use crate::cli::BadInput;

/// Most bytes that are looked at.
const BYTES_MAX: u64 = 4 << 20;

pub(super) fn bytes(arguments: &Arguments) -> anyhow::Result<Vec<u8>> {
    if let Some(digits) = &arguments.hex {
        return Ok(hex(digits).map_err(BadInput)?);
    }
    if let Some(text) = &arguments.text {
        return Ok(unescape(text).map_err(BadInput)?);
    }
    let mut bytes = Vec::new();
    match arguments.file.as_deref() {
        Some(path) if path != Path::new("-") => {
            let file = std::fs::File::open(path)
                .with_context(|| format!("can't open {}", path.display()))?;
            file.take(BYTES_MAX)
                .read_to_end(&mut bytes)
                .with_context(|| format!("can't read {}", path.display()))?;
        }
        _ => {
            std::io::stdin()
                .take(BYTES_MAX)
                .read_to_end(&mut bytes)
                .context("can't read standard input")?;
        }
    }
    if !arguments.file_hex {
        return Ok(bytes);
    }
    let text = String::from_utf8(bytes).map_err(|_| BadInput("this is no text".to_owned()))?;
    Ok(hex(&text).map_err(BadInput)?)
}

/// `1B 1b`, `0x02,0x41`, `02:41`.
fn hex(text: &str) -> Result<Vec<u8>, String> {
    let mut digits = Vec::new();
    for word in text.split(|c: char| c.is_whitespace() || matches!(c, ',' | ':' | '-')) {
        let word = word.strip_prefix("0x").unwrap_or(word);
        for c in word.chars() {
            let digit = c.to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            digits.push(digit.ok_or_else(|| format!("{c:?} is no hexadecimal digit"))?);
        }
    }
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return Err("there is an odd number of hexadecimal digits".to_owned());
    }
    Ok(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// Text as a shell hands it on, with the escapes that bytes need.
fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            bytes.extend(c.to_string().as_bytes());
            continue;
        }
        match rest.next() {
            Some('r') => bytes.push(b'\r'),
            Some('n') => bytes.push(b'\n'),
            Some('t') => bytes.push(b'\t'),
            Some('\\') => bytes.push(b'\\'),
            Some('x') => {
                let code: String = rest.by_ref().take(2).collect();
                let byte = u8::from_str_radix(&code, 16).ok().filter(|_| {
                    code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_hexdigit())
                });
                bytes.push(byte.ok_or_else(|| format!("\\x{code} needs two hexadecimal digits"))?);
            }
            other => {
                let other = other.map(String::from).unwrap_or_default();
                return Err(format!(
                    "\\{other} is unknown; there are \\r, \\n, \\t, \\\\ and \\xNN"
                ));
            }
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_as_people_paste_them() {
        assert_eq!(hex("1B 1b\n0x02,0x41 03:04"), Ok(vec![0x1B, 0x1B, 2, 0x41, 3, 4]));
        assert!(hex("123").is_err() && hex("0g").is_err());
        assert_eq!(unescape(r"S S\r\n\x02\\ö"), Ok("S S\r\n\u{2}\\ö".as_bytes().to_vec()));
        for wrong in [r"\q", r"\x1", r"\xzz", r"\x+1", "\\"] {
            assert!(unescape(wrong).is_err(), "{wrong}");
        }
    }
}
