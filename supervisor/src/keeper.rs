//! The task that owns a running server: it watches it, brings it back, and does what the handle
//! asks for.

use std::future::pending;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, timeout};

use crate::launch::{Running, Service, kill_all, launch, stop, sweep};
use crate::{DirLock, Error, port};

/// Between two attempts to bring a server back, doubled each time.
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// A server that was up this long starts with the first delay again.
const BACKOFF_FORGET_AFTER: Duration = Duration::from_secs(60);
/// Somebody may take a free port between our look at it and the server's.
const PORT_ATTEMPTS_MAX: u16 = 5;

type Reply = oneshot::Sender<Result<(), Error>>;

enum Request {
    Stop(Reply),
    Kill(Reply),
    Restart(Reply),
    Abandon(Reply),
}

/// What a service's public type is made of.
pub(crate) struct Handle<S> {
    requests: mpsc::Sender<Request>,
    pid: watch::Receiver<Option<u32>>,
    pub(crate) service: Arc<S>,
}

/// Starts a server on the port asked for, or a free one if that is 0, and the task that keeps it.
pub(crate) async fn start<S: Service>(
    lock: DirLock,
    home: &Path,
    asked_port: u16,
    supervised: bool,
    on_port: impl Fn(u16) -> S,
) -> Result<Handle<S>, Error> {
    // First of all: an orphan still holds the port that we want back.
    sweep(&on_port(asked_port)).await?;
    let mut attempt = 0;
    let (service, running, port) = loop {
        let port = port::choose(home, asked_port, attempt).await?;
        let service = on_port(port);
        attempt += 1;
        match launch(&service).await {
            Ok(running) => break (Arc::new(service), running, port),
            Err(Error::Ended { tail, .. })
                if asked_port == 0
                    && attempt < PORT_ATTEMPTS_MAX
                    && tail.to_ascii_lowercase().contains("address already in use") => {}
            Err(error) => return Err(error),
        }
    };
    port::keep(home, port)?;
    let (requests, inbox) = mpsc::channel(1);
    let (pid, pid_seen) = watch::channel(running.pid());
    let keeper = Keeper {
        service: Arc::clone(&service),
        requests: inbox,
        pid,
        supervised,
        backoff: BACKOFF_FIRST,
        up_since: Instant::now(),
        _lock: lock,
    };
    tokio::spawn(keeper.run(running));
    Ok(Handle { requests, pid: pid_seen, service })
}

impl<S: Service> Handle<S> {
    pub(crate) fn pid(&self) -> Option<u32> {
        *self.pid.borrow()
    }

    pub(crate) async fn stop(self) -> Result<(), Error> {
        self.ask(Request::Stop).await
    }

    pub(crate) async fn kill(&self) -> Result<(), Error> {
        self.ask(Request::Kill).await
    }

    pub(crate) async fn restart(&self) -> Result<(), Error> {
        self.ask(Request::Restart).await
    }

    pub(crate) async fn abandon(self) -> Result<(), Error> {
        self.ask(Request::Abandon).await
    }

    pub(crate) async fn ready_after(&self, pid: u32, bound: Duration) -> Result<(), Error> {
        let mut seen = self.pid.clone();
        let up_again = seen.wait_for(|now| now.is_some_and(|now| now != pid));
        match timeout(bound, up_again).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(Error::Unwatched { service: S::NAME }),
            Err(_) => Err(Error::NotReady {
                service: S::NAME,
                waited: bound,
                log: self.service.home().join(format!("{}.log", S::NAME)),
            }),
        }
    }

    async fn ask(&self, request: impl FnOnce(Reply) -> Request) -> Result<(), Error> {
        let (reply, answer) = oneshot::channel();
        let unwatched = || Error::Unwatched { service: S::NAME };
        self.requests.send(request(reply)).await.map_err(|_| unwatched())?;
        answer.await.map_err(|_| unwatched())?
    }
}

struct Keeper<S> {
    service: Arc<S>,
    requests: mpsc::Receiver<Request>,
    /// The server's pid while it is ready.
    pid: watch::Sender<Option<u32>>,
    supervised: bool,
    backoff: Duration,
    up_since: Instant,
    /// Held until the server is stopped, or let go of.
    _lock: DirLock,
}

