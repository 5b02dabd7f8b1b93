//! `payments`: every payment as it stands, and what is to be done for which.
//!
//! Tables: `payments`, which holds each one folded by the domain itself, `payment_work`, the queue that workers
//! claim from, and `psps`, the switches of PSPs.

mod batch;
mod rows;

use domain::Event;
use futures::FutureExt;
use futures::future::BoxFuture;
use sqlx::PgConnection;

use crate::projection::{AppliedEvent, ApplyError, Projection, Table};

/// The projection of that name.
#[derive(Debug, Clone, Copy, Default)]
pub struct Payments;

impl Projection for Payments {
    fn name(&self) -> &'static str {
        "payments"
    }

    fn version(&self) -> i32 {
        4
    }

    fn tables_sql(&self) -> &'static str {
        include_str!("tables.sql")
    }

    fn indexes_sql(&self) -> &'static str {
        include_str!("indexes.sql")
    }

    /// Locking a row takes the right to change a column of it; which workers never do.
    fn grants_sql(&self) -> &'static str {
        "grant select, update (due_at) on payment_work to runut_app"
    }

    fn tables(&self) -> &'static [Table] {
        &[
            Table { name: "payments", key: &["payment_id"] },
            Table { name: "payment_work", key: &["payment_id"] },
            Table { name: "psps", key: &["psp"] },
        ]
    }

    fn concerns(&self, event: &Event) -> bool {
        match event {
            Event::Payment(_) | Event::Psp(_) => true,
            Event::MerchantRegistered(_)
            | Event::ApiKeyIssued(_)
            | Event::ApiKeyRevoked(_)
            | Event::AccountOpened(_)
            | Event::AccountAmended(_)
            | Event::AccountFrozen(_)
            | Event::AccountUnfrozen(_)
            | Event::AccountClosed(_)
            | Event::EntryPosted(_)
            | Event::EntryReversed(_)
            | Event::Hold(_)
            | Event::Books(_)
            | Event::Fx(_)
            | Event::Card(_) => false,
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
    let named = batch::named_before(events);
    let known = if named.is_empty() { Vec::new() } else { rows::read(&mut *db, &named).await? };
    let changed = batch::fold(known, events)?;
    rows::upsert(&mut *db, &changed).await?;
    rows::queue(&mut *db, &changed).await?;
    rows::switch(db, &batch::switched(events)).await
}
