//! Every list is a range of an index, wherever its rows lie: how many rows a request reads, as Postgres counts them,
//! over read models of some 100,000 rows.

use sqlx::AssertSqlSafe;

use crate::actors::{Actor, Answer};
use crate::platform::{Platform, TOKO, WARUNG, account};

/// The rows of a page, twice: as keys of an index and as what they stand for; and what is read beside them, such as
/// where the read model is and the account that is asked for.
const READ_FOR_A_PAGE_MAX: i64 = 2 * 51 + 100;
/// How often a request meets a connection that was ended: as often as there are in a pool, at most.
const ENDED_CONNECTIONS_MAX: usize = 10;

/// A platform on which nothing runs but queries, so that what is read is read for them.
async fn at_rest() -> Platform {
    let mut platform = Platform::new().await;
    platform.sell(TOKO, "order-1", 100).await;
    platform.sell(WARUNG, "order-1", 100).await;
    assert_eq!(platform.analyst.seeing(platform.position()).get("/v1/accounts").await.status, 200);
    platform.stop_projecting().await;
    platform
}

/// How many rows of the read models were read so far. A session tells when it ends, so all others are ended.
async fn rows_read(platform: &Platform) -> i64 {
    let mut owner = platform.database.owner().await;
    sqlx::query(
        "select pg_terminate_backend(pid, 10000) from pg_stat_activity \
         where datname = current_database() and usename in ('runut_query', 'runut_projector')",
    )
    .execute(&mut owner)
    .await
    .expect("they are ended");
    sqlx::query_scalar(
        "select ((select sum(idx_tup_read) from pg_stat_user_indexes \
                 where schemaname = 'read' and relname <> 'checkpoint') \
             + (select sum(seq_tup_read) from pg_stat_user_tables \
                 where schemaname = 'read' and relname <> 'checkpoint'))::bigint",
    )
    .fetch_one(&mut owner)
    .await
    .expect("it is counted")
}

/// What is answered, and how many rows were read for it.
async fn read_for(platform: &Platform, actor: &Actor, path: &str) -> (Answer, i64) {
    read_by(platform, async || actor.get(path).await).await
}

async fn read_by(platform: &Platform, ask: impl AsyncFn() -> Answer) -> (Answer, i64) {
    let before = rows_read(platform).await;
    let answer = answered(ask).await;
    (answer, rows_read(platform).await - before)
}

/// What is answered by a connection that was not ended.
async fn answered(ask: impl AsyncFn() -> Answer) -> Answer {
    let mut refused = None;
    for _ in 0..ENDED_CONNECTIONS_MAX {
        let answer = ask().await;
        if answer.status != 503 {
            return answer;
        }
        refused = Some(answer);
    }
    panic!("it is not answered: {refused:?}");
}

async fn fill(platform: &Platform, statements: &str) {
    let mut owner = platform.database.owner().await;
    let statements = statements
        .replace("$toko", &format!("'{}'::uuid", TOKO.uuid()))
        .replace("$warung", &format!("'{}'::uuid", WARUNG.uuid()))
        .replace("$cash", &format!("'{}'::uuid", account(TOKO, "cash").uuid()))
        .replace("$sales", &format!("'{}'::uuid", account(TOKO, "sales").uuid()))
        .replace("$theirs", &format!("'{}'::uuid", account(WARUNG, "cash").uuid()));
    let filled = sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut owner).await;
    filled.expect("the read model is filled");
}

#[tokio::test]
async fn a_page_of_holds_is_a_range_of_an_index_whatever_is_asked_for() {
    let platform = at_rest().await;
    // Toko's are the oldest; few of them are held, and few are on its sales.
    fill(
        &platform,
        "insert into read.holds
         select gen_random_uuid(), case when n <= 60000 then $toko else $warung end, 'h' || n, null,
             '{}', null, null, '[]', '[]',
             case when n <= 60 then array[$cash, $sales] when n <= 60000 then array[$cash]
                 else array[$theirs] end,
             '{}', case when n <= 55 then 'held' else 'posted' end, null, 1, now(), 1000 + n, now(),
             1000 + n
         from generate_series(1, 100000) as n;
         insert into read.account_holds
         select account_id, position, status
         from read.holds cross join lateral unnest(account_ids) as account_id;
         analyze read.holds, read.account_holds",
    )
    .await;
    let (cash, sales) = (account(TOKO, "cash"), account(TOKO, "sales"));
    let (merchant, operator) = (&platform.merchant, &platform.operator);
    for (actor, filter, found) in [
        (merchant, String::new(), 50),
        (merchant, "&status=held".to_owned(), 50),
        (merchant, "&status=voided".to_owned(), 0),
        (merchant, format!("&account={cash}"), 50),
        (merchant, format!("&account={cash}&status=held"), 50),
        (merchant, format!("&account={sales}"), 50),
        (merchant, format!("&account={sales}&status=posted"), 5),
        (merchant, "&external_ref=h7".to_owned(), 0),
        (operator, String::new(), 50),
        (operator, "&status=held".to_owned(), 50),
        (operator, "&status=expired".to_owned(), 0),
        (operator, format!("&ledger={TOKO}"), 50),
        (operator, format!("&ledger={TOKO}&status=held"), 50),
        (operator, format!("&ledger={WARUNG}&status=held"), 0),
        (operator, format!("&ledger={WARUNG}&account={cash}"), 0),
        (&platform.other_merchant, format!("&account={cash}"), 0),
    ] {
        let path = format!("/v1/ledger/holds?limit=50{filter}");
        let (answer, read) = read_for(&platform, actor, &path).await;
        assert_eq!(answer.ids().len(), found, "{filter}");
        assert!(read <= READ_FOR_A_PAGE_MAX, "{read} rows for `{filter}`");
    }
}

