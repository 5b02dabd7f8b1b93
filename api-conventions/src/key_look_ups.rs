//! Looking up API keys that a process does not know costs a query, and anybody can make ids up.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::ApiKeyId;
use tokio::time::Instant;

use crate::peer::PeerNetwork;
use crate::problem::Problem;
use crate::problem_kinds as kinds;

/// How many ids that turn out to be nobody's a peer may have looked up at once: more than a client with a
/// few old keys ever has, and a quarter of a second of one connection to Postgres.
pub const UNKNOWN_IDS_AT_ONCE_MAX: u32 = 200;

/// How soon a peer may have one more looked up: ten a second, which Postgres does not notice.
pub const UNKNOWN_ID_EVERY: Duration = Duration::from_millis(100);

/// The most peers that are remembered, some hundreds of KiB. Past it, those that have nothing to make up for are
/// forgotten; where all have, further ones share what one may do.
const PEERS_MAX: usize = 16_384;

/// The most ids that were good and are remembered for sure, twice 16 bytes each: more keys than are in use. As
/// many again may be.
const GOOD_IDS_MAX: usize = 65_536;

/// Counts look-ups in vain, by peer. Ids that were good lately are looked up freely, however much others behind
/// the same address guess.
#[derive(Debug, Default)]
pub(crate) struct KeyLookUps {
    good: Mutex<GoodIds>,
    in_vain: Mutex<HashMap<Option<PeerNetwork>, Instant>>,
}

/// A look-up that may be made. It counts, unless it finds something.
#[derive(Debug)]
pub(crate) struct LookUp<'l> {
    all: &'l KeyLookUps,
    id: ApiKeyId,
    charged: Option<Option<PeerNetwork>>,
}

#[derive(Debug, Default)]
struct GoodIds {
    recent: HashSet<ApiKeyId>,
    older: HashSet<ApiKeyId>,
}

impl GoodIds {
    fn has(&self, id: &ApiKeyId) -> bool {
        self.recent.contains(id) || self.older.contains(id)
    }

    fn insert(&mut self, id: ApiKeyId) {
        if self.recent.len() >= GOOD_IDS_MAX {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(id);
    }
}

impl KeyLookUps {
    /// Whether `peer` may have `id` looked up.
    ///
    /// # Errors
    /// 429 with the time to wait.
    pub(crate) fn begin(&self, peer: PeerNetwork, id: ApiKeyId) -> Result<LookUp<'_>, Problem> {
        if lock(&self.good).has(&id) {
            return Ok(LookUp { all: self, id, charged: None });
        }
        let now = Instant::now();
        let mut in_vain = lock(&self.in_vain);
        if in_vain.len() >= PEERS_MAX && !in_vain.contains_key(&Some(peer)) {
            in_vain.retain(|_, made_up_for_at| *made_up_for_at > now);
        }
        let counted = Some(peer)
            .filter(|peer| in_vain.len() < PEERS_MAX || in_vain.contains_key(&Some(*peer)));
        // When all that was looked up in vain is made up for.
        let made_up_for_at = in_vain.entry(counted).or_insert(now);
        let next = (*made_up_for_at).max(now) + UNKNOWN_ID_EVERY;
        let too_soon =
            next.saturating_duration_since(now + UNKNOWN_ID_EVERY * UNKNOWN_IDS_AT_ONCE_MAX);
        if !too_soon.is_zero() {
            metrics::counter!("runut_key_look_ups_refused_total").increment(1);
            return Err(too_many(too_soon));
        }
        *made_up_for_at = next;
        Ok(LookUp { all: self, id, charged: Some(counted) })
    }

    /// How many peers are remembered.
    #[cfg(test)]
    fn peers(&self) -> usize {
        lock(&self.in_vain).len()
    }
}

impl LookUp<'_> {
    /// It found a key, so it costs the peer nothing, and is free from now on.
    pub(crate) fn found(self) {
        let Some(peer) = self.charged else { return };
        lock(&self.all.good).insert(self.id);
        if let Some(made_up_for_at) = lock(&self.all.in_vain).get_mut(&peer) {
            *made_up_for_at -= UNKNOWN_ID_EVERY;
        }
    }
}

fn too_many(wait: Duration) -> Problem {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let detail = "too many API keys that do not exist come from this address";
    Problem::new(kinds::TOO_MANY_REQUESTS, detail).with_retry_after_s(seconds)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each holds one change, which is made or not.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::PeerAddress;
    use uuid::Uuid;

    fn peer(n: u32) -> PeerNetwork {
        PeerAddress(std::net::Ipv4Addr::from_bits(n).into()).network()
    }

    fn id(n: u32) -> ApiKeyId {
        ApiKeyId::from_uuid(Uuid::from_u128(n.into()))
    }

    /// How many of so many guesses a peer gets through.
    fn guesses(look_ups: &KeyLookUps, from: PeerNetwork, many: u32) -> usize {
        (0..many).filter(|n| look_ups.begin(from, id(1_000 + n)).is_ok()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_guesses_so_often_and_no_other_is_affected() {
        let look_ups = KeyLookUps::default();
        assert_eq!(guesses(&look_ups, peer(1), 10_000), 200);
        assert_eq!(guesses(&look_ups, peer(2), 1), 1);
        let refused = look_ups.begin(peer(1), id(1)).unwrap_err();
        assert_eq!(refused.status(), 429);
        tokio::time::advance(10 * UNKNOWN_ID_EVERY).await;
        assert_eq!(guesses(&look_ups, peer(1), 10_000), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn good_keys_cost_nothing_and_are_let_in_beside_a_neighbour_who_guesses() {
        let look_ups = KeyLookUps::default();
        for n in 0..1_000 {
            look_ups.begin(peer(1), id(n)).unwrap().found();
        }
        guesses(&look_ups, peer(1), 10_000);
        for n in 0..1_000 {
            assert!(look_ups.begin(peer(1), id(n)).is_ok(), "it was good lately");
        }
        assert!(look_ups.begin(peer(1), id(50_000)).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_is_bounded() {
        let look_ups = KeyLookUps::default();
        let many = u32::try_from(PEERS_MAX).unwrap();
        for n in 0..2 * many {
            drop(look_ups.begin(peer(n), id(n)));
        }
        assert_eq!(look_ups.peers(), PEERS_MAX + 1, "and one for all the others");
        tokio::time::advance(2 * UNKNOWN_ID_EVERY).await;
        assert!(look_ups.begin(peer(u32::MAX), id(1)).is_ok());
        assert!(look_ups.peers() < 3 + usize::try_from(UNKNOWN_IDS_AT_ONCE_MAX).unwrap());
        for n in 0..u32::try_from(3 * GOOD_IDS_MAX).unwrap() {
            look_ups.begin(peer(1), id(n)).unwrap().found();
        }
        let good = lock(&look_ups.good);
        assert!(good.recent.len() <= GOOD_IDS_MAX && good.older.len() <= GOOD_IDS_MAX);
    }
}
