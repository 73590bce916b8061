//! What a certificate says about its holder, and until when it holds.
//!
//! Reads the certificate only; whether it is to be trusted was decided by rustls before.

use std::net::IpAddr;
use std::path::Path;

use rustls::pki_types::CertificateDer;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{NameConstraints, SubjectAltName};
use x509_cert::time::Time;

use crate::model::Wall;

/// The common name of the subject, if it is a text.
pub fn common_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let name = certificate.tbs_certificate().subject().common_name().ok()??;
    Some(name.value().into_owned())
}

/// The first alternative name of the subject that is a text: a DNS name, a mail address or a URI.
pub fn alternative_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let names = certificate.tbs_certificate().get_extension::<SubjectAltName>().ok()??.1;
    names.0.iter().find_map(|name| match name {
        GeneralName::DnsName(name)
        | GeneralName::Rfc822Name(name)
        | GeneralName::UniformResourceIdentifier(name) => Some(name.as_str().to_owned()),
        _ => None,
    })
}

/// When it ends to be valid.
pub(super) fn valid_until(certificate: &CertificateDer<'_>) -> Option<Wall> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let end = certificate.tbs_certificate().validity().not_after.to_unix_duration();
    i64::try_from(end.as_millis()).ok().map(Wall)
}

/// What a certificate says, for whoever decides whether to make it anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub common_name: Option<String>,
    /// Host names among the alternative names of the subject, in their order.
    pub names: Vec<String>,
    pub addresses: Vec<IpAddr>,
    /// The host names that it may certify, if it is an authority's.
    pub permitted_names: Vec<String>,
    pub valid_from: Wall,
    pub valid_until: Wall,
}

/// Looks at the first certificate of a PEM file.
pub fn look(path: &Path) -> Option<Seen> {
    let der = super::certificates("certificate", path).ok()?.into_iter().next()?;
    let certificate = Certificate::from_der(&der).ok()?;
    let inside = certificate.tbs_certificate();
    let alternatives = inside.get_extension::<SubjectAltName>().ok().flatten();
    let alternatives = alternatives.map(|(_, found)| found.0).unwrap_or_default();
    let constraints = inside.get_extension::<NameConstraints>().ok().flatten();
    let permitted = constraints.and_then(|(_, found)| found.permitted_subtrees).unwrap_or_default();
    let validity = inside.validity();
    let wall = |time: Time| i64::try_from(time.to_unix_duration().as_millis()).ok().map(Wall);
    Some(Seen {
        common_name: common_name(&der),
        names: alternatives.iter().filter_map(host_name).collect(),
        addresses: alternatives.iter().filter_map(address).collect(),
        permitted_names: permitted.iter().filter_map(|tree| host_name(&tree.base)).collect(),
        valid_from: wall(validity.not_before)?,
        valid_until: wall(validity.not_after)?,
    })
}

fn host_name(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(name.as_str().to_owned()),
        _ => None,
    }
}

fn address(name: &GeneralName) -> Option<IpAddr> {
    let GeneralName::IpAddress(bytes) = name else { return None };
    let bytes = bytes.as_bytes();
    let v4 = <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from);
    v4.or_else(|| <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from))
}
