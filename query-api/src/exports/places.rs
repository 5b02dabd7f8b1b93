//! Places for exports, so that those who read slowly do not take all memory, nor all places.

use std::sync::Arc;

use api_conventions::Problem;
use dashmap::DashMap;
use domain::MerchantId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The most exports of a process at a time: each holds some pages of some MiB.
const EXPORTS_MAX: usize = 16;
/// The most of them for one merchant (or for the platform's own keys), so that others find a place.
const EXPORTS_OF_ONE_MAX: usize = 4;

/// The places, and who has how many of them.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    free: Arc<Semaphore>,
    taken: Arc<DashMap<MerchantId, usize>>,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    of: MerchantId,
    taken: Arc<DashMap<MerchantId, usize>>,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    pub(crate) fn new() -> Self {
        Self { free: Arc::new(Semaphore::new(EXPORTS_MAX)), taken: Arc::default() }
    }

    /// A place for one whose key is `of`'s.
    ///
    /// # Errors
    /// 503: there is none.
    pub(super) fn take(&self, of: MerchantId) -> Result<Place, Problem> {
        let permit = Arc::clone(&self.free).try_acquire_owned();
        let permit = permit.map_err(|_| Problem::unavailable("too many exports are under way"))?;
        let mut taken = self.taken.entry(of).or_default();
        if *taken >= EXPORTS_OF_ONE_MAX {
            let detail = format_args!("{EXPORTS_OF_ONE_MAX} exports of yours are under way");
            return Err(Problem::unavailable(detail));
        }
        *taken += 1;
        metrics::gauge!("runut_exports").increment(1.0);
        drop(taken);
        Ok(Place { of, taken: Arc::clone(&self.taken), _permit: permit })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        metrics::gauge!("runut_exports").decrement(1.0);
        if let Some(mut taken) = self.taken.get_mut(&self.of) {
            *taken -= 1;
        }
        self.taken.remove_if(&self.of, |_, taken| *taken == 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn one_merchant_cannot_take_all_places() {
        let places = Places::new();
        let of = |number| MerchantId::from_uuid(Uuid::from_u128(number));
        let mut held: Vec<Place> =
            (0..EXPORTS_OF_ONE_MAX).map(|_| places.take(of(1)).unwrap()).collect();
        assert_eq!(places.take(of(1)).unwrap_err().kind().status, 503);
        let others = u128::try_from((EXPORTS_MAX - held.len()) / EXPORTS_OF_ONE_MAX).unwrap();
        for other in 0..others {
            held.extend((0..EXPORTS_OF_ONE_MAX).map(|_| places.take(of(2 + other)).unwrap()));
        }
        assert_eq!(held.len(), EXPORTS_MAX);
        assert_eq!(places.take(of(99)).unwrap_err().kind().status, 503);
        held.clear();
        assert!(places.taken.is_empty(), "nothing is remembered of those who are done");
        assert!(places.take(of(1)).is_ok());
    }
}
