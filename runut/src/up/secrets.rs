//! `DIR/secrets.env`: everything secret of an installation, drawn once and kept.
//!
//! It is written before anything is made with it, so that a start that was interrupted at whatever
//! point is taken up by the next one with the same secrets.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, anyhow, bail};
use api_conventions::ApiKeyToken;
use domain::{ApiKeyId, MerchantId};
use event_store::{IdSource, RandomIds};
use migrations::Role;

use crate::env_file::EnvFile;
use crate::migrate::password_variable;
use crate::random;

const FILE_NAME: &str = "secrets.env";
const COMMENT: &str =
    "Drawn once by `runut up`. Keep it: without it the database in this folder cannot be opened.";
/// What is drawn once there is a database, before anything is written to it.
const FIRST_OF_THE_LOG: &str = "MERCHANT_ID";
const OWNER_PASSWORD: &str = "OWNER_PASSWORD";
const NATS_PASSWORD: &str = "NATS_PASSWORD";
const PSP_API_KEY: &str = "PSP_API_KEY";
const PSP_WEBHOOK_SECRET: &str = "PSP_WEBHOOK_SECRET";

/// The secrets of an installation. Deliberately not `Debug`.
pub(super) struct Secrets {
    path: PathBuf,
    file: EnvFile,
}

impl Secrets {
    /// Those in `dir`; draws what is missing. `own_database`: the database is in `dir` too.
    ///
    /// # Errors
    /// One of the two is there without the other: to begin anew would hide that something was lost.
    pub(super) fn load_or_draw(dir: &Path, own_database: bool) -> anyhow::Result<Self> {
        let path = dir.join(FILE_NAME);
        let cluster = dir.join("postgres/data");
        let file = match EnvFile::read(&path)? {
            Some(file)
                if own_database && file.get(FIRST_OF_THE_LOG).is_some() && !cluster.exists() =>
            {
                bail!(
                    "{} is gone, and with it all that was recorded in it: {} has keys of it. Put it back, or begin anew in \
                 another folder",
                    cluster.display(),
                    path.display()
                )
            }
            Some(file) if cluster.exists() && file.get(OWNER_PASSWORD).is_none() => bail!(
                "{} lacks {OWNER_PASSWORD}, the password of the database beside it: put the file back as it was",
                path.display()
            ),
            Some(file) => file,
            None if cluster.exists() => bail!(
                "{} is gone, and with it the password of the database beside it: put it back, or \
                 begin anew in another folder",
                path.display()
            ),
            None => EnvFile::default(),
        };
        let mut secrets = Self { path, file };
        secrets.draw_missing()?;
        Ok(secrets)
    }

    fn draw_missing(&mut self) -> anyhow::Result<()> {
        let before = self.file.clone();
        let roles = Role::ALL.map(password_variable);
        for name in [OWNER_PASSWORD, NATS_PASSWORD, PSP_API_KEY, PSP_WEBHOOK_SECRET]
            .into_iter()
            .chain(roles)
        {
            if self.file.get(name).is_none() {
                self.file.set(name, random::password()?);
            }
        }
        if self.file == before { Ok(()) } else { self.save() }
    }

    fn save(&self) -> anyhow::Result<()> {
        self.file.write(&self.path, COMMENT)
    }

    fn required(&self, name: &str) -> anyhow::Result<&str> {
        self.file.get(name).ok_or_else(|| anyhow!("{} lacks {name}", self.path.display()))
    }

    fn parsed<T: FromStr>(&self, name: &str) -> anyhow::Result<Option<T>> {
        let unreadable = || anyhow!("{name} in {} cannot be read", self.path.display());
        self.file.get(name).map(|text| text.parse().map_err(|_| unreadable())).transpose()
    }

    /// The password of Postgres' superuser.
    pub(super) fn owner_password(&self) -> anyhow::Result<&str> {
        self.required(OWNER_PASSWORD)
    }

    /// The password of the NATS server's one user.
    pub(super) fn nats_password(&self) -> anyhow::Result<&str> {
        self.required(NATS_PASSWORD)
    }

    /// The key to the APIs of the simulated PSPs.
    pub(super) fn psp_api_key(&self) -> anyhow::Result<&str> {
        self.required(PSP_API_KEY)
    }

    /// What the simulated PSPs sign their webhooks with.
    pub(super) fn psp_webhook_secret(&self) -> anyhow::Result<&str> {
        self.required(PSP_WEBHOOK_SECRET)
    }

    /// The password of a role.
    pub(super) fn role_password(&self, role: Role) -> anyhow::Result<&str> {
        self.required(password_variable(role))
    }

    /// Whether it was drawn already.
    pub(super) fn has(&self, name: &str) -> bool {
        self.file.get(name).is_some()
    }

    /// The id of a merchant, drawn at the first call.
    pub(super) fn merchant(&mut self, name: &str) -> anyhow::Result<MerchantId> {
        if let Some(id) = self.parsed(name)? {
            return Ok(id);
        }
        let id = MerchantId::from_uuid(RandomIds.next());
        self.file.set(name, id.to_string());
        self.save()?;
        Ok(id)
    }

    /// The token of an API key, drawn at the first call.
    pub(super) fn token(&mut self, name: &str) -> anyhow::Result<ApiKeyToken> {
        match self.file.get(name) {
            Some(text) => ApiKeyToken::parse(text)
                .with_context(|| format!("{name} in {} is no API key", self.path.display())),
            None => self.draw_token(name),
        }
    }

    /// Another token, of another key.
    pub(super) fn draw_token(&mut self, name: &str) -> anyhow::Result<ApiKeyToken> {
        let id = ApiKeyId::from_uuid(RandomIds.next());
        let token = ApiKeyToken::generate(id, random::secret_bytes()?);
        self.file.set(name, token.expose());
        self.save()?;
        Ok(token)
    }
}
