//! Where the servers' binaries are.

use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Error;

const POSTGRES_MIN: Version = Version { major: 15, minor: 0, patch: 0 };
const NATS_MIN: Version = Version { major: 2, minor: 11, patch: 2 };

/// Names the folder that `services/install.sh` installs into, if it is not `.services`.
const SERVICES_DIR_VARIABLE: &str = "RUNUT_SERVICES_DIR";

/// A server's version, as in `18.4` (patch 0) or `2.15.1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The first number.
    pub major: u32,
    /// The second number.
    pub minor: u32,
    /// The third number; 0 for Postgres, which has none.
    pub patch: u32,
}

impl Version {
    /// The first word of `text` that looks like a version: `postgres (PostgreSQL) 18.4` and
    /// `nats-server: v2.15.1` both work, and so does `17beta1`.
    fn find(text: &str) -> Option<Self> {
        text.split_ascii_whitespace().find_map(|word| {
            let word = word.strip_prefix('v').unwrap_or(word);
            let mut numbers = word.split('.').map(|part| {
                let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
                part[..end].parse::<u32>().ok()
            });
            let major = numbers.next()??;
            let mut next = || numbers.next().flatten().unwrap_or(0);
            Some(Self { major, minor: next(), patch: next() })
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        if self.patch > 0 { write!(f, ".{}", self.patch) } else { Ok(()) }
    }
}

/// The servers' binaries and their versions, checked.
#[derive(Clone, Debug)]
pub struct Binaries {
    pub(crate) postgres_bin: PathBuf,
    pub(crate) nats_server: PathBuf,
    postgres_version: Version,
    nats_version: Version,
}

impl Binaries {
    /// Finds Postgres (15 or newer) and NATS (2.11.2 or newer), each in this order:
    ///
    /// 1. the folder `RUNUT_SERVICES_DIR` names; if it is set, nothing else is looked at;
    /// 2. `.services` in `checkout`, or in a folder above the working directory or above this
    ///    executable;
    /// 3. the machine: `PATH`, then where packages put them (`/usr/lib/postgresql/*/bin`, …).
    ///
    /// Runs each candidate with `--version`, so it blocks for some milliseconds.
    ///
    /// # Errors
    ///
    /// [`Error::BinariesMissing`]; its text says what to do.
    pub fn locate(checkout: Option<&Path>) -> Result<Self, Error> {
        if let Some(named) = env::var_os(SERVICES_DIR_VARIABLE) {
            return Self::installed_in(Path::new(&named));
        }
        Self::first_of(&services_folders(checkout), postgres_folders(), nats_folders())
    }

    /// The binaries that `services/install.sh` installed into the folder `services`.
    ///
    /// # Errors
    ///
    /// [`Error::BinariesMissing`].
    pub fn installed_in(services: &Path) -> Result<Self, Error> {
        Self::first_of(&[services.to_path_buf()], Vec::new(), Vec::new())
    }

    fn first_of(
        services: &[PathBuf],
        postgres: Vec<PathBuf>,
        nats: Vec<PathBuf>,
    ) -> Result<Self, Error> {
        let installed = |name: &'static str| services.iter().map(move |dir| dir.join(name));
        let postgres = installed("current/postgres/bin").chain(postgres);
        let nats = installed("current/bin").chain(nats);
        let (postgres, postgres_version) = first_usable("postgres", POSTGRES_MIN, postgres)?;
        let (nats_server, nats_version) = first_usable("nats-server", NATS_MIN, nats)?;
        let postgres_bin = postgres.parent().map(Path::to_path_buf).unwrap_or_default();
        Ok(Self { postgres_bin, nats_server, postgres_version, nats_version })
    }

    /// The version of Postgres.
    #[must_use]
    pub fn postgres_version(&self) -> Version {
        self.postgres_version
    }

    /// The version of NATS.
    #[must_use]
    pub fn nats_version(&self) -> Version {
        self.nats_version
    }

    /// Where `nats-server` is.
    #[must_use]
    pub fn nats_program(&self) -> &Path {
        &self.nats_server
    }

    /// Where a program that comes with Postgres is, such as `psql`, `pg_dump` or `pgbench`;
    /// `None` if this installation lacks it.
    #[must_use]
    pub fn postgres_program(&self, name: &str) -> Option<PathBuf> {
        Some(self.postgres_bin.join(name)).filter(|path| path.is_file())
    }
}

fn services_folders(checkout: Option<&Path>) -> Vec<PathBuf> {
    let starts =
        [checkout.map(Path::to_path_buf), env::current_dir().ok(), env::current_exe().ok()];
    starts
        .iter()
        .flatten()
        .flat_map(|start| start.ancestors())
        .map(|ancestor| ancestor.join(".services"))
        .filter(|dir| dir.is_dir())
        .collect()
}

fn path_folders() -> Vec<PathBuf> {
    env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default()
}

fn postgres_folders() -> Vec<PathBuf> {
    let mut folders = path_folders();
    let mut packaged: Vec<PathBuf> = ["/usr/lib/postgresql", "/usr"]
        .iter()
        .filter_map(|parent| fs::read_dir(parent).ok())
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.parent() != Some(Path::new("/usr")) || is_pgsql(path))
        .collect();
    // Newest first; the names are versions.
    packaged.sort();
    packaged.reverse();
    folders.extend(packaged.into_iter().map(|dir| dir.join("bin")));
    folders.push("/usr/local/pgsql/bin".into());
    folders
}

fn is_pgsql(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("pgsql-"))
}

