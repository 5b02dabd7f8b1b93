//! Tokens: what a charge is told to suffer. The table is in the module documentation above.

use std::time::Duration;

use super::operation::Kind;

/// The most bytes of a token: the longest fault with the longest decline code and a suffix.
pub(super) const TOKEN_BYTES_MAX: usize = 128;
/// The most bytes of a decline code.
const DECLINE_CODE_BYTES_MAX: usize = 64;
/// The most refusals and repeats that a token may ask for; beyond every retry policy.
const COUNT_MAX: u32 = 100;
/// The longest that a token may delay something, in milliseconds: longer than any client waits.
const DELAY_MAX_MS: u64 = 60_000;
/// What a soft decline says unless the token does.
const SOFT_DECLINE: &str = "insufficient_funds";
/// What a hard decline says.
const HARD_DECLINE: &str = "lost_card";

/// A parsed token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    text: String,
    fault: Fault,
    on: Option<Kind>,
}

/// What happens to an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    Decline { code: String },
    DeclineFirst { count: u32, code: String },
    FailFirst { count: u32 },
    TimeoutBefore,
    TimeoutAfter,
    ResetAfter,
    Slow(Duration),
    WebhookDuplicated { copies: u32 },
    WebhookReversed,
    WebhookLost,
    WebhookOnly,
    StatusNotFoundFor(Duration),
    CaptureFailsLater,
    RefundFails,
    RefundFailsLater,
    PartialAuthorization { percent: u8 },
    DownFor(Duration),
}

impl Token {
    /// Reads a token; `None` if there is none of that name.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let (fault, on) = match text.split_once('@') {
            None => (text, None),
            Some((fault, "capture")) => (fault, Some(Kind::Capture)),
            Some((fault, "void")) => (fault, Some(Kind::Void)),
            Some((fault, "refund")) => (fault, Some(Kind::Refund)),
            Some(_) => return None,
        };
        let fault = Fault::parse(fault)?;
        on.is_none_or(|kind| fault.can_move_to(kind)).then(|| Self {
            text: text.to_owned(),
            fault,
            on,
        })
    }

    /// The token as it was sent.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// What happens to an operation of this kind.
    pub(super) fn fault_of(&self, kind: Kind) -> &Fault {
        let affected = match self.on {
            Some(on) => on == kind,
            None => self.fault.affects_by_itself(kind),
        };
        if affected { &self.fault } else { &Fault::None }
    }
}

impl Fault {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let name = parts.next()?;
        let (first, second) = (parts.next(), parts.next());
        if parts.next().is_some() {
            return None;
        }
        match (name, first, second) {
            ("decline", Some(code), None) => Some(Self::Decline { code: decline_code(code)? }),
            ("decline_soft_then_ok", Some(n), code) => Some(Self::DeclineFirst {
                count: count(n)?,
                code: decline_code(code.unwrap_or(SOFT_DECLINE))?,
            }),
            (name, Some(argument), None) => Self::parse_with_number(name, argument),
            (name, None, None) => Self::parse_plain(name),
            _ => None,
        }
    }

    fn parse_with_number(name: &str, argument: &str) -> Option<Self> {
        match name {
            "fail_5xx_then_ok" => Some(Self::FailFirst { count: count(argument)? }),
            "slow" => Some(Self::Slow(delay(argument)?)),
            "webhook_dup" => Some(Self::WebhookDuplicated { copies: count(argument)? }),
            "status_not_found_for" => Some(Self::StatusNotFoundFor(delay(argument)?)),
            "partial_auth" => {
                let percent = u8::try_from(number(argument)?).ok()?;
                (1..=99).contains(&percent).then_some(Self::PartialAuthorization { percent })
            }
            "down_for" => Some(Self::DownFor(delay(argument)?)),
            _ => None,
        }
    }

    fn parse_plain(name: &str) -> Option<Self> {
        match name {
            "ok" => Some(Self::None),
            "decline_hard" => Some(Self::Decline { code: HARD_DECLINE.to_owned() }),
            "timeout_before" => Some(Self::TimeoutBefore),
            "timeout_after_charge" => Some(Self::TimeoutAfter),
            "reset_after_charge" => Some(Self::ResetAfter),
            "webhook_ooo" => Some(Self::WebhookReversed),
            "webhook_lost" => Some(Self::WebhookLost),
            "webhook_only" => Some(Self::WebhookOnly),
            "capture_failed_later" => Some(Self::CaptureFailsLater),
            "refund_fails" => Some(Self::RefundFails),
            "refund_fails_later" => Some(Self::RefundFailsLater),
            _ => None,
        }
    }

    /// Whether the fault befalls operations of this kind when the token names none.
    fn affects_by_itself(&self, kind: Kind) -> bool {
        match self {
            Self::WebhookDuplicated { .. }
            | Self::WebhookReversed
            | Self::WebhookLost
            | Self::DownFor(_) => true,
            Self::CaptureFailsLater => matches!(kind, Kind::Sale | Kind::Capture),
            Self::RefundFails | Self::RefundFailsLater => kind == Kind::Refund,
            Self::None
            | Self::Decline { .. }
            | Self::DeclineFirst { .. }
            | Self::FailFirst { .. }
            | Self::TimeoutBefore
            | Self::TimeoutAfter
            | Self::ResetAfter
            | Self::Slow(_)
            | Self::WebhookOnly
            | Self::StatusNotFoundFor(_)
            | Self::PartialAuthorization { .. } => matches!(kind, Kind::Authorization | Kind::Sale),
        }
    }

    /// Whether a token may name this kind of operation for the fault.
    fn can_move_to(&self, kind: Kind) -> bool {
        match self {
            Self::CaptureFailsLater => kind == Kind::Capture,
            Self::RefundFails | Self::RefundFailsLater => kind == Kind::Refund,
            Self::PartialAuthorization { .. } => false,
            Self::None
            | Self::Decline { .. }
            | Self::DeclineFirst { .. }
            | Self::FailFirst { .. }
            | Self::TimeoutBefore
            | Self::TimeoutAfter
            | Self::ResetAfter
            | Self::Slow(_)
            | Self::WebhookDuplicated { .. }
            | Self::WebhookReversed
            | Self::WebhookLost
            | Self::WebhookOnly
            | Self::StatusNotFoundFor(_)
            | Self::DownFor(_) => true,
        }
    }
}

