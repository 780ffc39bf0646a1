//! Error messages for unusable files.

use super::*;
use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

struct Dir(TempDir);

impl Dir {
    /// Makes a directory with the certificates and keys of `one` and `other`.
    fn new() -> Self {
        let dir = Dir(tempfile::tempdir().unwrap());
        for name in ["one", "other"] {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(["localhost".into()]).unwrap();
            let certificate = params.self_signed(&key).unwrap();
            dir.write(&format!("{name}.pem"), &certificate.pem());
            dir.write(&format!("{name}.key"), &key.serialize_pem());
        }
        dir
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join(name), text).unwrap();
    }

    fn read(&self, text: &str) -> Result<Config, String> {
        self.write("web.yml", text);
        let start = format!("{}/", self.0.path().display());
        Config::read(&self.0.path().join("web.yml"))
            .map_err(|error| error.to_string().replace(&start, ""))
    }

    #[track_caller]
    fn refuses(&self, text: &str, expected: &str) {
        let error = self.read(text).err().expect("it was read");
        assert_eq!(error, expected, "{text}");
    }
}

const TLS: &str = "tls_server_config:\n  cert_file: one.pem\n  key_file: one.key\n";

#[test]
fn what_says_nothing() {
    let dir = Dir::new();
    for text in [
        "",
        "# nothing\n",
        "---\n",
        "tls_server_config:\nhttp_server_config:\nbasic_auth_users:\nrate_limit:\n",
        "tls_server_config: {}\nhttp_server_config: {http2: true, headers: {}}\n",
        "tls_server_config: {cert_file: '', key_file: ''}\n",
        "basic_auth_users: {}\nrate_limit: {interval: 0s, burst: 0}\n",
        "http_server_config: {headers: {X-Frame-Options: ''}}\n",
    ] {
        let config = dir.read(text).unwrap();
        assert!(!config.is_tls() && config.gate().is_none(), "{text}");
    }
}

#[test]
fn what_the_toolkit_takes() {
    let dir = Dir::new();
    let all = format!(
        "{TLS}  client_auth_type: VerifyClientCertIfGiven
  client_ca_file: other.pem
  client_allowed_sans: [a, b]
  min_version: TLS12
  max_version: TLS13
  cipher_suites:
    - TLS_AES_128_GCM_SHA256
    - TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
  prefer_server_cipher_suites: false
  curve_preferences: [CurveP256, X25519]
http_server_config:
  http2: true
  headers:
    Content-Security-Policy: default-src 'self'
    X-Frame-Options: deny
    X-Content-Type-Options: nosniff
    X-XSS-Protection: '1'
    Strict-Transport-Security: max-age=31536000
basic_auth_users:
  alice: $2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi
rate_limit:
  interval: 1s
  burst: 20
"
    );
    let config = dir.read(&all).unwrap();
    assert!(config.is_tls());
    assert_eq!(config.gate().unwrap().headers.len(), 5);
    let tls = config.tls().unwrap().config;
    assert!(!tls.ignore_client_order);
    // The three of TLS 1.3, and the configured one.
    assert_eq!(tls.crypto_provider().cipher_suites.len(), 4);
    let inline = |key: &str, file: &str| {
        let text = std::fs::read_to_string(dir.0.path().join(file)).unwrap();
        format!("  {key}: |\n    {}\n", text.trim().replace('\n', "\n    "))
    };
    let inline = format!(
        "tls_server_config:\n{}{}{}  client_auth_type: RequireClientCert\n",
        inline("cert", "one.pem"),
        inline("key", "one.key"),
        inline("client_ca", "other.pem")
    );
    assert!(dir.read(&inline).unwrap().is_tls());
}

