//! Limit of open files.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// File descriptors reserved for everything except network connections: the database, listeners, local
/// connections.
const RESERVE: usize = 64 + super::server::LOCAL_CONNECTIONS;

/// Returns how many of the `wanted` connections can be open at once. Raises the process's soft limit for
/// them, up to the hard limit but never beyond the need, because child processes inherit it.
pub fn connections(wanted: usize) -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return wanted;
    };
    let needed = wanted.saturating_add(RESERVE) as u64;
    let raised = needed.min(hard);
    let limit = if soft < raised && setrlimit(Resource::RLIMIT_NOFILE, raised, hard).is_ok() {
        raised
    } else {
        soft
    };
    within(limit, wanted)
}

/// Raises the soft limit by `files`, which are open in addition to connections, up to the hard limit.
pub fn make_room(files: u64) {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // If this is refused, opening one file too many reports the error.
        let _ = setrlimit(
            Resource::RLIMIT_NOFILE,
            soft.saturating_add(files).min(hard),
            hard,
        );
    }
}

fn within(limit: u64, wanted: usize) -> usize {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    wanted.min(limit - RESERVE.min(limit / 2)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_are_kept_in_reserve() {
        assert_eq!(within(1_000_000, 16_384), 16_384);
        assert_eq!(within(1024, 16_384), 1024 - RESERVE);
        assert_eq!(within(100, 16_384), 50);
        assert_eq!(within(0, 16_384), 1);
    }
}
