//! Ways out: what other programs make of the exports.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::accounts::AccountType;
use domain::api_keys::Role;
use domain::ledger::{Details, Direction, ExternalRef, PostEntry, Posting, Postings};
use domain::{Amount, Command, EntryId, MerchantId, Metadata, Name, Timestamp};
use http_body_util::BodyExt;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;

use crate::actors::Actor;
use crate::bookkeeping::{self, Balances, balances, rows};
use crate::hledger_reader::Journal;
use crate::platform::{Platform, TOKO, WARUNG, account};

/// What nobody should call anything, and somebody will.
const ODD_TEXT: &str = "=1+1; \"two\" \\ 50%, o'clock | [2020-01-01] (x) ☕日本\u{2028}語";

/// Accounts of three currencies, with codes that differ by as little as codes may.
const ACCOUNTS: [(&str, AccountType, &str); 10] = [
    ("Cash", AccountType::Expense, "USD"),
    ("cash:till", AccountType::Asset, "USD"),
    ("cash:till-1", AccountType::Asset, "USD"),
    ("cash:till.1", AccountType::Asset, "USD"),
    ("cash::till_1", AccountType::Asset, "USD"),
    ("-:", AccountType::Liability, "USD"),
    ("kas", AccountType::Asset, "JPY"),
    ("modal", AccountType::Equity, "JPY"),
    ("1.kwd", AccountType::Asset, "KWD"),
    ("kwd_income", AccountType::Income, "KWD"),
];

/// A ledger in which there is a bit of everything; returns the time of its second half.
async fn trade(platform: &Platform) -> Timestamp {
    for (code, kind, currency) in ACCOUNTS {
        platform.open(TOKO, code, kind, currency).await;
    }
    platform.sell(WARUNG, "order-1", 777).await;
    platform.post_in(TOKO, "capital", ("kas", "modal"), 1_000_001, "JPY").await;
    let first = platform.sell(TOKO, "order-1", 12_345).await;
    platform.post_in(TOKO, "fils", ("1.kwd", "kwd_income"), 1_005, "KWD").await;
    for (index, code) in
        ["cash:till", "cash:till-1", "cash:till.1", "cash::till_1"].iter().enumerate()
    {
        let cents = 100 + i64::try_from(index).expect("few");
        platform.post_in(TOKO, &format!("to-{code}"), (code, "cash"), cents, "USD").await;
    }
    platform.pass(Duration::from_secs(86_400)).await;
    let half = platform.now();
    platform.reverse(TOKO, first).await;
    platform.post_in(TOKO, "lent", ("cash", "-:"), 20_000, "USD").await;
    platform.post_in(TOKO, "spent", ("Cash", "cash"), 1_999, "USD").await;
    let dated = |days: i64| Some(Timestamp::from_micros(half.micros() + days * 86_400_000_000));
    let odd = [(" date: x ", "a, b"), ("k;ey", " padded "), ("日本", ODD_TEXT)];
    post(platform, "-ref: a, \"b\"; c", Some(ODD_TEXT), &odd, dated(-400)).await;
    post(platform, "later", None, &[], dated(30)).await;
    half
}

/// An entry of 1.23 USD with all that may be said of it.
async fn post(
    platform: &Platform,
    reference: &str,
    description: Option<&str>,
    metadata: &[(&str, &str)],
    effective_at: Option<Timestamp>,
) {
    let amount = Amount::from_minor(123, "USD".parse().expect("a currency")).expect("an amount");
    let posting = |code, direction| Posting { account_id: account(TOKO, code), direction, amount };
    let postings = vec![posting("cash", Direction::Debit), posting("sales", Direction::Credit)];
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    let details = Details {
        description: description.map(|text| Name::parse(text).expect("a description")),
        metadata: Metadata::parse(metadata.iter().map(owned).collect()).expect("metadata"),
        effective_at,
        ..Details::default()
    };
    let reference = ExternalRef::parse(reference).expect("a reference");
    let postings = Postings::new(postings).expect("balanced");
    let command = PostEntry::new(TOKO, reference, details, postings);
    platform.submit(Command::PostEntry(command)).await;
}

/// What the API says the balances are, by code; positive where debits exceed credits.
async fn shown_balances(actor: &Actor) -> Balances {
    let accounts = actor.all(&format!("/v1/accounts?ledger={TOKO}"), 200).await;
    balances(accounts.iter().map(|account| {
        let text = |name: &str| account[name].as_str().expect("text").to_owned();
        let sign = if text("normal_side") == "debit" { "" } else { "-" };
        let balance = format!("{sign}{}", text("balance")).replace("--", "");
        (text("code"), text("currency"), balance)
    }))
}

