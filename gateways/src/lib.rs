//! Gateways: how the platform speaks with payment service providers (PSPs).
//!
//! A [`Gateway`] carries out an [`Order`], or says what became of one, and answers with what the domain
//! understands: a [`PspOutcome`]. It never guesses: what it cannot be sure of is unknown. One file a
//! protocol; what all of them share is in `http` (time-outs and repetitions).
//!
//! **Architecture Invariant:** nothing here writes to the log or reads from it. That an order's intent and
//! its key are in the log before it is sent is up to whoever sends it.

mod breaker;
mod config;
mod gateway;
mod guarded;
mod http;
mod registry;
mod routing;
mod simulated;
mod webhook;

pub use breaker::{
    Breaker, BreakerState, CALLS_MIN, ERRORS_IN_A_ROW_MAX, ERRORS_PERCENT_MAX, OPEN_MAX, OPEN_MIN,
    WINDOW,
};
pub use config::{ConfigError, PspConfig, PspsConfig, Timeouts};
pub use gateway::{Capabilities, Gateway, Order};
pub use guarded::{CALLS_AT_ONCE_MAX, PLACE_PATIENCE, PspHealth, QUESTIONS_AT_ONCE_MAX};
pub use http::{
    BACKOFF_FIRST, CONNECT_TIMEOUT, REQUEST_TIMEOUT, RETRIES_MAX, TOTAL_TIMEOUT, TOTAL_TIMEOUT_MAX,
};
pub use registry::Gateways;
pub use routing::{RULES_MAX, RoutingRule, WEIGHT_MAX, WeightedPsp};
pub use simulated::SimulatedPsp;
pub use webhook::{
    Notification, SIGNATURE_TOLERANCE_S, SIGNATURES_MAX, SignedHeader, WebhookRefusal,
};

pub use domain::payments::PspOutcome;
