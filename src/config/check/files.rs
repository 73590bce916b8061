//! Files that a section names: certificates.

use std::path::PathBuf;

use crate::config::plan::TlsPlan;
use crate::config::problem::Findings;
use crate::config::section::Section;
use crate::config::values;

pub(super) const PATH_BYTES_MAX: usize = 4_096;

/// The keys `ca`, `certificate` and `key` of a section.
pub(super) fn tls(section: &Section<'_>, out: &mut Findings) -> TlsPlan {
    let path = |key: &str, out: &mut Findings| {
        section.scalar(key, out, values::text(PATH_BYTES_MAX)).map(PathBuf::from)
    };
    let (ca, certificate, key) = (path("ca", out), path("certificate", out), path("key", out));
    if section.has("certificate") != section.has("key") {
        let (there, missing) =
            if section.has("key") { ("key", "certificate") } else { ("certificate", "key") };
        let message = format!("{there} needs {missing} beside it");
        out.error(&section.spot_of(there), message);
    }
    TlsPlan { ca, client: certificate.zip(key) }
}
