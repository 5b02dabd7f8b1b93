//! The clock of a process: the machine's, or, to see what a wrong clock does, one that a file puts wrong.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use domain::Timestamp;
use event_store::log::connect_options;
use event_store::{Clock, SystemClock};

/// How long an offset that was read is used: a leap acts at once for whoever injects it, and reading the file
/// costs a command nothing.
const OFFSET_AGE_MAX: Duration = Duration::from_millis(50);

/// The clock of a process whose log is at `database_url`: the machine's, unless there is a file of its offset.
///
/// # Errors
/// There is such a file, and the database is not on this machine's loopback: a fault is injected into a test's
/// deployment, never into one that people use.
pub(crate) fn of(offset_file: Option<&Path>, database_url: &str) -> anyhow::Result<Arc<dyn Clock>> {
    let Some(file) = offset_file else { return Ok(Arc::new(SystemClock)) };
    let options = connect_options(database_url)?;
    ensure!(
        is_loopback(options.get_host()),
        "--clock-offset-file is for tests: it is refused where the database is not on loopback"
    );
    tracing::warn!(file = %file.display(), "the clock of this process is put wrong by a file");
    Ok(Arc::new(OffsetClock::of(file, SystemClock)))
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// A clock that is off by as many microseconds as a file says. As long as the file is missing or holds no
/// integer, which it may while it is written, the last offset stays; at first that is none.
struct OffsetClock<C> {
    clock: C,
    file: PathBuf,
    started: Instant,
    offset_micros: AtomicI64,
    /// When the file is looked at again, in microseconds since `started`.
    stale_at_micros: AtomicU64,
}

impl<C> OffsetClock<C> {
    fn of(file: &Path, clock: C) -> Self {
        Self {
            clock,
            file: file.to_owned(),
            started: Instant::now(),
            offset_micros: AtomicI64::new(0),
            stale_at_micros: AtomicU64::new(0),
        }
    }

    fn offset_micros(&self) -> i64 {
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let elapsed = self.started.elapsed();
        if micros(elapsed) >= self.stale_at_micros.load(Ordering::Relaxed) {
            // Two who read it at the same time read the same.
            self.stale_at_micros.store(micros(elapsed + OFFSET_AGE_MAX), Ordering::Relaxed);
            let text = std::fs::read_to_string(&self.file).unwrap_or_default();
            if let Ok(offset) = text.trim().parse() {
                self.offset_micros.store(offset, Ordering::Relaxed);
            }
        }
        self.offset_micros.load(Ordering::Relaxed)
    }
}

impl<C: Clock> Clock for OffsetClock<C> {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.clock.now().micros().saturating_add(self.offset_micros()))
    }
}

impl<C: fmt::Debug> fmt::Debug for OffsetClock<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { clock, file, offset_micros, .. } = self;
        f.debug_struct("OffsetClock")
            .field("clock", clock)
            .field("file", file)
            .field("offset_micros", offset_micros)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Stopped;

    impl Clock for Stopped {
        fn now(&self) -> Timestamp {
            Timestamp::from_micros(1_000_000)
        }
    }

    #[test]
    fn the_clock_is_off_by_what_the_file_says_last() {
        let name = format!("runut-clock-offset-{}", std::process::id());
        let file = std::env::temp_dir().join(name);
        let clock = OffsetClock::of(&file, Stopped);
        let said = |text: Option<&str>| {
            if let Some(text) = text {
                std::fs::write(&file, text).unwrap();
            }
            clock.stale_at_micros.store(0, Ordering::Relaxed);
            clock.now().micros()
        };
        assert_eq!(said(None), 1_000_000);
        assert_eq!(said(Some("3600000000\n")), 3_601_000_000);
        assert_eq!(said(Some("-86400000000")), -86_399_000_000);
        assert_eq!(said(Some("half wri")), -86_399_000_000);
        assert_eq!(said(Some("0")), 1_000_000);
        std::fs::remove_file(&file).unwrap();
    }

    #[test]
    fn only_a_database_on_loopback_is_served_with_a_wrong_clock() {
        let file = Some(Path::new("/nowhere/offset"));
        for host in ["127.0.0.1", "localhost", "[::1]", "127.3.2.1"] {
            of(file, &format!("postgres://u:p@{host}:5432/runut")).unwrap();
        }
        for url in [
            "postgres://u:p@10.0.0.7/runut",
            "postgres://u:p@db.example/runut",
            "postgres://u:p@127.0.0.1/runut?host=db.example",
        ] {
            let error = of(file, url).unwrap_err().to_string();
            assert!(error.contains("not on loopback"), "{error}");
            of(None, url).unwrap();
        }
    }
}
