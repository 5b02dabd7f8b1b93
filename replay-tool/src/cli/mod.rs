//! The command line: arguments in, the library's answer out.

mod arguments;
mod output;
mod progress;

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;
use domain::StreamId;
use replay_tool::render::{
    event_json, event_text, finding_json, finding_text, stats_json, stats_text, summary_json,
    summary_text,
};
use replay_tool::verify::{Finding, Observer, Part, VerifyOptions, verify};
use replay_tool::{stats, stream_events};

use arguments::{Arguments, Command, Database, Verify};
use progress::Bars;

/// Something cannot be true.
const VIOLATIONS: u8 = 1;
/// It could not be checked, which says nothing of whether it is true.
const COULD_NOT_CHECK: u8 = 2;
/// Threads: one reads while another checks; more would only take turns on their work.
const WORKER_THREADS: usize = 2;

type Outcome = Result<ExitCode, Box<dyn Error>>;

/// Runs the program.
pub(crate) fn run() -> ExitCode {
    // A wrong argument ends here, with the exit code 2.
    let arguments = Arguments::parse();
    let level = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(level)
        .with_writer(std::io::stderr)
        .with_ansi(output::colours())
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKER_THREADS)
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(dispatch(arguments.command)),
        Err(error) => Err(error.into()),
    };
    outcome.unwrap_or_else(|error| {
        output::problem(&*error);
        ExitCode::from(COULD_NOT_CHECK)
    })
}

async fn dispatch(command: Command) -> Outcome {
    match command {
        Command::Verify(arguments) => run_verify(arguments).await,
        Command::Stream { stream, json, database } => run_stream(&stream, json, &database).await,
        Command::Stats { json, database } => run_stats(json, &database).await,
    }
}

/// Prints findings as they come, above the progress bar.
struct Printer {
    json: bool,
    bars: Bars,
}

impl Observer for Printer {
    fn progress(&mut self, part: Part, done: u64, total: u64) {
        self.bars.show(part, done, total);
    }

    fn finding(&mut self, finding: &Finding) {
        let text = if self.json { finding_json(finding) } else { finding_text(finding) };
        self.bars.aside(|| output::line(&text));
    }
}

async fn run_verify(arguments: Verify) -> Outcome {
    let json = arguments.json;
    let options = VerifyOptions {
        from: arguments.from,
        to: arguments.to,
        mirror: arguments.mirror(),
        read_models: arguments.read_models,
        full_speed: arguments.full_speed,
        ..VerifyOptions::of(arguments.database.url()?)
    };
    let mut printer = Printer { json, bars: Bars::default() };
    let verified = verify(&options, &mut printer).await;
    printer.bars.finish();
    let summary = verified?;
    output::line(&if json { summary_json(&summary) } else { summary_text(&summary) });
    Ok(if summary.clean() { ExitCode::SUCCESS } else { ExitCode::from(VIOLATIONS) })
}

async fn run_stream(stream: &str, json: bool, database: &Database) -> Outcome {
    let meant = stream_of_id(stream);
    let stream = StreamId::from_stored(stream.to_owned());
    let render = if json { event_json } else { event_text };
    let url = database.url()?;
    let count = stream_events::read(&url, &stream, |event| output::line(&render(event))).await?;
    if count == 0 {
        let hint = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
        return Err(format!("there is no stream {stream}{hint}").into());
    }
    Ok(ExitCode::SUCCESS)
}

/// The stream of what has this id, where an id was given in place of a stream.
fn stream_of_id(text: &str) -> Option<StreamId> {
    let payment = text.parse().map(StreamId::payment);
    payment
        .or_else(|_| text.parse().map(StreamId::account))
        .or_else(|_| text.parse().map(StreamId::entry))
        .or_else(|_| text.parse().map(StreamId::hold))
        .or_else(|_| text.parse().map(StreamId::merchant))
        .or_else(|_| text.parse().map(StreamId::api_key))
        .ok()
}

async fn run_stats(json: bool, database: &Database) -> Outcome {
    let url = database.url()?;
    let mut bars = Bars::default();
    let counted = stats::stats(&url, |done, total| bars.show(Part::Events, done, total)).await;
    bars.finish();
    let counted = counted?;
    output::line(&if json { stats_json(&counted) } else { stats_text(&counted) });
    Ok(ExitCode::SUCCESS)
}
