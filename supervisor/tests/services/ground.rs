//! A folder of its own for each test, and what the tests ask the servers.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sqlx::{Connection, PgConnection};
use supervisor::{Binaries, Nats, NatsOptions, Postgres, PostgresOptions};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

pub(crate) const PASSWORD: &str = "pass/word:@ü";
pub(crate) const BACK_MAX: Duration = Duration::from_secs(30);

/// Names DIR to the process that is to be killed.
pub(crate) const KILLED_DIR_VARIABLE: &str = "SUPERVISOR_TEST_KILLED_DIR";

pub(crate) struct Ground {
    pub(crate) dir: PathBuf,
    outer: PathBuf,
}

impl Ground {
    /// `outer_mode` is that of the folder above DIR: 0o711 lets every user pass, 0o700 only us.
    pub(crate) fn new(outer_mode: u32) -> Self {
        static GROUNDS: AtomicU32 = AtomicU32::new(0);
        let number = GROUNDS.fetch_add(1, Ordering::Relaxed);
        let name = format!("runut-supervisor-{}-{number}", std::process::id());
        let outer = std::env::temp_dir().join(name);
        let dir = outer.join("dir");
        fs::create_dir_all(&dir).expect("a folder for the test");
        for (folder, mode) in [(&dir, 0o711), (&outer, outer_mode)] {
            fs::set_permissions(folder, fs::Permissions::from_mode(mode)).expect("its mode");
        }
        Self { dir, outer }
    }

    /// Starts both servers in a process of its own that is killed after `life`.
    pub(crate) fn run_and_kill(&self, life: Duration) {
        let test_binary = std::env::current_exe().expect("this test's binary");
        let mut child = Command::new(test_binary)
            .args(["--exact", "killed::runs_until_it_is_killed"])
            .env(KILLED_DIR_VARIABLE, &self.dir)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a process");
        std::thread::sleep(life);
        child.kill().expect("killed");
        child.wait().expect("its end");
    }

    pub(crate) fn at(dir: PathBuf) -> Self {
        Self { dir, outer: PathBuf::new() }
    }

    pub(crate) fn postgres_options(&self) -> PostgresOptions {
        let mut options = PostgresOptions::new(&self.dir, binaries(), PASSWORD);
        options.settings =
            vec![("shared_buffers".into(), "32MB".into()), ("min_wal_size".into(), "32MB".into())];
        options
    }

    pub(crate) async fn postgres(&self) -> Postgres {
        Postgres::start(self.postgres_options()).await.expect("PostgreSQL starts")
    }

    pub(crate) fn nats_options(&self) -> NatsOptions {
        let mut options = NatsOptions::new(&self.dir, binaries());
        options.password = Some("qu\"ote\\$1".into());
        options
    }

    pub(crate) async fn nats(&self) -> Nats {
        Nats::start(self.nats_options()).await.expect("NATS starts")
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        // Another process' ground is that one's to remove.
        if self.outer.as_os_str().is_empty() {
            return;
        }
        // As root, the data may be elsewhere.
        if let Ok(home) = fs::read_link(self.dir.join("postgres")) {
            let _ = fs::remove_dir_all(home);
        }
        let _ = fs::remove_dir_all(&self.outer);
    }
}

pub(crate) fn binaries() -> Binaries {
    Binaries::locate(Some(Path::new(env!("CARGO_MANIFEST_DIR")))).expect("servers: make services")
}

pub(crate) async fn connect(postgres: &Postgres) -> PgConnection {
    PgConnection::connect(&postgres.url()).await.expect("a connection")
}

pub(crate) async fn execute(connection: &mut PgConnection, sql: &'static str) {
    sqlx::query(sql).execute(connection).await.expect(sql);
}

pub(crate) async fn ask(connection: &mut PgConnection, sql: &'static str) -> String {
    sqlx::query_scalar(sql).fetch_one(connection).await.expect(sql)
}

/// Sends a request over the client protocol and returns the first answer's body.
pub(crate) async fn nats_request(nats: &Nats, subject: &str, body: &str) -> String {
    let stream = TcpStream::connect(("127.0.0.1", nats.port())).await.expect("a connection");
    let mut stream = BufReader::new(stream);
    let login = r#"{"user":"runut","pass":"qu\"ote\\$1","verbose":false,"protocol":1}"#;
    let sent = format!(
        "CONNECT {login}\r\nSUB reply 1\r\nPUB {subject} reply {}\r\n{body}\r\n",
        body.len()
    );
    stream.write_all(sent.as_bytes()).await.expect("sent");
    let mut line = String::new();
    loop {
        let message = line.starts_with("MSG ");
        line.clear();
        stream.read_line(&mut line).await.expect("an answer");
        assert!(!line.starts_with("-ERR") && !line.is_empty(), "refused: {line}");
        if message {
            return line;
        }
    }
}

pub(crate) async fn stored_messages(nats: &Nats) -> bool {
    nats_request(nats, "$JS.API.STREAM.INFO.kept", "").await.contains("\"messages\":1,")
}

pub(crate) async fn store_a_message(nats: &Nats) {
    let stream = r#"{"name":"kept","subjects":["kept.*"],"retention":"limits","storage":"file",
        "max_consumers":-1,"max_msgs":-1,"max_bytes":-1,"max_age":0,"num_replicas":1,
        "discard":"old"}"#
        .replace('\n', "");
    let made = nats_request(nats, "$JS.API.STREAM.CREATE.kept", &stream).await;
    assert!(!made.contains("\"error\""), "{made}");
    nats_request(nats, "kept.one", "hello").await;
    assert!(stored_messages(nats).await);
}

/// Whether a process with this pid runs (a zombie does not).
pub(crate) fn runs(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| Some(stat.rsplit_once(") ")?.1.to_owned()))
        .is_some_and(|rest| !rest.starts_with('Z'))
}
