//! The one table of every `code` an answer may carry: its status, whether to try again, who acts.
//!
//! Handlers pick a kind, documentation prints [`ALL`], and `GET /problems/{code}` answers from it.

/// Who has to do something about a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// The calling program: the request itself has to change.
    CallingProgram,
    /// The merchant or operator who owns key, money or state: something else has to happen first.
    KeyOwner,
    /// Nobody: send the same request again, with the same `Idempotency-Key`, after a pause.
    NobodyJustRetry,
    /// Whoever runs this service.
    ServiceOperator,
}

impl Actor {
    /// As printed in the documentation.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::CallingProgram => "the calling program",
            Self::KeyOwner => "the owner of the key",
            Self::NobodyJustRetry => "nobody; send it again later",
            Self::ServiceOperator => "whoever runs the service",
        }
    }
}

/// One row of the table: what a `code` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProblemKind {
    /// The name that programs go by; stable.
    pub code: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// The same short sentence for every occurrence.
    pub title: &'static str,
    /// Whether the same request may succeed later without anybody changing anything.
    pub retryable: bool,
    /// Who has to act.
    pub actor: Actor,
}

impl ProblemKind {
    /// The same meaning under another code: for a rejection that the table does not know (yet).
    pub(crate) const fn with_code(self, code: &'static str) -> Self {
        Self { code, ..self }
    }
}

/// The row of a code.
pub fn find(code: &str) -> Option<&'static ProblemKind> {
    ALL.iter().find(|kind| kind.code == code)
}

macro_rules! problem_kinds {
    ($($name:ident = $status:literal $code:literal $title:literal $actor:ident;)*) => {
        $(
            #[doc = concat!("`", $code, "`, ", stringify!($status), ": ", $title, ".")]
            pub const $name: ProblemKind = ProblemKind {
                code: $code,
                status: $status,
                title: $title,
                retryable: matches!(Actor::$actor, Actor::NobodyJustRetry),
                actor: Actor::$actor,
            };
        )*

        /// Every row, by status.
        pub const ALL: &[ProblemKind] = &[$($name),*];
    };
}

