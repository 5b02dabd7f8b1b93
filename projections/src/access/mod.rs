//! `access`: merchants and API keys, so that the query side can authenticate and list them.

mod batch;
mod rows;

use domain::Event;
use futures::FutureExt;
use futures::future::BoxFuture;
use sqlx::PgConnection;

use crate::projection::{AppliedEvent, ApplyError, Projection, Table};

/// The projection of that name.
#[derive(Debug, Clone, Copy, Default)]
pub struct Access;

impl Projection for Access {
    fn name(&self) -> &'static str {
        "access"
    }

    fn version(&self) -> i32 {
        1
    }

    fn tables_sql(&self) -> &'static str {
        include_str!("tables.sql")
    }

    fn indexes_sql(&self) -> &'static str {
        include_str!("indexes.sql")
    }

    fn tables(&self) -> &'static [Table] {
        &[
            Table { name: "merchants", key: &["merchant_id"] },
            Table { name: "api_keys", key: &["key_id"] },
        ]
    }

    fn concerns(&self, event: &Event) -> bool {
        match event {
            Event::MerchantRegistered(_) | Event::ApiKeyIssued(_) | Event::ApiKeyRevoked(_) => true,
            Event::AccountOpened(_)
            | Event::AccountAmended(_)
            | Event::AccountFrozen(_)
            | Event::AccountUnfrozen(_)
            | Event::AccountClosed(_)
            | Event::EntryPosted(_)
            | Event::EntryReversed(_)
            | Event::Hold(_)
            | Event::Books(_)
            | Event::Fx(_)
            | Event::Payment(_)
            | Event::Card(_)
            | Event::Psp(_) => false,
        }
    }

    fn apply<'a>(
        &'a self,
        db: &'a mut PgConnection,
        events: &'a [AppliedEvent],
    ) -> BoxFuture<'a, Result<(), ApplyError>> {
        apply(db, events).boxed()
    }
}

async fn apply(db: &mut PgConnection, events: &[AppliedEvent]) -> Result<(), ApplyError> {
    let batch = batch::fold(events);
    rows::insert_merchants(&mut *db, &batch.merchants).await?;
    rows::insert_issued(&mut *db, &batch.issued).await?;
    rows::mark_revoked(db, &batch.revoked).await
}
