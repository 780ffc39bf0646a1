//! Names and validity of a certificate (RFC 5280).

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::SystemTime;

/// Returns the end of the certificate's validity (RFC 5280, 4.1.2.5); `None` if it is malformed.
pub fn not_after(certificate: &[u8]) -> Option<SystemTime> {
    let mut certificate = Der(Der(certificate).expect(SEQUENCE)?);
    let fields = Der(certificate.expect(SEQUENCE)?);
    // Serial number, signature algorithm, issuer, validity.
    let mut fields = fields.filter(|(tag, _)| *tag != VERSION);
    let (_, validity) = fields.nth(3).filter(|(tag, _)| *tag == SEQUENCE)?;
    let (tag, text) = Der(validity).nth(1)?;
    let text = str::from_utf8(text).ok()?;
    let text = match tag {
        // Two digits of the year: from 50 on it is the last century's.
        UTC_TIME => match text.as_bytes().first()? {
            b'5'..=b'9' => format!("19{text}"),
            _ => format!("20{text}"),
        },
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let part = |range| text.get(range);
    let date = format!(
        "{}-{}-{}T{}:{}:{}",
        part(0..4)?,
        part(4..6)?,
        part(6..8)?,
        part(8..10)?,
        part(10..12)?,
        text.get(12..)?
    );
    humantime::parse_rfc3339(&date).ok()
}

/// Returns the subject alternative names (RFC 5280, 4.2.1.6): the DNS names, e-mail addresses, IP addresses and URIs in the certificate as text. A malformed
/// certificate has none.
pub fn names(certificate: &[u8]) -> Vec<String> {
    alternative_names(certificate).unwrap_or_default()
}

const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 0x06;
const OCTET_STRING: u8 = 0x04;
const BOOLEAN: u8 = 0x01;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// Tag `[0]` of a TBSCertificate.
const VERSION: u8 = 0xa0;
/// Tag `[3]` of a TBSCertificate.
const EXTENSIONS: u8 = 0xa3;

/// Object identifier 2.5.29.17.
const SUBJECT_ALT_NAME: [u8; 3] = [0x55, 0x1d, 0x11];

fn alternative_names(certificate: &[u8]) -> Option<Vec<String>> {
    let mut certificate = Der(Der(certificate).expect(SEQUENCE)?);
    let fields = Der(certificate.expect(SEQUENCE)?);
    let (_, extensions) = fields.into_iter().find(|(tag, _)| *tag == EXTENSIONS)?;
    for (_, extension) in Der(Der(extensions).expect(SEQUENCE)?) {
        let mut extension = Der(extension);
        if extension.expect(OBJECT_IDENTIFIER)? != SUBJECT_ALT_NAME {
            continue;
        }
        let (tag, mut value) = extension.next()?;
        if tag == BOOLEAN {
            // The value before this one was the `critical` flag.
            value = extension.expect(OCTET_STRING)?;
        }
        let names = Der(Der(value).expect(SEQUENCE)?);
        return Some(names.filter_map(|(tag, name)| as_text(tag, name)).collect());
    }
    None
}

fn as_text(tag: u8, name: &[u8]) -> Option<String> {
    match tag {
        // [1] rfc822Name, [2] dNSName, [6] uniformResourceIdentifier.
        0x81 | 0x82 | 0x86 => str::from_utf8(name).ok().map(str::to_owned),
        // [7] iPAddress.
        0x87 => match name.len() {
            4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(name).ok()?).to_string()),
            16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(name).ok()?).to_string()),
            _ => None,
        },
        _ => None,
    }
}

/// A sequence of DER values (X.690, 8.1): tag, length, content.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// Returns the content of the next value, if it has this tag.
    fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next()
            .filter(|(found, _)| *found == tag)
            .map(|(_, content)| content)
    }
}

impl<'a> Iterator for Der<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&[tag, first], rest) = self.0.split_first_chunk()?;
        let (length, rest) = match first {
            0..=0x7f => (first.into(), rest),
            // The length itself takes this many bytes; no certificate needs more than three.
            0x81..=0x83 => {
                let (bytes, rest) = rest.split_at_checked((first & 0x7f).into())?;
                let length = bytes
                    .iter()
                    .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
                (length, rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, SanType};

    fn certificate(names: Vec<SanType>) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn all_kinds() {
        let der = certificate(vec![
            SanType::DnsName("job.example".try_into().unwrap()),
            SanType::Rfc822Name("job@example.org".try_into().unwrap()),
            SanType::URI("spiffe://example/job".try_into().unwrap()),
            SanType::IpAddress([192, 0, 2, 1].into()),
            SanType::IpAddress("2001:db8::1".parse().unwrap()),
        ]);
        assert_eq!(
            names(&der),
            [
                "job.example",
                "job@example.org",
                "spiffe://example/job",
                "192.0.2.1",
                "2001:db8::1"
            ]
        );
        // For every truncation and every changed byte.
        for end in 0..der.len() {
            names(&der[..end]);
            not_after(&der[..end]);
            let mut other = der.clone();
            other[end] ^= 0xff;
            names(&other);
            not_after(&other);
        }
    }

    #[test]
    fn validity() {
        let end_of = |year, month, day| {
            let mut params = CertificateParams::default();
            params.not_after = rcgen::date_time_ymd(year, month, day);
            let key = KeyPair::generate().unwrap();
            let der = params.self_signed(&key).unwrap().der().to_vec();
            let end = not_after(&der).unwrap();
            let end = end.duration_since(SystemTime::UNIX_EPOCH).unwrap();
            end.as_secs()
        };
        assert_eq!(end_of(1999, 12, 31), 946_598_400);
        assert_eq!(end_of(2027, 1, 2), 1_798_848_000);
        // From 2050 on it has another type.
        assert_eq!(end_of(2050, 1, 1), 2_524_608_000);
        assert_eq!(not_after(b""), None);
    }

    #[test]
    fn none() {
        assert_eq!(names(&certificate(Vec::new())), [""; 0]);
        assert_eq!(names(b""), [""; 0]);
        assert_eq!(names(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), [""; 0]);
    }
}
