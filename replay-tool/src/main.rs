//! `replay-tool`: the auditors' command line. Reads only; data goes to stdout, all else to stderr.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
