//! The cluster on disk: made once, and made usable again after a crash.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::SUPERUSER;
use crate::process_table::Process;
use crate::staging::Place;
use crate::{Error, Version, private};

/// From this version on, `C.UTF-8` is built into Postgres and the same on every machine.
const BUILTIN_LOCALE_MAJOR: u32 = 17;
const OUTPUT_TAIL_CHARS: usize = 1_000;

/// Makes the cluster in `place.home/data` if there is none. It is made in another folder and
/// renamed when complete, so an interrupted attempt is never taken for a cluster.
pub(super) async fn ensure(place: &Place, version: Version, password: &str) -> Result<(), Error> {
    let data = place.home.join("data");
    if data.exists() {
        return check_version(&data, version);
    }
    let unfinished = place.home.join("data.unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).map_err(Error::io("remove", &unfinished))?;
    }
    private::make_folder(&unfinished).map_err(Error::io("create", &unfinished))?;
    if let Some(account) = place.account {
        account.own(&unfinished)?;
    }
    let cluster = unfinished.join("cluster");
    let pwfile = write_password(&unfinished, place, password)?;
    let mut output = String::new();
    for locale in locales(version) {
        output = match initdb(place, &cluster, &pwfile, locale).await? {
            Ok(()) => {
                fs::rename(&cluster, &data).map_err(Error::io("rename", &cluster))?;
                sync_folder(&place.home)?;
                return fs::remove_dir_all(&unfinished).map_err(Error::io("remove", &unfinished));
            }
            Err(output) => output,
        };
    }
    Err(Error::InitDb { output })
}

/// Sorted by code point in either case: indexes must not depend on a machine's locale data.
fn locales(version: Version) -> Vec<&'static [&'static str]> {
    if version.major >= BUILTIN_LOCALE_MAJOR {
        vec![&["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]]
    } else {
        vec![&["--locale=C.UTF-8"], &["--locale=C"]]
    }
}

fn write_password(folder: &Path, place: &Place, password: &str) -> Result<PathBuf, Error> {
    let path = folder.join("password");
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(&path);
    file.and_then(|mut file| {
        writeln!(file, "{password}")?;
        // By its descriptor: the folder is another user's, who could have put a link there.
        place.account.map_or(Ok(()), |account| fchown(file, Some(account.uid), Some(account.gid)))
    })
    .map_err(Error::io("write", &path))?;
    Ok(path)
}

async fn initdb(
    place: &Place,
    cluster: &Path,
    pwfile: &Path,
    locale: &[&str],
) -> Result<Result<(), String>, Error> {
    let program = place.bin.join("initdb");
    let mut command = command(place, "initdb");
    command
        .arg("--pgdata")
        .arg(cluster)
        .arg("--pwfile")
        .arg(pwfile)
        .args(["--username", SUPERUSER, "--encoding=UTF8", "--data-checksums"])
        .args(["--auth-host=scram-sha-256", "--auth-local=scram-sha-256"])
        .args(locale)
        .current_dir(&place.home)
        .stdin(Stdio::null())
        .process_group(0)
        .kill_on_drop(true);
    let output = command.output().await.map_err(Error::io("run", &program))?;
    if output.status.success() {
        return Ok(Ok(()));
    }
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    let skip = text.chars().count().saturating_sub(OUTPUT_TAIL_CHARS);
    Ok(Err(text.chars().skip(skip).collect()))
}

/// A program of Postgres', run as the user it must run as. Of our environment it gets only
/// what it needs: the rest may hold secrets, and `PG…` variables would change what it does.
pub(super) fn command(place: &Place, program: &str) -> Command {
    const KEPT: [&str; 3] = ["PATH", "LD_LIBRARY_PATH", "TMPDIR"];
    let mut command = Command::new(place.bin.join(program));
    command.env_clear().env("LC_ALL", "C").env("HOME", &place.home);
    command.envs(KEPT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    if let Some(account) = place.account {
        command.uid(account.uid).gid(account.gid);
    }
    command
}

fn check_version(data: &Path, binaries: Version) -> Result<(), Error> {
    let path = data.join("PG_VERSION");
    let found = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
    if found.trim() == binaries.major.to_string() {
        return Ok(());
    }
    let found = found.trim().to_owned();
    Err(Error::DataVersion { path: data.to_path_buf(), found, binaries })
}

/// Makes a rename in the folder survive a power cut.
fn sync_folder(path: &Path) -> Result<(), Error> {
    fs::File::open(path).and_then(|folder| folder.sync_all()).map_err(Error::io("sync", path))
}

/// The pid in the cluster's `postmaster.pid`.
pub(super) fn postmaster_pid(home: &Path) -> Option<i32> {
    let text = fs::read_to_string(home.join("data/postmaster.pid")).ok()?;
    text.lines().next()?.trim().parse().ok()
}

/// Removes a `postmaster.pid` whose process is no Postgres of this cluster: a zombie that nobody
/// reaps, or another program that got the pid after a reboot. Postgres itself would take
/// either for a running server and refuse to start. If there is no such process at all it copes.
pub(super) fn remove_stale_pid_file(home: &Path) -> Result<(), Error> {
    let Some(pid) = postmaster_pid(home) else {
        return Ok(());
    };
    let live = Process::find(pid).is_some_and(|found| found.works_in(home, &["postgres"]));
    if live || !Path::new(&format!("/proc/{pid}")).exists() {
        return Ok(());
    }
    let path = home.join("data/postmaster.pid");
    tracing::info!(pid, "removing the pid file of a PostgreSQL that is gone");
    fs::remove_file(&path).map_err(Error::io("remove", path))
}
