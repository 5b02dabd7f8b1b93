//! Accounts: opened, amended, frozen, unfrozen and closed by the owner of their ledger.

pub(crate) mod amend;
mod clearing;
pub(crate) mod close;
pub(crate) mod freeze;
pub(crate) mod open;
pub(crate) mod unfreeze;

use axum::http::StatusCode;
use domain::accounts::AccountStatus;
use domain::{AccountId, Decision, Event, StreamVersion, Timestamp};
use event_store::NewAnswer;
use serde::Serialize;
use utoipa::ToSchema;

use crate::answer::success;
use crate::names;

/// What became of an account.
#[derive(Serialize, ToSchema)]
pub(crate) struct AccountStatusChange {
    /// The account.
    #[schema(value_type = String, example = "acc_7h455vb4pex5vsknk084sn02q0")]
    id: AccountId,
    /// What it is now.
    #[schema(schema_with = names::account_status)]
    status: AccountStatus,
    /// Its version now, which is its `ETag`.
    #[schema(value_type = i64, example = 2)]
    version: StreamVersion,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
}

/// The answer to the commands that change an account's status.
pub(crate) fn status_changed(decision: &Decision, recorded_at: Timestamp) -> Option<NewAnswer> {
    let Decision::Append(events) = decision else { return None };
    let changed = events.first()?;
    let (id, status) = match &changed.event {
        Event::AccountFrozen(frozen) => (frozen.account_id, AccountStatus::Frozen),
        Event::AccountUnfrozen(unfrozen) => (unfrozen.account_id, AccountStatus::Open),
        Event::AccountClosed(closed) => (closed.account_id, AccountStatus::Closed),
        _ => return None,
    };
    let body = AccountStatusChange { id, status, version: changed.version, recorded_at };
    Some(success(StatusCode::OK, id, &body))
}
