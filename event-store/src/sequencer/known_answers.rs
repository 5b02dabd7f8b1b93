//! Answers under their idempotency keys: the recent ones in memory, all of them in Postgres.

use std::collections::VecDeque;
use std::sync::Arc;

use ahash::HashMap;
use domain::MerchantId;
use sqlx::postgres::PgRow;
use sqlx::{PgExecutor, Row};
use uuid::Uuid;

use crate::log::{LOG_ID, Position};
use crate::request::{Answer, SubmitError};

/// The most answers in memory; older ones are found by the index.
const KNOWN_ANSWERS_MAX: usize = 65_536;
/// About the most memory that they take, in bytes: what so many usual ones of 500 bytes do. That of a thousand entries
/// has a hundred thousand.
const KNOWN_ANSWERS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A key and whose it is.
pub(super) type KeyName = Arc<(MerchantId, String)>;

/// A key's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KnownAnswer {
    fingerprint: [u8; 32],
    answer: Option<Answer>,
}

impl KnownAnswer {
    pub(super) fn new(fingerprint: [u8; 32], answer: Option<Answer>) -> Self {
        Self { fingerprint, answer: answer.map(|answer| Answer { replayed: true, ..answer }) }
    }

    /// What a request with this key and `fingerprint` gets; `None` while the first one is under way.
    pub(crate) fn replay(&self, fingerprint: &[u8; 32]) -> Result<Option<Answer>, SubmitError> {
        if self.fingerprint == *fingerprint {
            Ok(self.answer.clone())
        } else {
            Err(SubmitError::KeyReused)
        }
    }

    /// About what it takes in memory with its key.
    fn bytes(&self) -> usize {
        const KEY_AND_ANSWER_BYTES: usize = 512;
        KEY_AND_ANSWER_BYTES + self.answer.as_ref().map_or(0, |answer| answer.body.len())
    }
}

/// The recent answers of this process, first in first out.
#[derive(Debug, Default)]
pub(super) struct KnownAnswers {
    by_key: HashMap<KeyName, KnownAnswer>,
    order: VecDeque<KeyName>,
    bytes: usize,
}

impl KnownAnswers {
    pub(super) fn get(&self, name: &KeyName) -> Option<&KnownAnswer> {
        self.by_key.get(name)
    }

    pub(super) fn size(&self) -> usize {
        self.bytes
    }

    pub(super) fn insert(&mut self, key: KeyName, known: KnownAnswer) {
        self.bytes += known.bytes();
        match self.by_key.insert(Arc::clone(&key), known) {
            Some(before) => self.bytes -= before.bytes(),
            None => self.order.push_back(key),
        }
        while self.order.len() > KNOWN_ANSWERS_MAX || self.bytes > KNOWN_ANSWERS_BYTES_MAX {
            let Some(oldest) = self.order.pop_front() else { return };
            if let Some(known) = self.by_key.remove(&oldest) {
                self.bytes -= known.bytes();
            }
        }
    }
}

/// Reads the rows of `keys`, those that exist.
pub(crate) async fn look_up(
    db: impl PgExecutor<'_>,
    keys: &[(MerchantId, String)],
) -> Result<Vec<(MerchantId, String, KnownAnswer)>, sqlx::Error> {
    let owners: Vec<Uuid> = keys.iter().map(|(owner, _)| owner.uuid()).collect();
    let texts: Vec<&str> = keys.iter().map(|(_, key)| key.as_str()).collect();
    let rows = sqlx::query(
        "select i.merchant_id, i.key, i.fingerprint, i.status, i.resource_id, i.response,
                coalesce(i.shown_position, i.position)
         from unnest($2::uuid[], $3::text[]) as k (merchant_id, key)
         cross join lateral (
             select * from idempotency_keys
             where log_id = $1 and merchant_id = k.merchant_id and key = k.key
             offset 0
         ) i",
    )
    .bind(LOG_ID)
    .bind(owners)
    .bind(texts)
    .fetch_all(db)
    .await?;
    rows.iter().map(known_answer).collect()
}

fn known_answer(row: &PgRow) -> Result<(MerchantId, String, KnownAnswer), sqlx::Error> {
    let fingerprint: &[u8] = row.try_get(2)?;
    let fingerprint = fingerprint
        .try_into()
        .map_err(|_| sqlx::Error::Decode("a fingerprint has 32 bytes".into()))?;
    let response: Option<String> = row.try_get(5)?;
    let answer = match response {
        Some(body) => Some(Answer {
            status: u16::try_from(row.try_get::<i16, _>(3)?).unwrap_or(500),
            resource_id: row.try_get(4)?,
            body: body.into(),
            position: Position::from_number(row.try_get(6)?),
            replayed: true,
        }),
        None => None,
    };
    let owner = MerchantId::from_uuid(row.try_get(0)?);
    Ok((owner, row.try_get(1)?, KnownAnswer::new(fingerprint, answer)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_answers_take_the_place_of_many_small_ones() {
        let mut known = KnownAnswers::default();
        let name = |n: usize| KeyName::new((MerchantId::PLATFORM, n.to_string()));
        let answer = |bytes: usize| {
            let (status, resource_id) = (201, String::new());
            let body = "x".repeat(bytes).into();
            let position = Position::START;
            let answer = Answer { status, resource_id, body, position, replayed: false };
            KnownAnswer::new([0; 32], Some(answer))
        };
        for n in 0..10 {
            known.insert(name(n), answer(KNOWN_ANSWERS_BYTES_MAX / 10 - 512));
        }
        assert!(known.get(&name(0)).is_some());
        known.insert(name(9), answer(1));
        known.insert(name(10), answer(KNOWN_ANSWERS_BYTES_MAX / 10 - 2_048));
        assert!(known.get(&name(0)).is_some(), "one became smaller");
        known.insert(name(11), answer(KNOWN_ANSWERS_BYTES_MAX / 2));
        let kept: Vec<usize> = (0..12).filter(|n| known.get(&name(*n)).is_some()).collect();
        assert_eq!(kept, [5, 6, 7, 8, 9, 10, 11]);
    }
}
