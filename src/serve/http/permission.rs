//! Permission to change something over HTTP: to start a run, or to have the job files read again. Keeping pages of
//! other sites from it is the matter of [`metricsjob_web::origin`].

use axum::http::Extensions;

use metricsjob_web::Known;

/// Rules for the clients that may change something.
pub struct Permission {
    /// True if the command line allows it to every client.
    pub is_allowed: bool,
    /// True if no other machine can reach the server.
    pub is_loopback: bool,
    /// True if the server has more rights than the users of this machine, who all reach it.
    pub is_root: bool,
}

/// A client that may change nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    #[error(
        "it is not allowed, because other machines reach this server: allow it by --web.enable-lifecycle, or have \
         users log in by --web.config.file"
    )]
    OtherMachines,
    #[error(
        "it is not allowed, because this server runs as root and every user of this machine reaches it: run it as \
         another user, allow it by --web.enable-lifecycle, or have users log in by --web.config.file"
    )]
    OtherUsers,
}

impl Permission {
    /// Checks whether requests like the one with these extensions may change something.
    pub fn check(&self, extensions: &Extensions) -> Result<(), NotAllowed> {
        let is_known = extensions.get::<Known>().is_some();
        match self {
            _ if self.is_allowed || is_known => Ok(()),
            Permission {
                is_loopback: false, ..
            } => Err(NotAllowed::OtherMachines),
            Permission { is_root: true, .. } => Err(NotAllowed::OtherUsers),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may() {
        let check = |is_allowed, is_loopback, is_root, is_known| {
            let mut extensions = Extensions::new();
            if is_known {
                extensions.insert(Known);
            }
            let permission = Permission {
                is_allowed,
                is_loopback,
                is_root,
            };
            permission.check(&extensions)
        };
        for is_root in [false, true] {
            for is_loopback in [false, true] {
                assert_eq!(check(true, is_loopback, is_root, false), Ok(()));
                assert_eq!(check(false, is_loopback, is_root, true), Ok(()));
            }
            let elsewhere = check(false, false, is_root, false);
            assert_eq!(elsewhere, Err(NotAllowed::OtherMachines));
        }
        assert_eq!(check(false, true, false, false), Ok(()));
        let as_root = check(false, true, true, false);
        assert_eq!(as_root, Err(NotAllowed::OtherUsers));
    }
}
