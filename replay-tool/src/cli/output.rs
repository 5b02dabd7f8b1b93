//! Stdout: what was asked for, and nothing else.

use std::io::Write;

/// Prints a text and ends its line.
pub(super) fn line(text: &str) {
    // Whoever reads may have seen enough and closed the pipe; that is no reason to panic.
    drop(writeln!(std::io::stdout(), "{text}"));
}
