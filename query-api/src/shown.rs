//! What is shown by its key: one statement, which is a snapshot by itself, in one round trip.

use api_conventions::{Caller, Problem};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row};
use uuid::Uuid;

use crate::caller_scope::visible_to;
use crate::database::{other_tables, refused};
use crate::position::MinPosition;
use crate::read_model::{ReadModel, Standing, wait};
use crate::state::ApiState;

/// A row of a read model and where that stood.
#[derive(Debug)]
pub(crate) struct Shown<R> {
    /// `None` if there is none that the caller may see.
    pub(crate) row: Option<R>,
    pub(crate) standing: Standing,
}

impl<R> Shown<R>
where
    R: for<'r> FromRow<'r, PgRow>,
{
    /// Reads from a read model that shows at least `min`; waits for that as long as is reasonable.
    ///
    /// `statement` joins the checkpoint whose projection is `$1` (as `model_position`, `model_state` and
    /// `model_version`) with the row whose key is `$2`, if it is of the owner `$3` where that is not null; and
    /// says in `found` whether there is one. It names `read.checkpoint` before any other table: so that lock
    /// is taken first, as by the switch to a rebuilt generation, and neither waits for what the other holds;
    /// the snapshot is taken when all locks are.
    pub(crate) async fn by_key(
        statement: &'static str,
        key: Uuid,
        model: ReadModel,
        api: &ApiState,
        caller: &Caller,
        min: MinPosition,
    ) -> Result<Self, Problem> {
        wait(model, api, min).await?;
        let look_ups = &api.database.look_ups;
        let looking = sqlx::query(statement).bind(model.name()).bind(key).bind(visible_to(caller));
        let checkpoint = match looking.fetch_optional(look_ups).await {
            Ok(checkpoint) => checkpoint,
            Err(error) => {
                // Tables of another version may not even have these columns.
                if other_tables(&error) {
                    Standing::read(look_ups, model, min).await?;
                }
                return Err(refused(error));
            }
        };
        let standing = Standing::from_row(model, checkpoint.as_ref(), min)?;
        let row = checkpoint.map_or(Ok(None), |row| found(&row)).map_err(refused)?;
        Ok(Self { row, standing })
    }
}

fn found<R: for<'r> FromRow<'r, PgRow>>(row: &PgRow) -> Result<Option<R>, sqlx::Error> {
    if row.try_get("found")? { R::from_row(row).map(Some) } else { Ok(None) }
}
