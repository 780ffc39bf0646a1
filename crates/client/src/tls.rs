//! TLS: trusted authorities, client certificate, and explanation of failures.

use std::error::Error;
use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Certificate, ClientBuilder, Identity};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{AlertDescription, CertificateError, InvalidMessage, RootCertStore};

use crate::CertificateFailure;
use crate::call::cause;

/// Trusted authorities and client certificate; by default the system's roots, and none.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Tls {
    authorities: Option<Vec<u8>>,
    /// The certificate chain and its key, in PEM.
    identity: Option<Vec<u8>>,
}

/// Does not show the key.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("has_authorities", &self.authorities.is_some())
            .field("has_identity", &self.identity.is_some())
            .finish()
    }
}

/// Advice for a gateway that does not speak TLS.
pub const PLAIN: &str = "if it speaks plain HTTP, give its URL with http://";

/// Reason why a PEM file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PemError {
    /// A file without a certificate.
    #[error("it holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)")]
    NoCertificate,
    /// A file that is not PEM.
    #[error("it is not well-formed PEM")]
    Syntax,
    /// A certificate that cannot be used.
    #[error("certificate {number} in it is no X.509 certificate that can be used: {reason}")]
    Certificate {
        /// The certificate's number in the file.
        number: usize,
        /// The reason, in words.
        reason: String,
    },
    /// A file without a private key.
    #[error("it holds no private key in PEM form; one that is encrypted must be decrypted first")]
    NoKey,
    /// A private key that cannot be used.
    #[error("the private key in it cannot be used: {0}")]
    Key(String),
    /// A private key that does not match the certificate.
    #[error("the key in it is not the one of the client certificate")]
    OtherKey,
}

impl Tls {
    /// Trusts the authorities in `pem`, and no others.
    ///
    /// # Errors
    ///
    /// Fails without a certificate, and for one that is malformed.
    pub fn trust(&mut self, pem: Vec<u8>) -> Result<(), PemError> {
        let mut store = RootCertStore::empty();
        for (index, certificate) in certificates(&pem)?.into_iter().enumerate() {
            store
                .add(certificate)
                .map_err(|error| PemError::Certificate {
                    number: index + 1,
                    reason: error.to_string(),
                })?;
        }
        self.authorities = Some(pem);
        Ok(())
    }

