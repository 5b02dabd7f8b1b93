//! A runtime of its own for what only reads the log: projections and queries. However much they compute, the threads
//! that take commands and append do not wait for it, and where the processors are not enough for both, commands go first.

use anyhow::Context;
use tokio::runtime::{Handle, Runtime};

/// The name of its threads; Linux shows the first 15 bytes of it.
const THREAD_NAME: &str = "runut-reading";
/// How far its threads step back: a thread of this niceness has about a third of the share of one of niceness 0 where
/// both could run.
const NICENESS: i32 = 5;

/// The runtime. Its tasks are cut off when this is dropped.
#[derive(Debug)]
pub(crate) struct ReadingSide(Option<Runtime>);

impl ReadingSide {
    /// Starts its threads, as many as there are processors.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.thread_name(THREAD_NAME).on_thread_start(step_back).enable_all();
        let runtime = builder.build().context("a runtime for queries and projections")?;
        Ok(Self(Some(runtime)))
    }

    /// For spawning there.
    pub(crate) fn handle(&self) -> Handle {
        self.0.as_ref().map_or_else(Handle::current, |runtime| runtime.handle().clone())
    }
}

impl Drop for ReadingSide {
    fn drop(&mut self) {
        // A runtime may not be waited for where other tasks run.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Makes the calling thread give way to those of niceness 0. Elsewhere than on Linux niceness is the whole process'.
fn step_back() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::debug!(%error, "a thread for reading keeps its priority");
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// The niceness of the calling thread, as the kernel tells it: the 17th field after the name.
    fn niceness() -> i32 {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").expect("a thread's state");
        let (_, fields) = stat.rsplit_once(')').expect("a name in parentheses");
        fields.split_whitespace().nth(16).expect("a niceness").parse().expect("a number")
    }

    #[tokio::test]
    async fn what_reads_gives_way_to_what_appends() {
        let before = niceness();
        let side = ReadingSide::start().expect("a runtime");
        let (name, there) = side
            .handle()
            .spawn(async { (std::thread::current().name().map(str::to_owned), niceness()) })
            .await
            .expect("a task");
        assert_eq!((name.as_deref(), there), (Some(THREAD_NAME), NICENESS));
        assert_eq!(niceness(), before, "the others stay as they are");
    }
}