#[test]
fn no_such_keys() {
    let dir = Dir::new();
    dir.refuses(
        "tls_server_config:\n  cert_file: one.pem\n  keyfile: one.key\n",
        "web.yml:3:3: unknown field `keyfile`, expected one of cert, cert_file, key, key_file, \
         client_ca, client_ca_file, client_auth_type, client_allowed_sans, min_version, \
         max_version, cipher_suites, curve_preferences, prefer_server_cipher_suites",
    );
    dir.refuses(
        "auth_excluded_paths: [/-/healthy]\n",
        "web.yml:1:1: unknown field `auth_excluded_paths`, expected one of tls_server_config, \
         http_server_config, rate_limit, basic_auth_users",
    );
    dir.refuses(
        "basic_auth_users:\n  alice: $2y\n  alice: s3cret\n",
        "web.yml:3:3: duplicate mapping key `alice` is not allowed here",
    );
    dir.refuses(
        "[]",
        "web.yml:1:1: expected a mapping (key: value), not a list",
    );
    dir.refuses(
        "http_server_config: {http2: s3cret}",
        "web.yml:1:29: expected true or false",
    );
    dir.refuses(
        "rate_limit: {interval: 1s, burst: -1}",
        "web.yml:1:35: expected a whole number from 0 to 4294967295",
    );
    dir.refuses(
        "tls_server_config: {cipher_suites: a}",
        "web.yml:1:36: expected a list, not a single value",
    );
    dir.refuses(
        "tls_server_config: {cert_file: [a]}",
        "web.yml:1:32: expected a text, not a list",
    );
    let error = Config::read(Path::new("/none/web.yml")).err().unwrap();
    assert_eq!(
        error.to_string(),
        "could not read /none/web.yml: No such file or directory (--web.config.file)"
    );
}

#[test]
fn syntax() {
    let dir = Dir::new();
    let hash = "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi";
    for text in [
        format!("basic_auth_users:\n  alice: &hash {hash}\n  ? bob\n  : *hash\n"),
        format!(
            "basic_auth_users:\n  <<: [{{alice: {hash}, bob: no}}, &b {{bob: no}}]\n  bob: {hash}\n"
        ),
        format!("%YAML 1.2\n---\n\"basic_auth_users\": !!map {{'alice': !!str {hash}}}\n...\n"),
        "http_server_config: {http2: off, headers: {X-Frame-Options: \"\\x64eny\"}}".into(),
        format!(
            "http_server_config: ~\nbasic_auth_users: \n  alice: >-\n    {hash}\nrate_limit: null"
        ),
    ] {
        let gate = dir.read(&text).map(|config| config.gate());
        assert!(gate.is_ok_and(|gate| gate.is_some()), "{text}");
    }
    // An alias is where it stands, not what it refers to.
    dir.refuses(
        "basic_auth_users:\n  alice: &a s3cret\n",
        &dir.read("basic_auth_users:\n  alice: s3cret\n")
            .err()
            .unwrap()
            .replace("2:10", "2:13"),
    );
    dir.refuses(
        "--- {}\n--- {}\n",
        "web.yml:2:5: expected a single document, not several",
    );
    dir.refuses(
        "rate_limit: &a [*a]",
        "web.yml:1:17: the alias is within what it refers to",
    );
    dir.refuses(
        "basic_auth_users: {alice: !!binary czNjcmV0}",
        "web.yml:1:36: a tag like this has no meaning here: remove it",
    );
    dir.refuses(
        "basic_auth_users: {[a]: s3cret}",
        "web.yml:1:20: expected a text, not a list",
    );
    let deep = "[".repeat(100_000);
    for text in [
        "basic_auth_users: {alice: s3cret",
        "a: *s3cret",
        "\ta: s3cret",
        &deep,
    ] {
        let error = dir.read(text).err().unwrap();
        assert!(error.starts_with("web.yml:1:"), "{error}");
        println!("{error}");
    }
}

#[test]
fn certificates() {
    let dir = Dir::new();
    dir.write("empty", "");
    dir.write(
        "broken",
        "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
    );
    let wrong = |keys: &str, expected: &str| {
        dir.refuses(&format!("tls_server_config: {{{keys}}}"), expected);
    };
    let missing = "tls_server_config: missing one of";
    wrong(
        "key_file: one.key",
        &format!("web.yml:1:20: {missing} cert or cert_file"),
    );
    wrong(
        "cert_file: one.pem",
        &format!("web.yml:1:20: {missing} key or key_file"),
    );
    wrong(
        "min_version: TLS13",
        &format!("web.yml:1:20: {missing} cert or cert_file"),
    );
    wrong(
        "cert_file: one.pem, cert: x, key_file: one.key",
        "web.yml:1:32: cert and cert_file are both given: remove one of them",
    );
    wrong(
        "cert_file: none, key_file: one.key",
        "web.yml:1:32: failed to read cert_file (none): No such file or directory",
    );
    wrong(
        "cert_file: empty, key_file: one.key",
        "web.yml:1:32: cert_file (empty): it holds no certificate in PEM form \
         (-----BEGIN CERTIFICATE-----)",
    );
    wrong(
        "cert_file: broken, key_file: one.key",
        "web.yml:1:32: cert_file (broken): it is not well-formed PEM",
    );
    wrong(
        "cert_file: one.pem, key_file: one.pem",
        "web.yml:1:51: key_file (one.pem): it holds no private key in PEM form; one that is \
         encrypted must be decrypted first",
    );
    wrong(
        "cert_file: one.pem, key_file: other.key",
        "web.yml:1:32: the key in key_file (other.key) is not the one of the certificate in \
         cert_file (one.pem)",
    );
}

