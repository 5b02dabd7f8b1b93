//! Folders and files that others can neither list nor read, whatever the umask says.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::unistd::geteuid;

/// Ours alone.
const FOLDER: u32 = 0o700;
/// Of root's folders: the user that Postgres then runs as passes through.
const ROOT_FOLDER: u32 = 0o711;
const FILE: u32 = 0o600;

/// Makes a folder, with those above it that are missing. One that is there stays as it is.
///
/// # Errors
/// What the system says.
pub fn make_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(above) = path.parent().filter(|above| !above.as_os_str().is_empty()) {
        make_folder(above)?;
    }
    make_one(path, if geteuid().is_root() { ROOT_FOLDER } else { FOLDER })
}

/// Makes a folder with that mode. One that is there stays as it is.
pub(crate) fn make_one(path: &Path, mode: u32) -> io::Result<()> {
    match DirBuilder::new().mode(mode).create(path) {
        // The umask may have taken something away.
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(mode)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Opens a file as `options` say; if it is there and others may read it, they may not any more.
///
/// # Errors
/// What the system says.
pub fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let file = options.mode(FILE).open(path)?;
    file.set_permissions(Permissions::from_mode(FILE))?;
    Ok(file)
}

/// Writes a file anew.
///
/// # Errors
/// What the system says.
pub fn write(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut file = open(OpenOptions::new().write(true).create(true).truncate(true), path)?;
    file.write_all(contents)
}
