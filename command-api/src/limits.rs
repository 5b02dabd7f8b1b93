//! How large the body of each command may be: what the largest valid one takes, generously
//! indented.

/// The most bytes of `POST /v1/merchants`: a name, and a fixed fee in every currency there is.
pub const MERCHANT_BODY_BYTES_MAX: usize = 32 * 1024;

/// The most bytes of `POST /v1/api-keys`: a role, an id and a label.
pub const API_KEY_BODY_BYTES_MAX: usize = 8 * 1024;

/// The most bytes of `POST /v1/accounts`: a code, a name and a few words.
pub const ACCOUNT_BODY_BYTES_MAX: usize = 8 * 1024;

/// The most bytes of an entry or a reversal: 100 postings take some 20 KiB, and metadata of 50 keys
/// and values at their longest, in characters of 4 bytes, 110 KiB.
pub const ENTRY_BODY_BYTES_MAX: usize = 256 * 1024;

/// The most bytes of a command that says everything in its path: `{}` with room for blanks.
pub const EMPTY_BODY_BYTES_MAX: usize = 1024;

/// The most bytes of `POST /v1/payments`: 100 lines of an order with names at their longest, in characters of
/// 4 bytes, take some 110 KiB, and metadata at its longest as many.
pub const PAYMENT_BODY_BYTES_MAX: usize = 256 * 1024;

/// The most bytes of a command on a payment: an amount, a token and a reason.
pub const PAYMENT_ACTION_BODY_BYTES_MAX: usize = 8 * 1024;

/// The most bytes of a webhook; those of PSPs have a few thousand.
pub const WEBHOOK_BODY_BYTES_MAX: usize = 256 * 1024;
