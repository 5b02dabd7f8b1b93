//! Commands: what somebody wants to happen, and the one place that decides it.

use crate::Context;
use crate::accounts::{AmendAccount, CloseAccount, FreezeAccount, OpenAccount, UnfreezeAccount};
use crate::api_keys::{IssueApiKey, RevokeApiKey};
use crate::books::{CloseDay, CutOffDay};
use crate::event::NewEvent;
use crate::fx::{Convert, RecordRate};
use crate::holds::{CreateHold, ExpireHold, PostHold, VoidHold};
use crate::ledger::{PostBatch, PostEntry, ReplaceEntry, ReverseEntry};
use crate::merchants::RegisterMerchant;
use crate::payments::{
    AuthorizePayment, CancelPayment, CapturePayment, CreatePayment, ExpireAuthorization,
    NotifyAttempt, RecordOutcome, RefundPayment, ReplaceMethod, ShowPayment, StartAttempt,
    VoidPayment,
};
use crate::psps::{DisablePsp, EnablePsp};
use crate::rejection::Rejection;
use crate::state::{State, StateKey, States};

/// Everything that can be asked of the log.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each variant carries the command of that name, documented there")]
pub enum Command {
    RegisterMerchant(RegisterMerchant),
    IssueApiKey(IssueApiKey),
    RevokeApiKey(RevokeApiKey),
    OpenAccount(OpenAccount),
    AmendAccount(AmendAccount),
    FreezeAccount(FreezeAccount),
    UnfreezeAccount(UnfreezeAccount),
    CloseAccount(CloseAccount),
    PostEntry(PostEntry),
    ReverseEntry(ReverseEntry),
    ReplaceEntry(ReplaceEntry),
    PostBatch(PostBatch),
    CreateHold(CreateHold),
    PostHold(PostHold),
    VoidHold(VoidHold),
    ExpireHold(ExpireHold),
    CutOffDay(CutOffDay),
    CloseDay(CloseDay),
    RecordRate(RecordRate),
    Convert(Convert),
    CreatePayment(CreatePayment),
    AuthorizePayment(AuthorizePayment),
    ReplaceMethod(ReplaceMethod),
    CapturePayment(CapturePayment),
    CancelPayment(CancelPayment),
    VoidPayment(VoidPayment),
    RefundPayment(RefundPayment),
    ShowPayment(ShowPayment),
    StartAttempt(StartAttempt),
    RecordOutcome(RecordOutcome),
    ExpireAuthorization(ExpireAuthorization),
    NotifyAttempt(NotifyAttempt),
    DisablePsp(DisablePsp),
    EnablePsp(EnablePsp),
}

/// What a command that is not rejected comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// These events happen, all of them or none.
    Append(Vec<NewEvent>),
    /// Nothing is left to do: this state is already as asked.
    Already(State),
    /// Several commands in one were decided, and these events of all of them happen.
    Several {
        /// The events.
        events: Vec<NewEvent>,
        /// What became of each command, in their order.
        steps: Vec<StepDone>,
    },
}

/// What became of one of several commands in one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepDone {
    /// It is carried out by events of which the first is this one, counted from 0.
    Appended {
        /// Its place among all events.
        first: usize,
    },
    /// Nothing was left to do.
    Already(State),
    /// It is not carried out.
    Refused(Rejection),
}

impl Decision {
    /// The events that happen.
    pub fn events(&self) -> &[NewEvent] {
        match self {
            Self::Append(events) | Self::Several { events, .. } => events,
            Self::Already(_) => &[],
        }
    }
}

impl Command {
    /// The states that must be at hand when this is decided.
    pub fn reads(&self) -> Vec<StateKey> {
        match self {
            Self::RegisterMerchant(command) => command.reads(),
            Self::IssueApiKey(command) => command.reads(),
            Self::RevokeApiKey(command) => command.reads(),
            Self::OpenAccount(command) => command.reads(),
            Self::AmendAccount(command) => command.reads(),
            Self::FreezeAccount(command) => command.reads(),
            Self::UnfreezeAccount(command) => command.reads(),
            Self::CloseAccount(command) => command.reads(),
            Self::PostEntry(command) => command.reads(),
            Self::ReverseEntry(command) => command.reads(),
            Self::ReplaceEntry(command) => command.reads(),
            Self::PostBatch(command) => command.reads(),
            Self::CreateHold(command) => command.reads(),
            Self::PostHold(command) => command.reads(),
            Self::VoidHold(command) => command.reads(),
            Self::ExpireHold(command) => command.reads(),
            Self::CutOffDay(command) => command.reads(),
            Self::CloseDay(command) => command.reads(),
            Self::RecordRate(command) => command.reads(),
            Self::Convert(command) => command.reads(),
            Self::CreatePayment(command) => command.reads(),
            Self::AuthorizePayment(command) => command.reads(),
            Self::ReplaceMethod(command) => command.reads(),
            Self::CapturePayment(command) => command.reads(),
            Self::CancelPayment(command) => command.reads(),
            Self::VoidPayment(command) => command.reads(),
            Self::RefundPayment(command) => command.reads(),
            Self::ShowPayment(command) => command.reads(),
            Self::StartAttempt(command) => command.reads(),
            Self::RecordOutcome(command) => command.reads(),
            Self::ExpireAuthorization(command) => command.reads(),
            Self::NotifyAttempt(command) => command.reads(),
            Self::DisablePsp(command) => command.reads(),
            Self::EnablePsp(command) => command.reads(),
        }
    }

