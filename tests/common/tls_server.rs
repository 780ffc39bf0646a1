//! An HTTPS server whose certificate is signed by a certificate authority of its own.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::Sandbox;
use super::authority::{Authority, Identity};
use super::port::served;

/// Answers every request on a free port of `localhost` with 200. It goes with the test's process.
pub struct TlsServer {
    port: u16,
    authority: Authority,
}

impl TlsServer {
    pub fn start() -> Self {
        TlsServer::with(|authority| authority.server("localhost"))
    }

    /// With another certificate.
    pub fn with(identity: impl FnOnce(&Authority) -> Identity) -> Self {
        let authority = Authority::new();
        let identity = identity(&authority);
        TlsServer::start_with(authority, &identity, WebPkiClientVerifier::no_client_auth())
    }

    /// One that only clients with certificates of `authority` can use, of which its own is, too.
    pub fn asking_for_clients_of(authority: Authority) -> Self {
        let identity = authority.server("localhost");
        let mut roots = RootCertStore::empty();
        let pem = CertificateDer::from_pem_slice(authority.pem().as_bytes());
        roots.add(pem.unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        TlsServer::start_with(authority, &identity, verifier.build().unwrap())
    }

    fn start_with(
        authority: Authority,
        identity: &Identity,
        clients: Arc<dyn ClientCertVerifier>,
    ) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients)
            .with_single_cert(
                vec![identity.certificate().der().clone()],
                PrivateKeyDer::try_from(identity.key().serialize_der()).unwrap(),
            )
            .unwrap();
        let config = Arc::new(config);
        let port = served(move |stream| {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut tls = StreamOwned::new(connection, stream);
            // A client that does not trust us ends the handshake.
            if tls.read(&mut [0; 16 * 1024]).is_ok() {
                let _ = tls.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
                let _ = tls.flush();
            }
        });
        TlsServer { port, authority }
    }

    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Writes the authority's certificate into the sandbox.
    pub fn authority(&self, sandbox: &Sandbox) -> PathBuf {
        sandbox.write("ca.pem", self.authority.pem())
    }
}
