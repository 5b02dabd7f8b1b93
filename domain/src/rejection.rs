//! Rejections: why a command that was understood is not carried out.

use crate::accounts::{AccountCode, AccountStatus};
use crate::api_keys::Role;
use crate::currency::Currency;
use crate::ids::{AccountId, ApiKeyId, EntryId, MerchantId, PaymentId};
use crate::ledger::ExternalRef;
use crate::money::Money;
use crate::payments::{
    ATTEMPTS_MAX, CAPTURES_MAX, Operation, PaymentAction, PaymentState, PspName, REFUNDS_MAX,
};
use crate::stream::StreamVersion;

/// Why a command is not carried out. An answer like any other: stored under its idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the message of each variant says what its fields are")]
pub enum Rejection {
    #[error("merchant {merchant_id} exists already")]
    MerchantIdTaken { merchant_id: MerchantId },
    #[error("there is no merchant {merchant_id}")]
    MerchantNotFound { merchant_id: MerchantId },
    #[error("the role `{}` {}", role.name(), if role.of_one_merchant() { "needs a merchant" } else { "is not a merchant's" })]
    RoleNeedsMerchant { role: Role },
    #[error("API key {key_id} exists already")]
    ApiKeyIdTaken { key_id: ApiKeyId },
    #[error("there is no API key {key_id}")]
    ApiKeyNotFound { key_id: ApiKeyId },
    #[error("the code `{code}` is in use in this ledger")]
    AccountCodeTaken { code: AccountCode },
    #[error("there is no account {account_id}")]
    AccountNotFound { account_id: AccountId },
    #[error("account {account_id} is {status}")]
    AccountStatus { account_id: AccountId, status: AccountStatus },
    #[error("account {account_id} is at version {version}")]
    VersionMismatch { account_id: AccountId, version: StreamVersion },
    #[error("account {account_id} still has a balance")]
    BalanceNotZero { account_id: AccountId },
    #[error("account {account_id} holds {currency}")]
    CurrencyMismatch { account_id: AccountId, currency: Currency },
    #[error("the totals of account {account_id} have no room for this amount")]
    TotalOverflow { account_id: AccountId },
    #[error("account {account_id} would fall below its minimum balance")]
    InsufficientFunds { account_id: AccountId },
    #[error("the reference `{external_ref}` is that of entry {entry_id}, which has other content")]
    ExternalRefTaken { external_ref: ExternalRef, entry_id: EntryId },
    #[error("there is no entry {entry_id}")]
    EntryNotFound { entry_id: EntryId },
    #[error("entry {entry_id} was reversed by {reversed_by} already")]
    EntryAlreadyReversed { entry_id: EntryId, reversed_by: EntryId },
    #[error("entry {entry_id} is itself a reversal; post a new entry instead")]
    ReversalIsFinal { entry_id: EntryId },
    #[error("payment {payment_id} exists already")]
    PaymentIdTaken { payment_id: PaymentId },
    #[error("there is no payment {payment_id}")]
    PaymentNotFound { payment_id: PaymentId },
    #[error("payment {payment_id} is at version {version}")]
    PaymentVersionMismatch { payment_id: PaymentId, version: StreamVersion },
    #[error("payment {payment_id} is {state}; {}", allowed_now(allowed))]
    PaymentStateForbids { payment_id: PaymentId, state: PaymentState, allowed: Vec<PaymentAction> },
    #[error("payment {payment_id} has no method; give it one first")]
    PaymentMethodMissing { payment_id: PaymentId },
    #[error("payment {payment_id} is in {currency}")]
    PaymentCurrency { payment_id: PaymentId, currency: Currency },
    #[error("of payment {payment_id} at most {} {currency} may be captured now", decimal(*capturable_minor, *currency))]
    AboveCapturable { payment_id: PaymentId, capturable_minor: i64, currency: Currency },
    #[error("of payment {payment_id} at most {} {currency} may be refunded now", decimal(*refundable_minor, *currency))]
    AboveRefundable { payment_id: PaymentId, refundable_minor: i64, currency: Currency },
    #[error(
        "payment {payment_id} was captured {CAPTURES_MAX} times; that is the most there may be"
    )]
    TooManyCaptures { payment_id: PaymentId },
    #[error("payment {payment_id} has {REFUNDS_MAX} refunds; that is the most there may be")]
    TooManyRefunds { payment_id: PaymentId },
    #[error(
        "payment {payment_id} was attempted {ATTEMPTS_MAX} times; that is the most there may be"
    )]
    TooManyAttempts { payment_id: PaymentId },
    #[error("no attempt to {operation} payment {payment_id} is to be made now")]
    AttemptNotDue { payment_id: PaymentId, operation: Operation },
    #[error("payment {payment_id} has no attempt {attempt} at this PSP")]
    AttemptNotFound { payment_id: PaymentId, attempt: u32 },
    #[error("PSP {psp} was never disabled")]
    PspNotFound { psp: PspName },
    #[error("nothing is sent to PSP {psp} now, payment {payment_id} neither")]
    PspIsDisabled { payment_id: PaymentId, psp: PspName },
    #[error("what the PSP says of payment {payment_id} cannot be booked")]
    PaymentNotBookable { payment_id: PaymentId },
}

