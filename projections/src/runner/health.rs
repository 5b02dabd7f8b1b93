//! How a projection is doing, in this process and as metrics.

use std::time::Duration;

use event_store::log::Position;
use metrics::{counter, gauge};
use tokio::time::Instant;

use crate::checkpoint::{Checkpoint, Halted, ProjectionState};
use crate::projection::Projection;

/// How a projection that runs here is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectionHealth {
    /// Its name.
    pub projection: &'static str,
    /// Whether it moves.
    pub state: ProjectionState,
    /// Whether its database answered when last asked.
    pub connected: bool,
    /// What was wrong with the database if it did not.
    pub interruption: Option<String>,
    /// Counts its rebuilds, from 1; 0 as long as nothing is known.
    pub generation: i64,
    /// The last event applied.
    pub position: Position,
    /// The head of the log as last seen.
    pub head: Position,
    /// For how long the first event not yet applied has been in the log, when last looked; while nobody can look, as long
    /// as it may have been.
    pub lag: Duration,
    /// Why it does not move.
    pub detail: Option<String>,
    /// The event that it cannot get past.
    pub failed_position: Option<Position>,
    /// When the lag was found.
    found: Instant,
}

impl ProjectionHealth {
    /// Before the first connection.
    pub(super) fn unknown(projection: &dyn Projection) -> Self {
        Self {
            projection: projection.name(),
            state: ProjectionState::Running,
            connected: false,
            interruption: None,
            generation: 0,
            position: Position::START,
            head: Position::START,
            lag: Duration::ZERO,
            detail: None,
            failed_position: None,
            found: Instant::now(),
        }
    }

    /// How many events it has not applied.
    pub fn lag_events(&self) -> i64 {
        self.head.since(self.position)
    }

    /// The live read model is at `checkpoint`.
    pub(super) fn at(&mut self, checkpoint: &Checkpoint) {
        self.connected = true;
        self.interruption = None;
        self.generation = checkpoint.generation;
        self.position = checkpoint.position;
        self.state = checkpoint.state;
        self.detail.clone_from(&checkpoint.detail);
        self.failed_position = checkpoint.failed_position;
        self.head = self.head.max(checkpoint.position);
        if self.head == self.position {
            self.lag_is(Duration::ZERO);
        }
        self.publish();
    }

    /// The head is at `head`, and the first event not applied has been waiting for so long.
    pub(super) fn looked(&mut self, head: Position, lag: Duration) {
        self.head = head;
        self.lag_is(lag);
        self.publish();
    }

    fn lag_is(&mut self, lag: Duration) {
        (self.lag, self.found) = (lag, Instant::now());
    }

    /// It does not go on.
    pub(super) fn halted(&mut self, halted: Halted) {
        let Halted { state, detail, failed_position } = halted;
        let news = self.state != state || self.failed_position != failed_position;
        if news && state != ProjectionState::Rebuilding {
            counter!("runut_projection_halts_total",
                "projection" => self.projection, "state" => state.name())
            .increment(1);
        }
        self.connected = true;
        self.interruption = None;
        self.state = state;
        self.detail = Some(detail);
        self.failed_position = failed_position;
        self.publish();
    }

    /// Its database does not answer, or not in time.
    pub(super) fn interrupted(&mut self, error: String) {
        self.lag_is(self.lag + self.found.elapsed());
        self.connected = false;
        self.interruption = Some(error);
        self.publish();
    }

    fn publish(&self) {
        let projection = self.projection;
        gauge!("runut_projection_position", "projection" => projection)
            .set(self.position.number() as f64);
        gauge!("runut_projection_lag_events", "projection" => projection)
            .set(self.lag_events() as f64);
        gauge!("runut_projection_lag_seconds", "projection" => projection)
            .set(self.lag.as_secs_f64());
        gauge!("runut_projection_connected", "projection" => projection).set(if self.connected {
            1.0
        } else {
            0.0
        });
        let failed = self.failed_position.map_or(0, Position::number);
        gauge!("runut_projection_failed_position", "projection" => projection).set(failed as f64);
        for state in ProjectionState::ALL {
            gauge!("runut_projection_state", "projection" => projection, "state" => state.name())
                .set(if state == self.state { 1.0 } else { 0.0 });
        }
    }
}
