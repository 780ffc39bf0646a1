//! What SQLite does as root each time it opens a log: it gives that to the owner of the database. Where it
//! is theirs already, the file system nevertheless writes that it was changed, which costs more than all
//! else in opening.

use std::ffi::{c_int, c_uint};
use std::mem::{self, MaybeUninit};
use std::ptr;
use std::sync::Once;

use nix::libc;
use rusqlite::ffi;

/// Lets SQLite leave files alone that have the right owner. Once for the process is enough.
pub(super) fn only_where_needed() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the default VFS lives as long as the process, and on Unix takes the place of a system call
        // by the name and the type that it has; the function lives as long as the process too.
        unsafe {
            let vfs = ffi::sqlite3_vfs_find(ptr::null());
            if let Some(set) = vfs.as_ref().and_then(|vfs| vfs.xSetSystemCall) {
                let call: unsafe extern "C" fn(c_int, c_uint, c_uint) -> c_int = fchown;
                let call = mem::transmute::<*const (), unsafe extern "C" fn()>(call as *const ());
                // Where it cannot be set, the one of the system does the same.
                set(vfs, c"fchown".as_ptr(), Some(call));
            }
        }
    });
}

/// fchown(2), unless nothing would change.
unsafe extern "C" fn fchown(fd: c_int, owner: c_uint, group: c_uint) -> c_int {
    let mut found = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: there is room for what fstat(2) writes, and it is read only if that was written.
    unsafe {
        if libc::fstat(fd, found.as_mut_ptr()) == 0 {
            let found = found.assume_init();
            if found.st_uid == owner && found.st_gid == group {
                return 0;
            }
        }
        libc::fchown(fd, owner, group)
    }
}