#[tokio::test]
async fn the_statement_as_csv_is_the_statement() {
    let platform = Platform::new().await;
    let half = trade(&platform).await;
    let merchant = platform.merchant.seeing(platform.position());
    let path = format!("/v1/accounts/{}/statement", account(TOKO, "cash"));
    for range in [String::new(), format!("?from={half}"), format!("?to={half}")] {
        let csv = merchant.get(&format!("{path}.csv{range}")).await;
        let rows = table(csv.body.as_bytes());
        let separator = if range.is_empty() { "?" } else { "&" };
        let page = merchant.get(&format!("{path}{range}{separator}limit=200")).await.json();
        let lines: Vec<_> = page["data"].as_array().expect("lines").iter().rev().collect();
        assert_eq!(rows.len(), lines.len());
        for (row, line) in rows.iter().zip(lines) {
            for name in ["entry", "direction", "amount", "currency", "balance", "recorded_at"] {
                assert_eq!(row[name], line[name].as_str().expect("text"), "{name} of {row:?}");
            }
            assert_eq!(row["position"], line["position"].to_string());
            assert_eq!(unmarked(&row["external_ref"]), line["external_ref"]);
            assert_eq!(unmarked(&row["description"]), line["description"].as_str().unwrap_or(""));
        }
    }
    let csv = merchant.get(&format!("{path}.csv")).await;
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8; header=present");
    let name = format!("{}-{}.csv", account(TOKO, "cash"), platform.position());
    assert_eq!(csv.header("content-disposition"), format!("attachment; filename=\"{name}\""));
    assert_eq!(csv.header("runut-position"), platform.position().to_string());
    assert!(csv.body.ends_with("\r\n"), "RFC 4180");
    insta::assert_snapshot!(csv.body);
}

#[tokio::test]
async fn the_journal_as_csv_has_every_posting_and_no_formula() {
    let platform = Platform::new().await;
    trade(&platform).await;
    let merchant = platform.merchant.seeing(platform.position());
    let csv = merchant.get("/v1/ledger/journal").await;
    insta::assert_snapshot!(csv.body);
    let journal = table(csv.body.as_bytes());
    let entries = merchant.all("/v1/ledger/entries", 200).await;
    let postings = entries.iter().map(|entry| entry["posting_count"].as_i64().expect("a count"));
    assert_eq!(i64::try_from(journal.len()).expect("few"), postings.sum::<i64>());
    for row in &journal {
        for name in ["external_ref", "description", "account_code", "metadata"] {
            let formula = ['=', '+', '-', '@'].into_iter().any(|c| row[name].starts_with(c));
            assert!(!formula, "{row:?}");
        }
    }
    let odd = journal.iter().find(|row| row["metadata"].contains("日本")).expect("the odd one");
    assert_eq!(unmarked(&odd["description"]), ODD_TEXT);
    assert_eq!(unmarked(&odd["external_ref"]), "-ref: a, \"b\"; c");
}

#[tokio::test]
async fn hledger_would_come_to_the_same_balances() {
    let platform = Platform::new().await;
    let half = trade(&platform).await;
    let merchant = platform.merchant.seeing(platform.position());
    let shown = shown_balances(&merchant).await;
    let export = merchant.get("/v1/ledger/journal?format=hledger").await;
    insta::assert_snapshot!(export.body);
    for range in [String::new(), format!("&from={half}")] {
        let export = merchant.get(&format!("/v1/ledger/journal?format=hledger{range}")).await;
        let journal = Journal::read(&export.body);
        assert_eq!(by_code(journal.balances()), shown, "{range}");
        assert_eq!(journal.assertions(), ACCOUNTS.len() + 2);
        let mut transactions = journal.transactions.iter();
        let odd = transactions.find(|one| one.tags.contains_key("meta-日本")).expect("the odd one");
        assert_eq!(decoded(&odd.description), ODD_TEXT);
        assert!(odd.code.parse::<EntryId>().is_ok(), "{odd:?}");
        assert_eq!(decoded(&odd.tags["external-ref"]), "-ref: a, \"b\"; c");
        assert_eq!(decoded(&odd.tags["meta-%20date%3A%20x%20"]), "a, b");
        assert_eq!(decoded(&odd.tags["meta-k%3Bey"]), " padded ");
    }
    let of_a_time = merchant.get(&format!("/v1/ledger/journal?format=hledger&to={half}")).await;
    let first_half = Journal::read(&of_a_time.body);
    assert_eq!(first_half.balances()[&("income:sales".to_owned(), "USD".to_owned())], -12_345);
}

