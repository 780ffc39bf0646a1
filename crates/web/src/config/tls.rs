//! TLS settings of a web config file.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring::{self, cipher_suite as suite, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion, server};

use super::client_auth::{ClientAuthPolicy, verifier};
use super::error::{Placed, Problem};
use super::file::{TlsSection, given};
use super::files::Files;
use super::yaml::{Located, Text};

/// Returns the TLS configuration of the section, or `None` if nothing in it is set. Its paths are relative to
/// `dir`.
pub fn server_config(
    located: &Located<TlsSection>,
    dir: &Path,
    files: &mut Files,
) -> Result<Option<ServerConfig>, Placed> {
    let section = &located.value;
    if says_nothing(section) {
        return Ok(None);
    }
    let mut source = |key, text, file| Pem::read(key, text, file, dir, files);
    let missing = |key| located.is_wrong(Problem::Missing(key));
    let cert = source("cert", &section.cert, &section.cert_file)?.ok_or_else(|| missing("cert"))?;
    let key = source("key", &section.key, &section.key_file)?.ok_or_else(|| missing("key"))?;
    let client_ca = source("client_ca", &section.client_ca, &section.client_ca_file)?;

    let provider = Arc::new(CryptoProvider {
        cipher_suites: cipher_suites(section)?,
        kx_groups: curves(section)?,
        ..ring::default_provider()
    });
    let versions = versions(section)?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions)
        .map_err(|error| located.is_wrong(Problem::Identity(error.to_string())))?
        .with_client_cert_verifier(client_auth(section, client_ca, &provider)?);
    let mut config = builder
        .with_single_cert(cert.certificates()?, key.private_key()?)
        .map_err(|error| {
            cert.place.is_wrong(match error {
                rustls::Error::InconsistentKeys(_) => Problem::OtherKey {
                    key: key.name.clone(),
                    certificate: cert.name.clone(),
                },
                error => Problem::Identity(error.to_string()),
            })
        })?;
    config.alpn_protocols = vec![b"http/1.1".into()];
    config.ignore_client_order = section.prefer_server_cipher_suites.unwrap_or(true);
    Ok(Some(config))
}

fn says_nothing(section: &TlsSection) -> bool {
    let texts = [
        &section.cert,
        &section.cert_file,
        &section.key,
        &section.key_file,
        &section.client_ca,
        &section.client_ca_file,
        &section.client_auth_type,
        &section.min_version,
        &section.max_version,
    ];
    texts.into_iter().all(|text| given(text).is_none())
        && section.client_allowed_sans.is_none()
        && section.cipher_suites.is_none()
        && section.curve_preferences.is_none()
        && section.prefer_server_cipher_suites.is_none()
}

/// PEM text from the config file itself or from another file.
struct Pem<'a> {
    /// Name for messages.
    name: String,
    place: &'a Text,
    bytes: Vec<u8>,
}

impl<'a> Pem<'a> {
    /// Reads the value of `key`, or the file named by `key_file`.
    fn read(
        key: &'static str,
        text: &'a Option<Text>,
        file: &'a Option<Text>,
        dir: &Path,
        files: &mut Files,
    ) -> Result<Option<Pem<'a>>, Placed> {
        let file_key = match key {
            "cert" => "cert_file",
            "key" => "key_file",
            _ => "client_ca_file",
        };
        match (given(text), given(file)) {
            (None, None) => Ok(None),
            (Some(_), Some(file)) => Err(file.is_wrong(Problem::Both(key))),
            (Some(text), None) => Ok(Some(Pem {
                name: key.into(),
                place: text,
                bytes: text.value.clone().into(),
            })),
            (None, Some(file)) => {
                let path = dir.join(&file.value);
                let bytes = files.read(&path).map_err(|source| {
                    let path = path.clone();
                    let key = file_key;
                    file.is_wrong(Problem::File { key, path, source })
                })?;
                Ok(Some(Pem {
                    name: format!("{file_key} ({})", path.display()),
                    place: file,
                    bytes,
                }))
            }
        }
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, Placed> {
        let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.bytes).collect();
        let problem = match all {
            Ok(all) if !all.is_empty() => return Ok(all),
            Ok(_) => Problem::NoCertificate(self.name.clone()),
            Err(_) => Problem::Pem(self.name.clone()),
        };
        Err(self.place.is_wrong(problem))
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>, Placed> {
        PrivateKeyDer::from_pem_slice(&self.bytes).map_err(|error| {
            self.place.is_wrong(match error {
                pem::Error::NoItemsFound => Problem::NoKey(self.name.clone()),
                _ => Problem::Pem(self.name.clone()),
            })
        })
    }

