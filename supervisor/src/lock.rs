//! One owner a folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use crate::{Error, private};

/// An exclusive lock on a file, held until it is dropped or the process dies, however it dies.
/// The file stays; only the lock on it counts.
#[derive(Debug)]
pub struct DirLock {
    // Closing the file lets go of the lock.
    _file: File,
}

impl DirLock {
    /// Locks `dir/<name>.lock`, making `dir` if it is missing.
    ///
    /// # Errors
    ///
    /// [`Error::Locked`] if another process, or another handle in this one, holds it;
    /// [`Error::Io`] if the file cannot be made.
    pub fn acquire(dir: &Path, name: &str) -> Result<Self, Error> {
        private::make_folder(dir).map_err(Error::io("create", dir))?;
        let path: PathBuf = dir.join(format!("{name}.lock"));
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).read(true).write(true);
        let mut file = private::open(&mut options, &path).map_err(Error::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let read = file.read_to_string(&mut holder);
                let holder = match (read, holder.trim()) {
                    (Ok(_), pid) if !pid.is_empty() => pid.to_owned(),
                    _ => "unknown".to_owned(),
                };
                return Err(Error::Locked { path, holder });
            }
            Err(TryLockError::Error(source)) => {
                return Err(Error::Io { action: "lock", path, source });
            }
        }
        // For the message above only, so a failure to write it is none.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self { _file: file })
    }
}
