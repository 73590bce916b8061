//! The local control socket: `fieldhold status` asks the running gateway through it.
//!
//! A Unix socket in the state directory, readable by its owner alone. One request per connection:
//! a line with some words or a word and JSON, answered with one line of JSON.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use crate::model::{Blame, Retry};

/// Connections served at a time.
const CONNECTIONS_MAX: usize = 8;
/// Longest request line: two topics, of which each character is escaped.
const REQUEST_BYTES_MAX: u64 = 1 << 20;
/// Characters of an unknown request that are said again.
const QUOTED_MAX: usize = 100;
/// How long a peer may take to ask, and to take its answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long an answer may take: a change of the configuration stops and starts units.
const ANSWER: Duration = Duration::from_secs(90);

/// Answers the words of a request with a line of JSON; `None` if they are not known.
pub type Answer = Arc<dyn Fn(String) -> BoxFuture<'static, Option<String>> + Send + Sync>;

/// Longest path of a Unix socket, without the zero at its end (unix(7)).
const PATH_BYTES_MAX: usize = 107;

/// Why the socket could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error("the path of the control socket has more than {PATH_BYTES_MAX} bytes: {}", path.display())]
    TooLong { path: PathBuf },
    #[error("can't use the control socket {}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

impl ControlError {
    pub fn blame(&self) -> Blame {
        match self {
            Self::TooLong { .. } => Blame::Config,
            Self::Io { .. } => Blame::Disk,
        }
    }

    /// Whether no gateway is listening there, or could be.
    pub fn nobody_there(&self) -> bool {
        match self {
            Self::TooLong { .. } => true,
            Self::Io { source, .. } => {
                matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
            }
        }
    }

    pub fn retry(&self) -> Retry {
        match self {
            Self::TooLong { .. } => Retry::Never,
            Self::Io { .. } => Retry::Later,
        }
    }
}

/// Where the socket of a gateway with this state directory lies.
pub fn socket_path(state_dir: &Path) -> PathBuf {
    state_dir.join("control.sock")
}

/// Serves requests until told to stop.
pub async fn serve(
    path: PathBuf,
    answer: Answer,
    stop: CancellationToken,
) -> Result<(), ControlError> {
    check_length(&path)?;
    listen(&path, answer, stop).await.map_err(|source| ControlError::Io { path, source })
}

async fn listen(path: &Path, answer: Answer, stop: CancellationToken) -> io::Result<()> {
    // A socket left behind by a killed process is in the way; the store's lock has already made
    // sure that no living gateway uses this directory.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    let mut peers = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if peers.len() < CONNECTIONS_MAX => {
                let (stream, _) = accepted?;
                let answer = Arc::clone(&answer);
                peers.spawn(async move {
                    // The peer's trouble is the peer's: nobody here waits for this answer.
                    let _ = one_request(stream, answer).await;
                });
            }
            Some(_) = peers.join_next() => {}
            () = stop.cancelled() => break,
        }
    }
    let _ = std::fs::remove_file(path);
    Ok(())
}

/// Asks a running gateway; one word, one line of JSON back.
pub async fn ask(path: &Path, word: &str) -> Result<String, ControlError> {
    check_length(path)?;
    let asked = request(path, word).await;
    asked.map_err(|source| ControlError::Io { path: path.to_owned(), source })
}

fn check_length(path: &Path) -> Result<(), ControlError> {
    if path.as_os_str().len() > PATH_BYTES_MAX {
        return Err(ControlError::TooLong { path: path.to_owned() });
    }
    Ok(())
}

async fn request(path: &Path, word: &str) -> io::Result<String> {
    let mut stream = UnixStream::connect(path).await?;
    stream.write_all(format!("{word}\n").as_bytes()).await?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await?;
    Ok(reply)
}

async fn one_request(stream: UnixStream, answer: Answer) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    let mut read = BufReader::new(read.take(REQUEST_BYTES_MAX));
    tokio::time::timeout(PATIENCE, read.read_line(&mut line)).await??;
    let word = line.trim();
    let answered = tokio::time::timeout(ANSWER, answer(word.to_owned())).await?;
    let reply = answered.unwrap_or_else(|| {
        let word: String = word.chars().take(QUOTED_MAX).collect();
        serde_json::json!({ "error": format!("unknown request {word:?}") }).to_string()
    });
    let said = async {
        write.write_all(reply.as_bytes()).await?;
        write.write_all(b"\n").await?;
        write.shutdown().await
    };
    tokio::time::timeout(PATIENCE, said).await?
}
