//! Users, kept in memory.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Active,
    Inactive,
}

#[derive(Debug, Clone, Serialize)]
pub struct User {
    pub id: u64,
    pub name: String,
    pub email: String,
    pub status: Status,
    pub created: Timestamp,
}

/// Body of the request for a new user.
#[derive(Debug, Clone, Deserialize)]
pub struct NewUser {
    name: String,
    email: String,
}

impl NewUser {
    /// Returns the reason why there can be no such user.
    pub fn problem(&self) -> Option<&'static str> {
        const LONGEST: usize = 200;
        if self.name.trim().is_empty() {
            return Some("the name is empty");
        }
        if self.name.len() > LONGEST || self.email.len() > LONGEST {
            return Some("the name or e-mail address has more than 200 bytes");
        }
        let parts = self.email.split_once('@');
        let is_address = parts.is_some_and(|(user, host)| {
            !user.is_empty() && !host.is_empty() && !self.email.contains(char::is_whitespace)
        });
        (!is_address).then_some("the e-mail address is not of the form user@host")
    }
}

/// All users.
pub struct Users(Mutex<Vec<User>>);

impl Users {
    /// Creates the first three users, two of them active.
    pub fn first() -> Users {
        let user = |id: u64, name: &str, status| User {
            id,
            name: name.to_owned(),
            email: format!("{}@example.com", name.to_lowercase()),
            status,
            created: Timestamp::now(),
        };
        Users(Mutex::new(vec![
            user(1, "Ada", Status::Active),
            user(2, "Grace", Status::Active),
            user(3, "Linus", Status::Inactive),
        ]))
    }

    fn locked(&self) -> MutexGuard<'_, Vec<User>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn all(&self) -> Vec<User> {
        self.locked().clone()
    }

    pub fn by_id(&self, id: u64) -> Option<User> {
        self.locked().iter().find(|user| user.id == id).cloned()
    }

    /// Adds a user, who is active.
    pub fn add(&self, new: NewUser) -> User {
        let mut users = self.locked();
        let user = User {
            id: users.len() as u64 + 1,
            name: new.name,
            email: new.email,
            status: Status::Active,
            created: Timestamp::now(),
        };
        users.push(user.clone());
        user
    }
}

/// Counts the active ones.
pub fn active(users: &[User]) -> usize {
    users
        .iter()
        .filter(|user| user.status == Status::Active)
        .count()
}
