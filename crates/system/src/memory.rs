//! Memory that the allocator keeps.

/// Returns free memory between blocks in use to the system, which the allocator does not do by itself.
pub fn give_back() {
    // SAFETY: malloc_trim(3) may be called at any time, and touches free memory only.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    unsafe {
        nix::libc::malloc_trim(0);
    }
}
