//! Where Postgres' files are, so that the user it runs as can reach them.

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::UNIX_EPOCH;

use sha2::{Digest, Sha256};

use crate::account::Account;
use crate::{Binaries, Error, private};

/// Folders of root's that every user can pass through, in order of preference.
const BASES: [&str; 2] = ["/var/lib/runut", "/var/tmp/runut"];
/// Homes one DIR may have had (each but the last is left of a deleted DIR).
const HOMES_MAX: u32 = 1_000;

/// Mode of a home that another user passes through, but can neither list nor write.
const PASSABLE: u32 = 0o711;

/// Where Postgres runs, from which binaries, and as whom.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Canonical. Ours, so that what we write there cannot be made to go elsewhere; only
    /// `data` belongs to the user Postgres runs as.
    pub(crate) home: PathBuf,
    pub(crate) bin: PathBuf,
    /// `None`: as ourselves.
    pub(crate) account: Option<Account>,
}

impl Place {
    /// Makes `dir/postgres` usable. The caller holds the lock of `dir`.
    pub(crate) fn settle(dir: &Path, binaries: &Binaries) -> Result<Self, Error> {
        let dir = dir.canonicalize().map_err(Error::io("resolve", dir))?;
        let inside = dir.join("postgres");
        let Some(account) = Account::for_postgres(&inside.join("data"))? else {
            make_folder(&inside, 0o700)?;
            let home = inside.canonicalize().map_err(Error::io("resolve", inside))?;
            return Ok(Self { home, bin: binaries.postgres_bin.clone(), account: None });
        };
        let bin = reachable_binaries(binaries, account)?;
        let home = reachable_home(&dir, &bin, account)?;
        Ok(Self { home, bin, account: Some(account) })
    }
}

fn make_folder(path: &Path, mode: u32) -> Result<(), Error> {
    private::make_one(path, mode).map_err(Error::io("create", path))
}

/// `dir/postgres` itself if the user can work there, else what it links to.
fn reachable_home(dir: &Path, bin: &Path, account: Account) -> Result<PathBuf, Error> {
    let inside = dir.join("postgres");
    let program = bin.join("postgres");
    if fs::symlink_metadata(&inside).is_ok() {
        // A link into the void means that the data is gone. Starting with new, empty data would
        // hide it; this error names the link, and removing it is how to begin anew.
        let home = inside.canonicalize().map_err(Error::io("follow the link", &inside))?;
        let Err(reason) = account.can_run(&program, &home) else {
            return Ok(home);
        };
        // Only an empty folder may be replaced; what holds data stays where it is.
        if fs::remove_dir(&inside).is_err() {
            return Err(Error::io("let PostgreSQL's user into", &inside)(reason));
        }
    }
    make_folder(&inside, PASSABLE)?;
    if account.can_run(&program, &inside).is_ok() {
        return Ok(inside);
    }
    fs::remove_dir(&inside).map_err(Error::io("remove", &inside))?;
    let home = new_outside_home(dir)?;
    symlink(&home, &inside).map_err(Error::io("link", &inside))?;
    tracing::info!(
        dir = %dir.display(),
        home = %home.display(),
        "PostgreSQL's user cannot reach the folder, its files are linked from elsewhere"
    );
    Ok(home)
}

/// A folder outside of `dir` that is named after it. One with data in it belongs to an earlier
/// folder of this name that was deleted: it is not ours to use, and not ours to delete.
fn new_outside_home(dir: &Path) -> Result<PathBuf, Error> {
    let base = bases().next().ok_or_else(no_base)?;
    let name = short_hash(&[dir.to_string_lossy().as_bytes()]);
    for number in 1..=HOMES_MAX {
        let home = base.join(format!("{name}-{number}"));
        make_folder(&home, PASSABLE)?;
        if fs::read_dir(&home).map_err(Error::io("read", &home))?.next().is_none() {
            return Ok(home);
        }
        tracing::warn!(home = %home.display(), "left over from a deleted data folder");
    }
    Err(no_base())
}

/// The installation's `bin`, copied to where the user can execute it if that must be.
fn reachable_binaries(binaries: &Binaries, account: Account) -> Result<PathBuf, Error> {
    let original = &binaries.postgres_bin;
    let root = Path::new("/");
    let Err(reason) = account.can_run(&original.join("postgres"), root) else {
        return Ok(original.clone());
    };
    let mut reason = format!("{}: {reason}", original.display());
    for base in bases() {
        let bin = copy_installation(original, &base)?;
        match account.can_run(&bin.join("postgres"), root) {
            Ok(()) => return Ok(bin),
            Err(error) => reason = format!("{reason}; {}: {error}", bin.display()),
        }
    }
    Err(Error::NoUnprivilegedUser { reason })
}

