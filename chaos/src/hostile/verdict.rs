//! What has to hold, told as it is found.

use demo::say;
use serde_json::{Value, json};

use super::attacks::Report;
use super::honest::{Errands, Load, ThroughBoth};
use super::live::Live;
use super::memory::{GROWTH_BYTES_MAX, MEMORY_BYTES_MAX, Memory};

/// The checks so far.
#[derive(Debug)]
pub(super) struct Verdict {
    json: bool,
    /// The longest that ninety-nine of a hundred payments (from when they were due), or answers of `/health/live`,
    /// may take.
    p99_max_ms: f64,
    red: usize,
}

impl Verdict {
    pub(super) fn new(json: bool, p99_max_ms: u32) -> Self {
        Self { json, p99_max_ms: f64::from(p99_max_ms), red: 0 }
    }

    /// Whether all held.
    pub(super) fn held(&self) -> bool {
        self.red == 0
    }

    /// A figure: an object for programs, its fields for people.
    #[expect(clippy::print_stdout, reason = "figures are what this program is for")]
    pub(super) fn figure(&self, figure: &Value) -> anyhow::Result<()> {
        if self.json {
            println!("{}", serde_json::to_string(figure)?);
            return Ok(());
        }
        let fields = figure.as_object().into_iter().flatten();
        let fields: Vec<String> = fields.map(|(name, value)| format!("{name} {value}")).collect();
        say(&format!("      {}", fields.join(", ")));
        Ok(())
    }

    /// One thing that has to hold.
    pub(super) fn check(&mut self, what: &str, held: bool, detail: &str) -> anyhow::Result<()> {
        self.red += usize::from(!held);
        if self.json {
            return self.figure(&json!({"check": what, "held": held, "detail": detail}));
        }
        let colour = if held { "green" } else { "RED  " };
        let detail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
        say(&format!("{colour} {what}{detail}"));
        Ok(())
    }

    /// An attack was really made, and what it demands itself.
    pub(super) fn attack(
        &mut self,
        name: &str,
        bounds: &str,
        report: anyhow::Result<Report>,
    ) -> anyhow::Result<()> {
        let report = match report {
            Ok(report) => report,
            Err(error) => {
                return self.check(
                    &format!("{name} was carried out"),
                    false,
                    &format!("{error:#}"),
                );
            }
        };
        let counts = report.counts.counted();
        let attacked = counts.values().sum::<u64>() > 0;
        self.figure(&json!({"attack": name, "bounds": bounds, "counts": counts}))?;
        if !attacked {
            self.check(&format!("{name} was carried out"), false, "nothing was counted")?;
        }
        for demand in &report.demands {
            self.check(&demand.what, demand.held, &demand.detail)?;
        }
        Ok(())
    }

    /// What the honest merchant met.
    pub(super) fn honest(
        &mut self,
        calm_p99_ms: f64,
        paid: &Load,
        through_both: &ThroughBoth,
        errands: &Errands,
    ) -> anyhow::Result<()> {
        self.figure(&paid.figure("honest merchant, under attack"))?;
        self.figure(&through_both.load.figure("honest merchant, through both processes"))?;
        let detail = format!("{:?}", paid.statuses);
        self.check("honest payments: no answer but 2xx", paid.all_well(), &detail)?;
        let p99_ms = paid.latencies.millis(0.99);
        let bound_ms = self.p99_max_ms;
        let detail =
            format!("{p99_ms:.0} ms of {bound_ms:.0} ms; {calm_p99_ms:.0} ms before the attack");
        self.check("honest payments: p99", p99_ms <= self.p99_max_ms, &detail)?;
        let detail =
            format!("healthy {:?}, skewed {:?}", through_both.healthy, through_both.skewed);
        let well = through_both.is_well();
        self.check("through both processes: 503 of the skewed alone, then 2xx", well, &detail)?;
        let detail = format!("{:?}", errands.outcomes);
        let held = errands.is_well();
        self.check("the honest merchant finds a place for imports and exports", held, &detail)
    }

    /// Whether attacked processes said at once that they live.
    pub(super) fn live(&mut self, live: &[Live]) -> anyhow::Result<()> {
        for Live { process, latencies, failures } in live {
            let p99_ms = latencies.millis(0.99);
            let held = p99_ms <= self.p99_max_ms && *failures == 0;
            let longest_ms = latencies.max_ms();
            let detail =
                format!("p99 {p99_ms:.0} ms, at most {longest_ms:.0} ms, {failures} failed");
            self.check(&format!("/health/live of {process}"), held, &detail)?;
        }
        Ok(())
    }

    /// Whether memory stayed small and flat.
    pub(super) fn memory(&mut self, before: Memory, highest: Memory) -> anyhow::Result<()> {
        let mib = |bytes: u64| bytes >> 20;
        self.figure(&json!({
            "memory": "of each process by itself, and the shared buffers once", "runut_mib_before": mib(before.runut_bytes), "all_mib_before": mib(before.all_bytes),
            "runut_mib_highest": mib(highest.runut_bytes), "all_mib_highest": mib(highest.all_bytes),
        }))?;
        let all = format!("{} MiB of {} MiB", mib(highest.all_bytes), mib(MEMORY_BYTES_MAX));
        self.check("memory of all", highest.all_bytes <= MEMORY_BYTES_MAX, &all)?;
        let growth = highest.runut_bytes.saturating_sub(before.runut_bytes);
        let detail = format!("{} MiB more of {} MiB", mib(growth), mib(GROWTH_BYTES_MAX));
        self.check("memory of Runut's processes is flat", growth <= GROWTH_BYTES_MAX, &detail)
    }

    /// Whether attackers' connections ended.
    pub(super) fn cut_off(&mut self, held: usize, open: usize) -> anyhow::Result<()> {
        let detail = format!("{open} of {held} are still open");
        self.check("connections that attackers hold are cut", open == 0, &detail)
    }
}
