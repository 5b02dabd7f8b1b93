//! Fills the empty log of a scratch database, to measure how fast verify is:
//! `cargo run --release --example seed_log -- <superuser's URL> <entries> <accounts> [hours ago]`.
//!
//! Rows are made with the log's own functions, so their hashes are right, and copied in past the
//! sequencer. Nothing but measurements may do that.

use std::error::Error;
use std::fmt::Write;

use domain::accounts::{AccountOpened, AccountType};
use domain::ledger::{Direction, EntryPosted, ExternalRef, Posting};
use domain::{
    AccountId, Amount, Currency, EntryId, Event, MerchantId, Metadata, StreamId, StreamVersion,
    Timestamp,
};
use event_store::log::{EventMetadata, LeafHash, Position, RecordedEvent};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

/// The only ledger of the log.
const LEDGER: MerchantId =
    MerchantId::from_uuid(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0007));
/// Events are a thousandth of a second apart.
const STEP_MICROS: i64 = 1_000;
/// Rows that are sent at once.
const BATCH_ROWS: i64 = 10_000;

struct Seed {
    entries: i64,
    accounts: i64,
    start: Timestamp,
    usd: Currency,
}

/// The rows of a batch in the text format of COPY.
#[derive(Default)]
struct Batch {
    events: String,
    keys: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, url, entries, accounts, ..] = &arguments[..] else {
        return Err("expected <url> <entries> <accounts> [hours ago]".into());
    };
    let hours_ago: i64 = arguments.get(4).map_or(Ok(0), |text| text.parse())?;
    let mut db = PgConnection::connect(url).await?;
    let now: time::OffsetDateTime =
        sqlx::query_scalar("select clock_timestamp()").fetch_one(&mut db).await?;
    let (entries, accounts): (i64, i64) = (entries.parse()?, accounts.parse()?);
    let before = (entries + accounts) * STEP_MICROS + hours_ago * 3_600_000_000;
    let start = Timestamp::from_micros(Timestamp::from_datetime(now).micros() - before);
    let seed = Seed { entries, accounts, start, usd: "USD".parse()? };
    let total = accounts + entries;
    let mut next = 1;
    while next <= total {
        let end = total.min(next + BATCH_ROWS - 1);
        let mut batch = Batch::default();
        for position in next..=end {
            seed.row(position, &mut batch)?;
        }
        copy(&mut db, "copy events from stdin", batch.events).await?;
        copy(&mut db, "copy idempotency_keys from stdin", batch.keys).await?;
        next = end + 1;
    }
    copy(&mut db, "copy account_balances from stdin", seed.balances()?).await?;
    sqlx::query("update log_head set position = $1, recorded_at = clock_timestamp()")
        .bind(total)
        .execute(&mut db)
        .await?;
    for table in ["events", "idempotency_keys", "account_balances"] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("vacuum analyze {table}")))
            .execute(&mut db)
            .await?;
    }
    Ok(())
}

async fn copy(db: &mut PgConnection, statement: &str, rows: String) -> Result<(), sqlx::Error> {
    let mut sink = db.copy_in_raw(statement).await?;
    sink.send(rows.into_bytes()).await?;
    sink.finish().await.map(|_| ())
}

impl Seed {
    fn account(&self, number: i64) -> Result<AccountId, Box<dyn Error>> {
        Ok(AccountId::of(LEDGER, &format!("customers:{number}").parse()?))
    }

    /// Entry `number` moves money from one account to another, so that each sees about as many.
    fn sides(&self, number: i64) -> (i64, i64) {
        let debit = number.wrapping_mul(7_919).rem_euclid(self.accounts);
        let credit = (debit + 1 + number % (self.accounts - 1)).rem_euclid(self.accounts);
        (debit, credit)
    }

    fn amount(number: i64) -> i64 {
        100 + number % 900
    }

