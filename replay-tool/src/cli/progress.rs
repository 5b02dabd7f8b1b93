//! Progress bars on stderr, one for each part; none where stderr is no terminal.

use std::collections::BTreeMap;
use std::fmt::Write;

use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};
use replay_tool::verify::Part;

/// The bars that are shown; each fits into 80 columns.
#[derive(Debug, Default)]
pub(super) struct Bars {
    all: MultiProgress,
    parts: BTreeMap<Part, ProgressBar>,
}

impl Bars {
    /// `done` of about `total`, or of nobody knows how many.
    pub(super) fn show(&mut self, part: Part, done: u64, total: u64) {
        let all = &self.all;
        let bar = self.parts.entry(part).or_insert_with(|| {
            let (bar, template) = match total {
                0 => (ProgressBar::no_length(), "{human_pos} {msg}, {rate}"),
                _ => (
                    ProgressBar::new(total),
                    "{bar:16} {percent:>3} % of {human_len} {msg}, {rate}, {eta} left",
                ),
            };
            let style = ProgressStyle::with_template(template)
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .with_key("rate", |state: &ProgressState, text: &mut dyn Write| {
                    // Nothing is wrong where the terminal takes no more.
                    let _ = write!(text, "{:.0}/s", state.per_sec());
                });
            all.add(bar.with_style(style).with_message(part.name()))
        });
        bar.set_position(done);
        if total > 0 && done >= total {
            bar.finish();
        }
    }

    /// Prints something without tearing the bars apart.
    pub(super) fn aside(&self, print: impl FnOnce()) {
        self.all.suspend(print);
    }

    /// Leaves the screen to what is printed next.
    pub(super) fn finish(&self) {
        drop(self.all.clear());
    }
}
