//! Snapshots: all that an answer of several statements shows is of one read model at one position.

use api_conventions::{Caller, Problem};
use axum::response::{IntoResponse, Response};
use domain::MerchantId;
use event_store::log::{Position, head};
use projections::{BEGIN_READ, HOLD_GENERATION};
use sqlx::postgres::PgConnection;
use sqlx::{Postgres, Transaction};

use crate::database::{SEARCH_WAIT_MAX, refused};
use crate::position::MinPosition;
use crate::read_model::{ReadModel, Standing, beyond_head, wait};
use crate::state::ApiState;
use crate::turns::Turn;

/// A read-only transaction at one position of a read model, or of the log itself.
#[derive(Debug)]
pub(crate) struct Snapshot {
    transaction: Transaction<'static, Postgres>,
    standing: Standing,
    _turn: Turn<Option<MerchantId>>,
}

impl Snapshot {
    /// Of a read model that shows at least `min`; waits for that as long as is reasonable.
    pub(crate) async fn of(
        model: ReadModel,
        api: &ApiState,
        min: MinPosition,
    ) -> Result<Self, Problem> {
        wait(model, api, min).await?;
        let (mut transaction, turn) = begin(api, min.asked_by).await?;
        sqlx::raw_sql(HOLD_GENERATION).execute(&mut *transaction).await.map_err(refused)?;
        let standing = Standing::read(&mut *transaction, model, min).await?;
        Ok(Self { transaction, standing, _turn: turn })
    }

    /// Of the log, which shows whatever was appended.
    pub(crate) async fn of_log(api: &ApiState, min: MinPosition) -> Result<Self, Problem> {
        let (mut transaction, turn) = begin(api, min.asked_by).await?;
        let position = head(&mut *transaction).await.map_err(refused)?.position;
        if min.position > position {
            return Err(beyond_head(min.position, position));
        }
        Ok(Self { transaction, standing: Standing::of_log(position), _turn: turn })
    }

    pub(crate) fn db(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }

    pub(crate) fn position(&self) -> Position {
        self.standing.position()
    }

    /// Ends the snapshot; what it was of.
    pub(crate) fn end(self) -> Standing {
        self.standing
    }

    /// Ends the snapshot, and says in the answer what it was of. A resource that is not there is such
    /// an answer too.
    pub(crate) fn answer(self, answer: impl IntoResponse) -> Response {
        // Ended on its way back to the pool, which nobody has to wait for.
        drop(self.transaction);
        self.standing.said_in(answer)
    }
}

/// A transaction in one of the caller's turns: however much one asks for, others have connections.
async fn begin(
    api: &ApiState,
    asked_by: Option<Caller>,
) -> Result<(Transaction<'static, Postgres>, Turn<Option<MerchantId>>), Problem> {
    let owner = asked_by.map(|caller| caller.merchant_id);
    let turn = api.search_turns.one(owner, SEARCH_WAIT_MAX).await?;
    let transaction = api.database.searches.begin_with(BEGIN_READ).await.map_err(refused)?;
    Ok((transaction, turn))
}