    fn row(&self, position: i64, batch: &mut Batch) -> Result<(), Box<dyn Error>> {
        let at = self.start.micros() + position * STEP_MICROS;
        let random = u128::try_from(position)? * 0x9e37_79b9_7f4a_7c15;
        let event_id = Uuid::new_v7(uuid::Timestamp::from_unix(
            uuid::NoContext,
            u64::try_from(at / 1_000_000)?,
            u32::try_from(at % 1_000_000 * 1_000)?,
        ));
        let (stream, event) = if position <= self.accounts {
            self.opened(position - 1)?
        } else {
            self.posted(position - self.accounts, event_id)?
        };
        let (key, fingerprint) = (format!("{:032x}", random), format!("{:064x}", random));
        let metadata = EventMetadata {
            actor: "key_01h455vb4pex5vsknk084sn02q".to_owned(),
            correlation_id: format!("{random:032x}"),
            idempotency_key: Some(key.clone()),
            fingerprint: Some(fingerprint.clone()),
            ..EventMetadata::default()
        };
        let mut recorded = RecordedEvent {
            position: Position::from_number(position),
            stream_id: stream,
            version: StreamVersion::FIRST,
            event_id,
            event_type: event.event_type().to_owned(),
            schema_version: event.schema_version(),
            merchant_id: LEDGER,
            data: event.to_json(),
            metadata: serde_json::to_string(&metadata)?,
            recorded_at: Timestamp::from_micros(at),
            leaf_hash: LeafHash::from_bytes(&[0; 32]).ok_or("32 bytes")?,
        };
        recorded.leaf_hash = recorded.computed_hash();
        let merchant = LEDGER.uuid();
        writeln!(
            batch.events,
            "1\t{position}\t{}\t1\t{event_id}\t{}\t{}\t{merchant}\t{}\t{}\t{}\t\\\\x{}",
            recorded.stream_id,
            recorded.event_type,
            recorded.schema_version,
            recorded.data,
            recorded.metadata,
            recorded.recorded_at,
            recorded.leaf_hash,
        )?;
        writeln!(
            batch.keys,
            "1\t{merchant}\t{key}\t\\\\x{fingerprint}\tx\t201\t{{}}\t{position}\t{}",
            recorded.recorded_at,
        )?;
        Ok(())
    }

    fn opened(&self, number: i64) -> Result<(StreamId, Event), Box<dyn Error>> {
        let account_id = self.account(number)?;
        let event = AccountOpened {
            account_id,
            ledger: LEDGER,
            code: format!("customers:{number}").parse()?,
            name: None,
            kind: AccountType::Liability,
            currency: self.usd,
            min_balance_minor: None,
        };
        Ok((StreamId::account(account_id), Event::AccountOpened(event)))
    }

    fn posted(&self, number: i64, id: Uuid) -> Result<(StreamId, Event), Box<dyn Error>> {
        let external_ref = ExternalRef::parse(&format!("order-{number}"))?;
        let amount = Amount::from_minor(Self::amount(number), self.usd)?;
        let (debit, credit) = self.sides(number);
        let posting = |account_id, direction| Posting { account_id, direction, amount };
        let event = EntryPosted {
            entry_id: EntryId::from_uuid(id),
            ledger: LEDGER,
            external_ref: external_ref.clone(),
            description: None,
            metadata: Metadata::default(),
            postings: vec![
                posting(self.account(debit)?, Direction::Debit),
                posting(self.account(credit)?, Direction::Credit),
            ],
            reverses: None,
        };
        Ok((StreamId::entry(LEDGER, &external_ref), Event::EntryPosted(event)))
    }

    fn balances(&self) -> Result<String, Box<dyn Error>> {
        let mut sums = vec![(0, 0, 0); usize::try_from(self.accounts)?];
        for number in 1..=self.entries {
            let (debit, credit) = self.sides(number);
            let position = self.accounts + number;
            let one = &mut sums[usize::try_from(debit)?];
            *one = (one.0 + Self::amount(number), one.1, position);
            let other = &mut sums[usize::try_from(credit)?];
            *other = (other.0, other.1 + Self::amount(number), position);
        }
        let mut rows = String::new();
        for (number, (debits, credits, position)) in (0..).zip(sums) {
            if position > 0 {
                let account = self.account(number)?.uuid();
                writeln!(rows, "1\t{account}\t{debits}\t{credits}\t0\t0\t{position}")?;
            }
        }
        Ok(rows)
    }
}