    fn authorities(&self) -> Result<RootCertStore, Placed> {
        let mut store = RootCertStore::empty();
        for (index, certificate) in self.certificates()?.into_iter().enumerate() {
            store.add(certificate).map_err(|error| {
                self.place.is_wrong(Problem::Certificate {
                    of: self.name.clone(),
                    number: index + 1,
                    reason: error.to_string(),
                })
            })?;
        }
        Ok(store)
    }
}

/// Returns the value that `text` names among `known`.
fn named<T: Copy>(key: &'static str, text: &Text, known: &[(&str, T)]) -> Result<T, Placed> {
    let found = known.iter().find(|(name, _)| *name == text.value);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let known: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        text.is_wrong(Problem::Unknown {
            key,
            value: text.value.clone(),
            known: known.join(", "),
        })
    })
}

fn client_auth(
    section: &TlsSection,
    client_ca: Option<Pem>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, Placed> {
    let given_policy = given(&section.client_auth_type);
    let policy = match given_policy {
        Some(text) => named("client_auth_type", text, &ClientAuthPolicy::ALL)?,
        None => ClientAuthPolicy::NoClientCert,
    };
    let sans = section.client_allowed_sans.as_ref();
    if policy == ClientAuthPolicy::NoClientCert {
        return match (client_ca, sans) {
            (Some(pem), _) => Err(pem.place.is_wrong(Problem::NoPolicy)),
            (None, Some(sans)) => Err(sans.is_wrong(Problem::UselessSans)),
            (None, None) => Ok(server::WebPkiClientVerifier::no_client_auth()),
        };
    }
    // The type is given here: without it the policy is `NoClientCert`, which has returned above.
    let wrong = |problem| match given_policy {
        Some(text) => text.is_wrong(problem),
        None => (problem, None),
    };
    let authorities = match client_ca {
        Some(pem) => pem.authorities()?,
        None if policy.verifies() => {
            let name = ClientAuthPolicy::ALL
                .iter()
                .find(|(_, found)| *found == policy);
            let name = name.map_or("", |(name, _)| name);
            return Err(wrong(Problem::NoAuthority(name)));
        }
        None => RootCertStore::empty(),
    };
    let sans = sans.map(|sans| sans.value.iter().map(|san| san.value.clone()).collect());
    verifier(policy, authorities, sans, provider).map_err(wrong)
}

/// Go's names for the versions, oldest first, with ours if it is supported.
const VERSIONS: [(&str, Option<&SupportedProtocolVersion>); 4] = [
    ("TLS10", None),
    ("TLS11", None),
    ("TLS12", Some(&TLS12)),
    ("TLS13", Some(&TLS13)),
];

fn versions(section: &TlsSection) -> Result<Vec<&'static SupportedProtocolVersion>, Placed> {
    let index = |key, text: &Text| {
        let indices: Vec<(&str, usize)> = (0..)
            .zip(VERSIONS)
            .map(|(i, (name, _))| (name, i))
            .collect();
        let index = named(key, text, &indices)?;
        match VERSIONS[index].1 {
            Some(_) => Ok(index),
            None => Err(text.is_wrong(Problem::Unsupported {
                key,
                value: text.value.clone(),
                cure: "it is not safe (RFC 8996); give TLS12 or TLS13",
            })),
        }
    };
    let min = given(&section.min_version);
    let max = given(&section.max_version);
    let least = min.map_or(Ok(2), |text| index("min_version", text))?;
    let most = max.map_or(Ok(3), |text| index("max_version", text))?;
    match (least <= most, min.or(max)) {
        (false, Some(text)) => {
            Err(text.is_wrong(Problem::NoVersion(VERSIONS[least].0, VERSIONS[most].0)))
        }
        _ => Ok(VERSIONS[least..=most]
            .iter()
            .filter_map(|(_, version)| *version)
            .collect()),
    }
}

