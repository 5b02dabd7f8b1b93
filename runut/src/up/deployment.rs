//! The servers that an installation uses, whoever started them.

use anyhow::Context;
use migrations::Role;
use url::Url;

use crate::database::Database;
use crate::env_file::EnvFile;

/// The servers, with all that is needed to log in to them.
pub(super) struct Deployment {
    pub(super) database: Database,
    pub(super) passwords: Vec<(Role, String)>,
    pub(super) nats_url: String,
}

impl Deployment {
    /// Makes the database if it is missing, and brings it up to date.
    pub(super) async fn prepare(&self) -> anyhow::Result<()> {
        self.database.create_if_missing().await?;
        let left = self.database.migrate(&self.passwords).await;
        for what in left.context("the database cannot be prepared")? {
            tracing::warn!(what, "every role may use this: only a superuser can revoke it");
        }
        Ok(())
    }

    /// The URL that a role logs in with.
    pub(super) fn url_of(&self, role: Role) -> String {
        let known = self.passwords.iter().find(|(known, _)| *known == role);
        self.database.url_of(role, known.map_or("", |(_, password)| password))
    }

    /// Where the servers are, for programs.
    pub(super) fn endpoints(&self) -> EnvFile {
        let mut endpoints = EnvFile::default();
        for (name, role) in [
            ("DATABASE_URL", Role::Application),
            ("DATABASE_PROJECTOR_URL", Role::Projector),
            ("DATABASE_QUERY_URL", Role::Query),
            ("DATABASE_AUDITOR_URL", Role::Auditor),
            ("DATABASE_PRUNER_URL", Role::Pruner),
        ] {
            endpoints.set(name, self.url_of(role));
        }
        endpoints.set("DATABASE_ADMIN_URL", self.database.owner_url());
        endpoints.set("NATS_URL", self.nats_url.as_str());
        endpoints
    }

    /// Host and port of NATS.
    pub(super) fn nats_place(&self) -> String {
        let url = Url::parse(&self.nats_url).ok();
        let host_and_port = url.as_ref().and_then(|url| Some((url.host_str()?, url.port())));
        match host_and_port {
            Some((host, port)) => format!("{host}:{}", port.unwrap_or(4222)),
            None => "as given".to_owned(),
        }
    }
}