    /// The states that this claims as new without having read them: the log's unique index on their streams
    /// decides, and only when it refuses are they read.
    pub fn claims(&self) -> Vec<StateKey> {
        match self {
            Self::PostEntry(command) => vec![StateKey::Entry(command.stream().clone())],
            Self::CreateHold(command) => vec![StateKey::Hold(command.hold_id())],
            Self::PostBatch(command) => command.claims(),
            Self::RegisterMerchant(_)
            | Self::IssueApiKey(_)
            | Self::RevokeApiKey(_)
            | Self::OpenAccount(_)
            | Self::AmendAccount(_)
            | Self::FreezeAccount(_)
            | Self::UnfreezeAccount(_)
            | Self::CloseAccount(_)
            | Self::ReverseEntry(_)
            | Self::ReplaceEntry(_)
            | Self::PostHold(_)
            | Self::VoidHold(_)
            | Self::ExpireHold(_)
            | Self::CutOffDay(_)
            | Self::CloseDay(_)
            | Self::RecordRate(_)
            | Self::Convert(_)
            | Self::CreatePayment(_)
            | Self::AuthorizePayment(_)
            | Self::ReplaceMethod(_)
            | Self::CapturePayment(_)
            | Self::CancelPayment(_)
            | Self::VoidPayment(_)
            | Self::RefundPayment(_)
            | Self::ShowPayment(_)
            | Self::StartAttempt(_)
            | Self::RecordOutcome(_)
            | Self::ExpireAuthorization(_)
            | Self::NotifyAttempt(_)
            | Self::DisablePsp(_)
            | Self::EnablePsp(_) => Vec::new(),
        }
    }

    /// The state that this makes under an id drawn for it, if it does. It is not read beforehand: should
    /// the id be taken against all odds, the log's unique index refuses the append.
    pub fn creates(&self) -> Option<StateKey> {
        match self {
            Self::CreatePayment(command) => Some(command.creates()),
            Self::RegisterMerchant(_)
            | Self::IssueApiKey(_)
            | Self::RevokeApiKey(_)
            | Self::OpenAccount(_)
            | Self::AmendAccount(_)
            | Self::FreezeAccount(_)
            | Self::UnfreezeAccount(_)
            | Self::CloseAccount(_)
            | Self::PostEntry(_)
            | Self::ReverseEntry(_)
            | Self::ReplaceEntry(_)
            | Self::PostBatch(_)
            | Self::CreateHold(_)
            | Self::PostHold(_)
            | Self::VoidHold(_)
            | Self::ExpireHold(_)
            | Self::CutOffDay(_)
            | Self::CloseDay(_)
            | Self::RecordRate(_)
            | Self::Convert(_)
            | Self::AuthorizePayment(_)
            | Self::ReplaceMethod(_)
            | Self::CapturePayment(_)
            | Self::CancelPayment(_)
            | Self::VoidPayment(_)
            | Self::RefundPayment(_)
            | Self::ShowPayment(_)
            | Self::StartAttempt(_)
            | Self::RecordOutcome(_)
            | Self::ExpireAuthorization(_)
            | Self::NotifyAttempt(_)
            | Self::DisablePsp(_)
            | Self::EnablePsp(_) => None,
        }
    }

    /// Decides, from `states` (which hold all that [`Command::reads`] names, as far as it exists).
    ///
    /// # Errors
    /// The first rule that the command breaks, in the order that each command documents.
    pub fn decide(&self, states: &impl States, context: &Context) -> Result<Decision, Rejection> {
        match self {
            Self::RegisterMerchant(command) => command.decide(states, context),
            Self::IssueApiKey(command) => command.decide(states, context),
            Self::RevokeApiKey(command) => command.decide(states, context),
            Self::OpenAccount(command) => command.decide(states, context),
            Self::AmendAccount(command) => command.decide(states, context),
            Self::FreezeAccount(command) => command.decide(states, context),
            Self::UnfreezeAccount(command) => command.decide(states, context),
            Self::CloseAccount(command) => command.decide(states, context),
            Self::PostEntry(command) => command.decide(states, context),
            Self::ReverseEntry(command) => command.decide(states, context),
            Self::ReplaceEntry(command) => command.decide(states, context),
            Self::PostBatch(command) => command.decide(states, context),
            Self::CreateHold(command) => command.decide(states, context),
            Self::PostHold(command) => command.decide(states, context),
            Self::VoidHold(command) => command.decide(states, context),
            Self::ExpireHold(command) => command.decide(states, context),
            Self::CutOffDay(command) => command.decide(states, context),
            Self::CloseDay(command) => command.decide(states, context),
            Self::RecordRate(command) => command.decide(states, context),
            Self::Convert(command) => command.decide(states, context),
            Self::CreatePayment(command) => command.decide(states, context),
            Self::AuthorizePayment(command) => command.decide(states, context),
            Self::ReplaceMethod(command) => command.decide(states, context),
            Self::CapturePayment(command) => command.decide(states, context),
            Self::CancelPayment(command) => command.decide(states, context),
            Self::VoidPayment(command) => command.decide(states, context),
            Self::RefundPayment(command) => command.decide(states, context),
            Self::ShowPayment(command) => command.decide(states, context),
            Self::StartAttempt(command) => command.decide(states, context),
            Self::RecordOutcome(command) => command.decide(states, context),
            Self::ExpireAuthorization(command) => command.decide(states, context),
            Self::NotifyAttempt(command) => command.decide(states, context),
            Self::DisablePsp(command) => command.decide(states, context),
            Self::EnablePsp(command) => command.decide(states, context),
        }
    }
}