/// Go's names for the cipher suites of TLS 1.2 that it lists as secure, with ours if it is supported.
const CIPHER_SUITES: [(&str, Option<SupportedCipherSuite>); 13] = [
    (
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        Some(suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        Some(suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        Some(suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ),
    (
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        Some(suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ),
    (
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        Some(suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ),
    (
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        Some(suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
    ),
    (
        "TLS_AES_128_GCM_SHA256",
        Some(suite::TLS13_AES_128_GCM_SHA256),
    ),
    (
        "TLS_AES_256_GCM_SHA384",
        Some(suite::TLS13_AES_256_GCM_SHA384),
    ),
    (
        "TLS_CHACHA20_POLY1305_SHA256",
        Some(suite::TLS13_CHACHA20_POLY1305_SHA256),
    ),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", None),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", None),
    ("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", None),
    ("TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", None),
];

/// As in Go, the list applies only to TLS 1.2: the cipher suites of TLS 1.3 are always enabled.
fn cipher_suites(section: &TlsSection) -> Result<Vec<SupportedCipherSuite>, Placed> {
    let list = section.cipher_suites.as_ref();
    let Some(list) = list.filter(|list| !list.value.is_empty()) else {
        return Ok(ring::default_provider().cipher_suites);
    };
    let mut suites: Vec<SupportedCipherSuite> = ring::ALL_CIPHER_SUITES
        .iter()
        .filter(|suite| suite.tls13().is_some())
        .copied()
        .collect();
    for text in &list.value {
        match named("cipher_suites", text, &CIPHER_SUITES)? {
            Some(suite) if suite.tls13().is_some() => {}
            Some(suite) => suites.push(suite),
            None => {
                return Err(text.is_wrong(Problem::Unsupported {
                    key: "cipher_suites",
                    value: text.value.clone(),
                    cure: "it is not safe with CBC and SHA-1; remove it, and give one with GCM or \
                           CHACHA20",
                }));
            }
        }
    }
    let is_13_off = given(&section.max_version).is_some_and(|max| max.value == "TLS12");
    if is_13_off && suites.iter().all(|suite| suite.tls13().is_some()) {
        Err(list.is_wrong(Problem::NoCipher(
            "max_version is TLS12, and cipher_suites has none of TLS 1.2",
        )))
    } else {
        Ok(suites)
    }
}

const CURVES: [(&str, Option<&dyn SupportedKxGroup>); 4] = [
    ("X25519", Some(kx_group::X25519)),
    ("CurveP256", Some(kx_group::SECP256R1)),
    ("CurveP384", Some(kx_group::SECP384R1)),
    ("CurveP521", None),
];

fn curves(section: &TlsSection) -> Result<Vec<&'static dyn SupportedKxGroup>, Placed> {
    let group = |text: &Text| {
        named("curve_preferences", text, &CURVES)?.ok_or_else(|| {
            text.is_wrong(Problem::Unsupported {
                key: "curve_preferences",
                value: text.value.clone(),
                cure: "give X25519, CurveP256 or CurveP384",
            })
        })
    };
    match &section.curve_preferences {
        Some(list) if !list.value.is_empty() => list.value.iter().map(group).collect(),
        _ => Ok(ring::default_provider().kx_groups),
    }
}
