//! Totals of more than 64 bits: in Postgres, in memory, and made again from the log.

use domain::AMOUNT_MINOR_MAX;
use domain::accounts::Totals;
use event_store::log::WideMinor;
use event_store::rebuild::account_balances;
use futures::future::join_all;
use sqlx::PgConnection;
use testkit::TestDatabase;

use crate::given::{Process, account, count, open, post, until};

const MOST: i128 = i128::MAX;
const LEAST: i128 = i128::MIN;

/// Numbers with digits, and zeros between and behind them, in every place.
fn numbers() -> Vec<i128> {
    let powers = (0..=9).map(|power| 10_000_i128.pow(power));
    let around =
        powers.flat_map(|power| [power - 1, power, power + 1, 9_999 * power.min(1 << 112)]);
    let all = around.chain([0, 7, 120_000, 1 << 64, i64::MAX.into(), i64::MIN.into(), MOST, LEAST]);
    all.flat_map(|number| [number, number.checked_neg().unwrap_or(MOST)]).collect()
}

async fn read(db: &mut PgConnection, sql: &'static str, number: i128) -> (WideMinor, String) {
    sqlx::query_as(sql).bind(WideMinor(number)).fetch_one(db).await.expect("a number")
}

#[tokio::test]
async fn numbers_of_128_bits_are_in_postgres_what_they_are_here() {
    let database = TestDatabase::create().await;
    let mut db = database.owner().await;
    for number in numbers() {
        let back = read(&mut db, "select $1::numeric(39, 0), $1::text", number).await;
        assert_eq!(back, (WideMinor(number), number.to_string()));
    }
    let all: Vec<WideMinor> = numbers().into_iter().map(WideMinor).collect();
    let back: Vec<WideMinor> = sqlx::query_scalar("select unnest($1::numeric[])")
        .bind(&all)
        .fetch_all(&mut db)
        .await
        .expect("numbers");
    assert_eq!(back, all);
    let sum = "select sum(n) from unnest($1::numeric[]) as n";
    let sum: WideMinor =
        sqlx::query_scalar(sum).bind(&all[..40]).fetch_one(&mut db).await.expect("a sum");
    assert_eq!(sum.0, all[..40].iter().map(|one| one.0).sum::<i128>());
    let nothing: Option<WideMinor> =
        sqlx::query_scalar("select null::numeric").fetch_one(&mut db).await.expect("nothing");
    assert_eq!(nothing, None);
    for beyond in
        ["select 170141183460469231731687303715884105728", "select 0.5", "select 'NaN'::numeric"]
    {
        let refused: Result<WideMinor, _> = sqlx::query_scalar(beyond).fetch_one(&mut db).await;
        assert!(refused.is_err(), "{beyond}");
    }
}

const SESSIONS: &str = "select count(*) from pg_stat_activity \
    where datname = current_database() and usename = 'runut_app'";

async fn totals(process: &Process, code: &str) -> Totals {
    let found = process.store.account(account(code)).await.expect("the log is there");
    found.expect("the account is there").totals
}

#[tokio::test]
async fn no_number_of_entries_fills_an_account() {
    let database = TestDatabase::create().await;
    let process = Process::on(&database).await;
    for code in ["clearing", "one", "other"] {
        process.submit(open(code, None)).await.expect("opened");
    }
    let most = |number: usize| {
        let reference = format!("most-{number}");
        process.submit_owned(post(&reference, "clearing", "one", AMOUNT_MINOR_MAX))
    };
    let posted = join_all((0..1_025).map(most)).await;
    assert!(posted.into_iter().all(|answer| answer.is_ok_and(|answer| answer.status == 201)));
    let sum = 1_025 * i128::from(AMOUNT_MINOR_MAX);
    assert!(sum > i64::MAX.into());
    assert_eq!(totals(&process, "clearing").await.debits_posted, sum);

    // Another process reads it from the table, and goes on.
    let another = Process::on(&database).await;
    let answer = another.submit(post("little", "clearing", "other", 1)).await.expect("posted");
    assert_eq!(answer.status, 201);
    assert_eq!(totals(&another, "clearing").await.debits_posted, sum + 1);
    assert_eq!(totals(&another, "one").await.credits_posted, sum);
    process.stop().await;
    another.stop().await;

    until("its sessions are gone", async || count(&database, SESSIONS).await == 0).await;
    let mut owner = database.owner().await;
    const ROWS: &str = "select coalesce(string_agg(b::text, ' ' order by account_id), '') \
        from account_balances b";
    let written: String = sqlx::query_scalar(ROWS).fetch_one(&mut owner).await.expect("rows");
    account_balances(&mut owner, |_, _| {}).await.expect("made");
    let made: String = sqlx::query_scalar(ROWS).fetch_one(&mut owner).await.expect("rows");
    assert_eq!(made, written);
    assert!(made.contains(&(sum + 1).to_string()));
}
