//! A migrated database for one test.

use std::str::FromStr;

use migrations::Role;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tokio::sync::OnceCell;

use crate::nats::unique_name;
use crate::{POSTGRES_VARIABLE, required};

/// The password of every role in test servers, which listen on loopback and live for one run.
const TEST_PASSWORD: &str = "test";
/// Serialises the making of the template between test processes.
const TEMPLATE_LOCK: i64 = 7_368_113;

static TEMPLATE: OnceCell<String> = OnceCell::const_new();

/// A database of its own, with the schema in place and nothing in the log.
#[derive(Debug, Clone)]
pub struct TestDatabase {
    name: String,
    server: PgConnectOptions,
}

impl TestDatabase {
    /// Clones the template on the shared server.
    ///
    /// # Panics
    /// When the shared server is not there.
    pub async fn create() -> Self {
        Self::create_on(&required(POSTGRES_VARIABLE)).await
    }

    /// Makes one on another server, given by its superuser's URL; for tests that break their server.
    ///
    /// # Panics
    /// When the server does not answer.
    pub async fn create_on(superuser_url: &str) -> Self {
        let server = PgConnectOptions::from_str(superuser_url).expect("a Postgres URL");
        let template = TEMPLATE.get_or_init(|| make_template(server.clone())).await;
        let name = unique_name("test");
        let mut admin = connect(&server).await;
        run(&mut admin, format!("create database {name} template {template}")).await;
        let database = Self { name, server };
        // Privileges on the database itself are not cloned with it.
        let left = migrations::restrict_everybody(&mut database.owner().await).await;
        assert_eq!(left.expect("restricted"), [""; 0]);
        database
    }

    /// Makes and migrates one without the shared template; for servers of a test's own.
    ///
    /// # Panics
    /// When the server does not answer.
    pub async fn migrate_on(superuser_url: &str) -> Self {
        let server = PgConnectOptions::from_str(superuser_url).expect("a Postgres URL");
        let name = unique_name("test");
        migrated(&server, &name).await;
        Self { name, server }
    }

    /// The superuser's URL: may do anything, as an intruder or an old backup might.
    pub fn owner_url(&self) -> String {
        self.server.clone().database(&self.name).to_url_lossy().to_string()
    }

    /// The URL that a role logs in with.
    pub fn url(&self, role: Role) -> String {
        let login = self.server.clone().username(role.login()).password(TEST_PASSWORD);
        login.database(&self.name).to_url_lossy().to_string()
    }

    /// A connection of the superuser.
    ///
    /// # Panics
    /// When the server does not answer.
    pub async fn owner(&self) -> PgConnection {
        connect(&self.server.clone().database(&self.name)).await
    }

    /// A connection of a role.
    ///
    /// # Panics
    /// When the server does not answer.
    pub async fn connect(&self, role: Role) -> PgConnection {
        let options = PgConnectOptions::from_str(&self.url(role)).expect("a Postgres URL");
        connect(&options).await
    }

    /// The name of the database.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Has the database say that it is `micros` microseconds after 1970, and nothing else, until it is told another
    /// time: for tests that move time by hand. A process whose clock says something else decides nothing then.
    ///
    /// # Panics
    /// When the server does not answer.
    pub async fn stop_clock_at(&self, micros: i64) {
        let now = format!("select timestamptz 'epoch' + {micros} * interval '1 microsecond'");
        self.set_clock(&now).await;
    }

    /// Has the database's clock be so many microseconds ahead of the machine's, or behind.
    ///
    /// # Panics
    /// When the server does not answer.
    pub async fn skew_clock(&self, micros: i64) {
        let now = format!("select clock_timestamp() + {micros} * interval '1 microsecond'");
        self.set_clock(&now).await;
    }

    async fn set_clock(&self, now: &str) {
        let function = "create or replace function log_clock() returns timestamptz \
            language sql volatile parallel safe as";
        run(&mut self.owner().await, format!("{function} $${now}$$")).await;
    }

    /// Copies the log as it is now, as a backup does, while others use it.
    ///
    /// # Panics
    /// When the server does not answer.
    pub async fn copy_while_in_use(&self) -> Self {
        let copy = Self::create_on(self.server.to_url_lossy().as_str()).await;
        let (mut from, mut to) = (self.owner().await, copy.owner().await);
        // The copy starts with a head of its own and triggers that refuse what a restore does.
        run(&mut to, "set session_replication_role = replica".to_owned()).await;
        run(&mut to, "alter table log_head disable trigger all".to_owned()).await;
        run(&mut to, "delete from log_head".to_owned()).await;
        for table in ["log_head", "events", "idempotency_keys", "account_balances"] {
            copy_table(&mut from, &mut to, table).await;
        }
        for trigger in ["log_head_no_delete", "log_head_never_falls"] {
            run(&mut to, format!("alter table log_head enable always trigger {trigger}")).await;
        }
        copy
    }
}

async fn copy_table(from: &mut PgConnection, to: &mut PgConnection, table: &str) {
    use futures::TryStreamExt;
    let out = format!("copy {table} to stdout");
    let rows: Vec<_> =
        from.copy_out_raw(&out).await.expect("copies out").try_collect().await.expect("rows");
    let mut sink = to.copy_in_raw(&format!("copy {table} from stdin")).await.expect("copies in");
    for row in rows {
        sink.send(row).await.expect("sent");
    }
    sink.finish().await.expect("copied");
}

async fn connect(options: &PgConnectOptions) -> PgConnection {
    PgConnection::connect_with(&options.clone().disable_statement_logging())
        .await
        .unwrap_or_else(|error| panic!("the test database does not answer: {error}"))
}

async fn run(db: &mut PgConnection, statement: String) {
    // Names are made by this crate.
    if let Err(error) = sqlx::raw_sql(AssertSqlSafe(statement.clone())).execute(db).await {
        panic!("{statement}: {error}");
    }
}

async fn migrated(server: &PgConnectOptions, name: &str) {
    let mut admin = connect(server).await;
    run(&mut admin, format!("create database {name}")).await;
    let mut owner = connect(&server.clone().database(name)).await;
    migrations::apply(&mut owner).await.expect("migrations apply");
    for role in Role::ALL {
        migrations::set_password(&mut owner, role, TEST_PASSWORD).await.expect("a password");
    }
    owner.close().await.expect("closes");
}

/// The template is named by this process' own id: every test binary makes its own, so that a template of
/// an earlier build is never taken for today's. Roles are shared by the server, hence the lock.
async fn make_template(server: PgConnectOptions) -> String {
    let name = unique_name("template");
    let mut admin = connect(&server).await;
    run(&mut admin, format!("select pg_advisory_lock({TEMPLATE_LOCK})")).await;
    migrated(&server, &name).await;
    admin.close().await.expect("closes");
    name
}
