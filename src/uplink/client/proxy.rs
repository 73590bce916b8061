//! The way through an HTTP proxy: CONNECT (RFC 9110, 9.3.6), with a login if it wants one (RFC 7617).
//!
//! What the proxy says is bounded and never taken for more than a status.

use std::io;

use base64ct::{Base64, Encoding};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::dial::place;
use super::failure::Failure;

/// Longest answer of a proxy.
const ANSWER_BYTES_MAX: usize = 8 * 1024;
/// Characters of its own words that are repeated.
const WORDS_MAX: usize = 80;

#[derive(Clone)]
pub struct Proxy {
    pub host: String,
    pub port: u16,
    pub login: Option<(String, String)>,
}

/// What the proxy answered instead of connecting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxyRefusal {
    /// A status, with the words behind it.
    Status(u16, String),
    NotHttp,
}

/// Asks it to connect further. The stream is then one to the host behind it.
pub async fn ask(
    stream: &mut TcpStream,
    proxy: &Proxy,
    host: &str,
    port: u16,
) -> Result<(), Failure> {
    let to = place(host, port);
    let mut request = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n");
    let login = proxy.login.as_ref().map(|(username, password)| {
        (password, Base64::encode_string(format!("{username}:{password}").as_bytes()))
    });
    if let Some((_, encoded)) = &login {
        request += &format!("Proxy-Authorization: Basic {encoded}\r\n");
    }
    request += "\r\n";
    stream.write_all(request.as_bytes()).await.map_err(Failure::Io)?;
    let answer = answer(stream).await?;
    let is_told = |secret: &str| String::from_utf8_lossy(&answer).contains(secret);
    let repeats_login = login.is_some_and(|(plain, coded)| is_told(plain) || is_told(&coded));
    match status(&answer) {
        Some((200..=299, _)) => Ok(()),
        // What it says goes to the log and the status; the password it was told does not.
        Some((code, _)) if repeats_login => {
            Err(Failure::Proxy(ProxyRefusal::Status(code, String::new())))
        }
        Some((code, words)) => Err(Failure::Proxy(ProxyRefusal::Status(code, words))),
        None => Err(Failure::Proxy(ProxyRefusal::NotHttp)),
    }
}

/// The head of the answer and nothing behind it: that belongs to the host. Byte by byte, it is
/// short.
async fn answer(stream: &mut TcpStream) -> Result<Vec<u8>, Failure> {
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= ANSWER_BYTES_MAX {
            return Err(Failure::Proxy(ProxyRefusal::NotHttp));
        }
        match stream.read_u8().await {
            Ok(byte) => answer.push(byte),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(Failure::Io(error)),
        }
    }
    Ok(answer)
}

/// Code and words of `HTTP/1.1 407 Proxy Authentication Required`.
fn status(answer: &[u8]) -> Option<(u16, String)> {
    let line = answer.split(|byte| *byte == b'\r').next()?;
    let line = String::from_utf8_lossy(line);
    let (version, rest) = line.split_once(' ')?;
    if !version.starts_with("HTTP/1.") {
        return None;
    }
    let (code, words) = rest.split_once(' ').unwrap_or((rest, ""));
    let words = words.chars().filter(|c| !c.is_control()).take(WORDS_MAX).collect();
    Some((code.parse().ok()?, words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_line_is_read_and_bounded() {
        let words = |text: &str| status(text.as_bytes());
        assert_eq!(words("HTTP/1.1 200 OK\r\n\r\n"), Some((200, "OK".to_owned())));
        assert_eq!(words("HTTP/1.0 407\r\n\r\n"), Some((407, String::new())));
        assert_eq!(words("SSH-2.0-x\r\n"), None);
        assert_eq!(words("HTTP/1.1 abc\r\n"), None);
        assert_eq!(words(""), None);
        let long = format!("HTTP/1.1 403 {}\r\n", "x".repeat(500));
        assert_eq!(words(&long).unwrap().1.len(), WORDS_MAX);
    }
}
