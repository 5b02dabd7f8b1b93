//! Finding what a ledger calls by a name of its own.
//!
//! The ids of accounts and entries are derived from their ledger and their code or reference. So there is no
//! index over names: whoever knows the ledger knows the id, and across all ledgers there is one candidate in
//! each.

use domain::MerchantId;
use sqlx::PgConnection;
use uuid::Uuid;

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
    select ledger from ledgers where ledger is not null";

/// The ids that a name may stand for: `derive` of the one ledger that is visible, else of the one asked for,
/// else of each. `None` where no name is asked for.
pub(crate) async fn ids_named(
    db: &mut PgConnection,
    name: Option<&str>,
    visible: Option<Uuid>,
    asked: Option<Uuid>,
    derive: impl Fn(MerchantId, &str) -> Uuid,
) -> Result<Option<Vec<Uuid>>, sqlx::Error> {
    let Some(name) = name else { return Ok(None) };
    let ledgers: Vec<Uuid> = match visible.or(asked) {
        Some(one) => vec![one],
        None => sqlx::query_scalar(ALL).fetch_all(db).await?,
    };
    let ids = ledgers.into_iter().map(|ledger| derive(MerchantId::from_uuid(ledger), name));
    Ok(Some(ids.collect()))
}