#[tokio::test]
async fn a_page_of_accounts_is_a_range_of_an_index_or_of_accounts_looked_at() {
    let platform = at_rest().await;
    // Toko's are the oldest; few of them are frozen, or uncleared, or liabilities, which are in euros too.
    fill(
        &platform,
        "insert into read.accounts
         select (jsonb_populate_record(a, jsonb_build_object('account_id', gen_random_uuid(),
             'ledger', case when n <= 60000 then $toko else $warung end, 'code', 'a' || n,
             'status', case when n <= 55 then 'frozen' else 'open' end,
             'type', case when n <= 55 then 'liability' else 'asset' end,
             'currency', case when n <= 55 then 'EUR' else 'USD' end,
             'uncleared_since', case when n <= 55 then now() end,
             'parent', case when n <= 60000 then $cash end, 'opened_position', 1000 + n))).*
         from read.accounts as a, generate_series(1, 100000) as n where account_id = $cash;
         analyze read.accounts",
    )
    .await;
    let cash = account(TOKO, "cash");
    let (merchant, operator) = (&platform.merchant, &platform.operator);
    let in_toko = format!("&ledger={TOKO}");
    for (actor, filter, found) in [
        (merchant, String::new(), 50),
        (merchant, "&status=frozen".to_owned(), 50),
        (merchant, "&type=liability".to_owned(), 50),
        (merchant, "&currency=EUR".to_owned(), 50),
        (merchant, "&uncleared=true".to_owned(), 50),
        (merchant, "&status=closed".to_owned(), 0),
        (merchant, "&code=a7".to_owned(), 0),
        (merchant, format!("&parent={cash}"), 50),
        (operator, String::new(), 50),
        (operator, "&uncleared=true".to_owned(), 50),
        (operator, in_toko.clone(), 50),
        (operator, format!("{in_toko}&status=frozen"), 50),
        (operator, format!("&ledger={WARUNG}&parent={cash}"), 0),
        (&platform.other_merchant, format!("&parent={cash}"), 0),
        (&platform.other_merchant, in_toko.clone(), 0),
    ] {
        let path = format!("/v1/accounts?limit=50{filter}");
        let (answer, read) = read_for(&platform, actor, &path).await;
        assert_eq!(answer.ids().len(), found, "{filter}");
        assert!(answer.json()["next_cursor"].is_null() != (found == 50), "{filter}");
        assert!(read <= READ_FOR_A_PAGE_MAX, "{read} rows for `{filter}`");
    }
    // No index has both: as many as are looked at, as keys and as rows, and the list goes on behind them.
    for (actor, filter, in_all) in
        [(operator, "&status=frozen", 55), (merchant, "&type=asset&status=frozen", 0)]
    {
        let path = format!("/v1/accounts?limit=50{filter}");
        let (answer, read) = read_for(&platform, actor, &path).await;
        assert_eq!(answer.ids().len(), 0, "{filter}");
        assert!(answer.json()["next_cursor"].is_string(), "{filter}");
        assert!(read <= 2 * 10_000 + READ_FOR_A_PAGE_MAX, "{read} rows for `{filter}`");
        let mut found = 0;
        let mut cursor = Some(String::new());
        while let Some(from) = cursor {
            let page = answered(async || actor.get(&format!("{path}{from}")).await).await;
            found += page.ids().len();
            cursor = page.json()["next_cursor"].as_str().map(|next| format!("&cursor={next}"));
        }
        assert_eq!(found, in_all, "{filter}");
    }
}

