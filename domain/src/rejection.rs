//! Rejections: why a command that was understood is not carried out.

use crate::accounts::{AccountCode, AccountStatus, AccountType, Mechanism};
use crate::api_keys::Role;
use crate::currency::Currency;
use crate::day::Day;
use crate::holds::HoldStatus;
use crate::ids::{AccountId, ApiKeyId, EntryId, HoldId, MerchantId, PaymentId};
use crate::ledger::ExternalRef;
use crate::money::Money;
use crate::payments::{
    ATTEMPTS_MAX, CAPTURES_MAX, Operation, PaymentAction, PaymentState, PspName, REFUNDS_MAX,
};
use crate::stream::StreamVersion;
use crate::time::Timestamp;

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
    #[error("only payments, disputes and settlements are booked in account {account_id}")]
    SystemAccount { account_id: AccountId },
    #[error("account {account_id} is kept by {mechanism}, which alone may do this to it")]
    MechanismAccount { account_id: AccountId, mechanism: Mechanism },
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
    #[error("entry {entry_id} is a conversion; convert back instead")]
    EntryIsConversion { entry_id: EntryId },
    #[error("account {account_id} would rise above its maximum balance")]
    AboveMaximum { account_id: AccountId },
    #[error(
        "the least balance, {min_balance_minor} minor units, is above the most, {max_balance_minor}"
    )]
    LimitsCross { min_balance_minor: i64, max_balance_minor: i64 },
    #[error("account {parent} is of type {}; accounts below it are too", kind.name())]
    ParentOfOtherType { parent: AccountId, kind: AccountType },
    #[error("account {parent} has as many accounts above it as there may be")]
    ChartTooDeep { parent: AccountId },
    #[error("an entry may take effect from {earliest} to {latest}")]
    EffectiveTimeOutOfRange { earliest: Timestamp, latest: Timestamp },
    #[error("entry {entry_id} takes effect at {original_at}; what reverses it cannot before that")]
    EffectiveBeforeOriginal { entry_id: EntryId, original_at: Timestamp },
    #[error("less than that is left of entry {entry_id} to be reversed")]
    AboveReversible { entry_id: EntryId },
    #[error("an amount alone says which part only of one debit and one credit; give the postings")]
    AmountAmbiguous,
    #[error("there is no hold {hold_id}")]
    HoldNotFound { hold_id: HoldId },
    #[error("the reference `{external_ref}` is that of hold {hold_id}, which has other content")]
    HoldRefTaken { external_ref: ExternalRef, hold_id: HoldId },
    #[error("hold {hold_id} is {status}")]
    HoldStatus { hold_id: HoldId, status: HoldStatus },
    #[error("less than that is held by hold {hold_id}")]
    AboveHeld { hold_id: HoldId },
    #[error("a hold may end from now, {now}, to {latest}")]
    HoldEndOutOfRange { now: Timestamp, latest: Timestamp },
    #[error("the time of hold {hold_id} is not over")]
    HoldNotOver { hold_id: HoldId },
    #[error("the books begin with {first}; no day before it can be closed")]
    DayBeforeBooks { first: Day },
    #[error("{day} is not over, or not for long enough")]
    DayNotOver { day: Day },
    #[error("everything up to {day} is cut off already")]
    DayCutOffAlready { day: Day },
    #[error("{day} is being closed")]
    DayBeingClosed { day: Day },
    #[error("the month has to be closed first, with {last_day}")]
    MonthNotClosed { last_day: Day },
    #[error("{day} is not cut off, or not after what was closed before")]
    DayNotCutOff { day: Day },
    #[error("{currency} to {currency} is no conversion")]
    PairOfOneCurrency { currency: Currency },
    #[error("a rate may be from {latest} at the latest")]
    RateOfTheFuture { latest: Timestamp },
    #[error("there is a later rate, of {as_of}")]
    RateOutOfOrder { as_of: Timestamp },
    #[error("no rate of {base} in {quote} was recorded")]
    RateMissing { base: Currency, quote: Currency },
    #[error("the rate of {base} in {quote} is that of version {version}")]
    RateChanged { base: Currency, quote: Currency, version: StreamVersion },
    #[error("the rate of {base} in {quote} is of {as_of}, which is too old")]
    RateTooOld { base: Currency, quote: Currency, as_of: Timestamp },
    #[error("one of the accounts {from} and {to} grows by debits, the other by credits")]
    ConversionSidesDiffer { from: AccountId, to: AccountId },
    #[error("this buys less than the smallest amount of {quote}")]
    NothingBought { quote: Currency },
    #[error("this buys more of {quote} than an entry moves")]
    TooMuchBought { quote: Currency },
    #[error("number {index}, counted from 0: {rejection}")]
    Step { index: usize, rejection: Box<Rejection> },
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
    pub fn code(&self) -> &'static str {
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
            Self::SystemAccount { .. } => "system-account",
            Self::MechanismAccount { .. } => "mechanism-account",
            Self::InsufficientFunds { .. } => "insufficient-funds",
            Self::ExternalRefTaken { .. } => "external-ref-taken",
            Self::EntryNotFound { .. } => "entry-not-found",
            Self::EntryAlreadyReversed { .. } => "entry-already-reversed",
            Self::ReversalIsFinal { .. } => "reversal-is-final",
            Self::EntryIsConversion { .. } => "entry-is-a-conversion",
            Self::AboveMaximum { .. } => "balance-above-maximum",
            Self::LimitsCross { .. } => "limits-cross",
            Self::ParentOfOtherType { .. } => "parent-of-other-type",
            Self::ChartTooDeep { .. } => "chart-too-deep",
            Self::EffectiveTimeOutOfRange { .. } => "effective-time-out-of-range",
            Self::EffectiveBeforeOriginal { .. } => "effective-before-original",
            Self::AboveReversible { .. } => "amount-above-reversible",
            Self::AmountAmbiguous => "amount-ambiguous",
            Self::HoldNotFound { .. } => "hold-not-found",
            Self::HoldRefTaken { .. } => "hold-ref-taken",
            Self::HoldStatus { status, .. } => match status {
                HoldStatus::Held => "hold-held",
                HoldStatus::Posted => "hold-posted",
                HoldStatus::Voided => "hold-voided",
                HoldStatus::Expired => "hold-expired",
            },
            Self::AboveHeld { .. } => "amount-above-held",
            Self::HoldEndOutOfRange { .. } => "hold-end-out-of-range",
            Self::HoldNotOver { .. } => "hold-not-over",
            Self::DayBeforeBooks { .. } => "day-before-books",
            Self::DayNotOver { .. } => "day-not-over",
            Self::DayCutOffAlready { .. } => "day-cut-off",
            Self::DayBeingClosed { .. } => "day-being-closed",
            Self::MonthNotClosed { .. } => "month-not-closed",
            Self::DayNotCutOff { .. } => "day-not-cut-off",
            Self::PairOfOneCurrency { .. } => "pair-of-one-currency",
            Self::RateOfTheFuture { .. } => "rate-of-the-future",
            Self::RateOutOfOrder { .. } => "rate-out-of-order",
            Self::RateMissing { .. } => "rate-missing",
            Self::RateChanged { .. } => "rate-changed",
            Self::RateTooOld { .. } => "rate-too-old",
            Self::ConversionSidesDiffer { .. } => "conversion-sides-differ",
            Self::NothingBought { .. } => "nothing-bought",
            Self::TooMuchBought { .. } => "too-much-bought",
            Self::Step { rejection, .. } => rejection.code(),
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
        }
    }

    /// Who has to act.
    pub fn class(&self) -> RejectionClass {
        match self {
            Self::MerchantNotFound { .. }
            | Self::ApiKeyNotFound { .. }
            | Self::AccountNotFound { .. }
            | Self::EntryNotFound { .. }
            | Self::HoldNotFound { .. }
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
            | Self::EntryIsConversion { .. }
            | Self::AboveMaximum { .. }
            | Self::AboveReversible { .. }
            | Self::HoldRefTaken { .. }
            | Self::HoldStatus { .. }
            | Self::AboveHeld { .. }
            | Self::HoldNotOver { .. }
            | Self::DayNotOver { .. }
            | Self::DayCutOffAlready { .. }
            | Self::DayBeingClosed { .. }
            | Self::MonthNotClosed { .. }
            | Self::DayNotCutOff { .. }
            | Self::RateOutOfOrder { .. }
            | Self::RateMissing { .. }
            | Self::RateTooOld { .. }
            | Self::PaymentIdTaken { .. }
            | Self::PaymentStateForbids { .. }
            | Self::PaymentMethodMissing { .. }
            | Self::AboveCapturable { .. }
            | Self::AboveRefundable { .. }
            | Self::TooManyCaptures { .. }
            | Self::TooManyRefunds { .. }
            | Self::TooManyAttempts { .. }
            | Self::AttemptNotDue { .. }
            | Self::PspIsDisabled { .. } => RejectionClass::Conflict,
            Self::VersionMismatch { .. }
            | Self::PaymentVersionMismatch { .. }
            | Self::RateChanged { .. } => RejectionClass::Precondition,
            Self::Step { rejection, .. } => rejection.class(),
            Self::RoleNeedsMerchant { .. }
            | Self::LimitsCross { .. }
            | Self::ParentOfOtherType { .. }
            | Self::ChartTooDeep { .. }
            | Self::EffectiveTimeOutOfRange { .. }
            | Self::EffectiveBeforeOriginal { .. }
            | Self::AmountAmbiguous
            | Self::HoldEndOutOfRange { .. }
            | Self::PairOfOneCurrency { .. }
            | Self::RateOfTheFuture { .. }
            | Self::ConversionSidesDiffer { .. }
            | Self::NothingBought { .. }
            | Self::TooMuchBought { .. }
            | Self::DayBeforeBooks { .. }
            | Self::PaymentCurrency { .. }
            | Self::CurrencyMismatch { .. }
            | Self::SystemAccount { .. }
            | Self::MechanismAccount { .. } => RejectionClass::Invalid,
        }
    }
}
