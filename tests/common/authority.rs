//! A certificate authority of a test's own.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, date_time_ymd,
};

pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its private key.
pub struct Identity {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Another than the servers': a certificate with its issuer's name looks self-signed.
        let name = "A test's authority";
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        Authority(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// Its own certificate.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A server's certificate for the host `name`.
    pub fn server(&self, name: &str) -> Identity {
        self.issue(CertificateParams::new([name.into()]).unwrap())
    }

    /// One for `localhost` that was valid in 2020 only.
    pub fn expired_server(&self) -> Identity {
        let mut params = CertificateParams::new(["localhost".into()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2020, 12, 31);
        self.issue(params)
    }

    /// One for `localhost` that ends in so many days.
    pub fn server_ending_in(&self, days: u64) -> Identity {
        let mut params = CertificateParams::new(["localhost".into()]).unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        params.not_after = date_time_ymd(1970, 1, 1) + now + Duration::from_secs(days * 86_400);
        self.issue(params)
    }

    /// A client's certificate.
    pub fn client(&self) -> Identity {
        self.issue(client_params())
    }

    /// A client's certificate that was valid in 2020 only.
    pub fn expired_client(&self) -> Identity {
        let mut params = client_params();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2020, 12, 31);
        self.issue(params)
    }

    fn issue(&self, params: CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        Identity {
            certificate: params.signed_by(&key, &self.0).unwrap(),
            key,
        }
    }
}

fn client_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

impl Identity {
    pub fn certificate_pem(&self) -> String {
        self.certificate.pem()
    }

    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    pub fn certificate(&self) -> &rcgen::Certificate {
        &self.certificate
    }

    pub fn key(&self) -> &KeyPair {
        &self.key
    }
}
