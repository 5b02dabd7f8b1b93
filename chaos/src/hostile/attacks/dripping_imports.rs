//! One merchant's imports that never end: a line feed now and then keeps each of them alive.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};

use super::{Attack, Report};
use crate::hostile::ground::{Counts, Ground};
use crate::hostile::wire;

/// Twice as many as a process has places.
const IMPORTS: usize = 32;
const DRIP_EVERY: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(2);
/// A chunk of one line feed.
pub(super) const DRIP: &[u8] = b"1\r\n\n\r\n";

pub(super) struct DrippingImports;

impl Attack for DrippingImports {
    fn name(&self) -> &'static str {
        "dripping-imports"
    }

    fn bounds(&self) -> &'static str {
        "32 imports with one merchant's key, each with a line feed every 2 s; and 32 exports"
    }

    fn start(&self, ground: Arc<Ground>) -> BoxFuture<'static, anyhow::Result<Report>> {
        async move {
            let counts = Arc::new(Counts::default());
            // What is revoked in the middle has its places by then.
            ground.until_percent(5).await;
            let imports = join_all((0..IMPORTS).map(|n| import(&ground, &counts, n)));
            let exports = join_all((0..IMPORTS).map(|_| export(&ground, &counts)));
            tokio::join!(imports, exports);
            ground.until_percent(100).await;
            Ok(Report::of(counts))
        }
        .boxed()
    }
}

/// The beginning of an import whose body comes in chunks, with its first drip.
pub(super) fn beginning(key: &str, name: &str) -> Vec<u8> {
    let head = wire::head("POST", "/v1/ledger/imports", Some(key));
    let rest = format!(
        "Idempotency-Key: {name}\r\nContent-Type: application/x-ndjson\r\n\
         Transfer-Encoding: chunked\r\n\r\n"
    );
    [head.as_bytes(), rest.as_bytes(), DRIP].concat()
}

async fn import(ground: &Ground, counts: &Counts, n: usize) {
    let Ok(mut stream) = wire::connect(&ground.healthy, wire::ATTACKER).await else {
        return counts.add("import: not connected");
    };
    let request = beginning(&ground.merchant_key, &format!("dripping-{n}"));
    let mut sent = wire::write(&mut stream, &request, PATIENCE).await;
    match wire::status(&mut stream, DRIP_EVERY).await {
        Some(status) => counts.add(format!("import: {status}")),
        None => counts.add("import: no answer yet"),
    }
    while sent && !ground.is_over() {
        tokio::time::sleep(DRIP_EVERY).await;
        sent = wire::write(&mut stream, DRIP, PATIENCE).await;
    }
    counts.add(if sent { "import: held" } else { "import: cut off" });
    ground.hold(stream);
}

async fn export(ground: &Ground, counts: &Counts) {
    let Ok(mut stream) = wire::connect(&ground.query, wire::ATTACKER).await else {
        return counts.add("export: not connected");
    };
    let request = wire::get("/v1/ledger/journal?format=csv", Some(&ground.merchant_key));
    wire::write(&mut stream, request.as_bytes(), PATIENCE).await;
    match wire::status(&mut stream, PATIENCE).await {
        Some(status) => counts.add(format!("export: {status}")),
        None => counts.add("export: no answer yet"),
    }
    ground.hold(stream);
}
