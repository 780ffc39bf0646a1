//! Pages of a database, read without SQLite, which gives up at a broken one.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::ptr;

use rusqlite::{Connection, ffi};

use metricsjob_system::files;

/// Page size: SQLite's default, which all our databases have, so that a broken header need not be trusted.
pub const PAGE: usize = 4096;

pub type Page = [u8; PAGE];

/// Pages of a database as of the last commit.
pub struct Pages<'a> {
    connection: &'a Connection,
    wal: Option<Wal>,
    /// The number of pages.
    pub count: u32,
}

/// Index of the database's log.
struct Wal {
    file: File,
    /// The offset of each page's last committed content.
    pages: HashMap<u32, u64>,
    /// The number of pages of the database.
    count: u32,
}

impl<'a> Pages<'a> {
    /// Creates it for the database that `connection` has open. The file is read through SQLite's handle: opening and
    /// closing it again would drop the locks that other threads hold on it (POSIX).
    pub fn new(connection: &'a Connection, wal: &Path) -> Self {
        let wal = Wal::open(wal);
        let size = main_file(connection).map_or(0, |file| {
            let mut size = 0;
            // SAFETY: the file is open as long as the connection.
            let status = unsafe {
                (*(*file).pMethods)
                    .xFileSize
                    .map(|ask| ask(file, &raw mut size))
            };
            match status {
                Some(ffi::SQLITE_OK) => u64::try_from(size).unwrap_or(0),
                _ => 0,
            }
        });
        let count = u32::try_from(size.div_ceil(PAGE as u64)).unwrap_or(u32::MAX);
        Pages {
            connection,
            count: wal.as_ref().map_or(count, |wal| wal.count),
            wal,
        }
    }

    /// Returns the page with this number, which counts from 1. Behind the end of the file it is filled with zeros.
    pub fn page(&self, number: u32) -> Option<Page> {
        if number == 0 || number > self.count {
            return None;
        }
        let mut page = [0; PAGE];
        if let Some(wal) = &self.wal
            && let Some(offset) = wal.pages.get(&number)
        {
            return wal
                .file
                .read_exact_at(&mut page, *offset)
                .ok()
                .map(|()| page);
        }
        let file = main_file(self.connection)?;
        let offset = (i64::from(number) - 1) * PAGE as i64;
        // SAFETY: the file is open as long as the connection, and the buffer has the length that is passed.
        let status = unsafe {
            let read = (*(*file).pMethods).xRead?;
            read(file, page.as_mut_ptr().cast(), PAGE as i32, offset)
        };
        let is_read = matches!(status, ffi::SQLITE_OK | ffi::SQLITE_IOERR_SHORT_READ);
        is_read.then_some(page)
    }
}

/// Returns SQLite's handle of the database file.
fn main_file(connection: &Connection) -> Option<*mut ffi::sqlite3_file> {
    let mut file: *mut ffi::sqlite3_file = ptr::null_mut();
    // SAFETY: the handle is that of an open connection; no name means its one database, and this operation
    // writes a pointer to its file.
    unsafe {
        let status = ffi::sqlite3_file_control(
            connection.handle(),
            ptr::null(),
            ffi::SQLITE_FCNTL_FILE_POINTER,
            (&raw mut file).cast(),
        );
        let is_open = status == ffi::SQLITE_OK && !file.is_null() && !(*file).pMethods.is_null();
        is_open.then_some(file)
    }
}

const WAL_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

impl Wal {
    /// Indexes the log at `path` up to its last commit; `None` if there is no commit in it.
    fn open(path: &Path) -> Option<Wal> {
        let file = files::open_to_read(path).ok()?;
        let mut header = [0; WAL_HEADER];
        file.read_exact_at(&mut header, 0).ok()?;
        let is_big_endian = match word(&header, 0) {
            0x377f_0682 => false,
            0x377f_0683 => true,
            _ => return None,
        };
        let mut sums = add([0, 0], &header[..24], is_big_endian);
        if word(&header, 8) as usize != PAGE || sums != [word(&header, 24), word(&header, 28)] {
            return None;
        }
        let mut wal = Wal {
            file,
            pages: HashMap::new(),
            count: 0,
        };
        let mut uncommitted = Vec::new();
        let mut frame = [0; FRAME_HEADER + PAGE];
        let mut offset = WAL_HEADER as u64;
        while wal.file.read_exact_at(&mut frame, offset).is_ok() {
            sums = add(sums, &frame[..8], is_big_endian);
            sums = add(sums, &frame[FRAME_HEADER..], is_big_endian);
            if frame[8..16] != header[16..24] || sums != [word(&frame, 16), word(&frame, 20)] {
                break;
            }
            uncommitted.push((word(&frame, 0), offset + FRAME_HEADER as u64));
            let count = word(&frame, 4);
            if count > 0 {
                wal.pages.extend(uncommitted.drain(..));
                wal.count = count;
            }
            offset += frame.len() as u64;
        }
        (wal.count > 0).then_some(wal)
    }
}

/// Returns the four bytes at `offset` as a big-endian number.
pub fn word(bytes: &[u8], offset: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[offset..offset + 4]);
    u32::from_be_bytes(word)
}

/// Continues the log's checksum with `bytes`.
fn add([mut first, mut second]: [u32; 2], bytes: &[u8], is_big_endian: bool) -> [u32; 2] {
    for pair in bytes.chunks_exact(8) {
        let [a, b] = [word(pair, 0), word(pair, 4)].map(|word| {
            if is_big_endian {
                word
            } else {
                word.swap_bytes()
            }
        });
        first = first.wrapping_add(a).wrapping_add(second);
        second = second.wrapping_add(b).wrapping_add(first);
    }
    [first, second]
}
