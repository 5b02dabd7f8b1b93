//! The shapes on the wire and in the ledger.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// What an operation does to its charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// Reserves money.
    Authorization,
    /// Authorizes and captures in one.
    Sale,
    /// Takes what was reserved.
    Capture,
    /// Gives up what was reserved.
    Void,
    /// Returns what was captured.
    Refund,
}

/// How far an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    /// Money moved, or will without more ado.
    Succeeded,
    /// A charge that the issuer refused.
    Declined,
    /// An operation on a charge that was refused, or one that succeeded and then failed after all.
    Failed,
    /// Its end is yet to come.
    Pending,
}

/// Why an issuer refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Decline {
    pub(super) code: String,
    /// What a card network would recommend; this simulator recommends nothing.
    pub(super) advice: Option<String>,
}

/// An operation that was carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Operation {
    pub(super) id: String,
    pub(super) charge_id: String,
    pub(super) reference: String,
    pub(super) idempotency_key: String,
    pub(super) kind: Kind,
    pub(super) status: Status,
    pub(super) amount_minor: i64,
    pub(super) currency: String,
    pub(super) decline: Option<Decline>,
    pub(super) created_at: Moment,
}

/// What a webhook says.
#[derive(Debug, Serialize)]
pub(super) struct Event<'a> {
    pub(super) id: &'a str,
    #[serde(rename = "type")]
    pub(super) event_type: &'static str,
    pub(super) created_at: Moment,
    pub(super) operation: &'a Operation,
}

/// The type of the event that tells of an operation of this kind coming to this status, if any.
pub(super) fn event_type(kind: Kind, status: Status) -> Option<&'static str> {
    match (kind, status) {
        (_, Status::Pending)
        | (Kind::Authorization | Kind::Void, Status::Failed)
        | (Kind::Capture | Kind::Void | Kind::Refund, Status::Declined) => None,
        (Kind::Authorization | Kind::Sale, Status::Declined) => Some("charge.declined"),
        (Kind::Authorization, Status::Succeeded) => Some("charge.authorized"),
        (Kind::Sale | Kind::Capture, Status::Succeeded) => Some("charge.captured"),
        (Kind::Sale | Kind::Capture, Status::Failed) => Some("capture.failed"),
        (Kind::Void, Status::Succeeded) => Some("charge.voided"),
        (Kind::Refund, Status::Succeeded) => Some("refund.succeeded"),
        (Kind::Refund, Status::Failed) => Some("refund.failed"),
    }
}

/// A point in time, to the microsecond; RFC 3339 in UTC as text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(OffsetDateTime);

impl Moment {
    /// The time now.
    #[expect(clippy::disallowed_methods, reason = "this is the edge where time enters")]
    pub(super) fn now() -> Self {
        let now = OffsetDateTime::now_utc();
        Self(now.replace_microsecond(now.microsecond()).unwrap_or(now))
    }

    pub(super) fn plus(self, duration: Duration) -> Self {
        // Durations here are bounded to minutes, and the clock is far from the end of time.
        Self(self.0 + duration)
    }

    /// How long it is from now to this moment; nothing if it has passed.
    pub(super) fn since(self, now: Self) -> Duration {
        Duration::try_from(self.0 - now.0).unwrap_or(Duration::ZERO)
    }

    pub(super) fn unix_seconds(self) -> i64 {
        self.0.unix_timestamp()
    }
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.0.format(&Rfc3339).map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        OffsetDateTime::parse(&text, &Rfc3339).map(Self).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_reads_back_to_the_same_text() {
        for text in
            ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.1Z", "2026-01-02T03:04:05.123456Z"]
        {
            let quoted = format!("\"{text}\"");
            let moment: Moment = serde_json::from_str(&quoted).expect("a moment");
            assert_eq!(serde_json::to_string(&moment).expect("text"), quoted);
        }
        let now = Moment::now();
        let text = serde_json::to_string(&now).expect("text");
        assert_eq!(serde_json::from_str::<Moment>(&text).expect("a moment"), now);
    }
}
