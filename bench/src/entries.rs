//! The load: balanced entries between two of some accounts, each as a merchant would post it.

use std::sync::Arc;

use domain::accounts::{AccountCode, AccountType, OpenAccount};
use domain::ledger::{Details, Direction, ExternalRef, PostEntry, Posting, Postings};
use domain::{AccountId, Amount, Command, Currency, Decision, MerchantId};
use event_store::{NewAnswer, Origin, Request, RequestKey, RequestPart};
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

/// The ledger that benchmarks post to.
pub(crate) const LEDGER: MerchantId = MerchantId::from_uuid(Uuid::from_u128(0xbe));

/// Accounts `a0` to `a<n-1>`.
#[derive(Debug, Clone)]
pub(crate) struct Accounts {
    pub(crate) ids: Arc<[AccountId]>,
    currency: Currency,
}

impl Accounts {
    pub(crate) fn numbered(count: usize) -> anyhow::Result<Self> {
        let ids: Result<Vec<AccountId>, _> =
            (0..count).map(|n| code(n).map(|code| AccountId::of(LEDGER, &code))).collect();
        Ok(Self { ids: ids?.into(), currency: "USD".parse()? })
    }

    /// The commands that open them.
    pub(crate) fn open(&self) -> anyhow::Result<Vec<Command>> {
        (0..self.ids.len())
            .map(|n| {
                let plain = OpenAccount::plain(LEDGER, code(n)?, AccountType::Asset, self.currency);
                Ok(Command::OpenAccount(plain))
            })
            .collect()
    }

    /// The postings of entry number `n`: over all accounts in turn, the second one spread further.
    pub(crate) fn postings(&self, n: usize) -> anyhow::Result<Vec<Posting>> {
        let count = self.ids.len();
        let debit = n % count;
        let credit = (debit + 1 + (n / count) % (count - 1)) % count;
        let amount = Amount::from_minor(1 + i64::try_from(n % 9_973)?, self.currency)?;
        let posting =
            |index: usize, direction| Posting { account_id: self.ids[index], direction, amount };
        Ok(vec![posting(debit, Direction::Debit), posting(credit, Direction::Credit)])
    }

    /// The request of entry number `n`, under a reference and a key of its own.
    pub(crate) fn request(&self, run: &str, n: usize) -> anyhow::Result<Request> {
        let reference = format!("{run}-{n}");
        let command = Command::PostEntry(PostEntry::new(
            LEDGER,
            ExternalRef::parse(&reference)?,
            Details::default(),
            Postings::new(self.postings(n)?)?,
        ));
        let key = RequestKey {
            owner: LEDGER,
            key: idempotency_key(&reference),
            fingerprint: fingerprint(n),
            part: RequestPart::Whole,
        };
        Ok(request(command, Some(key)))
    }
}

fn code(n: usize) -> Result<AccountCode, domain::InvalidText> {
    format!("a{n}").parse()
}

/// A key as merchants are told to draw them, a random UUID: those of one moment are nowhere near each other
/// in the index. The same for the same reference.
pub(crate) fn idempotency_key(reference: &str) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&Sha256::digest(reference.as_bytes())[..16]);
    Builder::from_random_bytes(bytes).into_uuid().to_string()
}

fn fingerprint(n: usize) -> [u8; 32] {
    let mut bytes = [0x5a; 32];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    bytes
}

/// A request with an answer of the size that the command-api gives.
pub(crate) fn request(command: Command, key: Option<RequestKey>) -> Request {
    let origin = Origin {
        actor: "key_01jd0000000000000000000000".to_owned(),
        correlation_id: "01jd0000000000000000000000".to_owned(),
        traceparent: None,
    };
    let answer = |decided: &Result<Decision, domain::Rejection>, at: domain::Timestamp| {
        let (status, id) = match decided {
            Ok(Decision::Append(events) | Decision::Several { events, .. }) => {
                (201, events[0].event_id.to_string())
            }
            Ok(Decision::Already(_)) => (200, String::new()),
            Err(rejection) => (409, rejection.code().to_owned()),
        };
        let body = format!(
            "{{\"id\":\"{id}\",\"external_ref\":\"run-1234567\",\"recorded_at\":\"{at}\"}}"
        );
        NewAnswer { status, resource_id: id, body, replay_body: None }
    };
    Request { command, key, origin, answer: Arc::new(answer), bytes: Request::BYTES_USUAL }
}
