//! Names in a certificate: its subject alternative names (RFC 5280, 4.2.1.6).

use std::net::{Ipv4Addr, Ipv6Addr};

/// Returns the DNS names, e-mail addresses, IP addresses and URIs in the certificate as text. A malformed
/// certificate has none.
pub fn names(certificate: &[u8]) -> Vec<String> {
    alternative_names(certificate).unwrap_or_default()
}

const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 0x06;
const OCTET_STRING: u8 = 0x04;
const BOOLEAN: u8 = 0x01;
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
            let mut other = der.clone();
            other[end] ^= 0xff;
            names(&other);
        }
    }

    #[test]
    fn none() {
        assert_eq!(names(&certificate(Vec::new())), [""; 0]);
        assert_eq!(names(b""), [""; 0]);
        assert_eq!(names(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), [""; 0]);
    }
}
