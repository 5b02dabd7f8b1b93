//! What the tool says, as text for people and as JSON for programs, one line an object.

mod events;
mod numbers;
mod stats;
mod verify;

pub use events::{event_json, event_text};
pub use stats::{stats_json, stats_text};
pub use verify::{finding_json, finding_text, summary_json, summary_text};

use serde::Serialize;

/// A line of JSON that says what it is.
#[derive(Serialize)]
struct Line<'a, T> {
    kind: &'static str,
    #[serde(flatten)]
    content: &'a T,
}

fn line<T: Serialize>(kind: &'static str, content: &T) -> String {
    // Structs of texts and numbers, for which this cannot fail.
    serde_json::to_string(&Line { kind, content })
        .unwrap_or_else(|error| unreachable!("what is said is JSON: {error}"))
}
