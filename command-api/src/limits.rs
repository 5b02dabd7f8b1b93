//! How large the body of each command may be: what the largest valid one takes, generously
//! indented.

/// The most bytes of `POST /v1/merchants`: a name, and a fixed fee in every currency there is.
pub const MERCHANT_BODY_BYTES_MAX: usize = 32 * 1024;

/// The most bytes of `POST /v1/api-keys`: a role, an id and a label.
pub const API_KEY_BODY_BYTES_MAX: usize = 8 * 1024;

/// The most bytes of an account that is opened or amended: metadata of 50 keys and values at their
/// longest, in characters of 4 bytes, takes 110 KiB, the rest a few words.
pub const ACCOUNT_BODY_BYTES_MAX: usize = 256 * 1024;

/// The most bytes of an entry, a hold, a reversal, or a line of an import: 1,000 postings take some
/// 200 KiB, and metadata of 50 keys and values at their longest, in characters of 4 bytes, 110 KiB.
pub const ENTRY_BODY_BYTES_MAX: usize = 512 * 1024;

/// The most bytes of a batch or a chain: 10,000 postings take some 2 MiB, and few of its entries
/// have metadata at its longest.
pub const BATCH_BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The most postings of a batch or a chain, over all of its steps: what one append of the log
/// writes while everybody else waits.
pub const BATCH_POSTINGS_MAX: usize = 10_000;

/// The most steps of a chain: what depends on each other, not what comes together.
pub const CHAIN_STEPS_MAX: usize = 100;

/// The most bytes of `POST /v1/ledger/closes`: a day, with room for blanks.
pub const CLOSE_BODY_BYTES_MAX: usize = 1024;

/// The most bytes of `POST /v1/ledger/rates`: two currencies, a decimal, a time and a name of 255 characters
/// of 4 bytes.
pub const RATE_BODY_BYTES_MAX: usize = 8 * 1024;

/// The most bytes of a conversion or of what moves a wallet's money: metadata of 50 keys and values at their
/// longest, in characters of 4 bytes, takes 110 KiB, the rest a few words.
pub const MOVEMENT_BODY_BYTES_MAX: usize = 256 * 1024;

/// The most bytes of what becomes of a wallet's reservation: an id and an amount.
pub const RESERVATION_BODY_BYTES_MAX: usize = 1024;

/// The most bytes of a command that says everything in its path: `{}` with room for blanks.
pub const EMPTY_BODY_BYTES_MAX: usize = 1024;

/// The most bytes of `POST /v1/payments`: 100 lines of an order with names at their longest, in characters of
/// 4 bytes, take some 110 KiB, and metadata at its longest as many.
pub const PAYMENT_BODY_BYTES_MAX: usize = 256 * 1024;

/// The most bytes of a command on a payment: an amount, a token and a reason.
pub const PAYMENT_ACTION_BODY_BYTES_MAX: usize = 8 * 1024;

/// The most bytes of a webhook; those of PSPs have a few thousand.
pub const WEBHOOK_BODY_BYTES_MAX: usize = 256 * 1024;
