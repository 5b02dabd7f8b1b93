//! Secrets, from the operating system's random numbers.

use anyhow::Context;
use rand::TryRngCore;
use rand::rngs::OsRng;

/// Enough that nothing can be guessed, as bytes.
const SECRET_BYTES: usize = 32;

/// 256 random bits.
pub(crate) fn secret_bytes() -> anyhow::Result<[u8; SECRET_BYTES]> {
    let mut bytes = [0; SECRET_BYTES];
    OsRng.try_fill_bytes(&mut bytes).context("the machine gives no random numbers")?;
    Ok(bytes)
}

/// 256 random bits as hex digits: letters and digits only, so that it needs no quoting anywhere.
pub(crate) fn password() -> anyhow::Result<String> {
    Ok(secret_bytes()?.iter().map(|byte| format!("{byte:02x}")).collect())
}