#[tokio::test]
async fn a_consistency_report_looks_at_so_many_accounts_and_postings_at_most() {
    let platform = at_rest().await;
    let position = platform.position();
    fill(
        &platform,
        &format!(
            "insert into read.accounts
             select (jsonb_populate_record(a, jsonb_build_object('account_id', md5(n::text)::uuid,
                 'ledger', case when n <= 30000 then $toko else $warung end, 'code', 'a' || n,
                 'opened_position', 1000 + n))).*
             from read.accounts as a, generate_series(1, 60000) as n where account_id = $cash;
             insert into read.postings
             select md5(n::text)::uuid, {position}, 0, gen_random_uuid(), 'debit', 100, 'USD', 100,
                 now()
             from generate_series(1, 60000) as n;
             insert into read.postings
             select $sales, -n, 0, gen_random_uuid(), 'debit', 1, 'USD', -n, now()
             from generate_series(1, 30000) as n;
             analyze read.accounts, read.postings"
        ),
    )
    .await;
    let question = r#"{"balances": [
        {"code": "cash", "balance": "1.00", "currency": "USD"},
        {"code": "sales", "balance": "1000000.00", "currency": "USD"}]}"#;
    let ask = async || platform.merchant.ask("/v1/ledger/consistency-report", question).await;
    let (answer, read) = read_by(&platform, ask).await;
    let report = answer.json();
    assert_eq!(report["drifts"].as_array().map(Vec::len), Some(1), "{answer}");
    assert_eq!(report["drifts"][0]["agreed_at"], serde_json::Value::Null);
    assert_eq!(report["missing"]["all_looked_at"], false);
    assert_eq!(report["missing"]["count"], 20_001 - 2);
    assert_eq!(report["missing"]["accounts"].as_array().map(Vec::len), Some(200));
    // An account and its last posting each, and the postings among which the drift is looked for.
    assert!(read <= 2 * 20_001 + 10_000 + 1_000 + READ_FOR_A_PAGE_MAX, "{read} rows");
}

#[tokio::test]
async fn a_page_of_closes_is_a_range_of_an_index() {
    let platform = at_rest().await;
    // Toko closed its books last a long time ago.
    fill(
        &platform,
        "insert into read.day_closes
         select case when n <= 500 then $toko else md5((n % 100)::text)::uuid end,
             date '1970-01-01' + (case when n <= 500 then n else n / 100 end), now(), 1000 + n
         from generate_series(1, 100000) as n;
         insert into read.month_closes
         select case when n <= 500 then $toko else md5((n % 100)::text)::uuid end,
             'month ' || n, 'digest', now(), 1000 + n
         from generate_series(1, 100000) as n;
         analyze read.day_closes, read.month_closes",
    )
    .await;
    for path in ["/v1/ledger/closes", "/v1/ledger/closes/months"] {
        for (actor, filter) in [
            (&platform.merchant, String::new()),
            (&platform.operator, String::new()),
            (&platform.operator, format!("&ledger={TOKO}")),
        ] {
            let path = format!("{path}?limit=50{filter}");
            let (answer, read) = read_for(&platform, actor, &path).await;
            assert_eq!(answer.json()["data"].as_array().map(Vec::len), Some(50), "{path}");
            assert!(read <= READ_FOR_A_PAGE_MAX, "{read} rows for {path}");
        }
    }
}

#[tokio::test]
async fn a_trial_balance_of_all_ledgers_costs_no_more_than_one_of_one() {
    let platform = at_rest().await;
    fill(
        &platform,
        "insert into read.trial_balance
         select md5(n::text)::uuid, 'USD', type, 1000, 1000, 5
         from generate_series(1, 20000) as n,
             unnest(array['asset', 'income', 'equity', 'expense', 'liability']) as type;
         insert into read.trial_balance_marks
         select md5(n::text)::uuid, 'USD', 'asset', 0, 1000, 1000 from generate_series(1, 20000) as n;
         analyze read.trial_balance, read.trial_balance_marks",
    )
    .await;
    for at in [String::new(), format!("?position={}", platform.position())] {
        let path = format!("/v1/ledger/trial-balance{at}");
        let (answer, read) = read_for(&platform, &platform.operator, &path).await;
        let shown = answer.json();
        assert_eq!(shown["currencies"][0]["debits"], "2.00", "as the projection added it up");
        assert!(read <= READ_FOR_A_PAGE_MAX, "{read} rows for {path}");
    }
}

