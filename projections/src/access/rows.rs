//! The tables `merchants` and `api_keys`: written as sets.

use sqlx::PgConnection;

use super::batch::{Issued, Registered, Revoked};
use crate::projection::{AppliedEvent, ApplyError};

/// Inserts the merchants that the batch registers.
pub(super) async fn insert_merchants(
    db: &mut PgConnection,
    merchants: &[Registered<'_>],
) -> Result<(), ApplyError> {
    if merchants.is_empty() {
        return Ok(());
    }
    let events = || merchants.iter().map(|registered| registered.event);
    let applied = || merchants.iter().map(|registered| registered.applied);
    let fees = events()
        .map(|event| serde_json::to_string(&event.fees))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| ApplyError::contradiction(format!("fee terms are not JSON: {error}")))?;
    sqlx::query(
        "insert into merchants (merchant_id, name, fees, version, registered_at, registered_position) \
         select merchant_id, name, fees::json, version, registered_at, registered_position \
         from unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::timestamptz[], $6::bigint[]) \
             as merchant (merchant_id, name, fees, version, registered_at, registered_position)",
    )
    .bind(events().map(|event| event.merchant_id.uuid()).collect::<Vec<_>>())
    .bind(events().map(|event| event.name.as_str()).collect::<Vec<_>>())
    .bind(fees)
    .bind(applied().map(|applied| applied.version.number()).collect::<Vec<_>>())
    .bind(applied().map(|applied| applied.recorded_at.datetime()).collect::<Vec<_>>())
    .bind(applied().map(|applied| applied.position.number()).collect::<Vec<_>>())
    .execute(db)
    .await?;
    Ok(())
}

/// Inserts the keys that the batch issues, as they stand at its end.
pub(super) async fn insert_issued(
    db: &mut PgConnection,
    issued: &[Issued<'_>],
) -> Result<(), ApplyError> {
    if issued.is_empty() {
        return Ok(());
    }
    let events = || issued.iter().map(|issued| issued.event);
    let applied = || issued.iter().map(|issued| issued.applied);
    let last = || issued.iter().map(Issued::last);
    let revoked_at =
        |revoked: Option<&AppliedEvent>| revoked.map(|event| event.recorded_at.datetime());
    sqlx::query(
        "insert into api_keys (key_id, merchant_id, role, label, secret_sha256, issued_at, \
             issued_position, revoked_at, version, updated_position) \
         select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], \
             $6::timestamptz[], $7::bigint[], $8::timestamptz[], $9::bigint[], $10::bigint[])",
    )
    .bind(events().map(|event| event.key_id.uuid()).collect::<Vec<_>>())
    .bind(events().map(|event| event.merchant_id.uuid()).collect::<Vec<_>>())
    .bind(events().map(|event| event.role.name()).collect::<Vec<_>>())
    .bind(events().map(|event| event.label.as_ref().map(domain::Name::as_str)).collect::<Vec<_>>())
    .bind(events().map(|event| event.secret_sha256.to_string()).collect::<Vec<_>>())
    .bind(applied().map(|applied| applied.recorded_at.datetime()).collect::<Vec<_>>())
    .bind(applied().map(|applied| applied.position.number()).collect::<Vec<_>>())
    .bind(issued.iter().map(|issued| revoked_at(issued.revoked)).collect::<Vec<_>>())
    .bind(last().map(|applied| applied.version.number()).collect::<Vec<_>>())
    .bind(last().map(|applied| applied.position.number()).collect::<Vec<_>>())
    .execute(db)
    .await?;
    Ok(())
}

/// Marks keys of earlier batches as revoked.
pub(super) async fn mark_revoked(
    db: &mut PgConnection,
    revoked: &[Revoked<'_>],
) -> Result<(), ApplyError> {
    if revoked.is_empty() {
        return Ok(());
    }
    let applied = || revoked.iter().map(|revoked| revoked.applied);
    let marked = sqlx::query(
        "update api_keys set revoked_at = revocation.revoked_at, version = revocation.version, \
             updated_position = revocation.position \
         from unnest($1::uuid[], $2::timestamptz[], $3::bigint[], $4::bigint[]) \
             as revocation (key_id, revoked_at, version, position) \
         where api_keys.key_id = revocation.key_id and api_keys.revoked_at is null",
    )
    .bind(revoked.iter().map(|revoked| revoked.key_id.uuid()).collect::<Vec<_>>())
    .bind(applied().map(|applied| applied.recorded_at.datetime()).collect::<Vec<_>>())
    .bind(applied().map(|applied| applied.version.number()).collect::<Vec<_>>())
    .bind(applied().map(|applied| applied.position.number()).collect::<Vec<_>>())
    .execute(db)
    .await?
    .rows_affected();
    if marked != revoked.len() as u64 {
        let reason = "a key that was never issued, or was revoked before, is revoked";
        return Err(ApplyError::contradiction(reason));
    }
    Ok(())
}