fn allowed_now(allowed: &[PaymentAction]) -> String {
    let names: Vec<&str> = allowed.iter().map(|action| action.name()).collect();
    match names.as_slice() {
        [] => "nothing can be done with it now".to_owned(),
        names => format!("allowed now: {}", names.join(", ")),
    }
}

fn decimal(minor: i64, currency: Currency) -> Money {
    Money { minor, currency }
}

/// Who has to act on a rejection, which decides the HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectionClass {
    /// Unknown, or not the caller's: 404.
    NotFound,
    /// The state forbids it: 409.
    Conflict,
    /// The state is not the one that the caller insisted on: 412.
    Precondition,
    /// It can never be carried out as it stands: 422.
    Invalid,
}

impl Rejection {
    /// The name that programs go by; stable.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::MerchantIdTaken { .. } => "merchant-id-taken",
            Self::MerchantNotFound { .. } => "merchant-not-found",
            Self::RoleNeedsMerchant { .. } => "role-owner-mismatch",
            Self::ApiKeyIdTaken { .. } => "api-key-id-taken",
            Self::ApiKeyNotFound { .. } => "api-key-not-found",
            Self::AccountCodeTaken { .. } => "account-code-taken",
            Self::AccountNotFound { .. } => "account-not-found",
            Self::AccountStatus { status, .. } => match status {
                AccountStatus::Open => "account-open",
                AccountStatus::Frozen => "account-frozen",
                AccountStatus::Closed => "account-closed",
            },
            Self::VersionMismatch { .. } => "precondition-failed",
            Self::BalanceNotZero { .. } => "balance-not-zero",
            Self::CurrencyMismatch { .. } => "currency-mismatch",
            Self::TotalOverflow { .. } => "total-overflow",
            Self::InsufficientFunds { .. } => "insufficient-funds",
            Self::ExternalRefTaken { .. } => "external-ref-taken",
            Self::EntryNotFound { .. } => "entry-not-found",
            Self::EntryAlreadyReversed { .. } => "entry-already-reversed",
            Self::ReversalIsFinal { .. } => "reversal-is-final",
            Self::PaymentIdTaken { .. } => "payment-id-taken",
            Self::PaymentNotFound { .. } => "payment-not-found",
            Self::PaymentVersionMismatch { .. } => "precondition-failed",
            Self::PaymentStateForbids { .. } => "payment-state-forbids",
            Self::PaymentMethodMissing { .. } => "payment-requires-method",
            Self::PaymentCurrency { .. } => "payment-currency-mismatch",
            Self::AboveCapturable { .. } => "amount-above-capturable",
            Self::AboveRefundable { .. } => "amount-above-refundable",
            Self::TooManyCaptures { .. } => "too-many-captures",
            Self::TooManyRefunds { .. } => "too-many-refunds",
            Self::TooManyAttempts { .. } => "too-many-attempts",
            Self::AttemptNotDue { .. } => "attempt-not-due",
            Self::AttemptNotFound { .. } => "attempt-not-found",
            Self::PspNotFound { .. } => "psp-not-found",
            Self::PspIsDisabled { .. } => "psp-disabled",
            Self::PaymentNotBookable { .. } => "payment-not-bookable",
        }
    }

    /// Who has to act.
    pub const fn class(&self) -> RejectionClass {
        match self {
            Self::MerchantNotFound { .. }
            | Self::ApiKeyNotFound { .. }
            | Self::AccountNotFound { .. }
            | Self::EntryNotFound { .. }
            | Self::PaymentNotFound { .. }
            | Self::AttemptNotFound { .. }
            | Self::PspNotFound { .. } => RejectionClass::NotFound,
            Self::MerchantIdTaken { .. }
            | Self::ApiKeyIdTaken { .. }
            | Self::AccountCodeTaken { .. }
            | Self::AccountStatus { .. }
            | Self::BalanceNotZero { .. }
            | Self::InsufficientFunds { .. }
            | Self::ExternalRefTaken { .. }
            | Self::EntryAlreadyReversed { .. }
            | Self::ReversalIsFinal { .. }
            | Self::PaymentIdTaken { .. }
            | Self::PaymentStateForbids { .. }
            | Self::PaymentMethodMissing { .. }
            | Self::AboveCapturable { .. }
            | Self::AboveRefundable { .. }
            | Self::TooManyCaptures { .. }
            | Self::TooManyRefunds { .. }
            | Self::TooManyAttempts { .. }
            | Self::AttemptNotDue { .. }
            | Self::PspIsDisabled { .. }
            | Self::PaymentNotBookable { .. } => RejectionClass::Conflict,
            Self::VersionMismatch { .. } | Self::PaymentVersionMismatch { .. } => {
                RejectionClass::Precondition
            }
            Self::RoleNeedsMerchant { .. }
            | Self::PaymentCurrency { .. }
            | Self::CurrencyMismatch { .. }
            | Self::TotalOverflow { .. } => RejectionClass::Invalid,
        }
    }
}