/// On a machine without hledger only the reader of the test above has read it.
#[tokio::test]
#[expect(clippy::print_stderr, reason = "what was not tested is said where tests are run")]
async fn hledger_itself_comes_to_the_same_balances() {
    let Some(hledger) = bookkeeping::find_hledger() else {
        eprintln!("there is no hledger here; its journals were read by our own reader only");
        return;
    };
    let platform = Platform::new().await;
    let half = trade(&platform).await;
    let merchant = platform.merchant.seeing(platform.position());
    let shown = shown_balances(&merchant).await;
    for (name, range) in [("all", String::new()), ("half", format!("&from={half}"))] {
        let export = merchant.get(&format!("/v1/ledger/journal?format=hledger{range}")).await;
        let file = bookkeeping::file(&format!("{name}.journal"), &export.body);
        let checked = bookkeeping::hledger(&hledger, &file, &["check", "--strict"]);
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
        assert_eq!(by_code(bookkeeping::hledger_balances(&hledger, &file)), shown);
        let tags =
            bookkeeping::hledger(&hledger, &file, &["tags", "--values", "meta-k%3Bey"]).stdout;
        assert_eq!(String::from_utf8_lossy(&tags).trim_end(), "%20padded%20");
        let wrong = export.body.replacen("= 178.41", "= 178.42", 1);
        assert_ne!(wrong, export.body);
        let file = bookkeeping::file(&format!("{name}-wrong.journal"), &wrong);
        assert!(!bookkeeping::hledger(&hledger, &file, &["check", "--strict"]).status.success());
    }
}

#[tokio::test]
async fn beancount_comes_to_the_same_balances() {
    let platform = Platform::new().await;
    let half = trade(&platform).await;
    let merchant = platform.merchant.seeing(platform.position());
    let shown = shown_balances(&merchant).await;
    let export = merchant.get("/v1/ledger/journal?format=beancount").await;
    insta::assert_snapshot!(export.body);
    for (name, range) in [("all", String::new()), ("half", format!("&from={half}"))] {
        let export = merchant.get(&format!("/v1/ledger/journal?format=beancount{range}")).await;
        assert!(export.body.ends_with("\n; end\n"));
        let file = bookkeeping::file(&format!("{name}.beancount"), &export.body);
        assert_eq!(bookkeeping::bean_check(&file), (true, String::new()), "{}", export.body);
        assert_eq!(bookkeeping::bean_balances(&file), shown);
        let query = "select distinct narration, entry_meta('external-ref'), \
                     entry_meta('metadata') where entry_meta('metadata') ~ '日本'";
        let odd = bookkeeping::bean_query(&file, query).remove(0);
        assert_eq!(odd[..2], [ODD_TEXT, "-ref: a, \"b\"; c"]);
        let metadata: BTreeMap<String, String> = serde_json::from_str(&odd[2]).expect("JSON");
        assert_eq!(metadata[" date: x "], "a, b");
        assert_eq!(metadata["日本"], ODD_TEXT);
        // One unit too much, which Beancount would forgive if the assertion were not exact.
        let wrong = export.body.replacen(" ~ 0 KWD", "1 ~ 0 KWD", 1).replacen("1.0051", "1.006", 1);
        let file = bookkeeping::file(&format!("{name}-wrong.beancount"), &wrong);
        let (accepted, said) = bookkeeping::bean_check(&file);
        assert!(!accepted && said.contains("Balance failed"), "{said}");
    }
}

