//! Programs that keep books by themselves, to read the exports as their users do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Balances by account and currency, in minor units; positive where debits exceed credits.
pub(crate) type Balances = BTreeMap<(String, String), i128>;

/// What `make services` put there under that name.
fn installed(name: &str) -> Option<PathBuf> {
    let chosen = std::env::var_os("RUNUT_SERVICES_DIR").map(PathBuf::from);
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|dir| dir.join(".services"));
    chosen.into_iter().chain(above).map(|services| services.join(name)).find(|path| path.exists())
}

/// Where `make services` puts Beancount's tools.
fn tools() -> PathBuf {
    installed("bookkeeping").expect("Beancount's tools: run `make services`")
}

/// hledger: as named in `HLEDGER`, as `make services` unpacks it where there is apt, or of the machine. There is
/// no package of it for every Linux that could be pinned, so a machine may have none.
pub(crate) fn find_hledger() -> Option<PathBuf> {
    let named = std::env::var_os("HLEDGER").map(PathBuf::from);
    let candidate = named.or_else(|| installed("hledger/usr/bin/hledger"));
    let candidate = candidate.unwrap_or_else(|| PathBuf::from("hledger"));
    let runs = Command::new(&candidate).arg("--version").output();
    runs.is_ok_and(|said| said.status.success()).then_some(candidate)
}

fn beancount(tool: &[&str], file: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", tools()).env("PYTHONDONTWRITEBYTECODE", "1");
    command.args(tool).arg(file).args(arguments).output().expect("Python 3 runs")
}

/// Writes an export to a file of this test's own.
pub(crate) fn file(name: &str, text: &str) -> PathBuf {
    let path =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()));
    std::fs::write(&path, text).expect("it is written");
    path
}

/// Whether `bean-check` accepts it, and what it says.
pub(crate) fn bean_check(file: &Path) -> (bool, String) {
    let checked = beancount(&["-m", "beancount.scripts.check", "--no-cache"], file, &[]);
    let said = [checked.stdout, checked.stderr].concat();
    (checked.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// The rows that `bean-query` answers.
pub(crate) fn bean_query(file: &Path, query: &str) -> Vec<Vec<String>> {
    let answer = beancount(&["-m", "beanquery", "-f", "csv", "--no-errors"], file, &[query]);
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    rows(&answer.stdout)
}

/// The balances that `bean-query` adds up, by the codes that the accounts' metadata has.
pub(crate) fn bean_balances(file: &Path) -> Balances {
    let query = "select open_meta(account)['code'], currency, sum(number) group by 1, 2";
    balances(bean_query(file, query).into_iter().map(|row| {
        let [code, currency, sum] = <[String; 3]>::try_from(row).expect("three columns");
        (code, currency, sum)
    }))
}

/// Runs hledger.
pub(crate) fn hledger(program: &Path, file: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.arg("-f").arg(file).args(arguments).env("LANG", "C.UTF-8");
    command.output().expect("hledger runs")
}

/// The balances that hledger adds up, by its names of the accounts.
pub(crate) fn hledger_balances(program: &Path, file: &Path) -> Balances {
    let layout = ["balance", "--flat", "--empty", "-N", "-O", "csv"];
    let answer = hledger(program, file, &layout);
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    balances(rows(&answer.stdout).into_iter().flat_map(|row| {
        let [account, amounts] = <[String; 2]>::try_from(row).expect("two columns");
        let amounts: Vec<String> = amounts.split(", ").map(str::to_owned).collect();
        amounts.into_iter().filter_map(move |amount| {
            let (number, currency) = amount.split_once(' ')?;
            Some((account.clone(), currency.to_owned(), number.to_owned()))
        })
    }))
}

/// The rows of a CSV but for its header.
pub(crate) fn rows(csv: &[u8]) -> Vec<Vec<String>> {
    let mut reader = csv::Reader::from_reader(csv);
    let cells = |row: csv::StringRecord| row.iter().map(|cell| cell.trim().to_owned()).collect();
    reader.records().map(|row| cells(row.expect("CSV"))).collect()
}

/// Only what is not zero: a program may leave out an account that it has nothing to say about.
pub(crate) fn balances(sums: impl Iterator<Item = (String, String, String)>) -> Balances {
    let minor = |(account, currency, sum): (String, String, String)| {
        let minor = minor(&sum, &currency);
        ((account, currency), minor)
    };
    sums.map(minor).filter(|(_, sum)| *sum != 0).collect()
}

/// A decimal of a currency in minor units, exactly.
pub(crate) fn minor(decimal: &str, currency: &str) -> i128 {
    let currency: domain::Currency = currency.parse().expect("a currency");
    let decimals = usize::try_from(currency.exponent()).expect("few");
    let (whole, fraction) = decimal.split_once('.').unwrap_or((decimal, ""));
    assert!(fraction.len() <= decimals, "{decimal} {currency}");
    format!("{whole}{fraction:0<decimals$}").parse().expect("digits")
}
