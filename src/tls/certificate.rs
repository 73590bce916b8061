//! What a certificate says about its holder, and until when it holds.
//!
//! Reads the certificate only; whether it is to be trusted was decided by rustls before.

use rustls::pki_types::CertificateDer;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

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
