//! The user a server runs as, where it must not be us.

use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::unistd::{User, geteuid};

use crate::Error;

/// Tried in this order: the packaged user of a machine with Postgres, then the one there always is.
const CANDIDATES: [&str; 2] = ["postgres", "nobody"];

/// A user other than us that only root can become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Account {
    /// Who runs Postgres on the cluster in `data`: nobody but us (`None`), unless we are root.
    /// Then whoever owns what is there already, so that data made by a user is still that user's
    /// after a start as root; else the first candidate that exists.
    pub(crate) fn for_postgres(data: &Path) -> Result<Option<Self>, Error> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        if let Ok(metadata) = data.metadata()
            && metadata.uid() != 0
        {
            return Ok(Some(Self { uid: metadata.uid(), gid: metadata.gid() }));
        }
        CANDIDATES
            .iter()
            .filter_map(|name| User::from_name(name).ok().flatten())
            .find(|user| !user.uid.is_root())
            .map(|user| Some(Self { uid: user.uid.as_raw(), gid: user.gid.as_raw() }))
            .ok_or_else(|| Error::NoUnprivilegedUser {
                reason: format!("none of {CANDIDATES:?} exists"),
            })
    }

    /// Gives a file or folder to this user.
    pub(crate) fn own(self, path: &Path) -> Result<(), Error> {
        chown(path, Some(self.uid), Some(self.gid)).map_err(Error::io("change the owner of", path))
    }

    /// Whether this user can work in `cwd` and execute `program` there. Tried, since mode bits
    /// alone do not tell: there are ACLs, `noexec` mounts and missing libraries.
    pub(crate) fn can_run(self, program: &Path, cwd: &Path) -> io::Result<()> {
        let status = Command::new(program)
            .arg("--version")
            .uid(self.uid)
            .gid(self.gid)
            .current_dir(cwd)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        if status.success() { Ok(()) } else { Err(io::Error::other(status.to_string())) }
    }
}