#[test]
fn tls() {
    let dir = Dir::new();
    let wrong = |line: &str, expected: &str| dir.refuses(&format!("{TLS}  {line}\n"), expected);
    wrong(
        "client_auth_type: Always",
        "web.yml:4:21: client_auth_type \"Always\" is not known: it can be NoClientCert, \
         RequestClientCert, RequireAnyClientCert, VerifyClientCertIfGiven, \
         RequireAndVerifyClientCert, RequireClientCert",
    );
    wrong(
        "client_auth_type: RequireAndVerifyClientCert",
        "web.yml:4:21: client_auth_type RequireAndVerifyClientCert needs the authorities that the \
         clients' certificates are from: give client_ca_file",
    );
    wrong(
        "client_ca_file: other.pem",
        "web.yml:4:19: client CA's have been configured without a Client Auth Policy: set \
         client_auth_type",
    );
    wrong(
        "client_allowed_sans: [a]",
        "web.yml:4:24: client_allowed_sans protects nothing while clients are not asked for a \
         certificate: set client_auth_type: RequireAndVerifyClientCert",
    );
    wrong(
        "min_version: TLS10",
        "web.yml:4:16: min_version \"TLS10\" is not supported: it is not safe (RFC 8996); give \
         TLS12 or TLS13",
    );
    wrong(
        "min_version: SSL3",
        "web.yml:4:16: min_version \"SSL3\" is not known: it can be TLS10, TLS11, TLS12, TLS13",
    );
    wrong(
        "min_version: TLS13\n  max_version: TLS12",
        "web.yml:4:16: min_version TLS13 is above max_version TLS12",
    );
    wrong(
        "curve_preferences: [X25519, CurveP521]",
        "web.yml:4:31: curve_preferences \"CurveP521\" is not supported: give X25519, CurveP256 \
         or CurveP384",
    );
    wrong(
        "cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA]",
        "web.yml:4:19: cipher_suites \"TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA\" is not supported: it \
         is not safe with CBC and SHA-1; remove it, and give one with GCM or CHACHA20",
    );
    wrong(
        "cipher_suites: [TLS_AES_128_GCM_SHA256]\n  max_version: TLS12",
        "web.yml:4:18: no cipher suite is left: max_version is TLS12, and cipher_suites has none \
         of TLS 1.2",
    );
}

#[test]
fn users_headers_and_rates() {
    let dir = Dir::new();
    dir.refuses(
        "basic_auth_users:\n  alice: s3cret\n",
        "web.yml:2:10: the value for the user \"alice\" is not a bcrypt hash: make one of the \
         password by htpasswd -nBC 10 alice",
    );
    let hash = "$2y$99$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi";
    let error = dir.read(&format!("basic_auth_users: {{alice: {hash}}}"));
    assert!(error.err().unwrap().contains("not a bcrypt hash"));
    dir.refuses(
        "http_server_config:\n  headers:\n    Server: x\n",
        "web.yml:3:13: HTTP header \"Server\" can not be configured: it can be \
         Content-Security-Policy, X-Frame-Options, X-Content-Type-Options, X-XSS-Protection, \
         Strict-Transport-Security",
    );
    dir.refuses(
        "http_server_config: {headers: {X-Frame-Options: never}}",
        "web.yml:1:49: invalid value for X-Frame-Options. Expected one of: [\"deny\", \
         \"sameorigin\"], but got: \"never\"",
    );
    dir.refuses(
        "http_server_config: {headers: {X-XSS-Protection: \"a\\nb\"}}",
        "web.yml:1:50: the value of X-XSS-Protection has a character in it that no header may have",
    );
    dir.refuses(
        "rate_limit: {interval: 1 hour, burst: 1}",
        "web.yml:1:24: interval \"1 hour\" is no duration (try 1s or 100ms)",
    );
    dir.refuses(
        "rate_limit: {interval: 1s, burst: 0}",
        "web.yml:1:35: with burst: 0 no request is ever answered: give at least 1",
    );
}
