//! The files of the page: in the program, compressed by its build, under a name that changes with
//! them; or from a directory while somebody works on them (`FIELDHOLD_UI_DIR`).
//!
//! `/ui/<version>/…` may be kept by a browser for ever, everything else is `index.html`, which may
//! not be kept: the page itself knows its paths.

use std::path::{Component, Path, PathBuf};

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use super::problem::Problem;

/// One file in the forms that it is sent in.
pub struct File {
    pub name: &'static str,
    gzip: &'static [u8],
    brotli: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/page.rs"));

const INDEX: &str = "index.html";
const KEPT_FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const NOT_KEPT: HeaderValue = HeaderValue::from_static("no-cache");
/// Where the page is read from instead, while somebody works on it.
const DIRECTORY: &str = "FIELDHOLD_UI_DIR";
/// The version of what comes from a directory.
const WORK: &str = "work";

/// Answers for everything that is not of the API.
pub async fn serve(uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path();
    if path.starts_with("/api/") {
        return Problem::not_found(format!("there is no {path} in this version of the API"))
            .into_response();
    }
    let directory = std::env::var_os(DIRECTORY).map(PathBuf::from);
    match (path.strip_prefix("/ui/").and_then(|rest| rest.split_once('/')), directory) {
        (Some((_, name)), Some(directory)) => from_directory(&directory, name).await,
        (None, Some(directory)) => from_directory(&directory, INDEX).await,
        (Some((VERSION, name)), None) => embedded(name, &headers, KEPT_FOR_EVER),
        // Of a version before an update: the page loads itself anew.
        (Some(_), None) => missing(path),
        (None, None) => embedded(INDEX, &headers, NOT_KEPT),
    }
}

fn embedded(name: &str, headers: &HeaderMap, kept: HeaderValue) -> Response {
    let Some(file) = FILES.iter().find(|file| file.name == name) else { return missing(name) };
    let etag = format!("\"{VERSION}\"");
    let same =
        headers.get(header::IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == etag.as_bytes());
    let common = [
        (header::CONTENT_TYPE, kind(name)),
        (header::CACHE_CONTROL, kept),
        (header::VARY, HeaderValue::from_static("accept-encoding")),
        (header::ETAG, HeaderValue::from_str(&etag).unwrap_or(NOT_KEPT)),
    ];
    if same {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    let (body, encoding) = match accepted(headers) {
        Some("br") => (Body::from(file.brotli), Some("br")),
        Some(_) => (Body::from(file.gzip), Some("gzip")),
        None => (Body::from(inflate(file.gzip)), None),
    };
    let mut response = (common, body).into_response();
    if let Some(encoding) = encoding {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response
}

/// What the build compressed, for the few that take no compressed form.
pub fn inflate(gzip: &[u8]) -> Vec<u8> {
    // Between a header of RFC 1952 without options and its check sum and length.
    let deflated = gzip.get(10..gzip.len().saturating_sub(8)).unwrap_or_default();
    miniz_oxide::inflate::decompress_to_vec(deflated).unwrap_or_default()
}

/// The better of the two that the browser takes (RFC 9110, 12.5.3).
fn accepted(headers: &HeaderMap) -> Option<&'static str> {
    let value = headers.get(header::ACCEPT_ENCODING)?.to_str().ok()?;
    let takes = |wanted: &str| {
        value.split(',').any(|item| {
            let (name, quality) = item.split_once(';').unwrap_or((item, ""));
            let refused =
                quality.trim().strip_prefix("q=").and_then(|q| q.parse().ok()) == Some(0.0);
            name.trim() == wanted && !refused
        })
    };
    ["br", "gzip"].into_iter().find(|name| takes(name))
}

async fn from_directory(directory: &Path, name: &str) -> Response {
    let plain = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    if !plain {
        return missing(name);
    }
    let Ok(bytes) = tokio::fs::read(directory.join(name)).await else { return missing(name) };
    let bytes = match name {
        INDEX => {
            let base = format!("/ui/{WORK}");
            String::from_utf8_lossy(&bytes).replace("{{base}}", &base).into_bytes()
        }
        _ => bytes,
    };
    let headers = [(header::CONTENT_TYPE, kind(name)), (header::CACHE_CONTROL, NOT_KEPT)];
    (headers, Body::from(bytes)).into_response()
}

fn missing(name: &str) -> Response {
    Problem::not_found(format!("there is no file {name}")).into_response()
}

fn kind(name: &str) -> HeaderValue {
    let ending = name.rsplit('.').next().unwrap_or_default();
    HeaderValue::from_static(match ending {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "webmanifest" => "application/manifest+json",
        _ => "text/plain; charset=utf-8",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepting(value: &'static str) -> Option<&'static str> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(value));
        accepted(&headers)
    }

    #[test]
    fn the_best_form_that_is_taken_is_sent() {
        assert_eq!(accepting("gzip, deflate, br"), Some("br"));
        assert_eq!(accepting("gzip;q=0.5, br;q=0"), Some("gzip"));
        assert_eq!(accepting("identity"), None);
    }

    #[test]
    fn the_index_names_the_version_of_its_files() {
        let index = FILES.iter().find(|file| file.name == INDEX).unwrap();
        let text = String::from_utf8(inflate(index.gzip)).unwrap();
        assert!(!text.contains("{{base}}"));
        assert!(FILES.iter().all(|file| !file.gzip.is_empty() && !file.brotli.is_empty()));
    }

    #[test]
    fn what_is_not_taken_compressed_is_sent_as_it_is() {
        for file in FILES.iter().filter(|file| file.name != INDEX) {
            let path =
                Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/web/ui")).join(file.name);
            assert!(inflate(file.gzip) == std::fs::read(path).unwrap(), "{}", file.name);
        }
    }

    #[tokio::test]
    async fn nothing_outside_the_directory_is_read() {
        for name in ["../Cargo.toml", "/etc/passwd", "a/../../b", "./../x"] {
            assert_eq!(from_directory(Path::new("src"), name).await.status(), 404, "{name}");
        }
    }
}
