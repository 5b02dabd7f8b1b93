//! Which PSPs there are, from a file.

use std::path::Path;
use std::time::Duration;

use domain::payments::{PaymentPolicy, PspName};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::http::{CONNECT_TIMEOUT, REQUEST_TIMEOUT, TOTAL_TIMEOUT};
use crate::routing::{RULES_MAX, RoutingRule, WEIGHT_MAX};

/// The most PSPs; each has clearing accounts and connections of its own.
const PSPS_MAX: usize = 32;

/// The PSPs of a deployment.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PspsConfig {
    /// In the order in which they are tried.
    pub psps: Vec<PspConfig>,
    /// Which payments go where; the first rule that fits counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routing: Vec<RoutingRule>,
    /// The times and counts by which payments are carried out, as far as they are not the usual ones.
    #[serde(default)]
    pub policy: PaymentPolicy,
}

/// A PSP.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PspConfig {
    /// What the platform calls it, for ever: its clearing accounts are named so.
    pub name: PspName,
    /// Where its API begins.
    pub url: Url,
    /// The key to its API.
    pub api_key: String,
    /// What its webhooks are signed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_secret: Option<String>,
    /// The networks that its webhooks come from, such as `203.0.113.0/24`; anywhere where none is named. What
    /// counts is the connection: behind a proxy, that is the proxy's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub webhook_sources: Vec<IpNet>,
    /// Whether it can hold and take money in one call.
    #[serde(default = "yes")]
    pub sale: bool,
    /// How long calls may take, as far as that is not as usual.
    #[serde(default)]
    pub timeouts: Timeouts,
}

/// How long calls to a PSP may take, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// Connecting.
    pub connect_ms: u64,
    /// A request, from its first byte to the answer's last.
    pub request_ms: u64,
    /// A call with all its repetitions and pauses.
    pub total_ms: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            connect_ms: millis(CONNECT_TIMEOUT),
            request_ms: millis(REQUEST_TIMEOUT),
            total_ms: millis(TOTAL_TIMEOUT),
        }
    }
}

const fn yes() -> bool {
    true
}

impl std::fmt::Debug for PspConfig {
    /// Without the secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PspConfig")
            .field("name", &self.name)
            .field("url", &self.url.as_str())
            .field("sale", &self.sale)
            .finish_non_exhaustive()
    }
}

/// Why the PSPs are not known.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the file of PSPs cannot be read")]
    Read(#[source] std::io::Error),
    /// It is not what it should be.
    #[error("the file of PSPs is not as it should be")]
    Malformed(#[source] serde_json::Error),
    /// Two PSPs have one name, or there are too many.
    #[error("expected 1 to {PSPS_MAX} PSPs, each with a name and an http or https URL of its own")]
    Psps,
    /// A limit on how often a card is tried cannot be kept.
    #[error("card limit `{name}`: {what}")]
    CardLimit {
        /// What it is called.
        name: String,
        /// What is wrong with it.
        what: String,
    },
    /// A rule names no PSP that there is, or none that gets a share, or there are too many rules.
    #[error(
        "routing rule {number}: expected at most {RULES_MAX} rules, each with PSPs of this file, of weights \
         from 0 to {WEIGHT_MAX}, not all 0"
    )]
    Rule {
        /// Which, from 1.
        number: usize,
    },
}

impl PspsConfig {
    /// Reads a JSON file: `{"psps": [{"name": …, "url": …, "api_key": …, "webhook_secret": …, "sale": true}]}`.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        Self::parse(&std::fs::read_to_string(path).map_err(ConfigError::Read)?)
    }

    /// The same from the file's text.
    ///
    /// # Errors
    /// [`ConfigError`], except `Read`.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let config: Self = serde_json::from_str(text).map_err(ConfigError::Malformed)?;
        for limit in &config.policy.card_limits {
            let name = || limit.name.clone();
            limit.check().map_err(|what| ConfigError::CardLimit { name: name(), what })?;
        }
        let psps = &config.psps;
        let web = psps.iter().all(|psp| matches!(psp.url.scheme(), "http" | "https"));
        let names = psps.iter().enumerate();
        let unlike = names.clone().all(|(at, psp)| {
            // A name is part of an account's code, in which nothing but the text counts.
            psp.name.as_str().parse::<PspName>().is_ok()
                && psps[..at].iter().all(|other| other.name != psp.name)
        });
        if !web || !unlike || !(1..=PSPS_MAX).contains(&psps.len()) {
            return Err(ConfigError::Psps);
        }
        let odd = |rule: &RoutingRule| {
            let unknown = |name: &PspName| psps.iter().all(|psp| psp.name != *name);
            rule.psps.is_empty()
                || rule.psps.iter().any(|one| unknown(&one.name) || one.weight > WEIGHT_MAX)
                || rule.psps.iter().all(|one| one.weight == 0)
        };
        match config.routing.iter().position(odd) {
            Some(at) => Err(ConfigError::Rule { number: at + 1 }),
            None if config.routing.len() > RULES_MAX => {
                Err(ConfigError::Rule { number: RULES_MAX })
            }
            None => Ok(config),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_names_its_psps_and_tells_no_secret() {
        let text = r#"{"psps":[{"name":"alpha","url":"http://127.0.0.1:1","api_key":"hush"}]}"#;
        let config = PspsConfig::parse(text).unwrap();
        assert!(config.psps[0].sale);
        assert!(!format!("{config:?}").contains("hush"));
    }

    #[test]
    fn odd_files_are_refused() {
        let psp =
            |name: &str, url: &str| format!(r#"{{"name":"{name}","url":"{url}","api_key":"k"}}"#);
        let good = psp("alpha", "http://127.0.0.1:1");
        for psps in [
            String::new(),
            format!("{good},{good}"),
            psp("a b", "http://127.0.0.1:1"),
            psp("", "http://127.0.0.1:1"),
            psp("alpha", "ftp://127.0.0.1:1"),
            psp("alpha", "nowhere"),
            good.replace("api_key", "apikey"),
        ] {
            assert!(PspsConfig::parse(&format!(r#"{{"psps":[{psps}]}}"#)).is_err(), "{psps}");
        }
        for rule in [
            r#"{"psps":[]}"#,
            r#"{"psps":[{"name":"beta"}]}"#,
            r#"{"psps":[{"name":"alpha","weight":0}]}"#,
            r#"{"psps":[{"name":"alpha","weight":1001}]}"#,
            r#"{"currencies":["XXX"],"psps":[{"name":"alpha"}]}"#,
            r#"{"currency":"USD","psps":[{"name":"alpha"}]}"#,
        ] {
            let config = format!(r#"{{"psps":[{good}],"routing":[{rule}]}}"#);
            assert!(PspsConfig::parse(&config).is_err(), "{rule}");
        }
    }
}
