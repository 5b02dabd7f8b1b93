//! Finding what a ledger calls by a name of its own.
//!
//! The ids of accounts and entries are derived from their ledger and their code or reference. So there is no
//! index over names: whoever knows the ledger knows the id, and across all ledgers there is one candidate in
//! each.

use api_conventions::{FieldError, INVALID_VALUE, Problem};
use domain::MerchantId;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::database::refused;

/// The most ledgers that a name is looked for in: as many candidates, some tens of milliseconds.
const LEDGERS_SEARCHED_MAX: usize = 10_000;

/// The ledgers that have accounts, and thus all that have entries: one step of the index each, however many
/// accounts they have.
const ALL: &str = "
    with recursive ledgers (ledger) as (
        (select ledger from read.accounts order by ledger limit 1)
        union all
        select (select ledger from read.accounts where ledger > ledgers.ledger
                order by ledger limit 1)
        from ledgers where ledgers.ledger is not null
    )
    select ledger from ledgers where ledger is not null limit $1";

/// The ids that a name may stand for: `derive` of the one ledger that is visible, else of the one asked for,
/// else of each. `None` where no name is asked for.
///
/// # Errors
/// 422 that asks for the `ledger` where there are too many to search them all.
pub(crate) async fn ids_named(
    db: &mut PgConnection,
    name: Option<&str>,
    visible: Option<Uuid>,
    asked: Option<Uuid>,
    derive: impl Fn(MerchantId, &str) -> Uuid,
) -> Result<Option<Vec<Uuid>>, Problem> {
    let Some(name) = name else { return Ok(None) };
    let ledgers: Vec<Uuid> = match visible.or(asked) {
        Some(one) => vec![one],
        None => all(db).await?,
    };
    let ids = ledgers.into_iter().map(|ledger| derive(MerchantId::from_uuid(ledger), name));
    Ok(Some(ids.collect()))
}

async fn all(db: &mut PgConnection) -> Result<Vec<Uuid>, Problem> {
    let one_more = i64::try_from(LEDGERS_SEARCHED_MAX + 1).unwrap_or(i64::MAX);
    let found: Vec<Uuid> =
        sqlx::query_scalar(ALL).bind(one_more).fetch_all(db).await.map_err(refused)?;
    if found.len() > LEDGERS_SEARCHED_MAX {
        let detail = format!(
            "required beside a code or reference: there are more than {LEDGERS_SEARCHED_MAX} ledgers"
        );
        return Err(Problem::invalid(vec![FieldError::of_parameter(
            "ledger",
            INVALID_VALUE,
            detail,
        )]));
    }
    Ok(found)
}
