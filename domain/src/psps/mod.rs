//! Payment service providers (PSPs) as operators see them: whether payments may go there.

mod switch;

pub use switch::{DisablePsp, EnablePsp, PspDisabled, PspEnabled, PspEvent};

use crate::payments::PspName;
use crate::stream::{StreamId, StreamVersion};
use crate::text::Name;

/// A PSP, folded from its stream; one that was never switched has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Psp {
    /// Its name.
    pub name: PspName,
    /// Whether nothing is sent there.
    pub disabled: bool,
    /// Why, in the operator's words.
    pub reason: Option<Name>,
    /// The version of its stream that this state is at.
    pub version: StreamVersion,
}

impl Psp {
    /// The name of its stream.
    pub fn stream(&self) -> StreamId {
        StreamId::psp(&self.name)
    }

    /// The state after `event`, its stream's number `version`.
    pub(crate) fn after(event: &PspEvent, version: StreamVersion) -> Self {
        match event {
            PspEvent::Disabled(event) => Self {
                name: event.psp.clone(),
                disabled: true,
                reason: event.reason.clone(),
                version,
            },
            PspEvent::Enabled(event) => {
                Self { name: event.psp.clone(), disabled: false, reason: None, version }
            }
        }
    }
}