#[tokio::test]
async fn parquet_has_the_rows_of_the_csv() {
    let platform = Platform::new().await;
    trade(&platform).await;
    let merchant = platform.merchant.seeing(platform.position());
    let csv = table(merchant.get("/v1/ledger/journal").await.body.as_bytes());
    let response = merchant.download("/v1/ledger/journal?format=parquet").await;
    assert_eq!(response.headers()["content-type"], "application/vnd.apache.parquet");
    let file = response.into_body().collect().await.expect("all of it").to_bytes();
    let reader = SerializedFileReader::new(file).expect("a Parquet file");
    let rows: Vec<_> =
        reader.get_row_iter(None).expect("rows").map(|row| row.expect("a row")).collect();
    assert_eq!(rows.len(), csv.len());
    for (row, expected) in rows.iter().zip(&csv) {
        let columns: BTreeMap<&str, &Field> =
            row.get_column_iter().map(|(name, field)| (name.as_str(), field)).collect();
        let text = |name: &str| match columns[name] {
            Field::Null => String::new(),
            Field::Str(text) => text.clone(),
            Field::Long(number) => number.to_string(),
            Field::Int(number) => number.to_string(),
            Field::TimestampMicros(at) => Timestamp::from_micros(*at).to_string(),
            other => panic!("{name} is {other:?}"),
        };
        for name in expected.keys().filter(|name| !["amount", "metadata"].contains(&name.as_str()))
        {
            assert_eq!(text(name), unmarked(&expected[name]), "{name}");
        }
        let exact = bookkeeping::minor(&expected["amount"], &expected["currency"]);
        assert_eq!(text("amount_minor"), exact.to_string());
        let currency: domain::Currency = expected["currency"].parse().expect("a currency");
        assert_eq!(text("exponent"), currency.exponent().to_string());
        let metadata = if expected["metadata"].is_empty() { "{}" } else { &expected["metadata"] };
        assert_eq!(text("metadata"), metadata);
    }
}

/// Entries of which some dozens fill a page.
async fn fill_pages(platform: &Platform) {
    let value = "☕".repeat(Metadata::VALUE_CHARACTERS_MAX);
    let keys: Vec<String> = (0..Metadata::KEYS_MAX).map(|key| format!("key-{key:02}")).collect();
    let metadata: Vec<(&str, &str)> =
        keys.iter().map(|key| (key.as_str(), value.as_str())).collect();
    for entry in 0..150 {
        post(platform, &format!("order-{entry}"), None, &metadata, None).await;
    }
}

#[tokio::test]
async fn pages_make_one_file_of_the_books_when_it_began() {
    let platform = Platform::new().await;
    fill_pages(&platform).await;
    let merchant = platform.merchant.seeing(platform.position());
    for (format, read) in [("csv", false), ("hledger", true), ("parquet", false)] {
        let path = format!("/v1/ledger/journal?format={format}");
        let began = platform.position();
        let response = merchant.download(&path).await;
        assert_eq!(response.headers()["runut-position"], began.to_string());
        // Not in the file, since it began before.
        platform.sell(TOKO, &format!("after-{format}"), 1).await;
        platform.open(TOKO, &format!("after-{format}"), AccountType::Asset, "USD").await;
        platform.merchant.seeing(platform.position()).get("/v1/log/head").await.json();
        let mut body = response.into_body();
        let (mut file, mut frames) = (Vec::new(), 0);
        while let Some(frame) = body.frame().await {
            file.extend(frame.expect("a piece").into_data().expect("data"));
            frames += 1;
        }
        assert!(frames >= 3, "{frames} pieces of {format}");
        if format == "parquet" {
            let reader = SerializedFileReader::new(axum::body::Bytes::from(file)).expect("a file");
            assert!(reader.num_row_groups() > 1, "bounded in memory");
            // Two postings each, and the two sales of the rounds before.
            assert_eq!(reader.get_row_iter(None).expect("rows").count(), 2 * (150 + 2));
            continue;
        }
        let text = String::from_utf8(file).expect("UTF-8");
        assert!(!text.contains(&format!("after-{format}")), "{format}");
        for entry in 0..150 {
            assert!(text.contains(&format!("order-{entry}")), "{format}");
        }
        if read {
            Journal::read(&text);
        }
    }
}

#[tokio::test]
async fn an_export_that_cannot_go_on_breaks_and_never_just_ends() {
    let platform = Platform::new().await;
    fill_pages(&platform).await;
    let position = platform.position();
    let (key_id, colleague) = platform.issue(TOKO, Role::MerchantRead).await;
    let colleague = colleague.seeing(position);
    for format in ["csv", "beancount", "parquet"] {
        let path = format!("/v1/ledger/journal?format={format}");
        let mut begun = platform.merchant.seeing(position).download(&path).await.into_body();
        begun.frame().await.expect("a first piece").expect("it is sent");
        platform.repair("update read.checkpoint set state = 'diverged'").await;
        assert!(begun.collect().await.is_err(), "{format}");
        platform.repair("update read.checkpoint set state = 'running'").await;
    }
    let mut begun = colleague.download("/v1/ledger/journal").await.into_body();
    begun.frame().await.expect("a first piece").expect("it is sent");
    platform.revoke(key_id).await;
    assert!(begun.collect().await.is_err(), "the key was revoked");
    let mut begun = platform.merchant.download("/v1/ledger/journal").await.into_body();
    begun.frame().await.expect("a first piece").expect("it is sent");
    platform.shutdown.cancel();
    assert!(begun.collect().await.is_err(), "the process stops");
}

