//! Requirements for client certificates.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme,
};

use super::error::Problem;
use crate::certificate;

/// Values of `client_auth_type`, with the names that Go gives to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuthPolicy {
    NoClientCert,
    RequestClientCert,
    RequireAnyClientCert,
    VerifyClientCertIfGiven,
    RequireAndVerifyClientCert,
}

impl ClientAuthPolicy {
    pub const ALL: [(&str, ClientAuthPolicy); 6] = [
        ("NoClientCert", ClientAuthPolicy::NoClientCert),
        ("RequestClientCert", ClientAuthPolicy::RequestClientCert),
        (
            "RequireAnyClientCert",
            ClientAuthPolicy::RequireAnyClientCert,
        ),
        (
            "VerifyClientCertIfGiven",
            ClientAuthPolicy::VerifyClientCertIfGiven,
        ),
        (
            "RequireAndVerifyClientCert",
            ClientAuthPolicy::RequireAndVerifyClientCert,
        ),
        // An older name that the toolkit still accepts.
        ("RequireClientCert", ClientAuthPolicy::RequireAnyClientCert),
    ];

    pub fn verifies(self) -> bool {
        matches!(
            self,
            ClientAuthPolicy::VerifyClientCertIfGiven
                | ClientAuthPolicy::RequireAndVerifyClientCert
        )
    }
}

/// Returns the verifier for `policy`, which must be one that asks for a certificate. `authorities` are used
/// by the policies that verify; if `sans` is given, a certificate must have one of these names, if the client
/// sends one at all.
pub fn verifier(
    policy: ClientAuthPolicy,
    authorities: RootCertStore,
    sans: Option<Vec<String>>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, Problem> {
    let chain =
        || WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), Arc::clone(provider));
    let built = match policy {
        ClientAuthPolicy::RequireAndVerifyClientCert => Some(chain().build()),
        ClientAuthPolicy::VerifyClientCertIfGiven => Some(chain().allow_unauthenticated().build()),
        _ => None,
    };
    let verifier: Arc<dyn ClientCertVerifier> = match built {
        Some(built) => built.map_err(|error| Problem::Identity(error.to_string()))?,
        None => Arc::new(AnyCertificate {
            is_mandatory: policy == ClientAuthPolicy::RequireAnyClientCert,
            provider: Arc::clone(provider),
        }),
    };
    Ok(match sans {
        Some(allowed) => Arc::new(Named { verifier, allowed }),
        None => verifier,
    })
}

/// Accepts any certificate whose key the client holds, regardless of its issuer.
#[derive(Debug)]
struct AnyCertificate {
    is_mandatory: bool,
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        self.is_mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

/// Accepts the certificates that `verifier` accepts, if one of their names is allowed.
#[derive(Debug)]
struct Named {
    verifier: Arc<dyn ClientCertVerifier>,
    allowed: Vec<String>,
}

impl ClientCertVerifier for Named {
    fn offer_client_auth(&self) -> bool {
        self.verifier.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.verifier.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.verifier.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self
            .verifier
            .verify_client_cert(end_entity, intermediates, now)?;
        let names = certificate::names(end_entity);
        if names.iter().any(|name| self.allowed.contains(name)) {
            Ok(verified)
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
