//! Stdout: what was asked for, and nothing else. Stderr: what is wrong, in sentences.

use std::error::Error;
use std::io::{IsTerminal, Write};

/// Prints a text and ends its line.
pub(super) fn line(text: &str) {
    // Whoever reads may have seen enough and closed the pipe; that is no reason to panic.
    drop(writeln!(std::io::stdout(), "{text}"));
}

/// Says why something could not be checked, with what led to it.
pub(super) fn problem(error: &dyn Error) {
    let mut causes = vec![error.to_string()];
    let mut source = error.source();
    while let Some(cause) = source {
        causes.push(cause.to_string());
        source = cause.source();
    }
    drop(writeln!(
        std::io::stderr(),
        "replay-tool: this could not be checked: {}",
        causes.join(": ")
    ));
}

/// Whether what goes to stderr may have colours: on a terminal, unless `NO_COLOR` is set (no-color.org).
pub(super) fn colours() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stderr().is_terminal() && !refused
}