#[tokio::test]
async fn a_trial_balance_by_effective_time_reads_days_and_not_all_that_is_dated() {
    let platform = at_rest().await;
    let days = 1_000;
    fill(
        &platform,
        &format!(
            "insert into read.dated_ledger_sums
             select $toko, width, timestamptz '2020-01-01 00:00:00Z' + n * width * interval '1 second',
                 'USD', 'asset', 0, 0
             from generate_series(1, {days}) as n, unnest(array[86400, 3600, 60]) as width;
             insert into read.dated_ledger_sums
             select case n % 2 when 0 then $toko else md5(n::text)::uuid end, n % 4 / 2,
                 timestamptz '2020-01-01 00:00:00Z' + n * interval '1 second', 'USD', 'asset', 0, 0
             from generate_series(1, 100000) as n;
             analyze read.dated_ledger_sums"
        ),
    )
    .await;
    let path = "/v1/ledger/trial-balance?effective_at=2026-01-02";
    let (answer, read) = read_for(&platform, &platform.merchant, path).await;
    assert_eq!(answer.json()["currencies"][0]["debits"], "1.00");
    assert!(read <= days + READ_FOR_A_PAGE_MAX, "{read} rows");
}

#[tokio::test]
async fn a_rollup_is_of_so_many_accounts_at_most_and_reads_no_more() {
    let platform = at_rest().await;
    // With the account itself as many as may be added up.
    fill(
        &platform,
        "insert into read.accounts
         select (jsonb_populate_record(a, jsonb_build_object('account_id', gen_random_uuid(),
             'code', 'below-' || n, 'parent', $cash, 'depth', 1, 'opened_position', 1000 + n))).*
         from read.accounts as a, generate_series(1, 49999) as n where account_id = $cash;
         analyze read.accounts",
    )
    .await;
    let path = format!("/v1/accounts/{}/rollup", account(TOKO, "cash"));
    let (answer, _) = read_for(&platform, &platform.merchant, &path).await;
    assert_eq!(answer.json()["currencies"][0]["accounts"], 50_000);
    assert_eq!(answer.json()["currencies"][0]["balance"], "50000.00");
    fill(
        &platform,
        "insert into read.accounts
         select (jsonb_populate_record(a, jsonb_build_object('account_id', gen_random_uuid(),
             'code', 'more-' || n, 'parent', $cash, 'depth', 1, 'opened_position', 100000 + n))).*
         from read.accounts as a, generate_series(1, 20000) as n where account_id = $cash;
         analyze read.accounts",
    )
    .await;
    let (refused, read) = read_for(&platform, &platform.merchant, &path).await;
    assert_eq!(refused.problem(), (422, "too-many-accounts".to_owned()));
    assert!(read <= 50_001 + 100, "{read} rows");
    let (other, _) = read_for(&platform, &platform.other_merchant, &path).await;
    assert_eq!(other.status, 404, "nothing is said of another's");
}

#[tokio::test]
async fn a_search_by_effective_time_reads_entries_of_one_ledger_up_to_a_bound() {
    let platform = at_rest().await;
    // Toko's are the oldest, every tenth of them dated.
    fill(
        &platform,
        "insert into read.entries
         select gen_random_uuid(), case when n <= 30000 then $toko else $warung end, 'e' || n, null,
             '{}', case when n % 10 = 0 then timestamptz '2026-01-02' end, null, null, null, null,
             null, null, null, null, null, 2, '{}', 1, timestamptz '2026-01-01', 1000 + n
         from generate_series(1, 100000) as n;
         analyze read.entries",
    )
    .await;
    let search = |filter: &str| format!("/v1/ledger/entries?limit=50&{filter}");
    // Of dated and of other entries as many as are looked at for a page, and those that are.
    let looked_at = 10_000;
    for (filter, found, reads) in [
        ("effective_from=2026-01-01T00:00:00Z", 50, looked_at + 3_000 + looked_at),
        ("effective_from=2026-01-01T12:00:00Z", 50, looked_at + 3_000 + looked_at),
        ("effective_from=2026-01-03T00:00:00Z", 0, looked_at + 3_000 + looked_at),
        ("effective_to=2025-12-01T00:00:00Z", 0, 3_000 + 3_000),
    ] {
        let (answer, read) = read_for(&platform, &platform.merchant, &search(filter)).await;
        assert_eq!(answer.ids().len(), found, "{filter}");
        assert!(read <= reads + READ_FOR_A_PAGE_MAX, "{read} rows for {filter}");
    }
    let nobodys = search("effective_from=2026-01-01T00:00:00Z&ledger=platform");
    let (answer, read) = read_for(&platform, &platform.operator, &nobodys).await;
    assert_eq!(answer.ids().len(), 0);
    assert!(read <= READ_FOR_A_PAGE_MAX, "{read} rows of another's ledger");
    // Without it as many are looked at as for any other list.
    for (actor, filter) in [
        (&platform.merchant, String::new()),
        (&platform.operator, format!("ledger={TOKO}")),
        (&platform.operator, String::new()),
    ] {
        let (answer, read) = read_for(&platform, actor, &search(&filter)).await;
        assert_eq!(answer.ids().len(), 50, "{filter}");
        assert!(read <= 2 * looked_at + READ_FOR_A_PAGE_MAX, "{read} rows for {filter}");
    }
}
