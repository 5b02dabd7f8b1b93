//! Wallets: accounts that are what customers own, in few words. Nothing of them is kept that is not an
//! account, an entry or a hold; what is done here can be done with those as well. A wallet's statement is
//! that of its account: `GET /v1/accounts/{id}/statement` of the query API.
//!
//! A wallet is a liability account whose code starts with `wallet:` and whose balance does not fall below
//! zero, which its owner cannot amend either. What comes in and goes out is booked against
//! `wallets:cash:<CCY>`, an asset that is opened when it is first needed.

pub(crate) mod cash_in;
pub(crate) mod cash_out;
mod movement_body;
pub(crate) mod open;
pub(crate) mod release;
pub(crate) mod reserve;
pub(crate) mod settle;
pub(crate) mod transfer;

use api_conventions::{CommandEnvelope, Problem};
use domain::accounts::{Account, AccountCode, AccountType, Mechanism, OpenAccount};
use domain::{AccountId, Command, Currency, HoldId, MerchantId, Rejection};
use event_store::EventStore;

use crate::holds::hold_of;
use crate::submission::{no_answer, origin};

/// The wallet, if it is there and of that ledger: any other account is as good as none.
///
/// # Errors
/// 404, and 503 where the log cannot be read.
async fn wallet_of(
    store: &EventStore,
    ledger: MerchantId,
    account_id: AccountId,
) -> Result<Account, Problem> {
    let found = store.account(account_id).await.map_err(|error| no_answer(&error))?;
    let wallet = found.filter(|account| {
        let profile = &account.profile;
        profile.ledger == ledger
            && profile.kind == AccountType::Liability
            && profile.mechanism == Some(Mechanism::Wallets)
    });
    wallet.ok_or_else(|| Rejection::AccountNotFound { account_id }.into())
}

/// The account that the wallets of a currency are paid in to and out of; it is opened where it is not there.
///
/// # Errors
/// 503 where the log cannot be read or written.
async fn cash_of<const BYTES_MAX: usize>(
    store: &EventStore,
    envelope: &CommandEnvelope<BYTES_MAX>,
    currency: Currency,
) -> Result<AccountId, Problem> {
    let ledger = envelope.caller.merchant_id;
    let code: AccountCode = format!("wallets:cash:{currency}")
        .parse()
        .map_err(|error| Problem::internal(format_args!("the code of an account: {error}")))?;
    let open = OpenAccount::plain(ledger, code, AccountType::Asset, currency);
    let account_id = open.account_id();
    let found = store.account(account_id).await.map_err(|error| no_answer(&error))?;
    if found.is_none() {
        // The only thing that it can be refused for is that another request was faster.
        let origin = origin(&envelope.caller, &envelope.context);
        let opening = store.give(origin, Command::OpenAccount(open));
        opening.await.map_err(|error| no_answer(&error))?;
    }
    Ok(account_id)
}

/// The hold, if it holds money of the wallet: any other is as good as none.
///
/// # Errors
/// 404, and 503 where the log cannot be read.
async fn reserved_of(
    store: &EventStore,
    wallet: &Account,
    hold_id: HoldId,
) -> Result<std::sync::Arc<domain::holds::Hold>, Problem> {
    let (ledger, of_wallet) = (wallet.profile.ledger, wallet.profile.id);
    let found = hold_of(store, ledger, hold_id).await?;
    let reserved =
        found.filter(|hold| hold.postings.iter().any(|posting| posting.account_id == of_wallet));
    reserved.ok_or_else(|| Rejection::HoldNotFound { hold_id }.into())
}