/// Copies the installation that `bin` belongs to into `base`, unless that was done before.
/// Libraries of a wheel lie in a folder `*.libs` beside the package, found relative to the binary,
/// so the copy keeps the shape: `<base>/bin-<id>/<package>/<installation>/bin`.
fn copy_installation(bin: &Path, base: &Path) -> Result<PathBuf, Error> {
    static COPIES: AtomicU32 = AtomicU32::new(0);
    let installation = bin.parent().unwrap_or(bin);
    let package = installation.parent().unwrap_or(installation);
    let inner = Path::new(package.file_name().unwrap_or_default())
        .join(installation.file_name().unwrap_or_default());
    let id = installation_id(bin)?;
    let target = base.join(format!("bin-{id}"));
    let target_bin = target.join(&inner).join("bin");
    if target.exists() {
        return Ok(target_bin);
    }
    let copy = COPIES.fetch_add(1, Ordering::Relaxed);
    let temporary = base.join(format!(".bin-{id}.{}.{copy}", std::process::id()));
    copy_folder(installation, &temporary.join(&inner))?;
    for beside in package.parent().and_then(|dir| fs::read_dir(dir).ok()).into_iter().flatten() {
        let Ok(beside) = beside else { continue };
        if beside.file_name().to_string_lossy().ends_with(".libs") {
            copy_folder(&beside.path(), &temporary.join(beside.file_name()))?;
        }
    }
    // Whoever renames first wins; the other copy is the same.
    if let Err(error) = fs::rename(&temporary, &target) {
        fs::remove_dir_all(&temporary).map_err(Error::io("remove", &temporary))?;
        if !target.exists() {
            return Err(Error::io("create", target)(error));
        }
    }
    Ok(target_bin)
}

/// Another build in the same place is another installation.
fn installation_id(bin: &Path) -> Result<String, Error> {
    let postgres = bin.join("postgres");
    let metadata = postgres.metadata().map_err(Error::io("read", &postgres))?;
    let modified = metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    Ok(short_hash(&[
        bin.to_string_lossy().as_bytes(),
        &metadata.len().to_be_bytes(),
        &modified.unwrap_or_default().as_nanos().to_be_bytes(),
    ]))
}

/// Copies files and folders, readable by all. What only compilers need is left out.
fn copy_folder(from: &Path, to: &Path) -> Result<(), Error> {
    const LEFT_OUT: [&str; 3] = ["include", "pgxs", "pkgconfig"];
    fs::create_dir_all(to).map_err(Error::io("create", to))?;
    for folder in to.ancestors().take(3) {
        open_up(folder)?;
    }
    for entry in fs::read_dir(from).map_err(Error::io("read", from))? {
        let entry = entry.map_err(Error::io("read", from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            if !LEFT_OUT.contains(&entry.file_name().to_string_lossy().as_ref()) {
                copy_folder(&source, &target)?;
            }
        } else if source.extension().is_none_or(|extension| extension != "a") {
            fs::copy(&source, &target).map_err(Error::io("copy", &source))?;
            open_up(&target)?;
        }
    }
    Ok(())
}

fn open_up(path: &Path) -> Result<(), Error> {
    let mode = path.metadata().map_err(Error::io("read", path))?.permissions().mode();
    let execute = if mode & 0o100 == 0 { 0 } else { 0o111 };
    fs::set_permissions(path, Permissions::from_mode(0o644 | execute))
        .map_err(Error::io("change the mode of", path))
}

/// The bases that exist or can be made, and that only root can write to: whoever else could
/// write there could have us execute what they like.
fn bases() -> impl Iterator<Item = PathBuf> {
    BASES.into_iter().map(PathBuf::from).filter(|base| {
        let made = DirBuilder::new().mode(0o755).create(base).is_ok();
        if made && fs::set_permissions(base, Permissions::from_mode(0o755)).is_err() {
            return false;
        }
        fs::symlink_metadata(base).is_ok_and(|metadata| {
            metadata.is_dir() && metadata.uid() == 0 && metadata.mode() & 0o022 == 0
        })
    })
}

fn no_base() -> Error {
    Error::NoUnprivilegedUser { reason: format!("none of {BASES:?} can be used") }
}

/// Names a path or a version in a file name.
pub(crate) fn short_hash(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.len().to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
