//! PSPs: switched off and on by operators.

pub(crate) mod directory;
pub(crate) mod disable;
pub(crate) mod enable;

pub use directory::{BodyCheck, NotLetIn, PspDirectory, UnknownPsps};

use axum::http::StatusCode;
use domain::payments::PspName;
use domain::psps::PspEvent;
use domain::{Decision, Event, State, StreamVersion, Timestamp};
use event_store::NewAnswer;
use serde::Serialize;
use utoipa::ToSchema;

use crate::answer::success;

/// How a PSP is switched.
#[derive(Serialize, ToSchema)]
pub(crate) struct PspSwitch {
    /// The PSP.
    #[schema(value_type = String, example = "alpha")]
    psp: PspName,
    /// Whether nothing is sent there.
    disabled: bool,
    /// Counts its switches.
    #[schema(value_type = i64, example = 1)]
    version: StreamVersion,
    /// When this was found or made so.
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
}

/// The answer to both commands; switching what is switched so already is no error.
pub(crate) fn switched(decision: &Decision, recorded_at: Timestamp) -> Option<NewAnswer> {
    let (psp, disabled, version) = match decision {
        Decision::Append(events) => {
            let switched = events.first()?;
            let Event::Psp(event) = &switched.event else { return None };
            let disabled = match event {
                PspEvent::Disabled(_) => true,
                PspEvent::Enabled(_) => false,
            };
            (event.psp().clone(), disabled, switched.version)
        }
        Decision::Already(State::Psp(psp)) => (psp.name.clone(), psp.disabled, psp.version),
        Decision::Already(_) | Decision::Several { .. } => return None,
    };
    let body = PspSwitch { psp: psp.clone(), disabled, version, recorded_at };
    Some(success(StatusCode::OK, psp, &body))
}