fn decline_code(text: &str) -> Option<String> {
    let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    ((1..=DECLINE_CODE_BYTES_MAX).contains(&text.len()) && text.bytes().all(known))
        .then(|| text.to_owned())
}

fn count(text: &str) -> Option<u32> {
    let count = u32::try_from(number(text)?).ok()?;
    (1..=COUNT_MAX).contains(&count).then_some(count)
}

fn delay(text: &str) -> Option<Duration> {
    number(text).filter(|ms| (1..=DELAY_MAX_MS).contains(ms)).map(Duration::from_millis)
}

/// Digits only: `parse` alone would take a plus sign too.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [Kind; 5] =
        [Kind::Authorization, Kind::Sale, Kind::Capture, Kind::Void, Kind::Refund];

    #[track_caller]
    fn check(text: &str, fault: &Fault, affected: &[Kind]) {
        let token = Token::parse(text).expect("a token");
        assert_eq!(token.text(), text);
        for kind in KINDS {
            let expected = if affected.contains(&kind) { fault } else { &Fault::None };
            assert_eq!(token.fault_of(kind), expected, "{text} on {kind:?}");
        }
    }

    #[test]
    fn a_fault_befalls_the_charge_unless_it_is_moved() {
        let charge = [Kind::Authorization, Kind::Sale];
        check("ok", &Fault::None, &[]);
        check("timeout_after_charge", &Fault::TimeoutAfter, &charge);
        check("timeout_after_charge@refund", &Fault::TimeoutAfter, &[Kind::Refund]);
        check("slow:250@void", &Fault::Slow(Duration::from_millis(250)), &[Kind::Void]);
        check("fail_5xx_then_ok:2@capture", &Fault::FailFirst { count: 2 }, &[Kind::Capture]);
        check("decline_hard", &Fault::Decline { code: "lost_card".to_owned() }, &charge);
        check("decline:do_not_honor", &Fault::Decline { code: "do_not_honor".to_owned() }, &charge);
        let soft = |code: &str| Fault::DeclineFirst { count: 3, code: code.to_owned() };
        check("decline_soft_then_ok:3", &soft("insufficient_funds"), &charge);
        check("decline_soft_then_ok:3:try_later", &soft("try_later"), &charge);
        check("partial_auth:60", &Fault::PartialAuthorization { percent: 60 }, &charge);
    }

    #[test]
    fn faults_of_the_whole_charge_and_of_one_kind_know_their_operations() {
        check("webhook_dup:3", &Fault::WebhookDuplicated { copies: 3 }, &KINDS);
        check("webhook_lost@capture", &Fault::WebhookLost, &[Kind::Capture]);
        check("down_for:60000", &Fault::DownFor(Duration::from_mins(1)), &KINDS);
        check("capture_failed_later", &Fault::CaptureFailsLater, &[Kind::Sale, Kind::Capture]);
        check("capture_failed_later@capture", &Fault::CaptureFailsLater, &[Kind::Capture]);
        check("refund_fails", &Fault::RefundFails, &[Kind::Refund]);
        check("refund_fails_later@refund", &Fault::RefundFailsLater, &[Kind::Refund]);
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for text in [
            "",
            "OK",
            "ok:1",
            "ok@",
            "ok@sale",
            "ok@capture@void",
            "decline",
            "decline:",
            "decline:Not_lower",
            "decline:a:b",
            "decline_soft_then_ok",
            "decline_soft_then_ok:0",
            "decline_soft_then_ok:1:a:b",
            "fail_5xx_then_ok:101",
            "slow",
            "slow:+1",
            "slow:-1",
            "slow:60001",
            "slow:99999999999999999999",
            "partial_auth:0",
            "partial_auth:100",
            "partial_auth:50@capture",
            "refund_fails@capture",
            "capture_failed_later@refund",
        ] {
            assert_eq!(Token::parse(text), None, "{text}");
        }
        let longest = "c".repeat(DECLINE_CODE_BYTES_MAX);
        assert!(Token::parse(&format!("decline:{longest}")).is_some());
        assert_eq!(Token::parse(&format!("decline:{longest}c")), None);
    }
}