#[tokio::test]
async fn an_export_is_of_one_ledger_which_the_key_sees() {
    let platform = Platform::new().await;
    trade(&platform).await;
    let (position, journal) = (platform.position(), "/v1/ledger/journal");
    let auditor = platform.auditor.seeing(position);
    assert_eq!(auditor.get(journal).await.problem(), (422, "invalid-request".to_owned()));
    let merchant = platform.merchant.seeing(position);
    for format in ["csv", "hledger", "beancount"] {
        let own = merchant.get(&format!("{journal}?format={format}")).await.body;
        let named = auditor.get(&format!("{journal}?format={format}&ledger={TOKO}")).await;
        assert_eq!(named.body, own, "{format}");
        let name = format!("filename=\"journal-{TOKO}-{position}.");
        assert!(named.header("content-disposition").contains(&name), "{format}");
        for hidden in [TOKO.to_string(), "platform".to_owned()] {
            let path = format!("{journal}?format={format}&ledger={hidden}");
            let others = platform.other_merchant.seeing(position).get(&path).await.body;
            let known =
                ["acc_", "ent_", "cash", "order-1"].iter().any(|part| others.contains(part));
            assert!(!known || others.lines().count() == 1, "{others}");
        }
    }
    let platforms = auditor.get(&format!("{journal}?ledger=platform")).await;
    assert_eq!(platforms.body.lines().count(), 1, "nothing but the header");
    let unknown = MerchantId::from_uuid(uuid::Uuid::from_u128(0xC));
    assert_eq!(auditor.get(&format!("{journal}?ledger={unknown}")).await.body, platforms.body);
    for refused in ["format=xml", "format=CSV", "limit=1", "from=yesterday", "ledger=toko"] {
        let answer = merchant.get(&format!("{journal}?{refused}")).await;
        assert_eq!(answer.problem(), (422, "invalid-request".to_owned()), "{refused}");
    }
    let ahead = platform.merchant.seeing(position + 1_000).get(journal).await;
    assert_eq!(ahead.problem().1, "position-beyond-head");
}

#[tokio::test]
async fn exports_have_so_many_places_for_one_merchant() {
    let platform = Platform::new().await;
    let merchant = platform.merchant.seeing(platform.position());
    let mut begun = Vec::new();
    for _ in 0..4 {
        begun.push(merchant.download("/v1/ledger/journal").await);
    }
    let refused = platform.reader.get("/v1/ledger/journal").await;
    let too_many = (429, "too-many-requests".to_owned());
    assert_eq!(refused.problem(), too_many, "keys of one merchant share");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(platform.other_merchant.get("/v1/ledger/journal").await.status.as_u16(), 200);
    begun.clear();
    assert_eq!(platform.reader.get("/v1/ledger/journal").await.status.as_u16(), 200);
}

/// Rows by their columns' names.
fn table(csv: &[u8]) -> Vec<BTreeMap<String, String>> {
    let header = csv::Reader::from_reader(csv).headers().expect("a header").clone();
    let named = |row: Vec<String>| header.iter().map(str::to_owned).zip(row).collect();
    rows(csv).into_iter().map(named).collect()
}

/// The text of a cell that may be marked as one.
fn unmarked(cell: &str) -> &str {
    cell.strip_prefix('\'').unwrap_or(cell)
}

/// hledger's names of accounts as codes.
fn by_code(balances: Balances) -> Balances {
    let code = |name: &str| {
        let (_, code) = name.split_once(':').expect("a root");
        code.replace('%', "")
    };
    balances.into_iter().map(|((name, unit), sum)| ((code(&name), unit), sum)).collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next().expect("a digit"), rest.next().expect("a digit")];
            let digits = std::str::from_utf8(&digits).expect("ASCII");
            bytes.push(u8::from_str_radix(digits, 16).expect("hexadecimal"));
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).expect("UTF-8")
}
