//! Compresses the files of the web page, so that the program carries and sends them as they are, and
//! the description of its API.
//!
//! Writes `page.rs` to the output directory: a table of the files with their gzip and brotli forms,
//! and a name for all of them together that changes with any of them.

use std::collections::hash_map::DefaultHasher;
use std::fmt::Write as _;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

const UI: &str = "src/web/ui";
const DESCRIPTION: &str = "docs/openapi.json";
/// Endings of what a browser is given; the rest of the directory is for people.
const SERVED: [&str; 7] = ["html", "js", "css", "svg", "png", "txt", "webmanifest"];

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed={UI}");
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    let mut files = Vec::new();
    collect(&root.join(UI), &mut files)?;
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in &files {
        (file.strip_prefix(&root).unwrap_or(file), fs::read(file)?).hash(&mut hasher);
    }
    let hash = format!("{:016x}", hasher.finish());
    let mut table =
        format!("pub const VERSION: &str = {hash:?};\npub static FILES: &[File] = &[\n");
    for (number, file) in files.iter().enumerate() {
        let name = file.strip_prefix(root.join(UI)).unwrap_or(file).to_string_lossy().into_owned();
        let mut plain = fs::read(file)?;
        if name == "index.html" {
            let base = format!("/ui/{hash}");
            plain = String::from_utf8_lossy(&plain).replace("{{base}}", &base).into_bytes();
        }
        let write = |ending: &str, bytes: &[u8]| {
            fs::File::create(out.join(format!("{number}.{ending}")))?.write_all(bytes)
        };
        write("gzip", &gzip(&plain))?;
        write("brotli", &brotli(&plain)?)?;
        let _ = writeln!(
            table,
            "File {{ name: {name:?}, gzip: include_bytes!(\"{number}.gzip\"), brotli: include_bytes!(\"{number}.brotli\") }},"
        );
    }
    table.push_str("];\n");
    fs::File::create(out.join("page.rs"))?.write_all(table.as_bytes())?;
    description(&root, &out)
}

/// The description of the API, and what it says about who may use a route.
fn description(root: &Path, out: &Path) -> io::Result<()> {
    println!("cargo::rerun-if-changed={DESCRIPTION}");
    let text = fs::read(root.join(DESCRIPTION))?;
    fs::File::create(out.join("openapi.gzip"))?.write_all(&gzip(&text))?;
    let mut table = String::from(
        "static DESCRIPTION: &[u8] = include_bytes!(\"openapi.gzip\");\n\
         static NEEDS: &[(&str, &str, Option<&str>)] = &[\n",
    );
    let description: Value = serde_json::from_slice(&text)?;
    let paths = description.get("paths").and_then(Value::as_object);
    for (path, methods) in paths.into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            // `[{}]` is everybody, `[{"session": ["viewer"]}]` a role; what says neither is refused to all.
            let way = operation.pointer("/security/0").and_then(Value::as_object);
            let role = operation.pointer("/security/0/session/0").and_then(Value::as_str);
            if role.is_some() || way.is_some_and(Map::is_empty) {
                let _ = writeln!(table, "({:?}, {path:?}, {role:?}),", method.to_uppercase());
            }
        }
    }
    table.push_str("];\n");
    fs::File::create(out.join("description.rs"))?.write_all(table.as_bytes())
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        if path.is_dir() {
            collect(&path, files)?;
        } else if SERVED.contains(&ending) {
            files.push(path);
        }
    }
    Ok(())
}

fn brotli(plain: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    let parameters = brotli::enc::BrotliEncoderParams { quality: 11, ..Default::default() };
    brotli::BrotliCompress(&mut &*plain, &mut out, &parameters)?;
    Ok(out)
}

/// RFC 1952, without a name or a time.
fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255];
    out.extend(miniz_oxide::deflate::compress_to_vec(plain, 9));
    out.extend(crc32fast::hash(plain).to_le_bytes());
    out.extend(u32::try_from(plain.len()).unwrap_or(u32::MAX).to_le_bytes());
    out
}
