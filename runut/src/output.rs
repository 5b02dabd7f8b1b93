//! What is said to the person at the terminal, or to the script that reads it. Everything else is
//! logged.

use std::fmt::Display;

use crate::logging::LogFormat;

/// Says a line on standard output.
#[expect(clippy::print_stdout, reason = "the one place that prints")]
pub(crate) fn line(text: impl Display) {
    println!("{text}");
}

/// Says a line that is not the result itself on standard error, so that the result can be piped.
#[expect(clippy::print_stderr, reason = "the one place that prints")]
pub(crate) fn note(text: impl Display) {
    eprintln!("{text}");
}

/// Says why the process failed, in the form that the log has, since programs read it too.
pub(crate) fn failure(format: LogFormat, error: &anyhow::Error) {
    match format {
        LogFormat::Text => note(format_args!("runut: {error:#}")),
        LogFormat::Json => tracing::error!(error = format!("{error:#}"), "the process failed"),
    }
}
