//! Names of this host and of the user that this process runs as.

use nix::unistd::{Uid, User, gethostname};

/// Name of this host as the kernel has it (gethostname(2)); `None` if there is none.
pub fn name() -> Option<String> {
    let name = gethostname().ok()?.to_string_lossy().into_owned();
    (!name.is_empty()).then_some(name)
}

/// Name of the effective user, or its number where the user database has no name for it.
pub fn user() -> String {
    let uid = Uid::effective();
    let user = User::from_uid(uid).ok().flatten();
    user.map_or_else(|| uid.to_string(), |user| user.name)
}
