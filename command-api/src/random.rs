//! Secrets come from outside, through this port, like time and ids.

use std::fmt::Debug;

use rand::Rng;

/// Draws what nobody can guess.
pub trait RandomSource: Debug + Send + Sync {
    /// 256 random bits, fit for a secret.
    fn secret(&self) -> [u8; 32];
}

/// The machine's randomness: a cryptographic generator seeded, again and again, by the kernel.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl RandomSource for SystemRandom {
    fn secret(&self) -> [u8; 32] {
        rand::rng().random()
    }
}
