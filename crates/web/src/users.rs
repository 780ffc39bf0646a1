//! Authentication of requests: basic authentication (RFC 7617) against bcrypt hashes.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use super::turns::Turns;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use metricsjob_system::panics::locked;
use ring::hmac;

/// Maximum number of passwords remembered as right, and as wrong.
const REMEMBERED: usize = 4096;

/// Users and the bcrypt hashes of their passwords.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Users(BTreeMap<String, String>);

impl Users {
    /// Each value of `hashes` must be a valid bcrypt hash.
    pub fn new(hashes: BTreeMap<String, String>) -> Self {
        Users(hashes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the user's hash and `true`. For an unknown user, returns the hash that takes longest to check
    /// and `false`, so that the response time does not reveal which users exist.
    fn hash(&self, user: &str) -> Option<(&str, bool)> {
        match self.0.get(user) {
            Some(hash) => Some((hash, true)),
            // The cost is between `$2y$` and the next `$`.
            None => self
                .0
                .values()
                .max_by_key(|hash| hash.get(4..6))
                .map(|hash| (hash.as_str(), false)),
        }
    }
}

/// Checks passwords, which is slow by design, and remembers the results.
pub struct Checker {
    /// Random key of this process, so that the remembered digests reveal nothing.
    key: hmac::Key,
    right: Mutex<HashSet<[u8; 32]>>,
    /// Kept separately, so that wrong passwords do not displace right ones.
    wrong: Mutex<HashSet<[u8; 32]>>,
    /// Limits how many passwords are checked at once, and decides whose is next.
    checks: Arc<Turns>,
}

impl Checker {
    pub fn new() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Checker {
            key: hmac::Key::new(hmac::HMAC_SHA256, &rand::random::<[u8; 32]>()),
            right: Mutex::default(),
            wrong: Mutex::default(),
            // The rest of the server needs processors too.
            checks: Turns::new((processors / 2).max(1)),
        }
    }

    /// Returns true if the request, which came from the address `client`, authenticates one of `users`.
    /// Passwords not yet known to be right or wrong wait for their turn, which goes from address to address.
    pub async fn admits(&self, users: &Users, client: Option<IpAddr>, headers: &HeaderMap) -> bool {
        let Some((user, password)) = credentials(headers) else {
            return false;
        };
        let Some((hash, is_user)) = users.hash(&user) else {
            return false;
        };
        let parts = [
            &[is_user.into()],
            user.as_bytes(),
            hash.as_bytes(),
            &password,
        ];
        let digest = self.digest(parts);
        if let Some(is_right) = self.remembered(&digest) {
            return is_right;
        }
        let turn = self.checks.take(client).await;
        // Another request with the same password may have been checked meanwhile.
        if let Some(is_right) = self.remembered(&digest) {
            return is_right;
        }
        let hash = hash.to_owned();
        let checked = tokio::task::spawn_blocking(move || {
            let is_right = bcrypt::verify(&password, &hash).unwrap_or(false);
            // The turn ends with the work, and not when the client goes away.
            drop(turn);
            is_right
        });
        let is_right = checked.await.unwrap_or(false) && is_user;
        let mut digests = locked(if is_right { &self.right } else { &self.wrong });
        if digests.len() >= REMEMBERED {
            digests.clear();
        }
        digests.insert(digest);
        is_right
    }

    fn remembered(&self, digest: &[u8; 32]) -> Option<bool> {
        if locked(&self.right).contains(digest) {
            return Some(true);
        }
        locked(&self.wrong).contains(digest).then_some(false)
    }

    fn digest(&self, parts: [&[u8]; 4]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            // The lengths make sure that no two lists of parts have the same digest.
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.sign().as_ref());
        digest
    }
}

/// Returns the user and password of the request. A password can be any bytes, but a user name must be UTF-8.
fn credentials(headers: &HeaderMap) -> Option<(String, Vec<u8>)> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, encoded) = value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let mut user = STANDARD.decode(encoded.trim_ascii()).ok()?;
    let colon = user.iter().position(|byte| *byte == b':')?;
    let password = user.split_off(colon + 1);
    user.pop();
    Some((String::from_utf8(user).ok()?, password))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())])
    }

    fn basic(pair: &str) -> HeaderMap {
        headers(&format!("Basic {}", STANDARD.encode(pair)))
    }

    #[test]
    fn what_a_request_says() {
        let said = |value: &str| credentials(&headers(value));
        assert_eq!(said("bAsIc YTpiOmM="), Some(("a".into(), b"b:c".to_vec())));
        assert_eq!(said("Basic Og=="), Some((String::new(), Vec::new())));
        for wrong in [
            "",
            "Basic",
            "Basic YQ==",
            "Basic !",
            "Bearer YTpi",
            "Basic /zpi",
        ] {
            assert_eq!(said(wrong), None, "{wrong}");
        }
        assert_eq!(credentials(&HeaderMap::new()), None);
    }

    #[tokio::test]
    async fn passwords() {
        let hash = bcrypt::hash("right", 4).unwrap();
        let users = Users::new(BTreeMap::from([("alice".into(), hash.clone())]));
        let checker = Checker::new();
        for _ in 0..2 {
            assert!(checker.admits(&users, None, &basic("alice:right")).await);
            assert!(!checker.admits(&users, None, &basic("alice:wrong")).await);
            assert!(!checker.admits(&users, None, &basic("bob:right")).await);
        }
        assert_eq!(locked(&checker.right).len(), 1);
        assert_eq!(locked(&checker.wrong).len(), 2);

        let renamed = Users::new(BTreeMap::from([("bob".into(), hash)]));
        assert!(checker.admits(&renamed, None, &basic("bob:right")).await);
        assert!(!checker.admits(&renamed, None, &basic("alice:right")).await);
        let hash = bcrypt::hash("other", 4).unwrap();
        let changed = Users::new(BTreeMap::from([("alice".into(), hash)]));
        assert!(!checker.admits(&changed, None, &basic("alice:right")).await);
        assert!(checker.admits(&changed, None, &basic("alice:other")).await);
    }

    #[tokio::test]
    async fn wrong_ones_displace_no_right_one() {
        let hash = bcrypt::hash("right", 4).unwrap();
        let users = Users::new(BTreeMap::from([("alice".into(), hash)]));
        let checker = Checker::new();
        assert!(checker.admits(&users, None, &basic("alice:right")).await);
        let others =
            (0..REMEMBERED as u64).map(|n| checker.digest([b"", b"", b"", &n.to_le_bytes()]));
        locked(&checker.wrong).extend(others);
        assert!(!checker.admits(&users, None, &basic("alice:wrong")).await);
        assert_eq!(locked(&checker.wrong).len(), 1);
        assert_eq!(locked(&checker.right).len(), 1);
    }
}
