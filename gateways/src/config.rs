//! Which PSPs there are, from a file.

use std::path::Path;
use std::time::Duration;

use domain::payments::{PaymentPolicy, PspName};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::http::{CONNECT_TIMEOUT, REQUEST_TIMEOUT, TOTAL_TIMEOUT, TOTAL_TIMEOUT_MAX};
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

/// How long calls to a PSP may take, in milliseconds, each from 1 to what a whole call may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// Connecting.
    pub connect_ms: u64,
    /// A request, from its first byte to the answer's last.
    pub request_ms: u64,
    /// A call with all its repetitions and pauses, at most [`TOTAL_TIMEOUT_MAX`] and less than `ask_after_ms` of the
    /// policy: who asks what became of a call has to find that it has ended.
    pub total_ms: u64,
}

impl Timeouts {
    /// What is wrong with them beside that policy, if anything.
    fn check(self, policy: &PaymentPolicy) -> Result<(), String> {
        let Self { connect_ms, request_ms, total_ms } = self;
        let longest = u64::try_from(TOTAL_TIMEOUT_MAX.as_millis()).unwrap_or(u64::MAX);
        let ask_after = u64::try_from(policy.ask_after_ms).unwrap_or(0);
        if !(1..=longest).contains(&total_ms) || total_ms >= ask_after {
            return Err(format!(
                "total_ms is {total_ms}, allowed is 1 to {longest}, and less than `ask_after_ms` of the policy, \
                 which is {ask_after}"
            ));
        }
        for (field, value) in [("connect_ms", connect_ms), ("request_ms", request_ms)] {
            if !(1..=total_ms).contains(&value) {
                return Err(format!(
                    "{field} is {value}, allowed is 1 to total_ms, which is {total_ms}"
                ));
            }
        }
        Ok(())
    }
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
    /// A time or a count by which payments are carried out is out of bounds.
    #[error("policy: {0}")]
    Policy(String),
    /// The times of a PSP are out of bounds.
    #[error("PSP `{psp}`, timeouts: {what}")]
    Timeouts {
        /// Whose.
        psp: PspName,
        /// The field, its value and what is allowed.
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
        config.policy.check().map_err(ConfigError::Policy)?;
        let psps = &config.psps;
        for PspConfig { name, timeouts, .. } in psps {
            let odd = |what| ConfigError::Timeouts { psp: name.clone(), what };
            timeouts.check(&config.policy).map_err(odd)?;
        }
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
        let with = |timeouts: &str, policy: &str| {
            let psp = good.replace('}', &format!(r#","timeouts":{{{timeouts}}}}}"#));
            let read = PspsConfig::parse(&format!(r#"{{"psps":[{psp}],"policy":{{{policy}}}}}"#));
            read.map(drop).map_err(|error| error.to_string())
        };
        assert_eq!(with(r#""total_ms":14999"#, ""), Ok(()));
        let said = [
            with(r#""total_ms":30000"#, ""),
            with(r#""total_ms":8000"#, r#""ask_after_ms":8000"#),
            with(r#""total_ms":0"#, ""),
            with(r#""connect_ms":0"#, ""),
            with(r#""request_ms":9000"#, ""),
            with("", r#""soft_retry_pauses_ms":[-1]"#),
        ];
        let said: Vec<String> = said.into_iter().map(Result::unwrap_err).collect();
        insta::assert_snapshot!(said.join("\n"), @r"
        PSP `alpha`, timeouts: total_ms is 30000, allowed is 1 to 15000, and less than `ask_after_ms` of the policy, which is 15000
        PSP `alpha`, timeouts: total_ms is 8000, allowed is 1 to 15000, and less than `ask_after_ms` of the policy, which is 8000
        PSP `alpha`, timeouts: total_ms is 0, allowed is 1 to 15000, and less than `ask_after_ms` of the policy, which is 15000
        PSP `alpha`, timeouts: connect_ms is 0, allowed is 1 to total_ms, which is 8000
        PSP `alpha`, timeouts: request_ms is 9000, allowed is 1 to total_ms, which is 8000
        policy: soft_retry_pauses_ms is -1, allowed is 10 to 2592000000
        ");
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
