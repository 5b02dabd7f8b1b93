//! `GET /v1/accounts/{id}/statement.csv`

use api_conventions::{Caller, Connection, PathId, Problem, StrictQuery};
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use domain::AccountId;
use event_store::log::Position;
use uuid::Uuid;

use super::csv::{MEDIA_TYPE, StatementCsv};
use super::reading::Reading;
use super::streaming::{Broken, File, Pieces, Recipient, download};
use crate::caller_scope::visible_to;
use crate::database::refused;
use crate::log::{TimeRange, TimeRangeParameters};
use crate::position::MinPosition;
use crate::read_model::ReadModel;
use crate::snapshot::Snapshot;
use crate::state::ApiState;

const LEDGER: &str = "
    select ledger from read.accounts
    where account_id = $1 and ($2::uuid is null or ledger = $2)";

/// Download an account's statement
///
/// Every posting to the account with the balance after it, oldest first, up to the position that the answer
/// says, as CSV. Texts that begin with `=`, `+`, `-`, `@` or `'` have a `'` put in front, for spreadsheets. It is
/// complete if the transfer ends without an error.
#[utoipa::path(
    get, path = "/v1/accounts/{id}/statement.csv", tag = "exports",
    params(
        ("id" = String, Path, description = "The account",
         example = "acc_7h455vb4pex5vsknk084sn02q0"),
        TimeRangeParameters,
    ),
    responses(
        (status = 200, description = "The statement, sent while it is read",
         content_type = "text/csv", body = String),
        (status = 404, description = "`not-found`: unknown, or another merchant's"),
    )
)]
pub(crate) async fn download_statement(
    State(api): State<ApiState>,
    caller: Caller,
    connection: Option<Extension<Connection>>,
    PathId(account): PathId<AccountId>,
    StrictQuery(times): StrictQuery<TimeRangeParameters>,
    min: MinPosition,
) -> Result<Response, Problem> {
    let min = min.at_least(times.demanded(&api).await?);
    let mut snapshot = Snapshot::of(ReadModel::LedgerBalance, &api, min).await?;
    let visible = visible_to(&caller);
    let ledger: Option<Uuid> = sqlx::query_scalar(LEDGER)
        .bind(account.uuid())
        .bind(visible)
        .fetch_optional(snapshot.db())
        .await
        .map_err(refused)?;
    let Some(ledger) = ledger else { return Ok(snapshot.answer(Problem::not_found())) };
    let range = TimeRange::of(&times, snapshot.db()).await.map_err(refused)?;
    let recipient = Recipient::of(caller, connection, &api)?;
    let up_to = range.up_to.min(snapshot.position());
    let pool = api.database.exports.clone();
    let reading = Reading { pool, visible, ledger, after: range.after, up_to };
    let file =
        File { name: format!("{account}-{}.csv", snapshot.position()), media_type: MEDIA_TYPE };
    // Up to the last posting of a position; none comes before the first of the next.
    let after = (reading.after, i16::MAX);
    let csv = StatementCsv::of(account)?;
    let statement = Statement { reading, account, after, csv, ended: false };
    let answer = download(&file, statement, api, recipient)?;
    Ok(snapshot.answer(answer))
}

struct Statement {
    reading: Reading,
    account: AccountId,
    after: (Position, i16),
    csv: StatementCsv,
    ended: bool,
}

impl Pieces for Statement {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Broken> {
        if self.ended {
            return Ok(None);
        }
        let lines = self.reading.lines(self.account, self.after).await?;
        for line in &lines {
            self.csv.line(line)?;
        }
        match lines.last() {
            Some(last) => self.after = (Position::from_number(last.position), last.index),
            None => self.ended = true,
        }
        Ok(Some(self.csv.take()?))
    }
}