fn nats_folders() -> Vec<PathBuf> {
    let mut folders = path_folders();
    folders.extend(["/usr/sbin".into(), "/usr/local/bin".into()]);
    folders
}

/// The first folder whose `program` is new enough: its real path (links resolved, so that what
/// lies beside it is found) and its version.
fn first_usable(
    program: &'static str,
    minimum: Version,
    folders: impl Iterator<Item = PathBuf>,
) -> Result<(PathBuf, Version), Error> {
    let mut looked_at = Vec::new();
    for folder in folders {
        let Ok(path) = folder.join(program).canonicalize() else {
            continue;
        };
        match version_of(&path) {
            _ if program == "postgres" && !path.with_file_name("initdb").is_file() => {
                looked_at.push(format!("{} has no initdb beside it", path.display()));
            }
            Ok(version) if version >= minimum => return Ok((path, version)),
            Ok(version) => looked_at.push(format!("{} is {version}", path.display())),
            Err(reason) => looked_at.push(format!("{}: {reason}", path.display())),
        }
    }
    if looked_at.is_empty() {
        looked_at.push("none found".to_owned());
    }
    Err(Error::BinariesMissing { program, minimum, looked_at: looked_at.join("; ") })
}

fn version_of(path: &Path) -> Result<Version, String> {
    let output = Command::new(path)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    Version::find(&text).ok_or_else(|| {
        format!("no version in its answer ({})", String::from_utf8_lossy(&output.stderr).trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, major: u32, minor: u32, patch: u32) {
        assert_eq!(Version::find(text), Some(Version { major, minor, patch }));
    }

    #[test]
    fn versions_are_read_from_what_the_servers_print() {
        check("postgres (PostgreSQL) 18.4\n", 18, 4, 0);
        check("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", 15, 18, 0);
        check("postgres (PostgreSQL) 19beta1", 19, 0, 0);
        check("nats-server: v2.15.1", 2, 15, 1);
        check("nats-server: v2.12.0-RC.3", 2, 12, 0);
        assert_eq!(Version::find("Python shim"), None);
    }

    #[test]
    fn versions_compare_number_by_number() {
        assert!(Version::find("2.9.25") < Some(NATS_MIN));
        assert!(Version::find("2.11.1") < Some(NATS_MIN));
        assert!(Version::find("2.11.2") >= Some(NATS_MIN));
    }
}