    /// Presents the client certificate chain in `pem` to a gateway that asks for it. `key` holds its private key, and
    /// may be the same text. To tell errors of the two apart, call [`check_certificate`] first.
    ///
    /// # Errors
    ///
    /// Fails if there is no certificate or no unencrypted key, if one is malformed, or if they do not belong
    /// together.
    pub fn identify(&mut self, pem: &[u8], key: &[u8]) -> Result<(), PemError> {
        let chain = certificates(pem)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
            pem::Error::NoItemsFound => PemError::NoKey,
            _ => PemError::Syntax,
        })?;
        // Other content of the files would confuse reqwest.
        let mut both: String = chain.iter().map(|der| as_pem("CERTIFICATE", der)).collect();
        let kind = match &key {
            PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
            PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
            _ => "PRIVATE KEY",
        };
        both.push_str(&as_pem(kind, key.secret_der()));
        let provider = rustls::crypto::ring::default_provider();
        CertifiedKey::from_der(chain, key, &provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => PemError::OtherKey,
            rustls::Error::InvalidCertificate(error) => PemError::Certificate {
                number: 1,
                reason: error.to_string(),
            },
            error => PemError::Key(error.to_string()),
        })?;
        self.identity = Some(both.into());
        Ok(())
    }

    /// Returns the client certificate in DER, without the rest of its chain.
    pub fn client_certificate(&self) -> Option<Vec<u8>> {
        let mut chain = CertificateDer::pem_slice_iter(self.identity.as_deref()?);
        Some(chain.next()?.ok()?.to_vec())
    }

    /// Configures a client with these authorities and this certificate.
    pub fn apply(&self, mut builder: ClientBuilder) -> reqwest::Result<ClientBuilder> {
        if let Some(pem) = &self.authorities {
            builder = builder.tls_certs_only(Certificate::from_pem_bundle(pem)?);
        }
        if let Some(pem) = &self.identity {
            builder = builder.identity(Identity::from_pem(pem)?);
        }
        Ok(builder)
    }

    /// Explains the TLS error in the chain of `error`; `None` if there is none.
    pub fn failure(
        &self,
        error: &(dyn Error + 'static),
    ) -> Option<(String, Option<CertificateFailure>)> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(error) = error.downcast_ref::<rustls::Error>() {
                return Some(self.explained(error));
            }
            next = cause(error);
        }
        None
    }

    fn explained(&self, error: &rustls::Error) -> (String, Option<CertificateFailure>) {
        use CertificateError as Bad;
        let are_given = self.authorities.is_some();
        match error {
            // The latter occurs if a configured authority has the same name.
            rustls::Error::InvalidCertificate(bad)
                if *bad == Bad::UnknownIssuer || (*bad == Bad::BadSignature && are_given) =>
            {
                let reason = if are_given {
                    "its certificate is not from an authority that was given"
                } else {
                    "its certificate is from an authority that is not trusted here"
                };
                let failure = CertificateFailure::UnknownAuthority { are_given };
                (reason.into(), Some(failure))
            }
            rustls::Error::AlertReceived(alert) => self.alerted(*alert),
            error => (described(error), None),
        }
    }

    /// Explains an alert from the gateway, which is about the client certificate or the handshake.
    fn alerted(&self, alert: AlertDescription) -> (String, Option<CertificateFailure>) {
        use AlertDescription as Alert;
        match (alert, self.identity.is_some()) {
            (Alert::CertificateRequired, _)
            // Alerts of older servers.
            | (Alert::BadCertificate | Alert::HandshakeFailure, false) => {
                let reason = "it wants a client certificate".into();
                (reason, Some(CertificateFailure::ClientMissing))
            }
            (
                Alert::BadCertificate
                | Alert::UnknownCA
                | Alert::CertificateUnknown
                | Alert::CertificateExpired
                | Alert::CertificateRevoked
                | Alert::UnsupportedCertificate
                | Alert::AccessDenied
                | Alert::DecryptError,
                true,
            ) => {
                let reason = format!("it does not accept the client certificate ({alert:?})");
                (reason, Some(CertificateFailure::ClientRefused))
            }
            _ => (format!("it has ended the TLS handshake ({alert:?})"), None),
        }
    }
}

/// Describes an error that is not about trust or the client certificate.
fn described(error: &rustls::Error) -> String {
    use CertificateError as Bad;
    match error {
        rustls::Error::InvalidCertificate(bad) => match bad {
            Bad::Expired => {
                "its certificate has expired: renew it at the gateway (or is the clock here \
                     wrong?)"
                    .into()
            }
            Bad::ExpiredContext { not_after, .. } => format!(
                "its certificate has expired on {}: renew it at the gateway (or is the clock \
                     here wrong?)",
                date(*not_after)
            ),
            Bad::NotValidYetContext { not_before, .. } => format!(
                "its certificate is valid from {} on: is the clock here wrong?",
                date(*not_before)
            ),
            Bad::NotValidForNameContext {
                expected,
                presented,
            } => format!(
                "its certificate is not for {}{}: give the gateway by a name that the \
                     certificate has",
                expected.to_str(),
                match presented.as_slice() {
                    [] => String::new(),
                    names => format!(" but for {}", names.join(", ")),
                }
                .replace("DnsName(\"", "")
                .replace("\")", "")
            ),
            bad => format!("its certificate is not valid: {bad}"),
        },
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            format!("it does not speak TLS: {PLAIN}")
        }
        error => error.to_string(),
    }
}

/// Checks that `pem` holds a certificate, and is well-formed.
pub fn check_certificate(pem: &[u8]) -> Result<(), PemError> {
    certificates(pem).map(drop)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(all) if all.is_empty() => Err(PemError::NoCertificate),
        Ok(all) => Ok(all),
        Err(_) => Err(PemError::Syntax),
    }
}

fn as_pem(kind: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    format!("-----BEGIN {kind}-----\n{text}\n-----END {kind}-----\n")
}

fn date(time: UnixTime) -> impl fmt::Display {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(time.as_secs()))
}
