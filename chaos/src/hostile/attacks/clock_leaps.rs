//! The clock of one command-api, and of workers if there are such, leaps and slews, while the other ones keep theirs.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Attack, Report};
use crate::hostile::ground::{Counts, Ground};

const SECOND_MICROS: i64 = 1_000_000;
const HOUR_MICROS: i64 = 3_600 * SECOND_MICROS;
const DAY_MICROS: i64 = 86_400 * SECOND_MICROS;
/// How far it is off, one after the other, and right again in between.
const LEAPS: [i64; 5] = [HOUR_MICROS, -HOUR_MICROS, DAY_MICROS, -DAY_MICROS, SECOND_MICROS];
/// In hundredths of the attack: each leap lasts so long, and the clock is right again for as long.
const LEAP_PERCENT: u32 = 8;
/// How a slewing clock drifts: a twentieth of its speed, up to two seconds.
const SLEW_EVERY: Duration = Duration::from_millis(100);
const SLEW_MICROS: i64 = 100_000;
const SLEW_STEPS: i64 = 20;

pub(super) struct ClockLeaps;

impl Attack for ClockLeaps {
    fn name(&self) -> &'static str {
        "clock-leaps"
    }

    fn bounds(&self) -> &'static str {
        "one clock of two: 1 h, 86,400 s ahead and behind, 1 s ahead, and a slew to 2 s ahead; right again in between"
    }

    fn start(&self, ground: Arc<Ground>) -> BoxFuture<'static, anyhow::Result<Report>> {
        async move {
            let counts = Arc::new(Counts::default());
            let lasts = ground.percent(LEAP_PERCENT);
            for leap in LEAPS {
                set(&ground.offset_file, leap)?;
                counts.add("leaps");
                tokio::time::sleep(lasts).await;
                set(&ground.offset_file, 0)?;
                tokio::time::sleep(lasts).await;
            }
            for step in (0..=SLEW_STEPS).chain((0..SLEW_STEPS).rev()) {
                set(&ground.offset_file, step * SLEW_MICROS)?;
                counts.add("steps of the slew");
                tokio::time::sleep(SLEW_EVERY).await;
            }
            set(&ground.offset_file, 0)?;
            ground.until_percent(100).await;
            Ok(Report::of(counts))
        }
        .boxed()
    }
}

/// In one go, so that nobody reads half of it.
fn set(file: &Path, offset_micros: i64) -> anyhow::Result<()> {
    let written = file.with_extension("new");
    std::fs::write(&written, offset_micros.to_string()).context("the clock's offset")?;
    std::fs::rename(&written, file).context("the clock's offset")
}
