//! Names of this host and of the user that this process runs as.

/// Returns the name of this host, as gethostname(2) has it; `None` if it has none.
#[cfg(unix)]
pub fn name() -> Option<String> {
    let name = nix::unistd::gethostname().ok()?;
    let name = name.to_string_lossy().into_owned();
    (!name.is_empty()).then_some(name)
}

/// Returns the name of the effective user, or its number where the user database has no name for it.
#[cfg(unix)]
pub fn user() -> String {
    let uid = nix::unistd::Uid::effective();
    let user = nix::unistd::User::from_uid(uid).ok().flatten();
    user.map_or_else(|| uid.to_string(), |user| user.name)
}

/// Returns the name of this host, as Windows has it; `None` if it has none.
#[cfg(not(unix))]
pub fn name() -> Option<String> {
    std::env::var("COMPUTERNAME").ok()
}

/// Returns the name of the user, as Windows has it.
#[cfg(not(unix))]
pub fn user() -> String {
    std::env::var("USERNAME").unwrap_or_default()
}