problem_kinds! {
    MALFORMED_REQUEST = 400 "malformed-request" "The request cannot be read" CallingProgram;
    MALFORMED_JSON = 400 "malformed-json" "The body is not JSON" CallingProgram;
    MISSING_IDEMPOTENCY_KEY = 400 "missing-idempotency-key"
        "The Idempotency-Key header is missing" CallingProgram;
    MALFORMED_IDEMPOTENCY_KEY = 400 "malformed-idempotency-key"
        "The Idempotency-Key header is not 1 to 255 visible ASCII characters" CallingProgram;
    UNAUTHORIZED = 401 "unauthorized" "No valid API key" KeyOwner;
    WEBHOOK_NOT_SIGNED = 401 "webhook-not-signed"
        "The webhook is not signed by its PSP, or not now" CallingProgram;
    INSUFFICIENT_SCOPE = 403 "insufficient-scope" "The API key may not do this" KeyOwner;
    NOT_FOUND = 404 "not-found" "There is no such resource" CallingProgram;
    MERCHANT_NOT_FOUND = 404 "merchant-not-found" "There is no such merchant" CallingProgram;
    API_KEY_NOT_FOUND = 404 "api-key-not-found" "There is no such API key" CallingProgram;
    ACCOUNT_NOT_FOUND = 404 "account-not-found" "There is no such account" CallingProgram;
    ENTRY_NOT_FOUND = 404 "entry-not-found" "There is no such entry" CallingProgram;
    HOLD_NOT_FOUND = 404 "hold-not-found" "There is no such hold" CallingProgram;
    PAYMENT_NOT_FOUND = 404 "payment-not-found" "There is no such payment" CallingProgram;
    PSP_NOT_FOUND = 404 "psp-not-found" "There is no such PSP" CallingProgram;
    ATTEMPT_NOT_FOUND = 404 "attempt-not-found" "There is no such attempt" CallingProgram;
    METHOD_NOT_ALLOWED = 405 "method-not-allowed" "The resource has no such method" CallingProgram;
    REQUEST_TIMEOUT = 408 "request-timeout" "The body did not arrive in time" NobodyJustRetry;
    CONFLICT = 409 "conflict" "The state forbids it" KeyOwner;
    IDEMPOTENCY_KEY_IN_USE = 409 "idempotency-key-in-use"
        "The first request with this key is still running" NobodyJustRetry;
    MERCHANT_ID_TAKEN = 409 "merchant-id-taken" "The merchant exists already" CallingProgram;
    API_KEY_ID_TAKEN = 409 "api-key-id-taken" "The API key exists already" CallingProgram;
    ACCOUNT_CODE_TAKEN = 409 "account-code-taken" "The account code is in use" CallingProgram;
    ACCOUNT_OPEN = 409 "account-open" "The account is open" KeyOwner;
    ACCOUNT_FROZEN = 409 "account-frozen" "The account is frozen" KeyOwner;
    ACCOUNT_CLOSED = 409 "account-closed" "The account is closed" KeyOwner;
    BALANCE_NOT_ZERO = 409 "balance-not-zero" "The account still has a balance" KeyOwner;
    INSUFFICIENT_FUNDS = 409 "insufficient-funds" "The account has too little" KeyOwner;
    EXTERNAL_REF_TAKEN = 409 "external-ref-taken"
        "Another entry has this reference" CallingProgram;
    ENTRY_ALREADY_REVERSED = 409 "entry-already-reversed"
        "The entry was reversed already" KeyOwner;
    REVERSAL_IS_FINAL = 409 "reversal-is-final" "A reversal cannot be reversed" CallingProgram;
    ENTRY_IS_A_CONVERSION = 409 "entry-is-a-conversion"
        "A conversion cannot be reversed; convert back" CallingProgram;
    BALANCE_ABOVE_MAXIMUM = 409 "balance-above-maximum"
        "The account would have more than it may" KeyOwner;
    AMOUNT_ABOVE_REVERSIBLE = 409 "amount-above-reversible"
        "More than is left of the entry" CallingProgram;
    HOLD_REF_TAKEN = 409 "hold-ref-taken" "Another hold has this reference" CallingProgram;
    HOLD_HELD = 409 "hold-held" "Something is held still" KeyOwner;
    HOLD_POSTED = 409 "hold-posted" "The hold was posted already" KeyOwner;
    HOLD_VOIDED = 409 "hold-voided" "The hold was voided" KeyOwner;
    HOLD_EXPIRED = 409 "hold-expired" "The time of the hold is over" KeyOwner;
    AMOUNT_ABOVE_HELD = 409 "amount-above-held" "More than is held" CallingProgram;
    HOLD_NOT_OVER = 409 "hold-not-over" "The time of the hold is not over" CallingProgram;
    DAY_NOT_OVER = 409 "day-not-over" "The day is not over" CallingProgram;
    DAY_CUT_OFF = 409 "day-cut-off" "The books of the day are closed already" CallingProgram;
    DAY_BEING_CLOSED = 409 "day-being-closed" "Another day is being closed" KeyOwner;
    MONTH_NOT_CLOSED = 409 "month-not-closed" "The month before is open" CallingProgram;
    DAY_NOT_CUT_OFF = 409 "day-not-cut-off" "The day is not to be closed now" CallingProgram;
    RATE_MISSING = 409 "rate-missing" "No rate of this pair was recorded" KeyOwner;
    RATE_TOO_OLD = 409 "rate-too-old" "The rate is older than it may be" KeyOwner;
    RATE_OUT_OF_ORDER = 409 "rate-out-of-order"
        "There is a later rate of this pair" CallingProgram;
    PAYMENT_STATE_FORBIDS = 409 "payment-state-forbids"
        "The payment's state does not allow this" KeyOwner;
    PAYMENT_REQUIRES_METHOD = 409 "payment-requires-method" "The payment has no method" KeyOwner;
    AMOUNT_ABOVE_CAPTURABLE = 409 "amount-above-capturable"
        "More than may be captured now" CallingProgram;
    AMOUNT_ABOVE_REFUNDABLE = 409 "amount-above-refundable"
        "More than may be refunded now" CallingProgram;
    PAYMENT_ID_TAKEN = 409 "payment-id-taken" "The payment exists already" CallingProgram;
    PSP_DISABLED = 409 "psp-disabled" "Nothing is sent to this PSP now" ServiceOperator;
    ATTEMPT_NOT_DUE = 409 "attempt-not-due" "No attempt is to be made now" CallingProgram;
    TOO_MANY_CAPTURES = 409 "too-many-captures" "The payment has all its captures" CallingProgram;
    TOO_MANY_REFUNDS = 409 "too-many-refunds" "The payment has all its refunds" CallingProgram;
    TOO_MANY_ATTEMPTS = 409 "too-many-attempts" "The payment has all its attempts" CallingProgram;
    PRECONDITION_FAILED = 412 "precondition-failed"
        "The resource has another version than If-Match says" CallingProgram;
    RATE_CHANGED = 412 "rate-changed"
        "The rate is another than the caller insists on" CallingProgram;
    BODY_TOO_LARGE = 413 "body-too-large" "The body is too large" CallingProgram;
    UNSUPPORTED_MEDIA_TYPE = 415 "unsupported-media-type"
        "The body is of another media type than this takes" CallingProgram;
    INVALID_REQUEST = 422 "invalid-request" "The request is not valid" CallingProgram;
    IDEMPOTENCY_KEY_REUSED = 422 "idempotency-key-reused"
        "Another request had this Idempotency-Key" CallingProgram;
    POSITION_BEYOND_HEAD = 422 "position-beyond-head"
        "The log has not reached this position" CallingProgram;
    ROLE_OWNER_MISMATCH = 422 "role-owner-mismatch"
        "The role does not fit the owner of the key" CallingProgram;
    CURRENCY_MISMATCH = 422 "currency-mismatch"
        "The account holds another currency" CallingProgram;
    SYSTEM_ACCOUNT = 422 "system-account"
        "Only payments, disputes and settlements are booked in the account" CallingProgram;
    MECHANISM_ACCOUNT = 422 "mechanism-account"
        "The account is kept by a mechanism, which alone may do this" CallingProgram;
    LIMITS_CROSS = 422 "limits-cross" "No balance keeps both limits" CallingProgram;
    PARENT_OF_OTHER_TYPE = 422 "parent-of-other-type"
        "The account above is of another type" CallingProgram;
    CHART_TOO_DEEP = 422 "chart-too-deep"
        "The chart of accounts has no room below" CallingProgram;
    TOO_MANY_ACCOUNTS = 422 "too-many-accounts"
        "More accounts than are added up at once" CallingProgram;
    EFFECTIVE_TIME_OUT_OF_RANGE = 422 "effective-time-out-of-range"
        "An entry cannot take effect then" CallingProgram;
    EFFECTIVE_BEFORE_ORIGINAL = 422 "effective-before-original"
        "A reversal cannot take effect before what it reverses" CallingProgram;
    AMOUNT_AMBIGUOUS = 422 "amount-ambiguous"
        "An amount alone does not say which part" CallingProgram;
    HOLD_END_OUT_OF_RANGE = 422 "hold-end-out-of-range"
        "A hold cannot end then" CallingProgram;
    PAIR_OF_ONE_CURRENCY = 422 "pair-of-one-currency"
        "Both accounts are in one currency" CallingProgram;
    RATE_OF_THE_FUTURE = 422 "rate-of-the-future" "The rate is of the future" CallingProgram;
    CONVERSION_SIDES_DIFFER = 422 "conversion-sides-differ"
        "One account grows by debits, the other by credits" CallingProgram;
    NOTHING_BOUGHT = 422 "nothing-bought" "Too little to buy anything" CallingProgram;
    TOO_MUCH_BOUGHT = 422 "too-much-bought" "More than an entry moves" CallingProgram;
    DAY_BEFORE_BOOKS = 422 "day-before-books" "The books begin later" CallingProgram;
    PAYMENT_CURRENCY_MISMATCH = 422 "payment-currency-mismatch"
        "The payment is in another currency" CallingProgram;
    TOO_MANY_REQUESTS = 429 "too-many-requests" "Too many requests" NobodyJustRetry;
    INTERNAL = 500 "internal" "Something is broken here" ServiceOperator;
    UNAVAILABLE = 503 "unavailable" "Not available at the moment" NobodyJustRetry;
    OUTCOME_UNKNOWN = 503 "outcome-unknown"
        "Whether it was done is not known yet" NobodyJustRetry;
    PROJECTION_BEHIND = 503 "projection-behind"
        "The read model has not reached the position yet" NobodyJustRetry;
    PROJECTION_DIVERGED = 503 "projection-diverged"
        "The read model shows another history than the log" ServiceOperator;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_rows_are_ordered_by_status() {
        for pair in ALL.windows(2) {
            assert!(pair[0].status <= pair[1].status, "{} before {}", pair[0].code, pair[1].code);
        }
        for (index, kind) in ALL.iter().enumerate() {
            assert!(ALL[index + 1..].iter().all(|other| other.code != kind.code), "{}", kind.code);
            assert_eq!(find(kind.code), Some(kind));
        }
    }

    #[test]
    fn the_table_as_documented() {
        let table: Vec<String> = ALL
            .iter()
            .map(|kind| {
                let again = if kind.retryable { "retryable" } else { "final" };
                format!(
                    "{} {} | {again} | {} | {}",
                    kind.status,
                    kind.code,
                    kind.actor.describe(),
                    kind.title
                )
            })
            .collect();
        insta::assert_snapshot!(table.join("\n"));
    }
}