enum Event {
    Request(Option<Request>),
    Ended(String),
    Relaunched(Result<Running, Error>),
}

impl<S: Service> Keeper<S> {
    async fn run(mut self, first: Running) {
        let mut running = Some(first);
        // After an unexpected end only: one that was asked to stop stays so.
        let mut wanted = true;
        loop {
            match self.next_event(&mut running, wanted).await {
                Event::Ended(status) => {
                    running = None;
                    self.went_down(&status);
                    wanted = self.supervised;
                }
                Event::Relaunched(result) => {
                    self.backoff = (self.backoff * 2).min(BACKOFF_MAX);
                    match result {
                        Ok(up) => running = Some(self.is_up(up)),
                        Err(error) => self.relaunch_failed(&error),
                    }
                }
                Event::Request(Some(Request::Kill(reply))) => {
                    let killed = kill_all(&*self.service).await;
                    if let Some(mut dead) = running.take() {
                        let status = dead.ended().await;
                        self.went_down(&status);
                    }
                    wanted = self.supervised;
                    let _ = reply.send(killed);
                }
                Event::Request(Some(Request::Restart(reply))) => {
                    let restarted = self.restart(running.take()).await;
                    let (up, result) = match restarted {
                        Ok(up) => (Some(self.is_up(up)), Ok(())),
                        Err(error) => (None, Err(error)),
                    };
                    running = up;
                    wanted = self.supervised;
                    let _ = reply.send(result);
                }
                Event::Request(Some(Request::Stop(reply))) => {
                    let stopped = self.stop(running.take()).await;
                    // The lock goes before the answer: the caller may start again at once.
                    drop(self);
                    let _ = reply.send(stopped);
                    return;
                }
                Event::Request(Some(Request::Abandon(reply))) => {
                    if let Some(running) = running.take() {
                        running.abandon();
                    }
                    drop(self);
                    let _ = reply.send(Ok(()));
                    return;
                }
                // The handle was dropped; nobody waits for the result.
                Event::Request(None) => {
                    if let Err(error) = self.stop(running.take()).await {
                        let error: &dyn std::error::Error = &error;
                        tracing::error!(service = S::NAME, error, "could not be stopped");
                    }
                    return;
                }
            }
        }
    }

    /// A request waits for nothing: a start under way is given up for it, and swept up later.
    async fn next_event(&mut self, running: &mut Option<Running>, wanted: bool) -> Event {
        let (service, backoff) = (&self.service, self.backoff);
        let server = async {
            match running {
                Some(running) => Event::Ended(running.ended().await),
                None if wanted => {
                    sleep(backoff).await;
                    Event::Relaunched(launch(&**service).await)
                }
                None => pending().await,
            }
        };
        tokio::select! {
            request = self.requests.recv() => Event::Request(request),
            event = server => event,
        }
    }

    async fn restart(&mut self, running: Option<Running>) -> Result<Running, Error> {
        self.stop(running).await?;
        launch(&*self.service).await
    }

    async fn stop(&mut self, running: Option<Running>) -> Result<(), Error> {
        self.pid.send_replace(None);
        match running {
            Some(running) => stop(&*self.service, running).await,
            // A start that was given up may still be ending.
            None => sweep(&*self.service).await,
        }
    }

    fn is_up(&mut self, running: Running) -> Running {
        self.up_since = Instant::now();
        self.pid.send_replace(running.pid());
        tracing::info!(service = S::NAME, pid = running.pid(), "is up");
        running
    }

    fn went_down(&mut self, status: &str) {
        self.pid.send_replace(None);
        if self.up_since.elapsed() > BACKOFF_FORGET_AFTER {
            self.backoff = BACKOFF_FIRST;
        }
        tracing::warn!(service = S::NAME, status, restarts = self.supervised, "ended unexpectedly");
    }

    fn relaunch_failed(&self, error: &Error) {
        let next_ms = self.backoff.as_millis();
        let error: &dyn std::error::Error = error;
        tracing::error!(service = S::NAME, error, next_ms, "could not be brought back");
    }
}
