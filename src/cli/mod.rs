//! The commands. Floor 10.
//!
//! Exit codes: 0 all is well; 1 something failed while running; 3 some events were dead-lettered (`normalize`) or some
//! tests failed (`test`); 64 the configuration, a mapping or the command line is wrong, and nothing was read.

mod args;
mod asked;
mod check;
mod iam;
mod normalize;
mod progress;
mod replay;
mod run;
mod selftest;
mod setup;
mod status;

use std::process::ExitCode;

use clap::Parser as _;

use args::{Args, Command, Setup};

use crate::sink::elastic::setup::Server;

/// Something failed while running.
const FAILED: u8 = 1;
/// It went through, but not everything came out.
const INCOMPLETE: u8 = 3;
/// The configuration, a mapping or the command line is wrong (`EX_USAGE` of sysexits).
const USAGE: u8 = 64;

/// Runs the command that the arguments name.
#[must_use]
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            let code = if error.use_stderr() { USAGE } else { 0 };
            // Nobody is left to tell when the terminal is gone.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let ended = match args.command {
        Command::Run { config } => run::run(&config),
        Command::Check { config, connect, canary } => check::check(&config, connect || canary, canary),
        Command::Normalize(options) => normalize::normalize(&options),
        Command::Test { mappings, coverage } => selftest::test(&mappings, coverage),
        Command::Status { config, json } => status::status(&config, json),
        Command::Reset { source, config, to, dry_run, yes } => status::reset(&config, &source, &to, dry_run, yes),
        Command::Iam { config, region, account, replay } => {
            let purpose = if replay { iam::Purpose::Replay } else { iam::Purpose::Run };
            iam::iam(&config, region.as_deref(), account.as_deref(), purpose)
        }
        Command::Replay(arguments) => replay::replay(&arguments),
        Command::Setup(Setup::Elastic { config, dead_letters: true, dry_run, .. }) => {
            setup::dead_letters(&config, dry_run)
        }
        Command::Setup(Setup::Elastic {
            config,
            sink,
            dead_letters: false,
            dry_run,
            opensearch,
            serverless,
            retention,
        }) => {
            let server = match (opensearch, serverless) {
                (false, false) => Server::Elasticsearch,
                (false, true) => Server::ElasticServerless,
                (true, false) => Server::OpenSearch,
                (true, true) => Server::OpenSearchServerless,
            };
            let dry_run = dry_run.then_some(server);
            setup::elastic(&config, setup::Wanted { sink: sink.as_deref(), dry_run, retention })
        }
    };
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(end) => {
            eprintln!("siemline: {}", end.words);
            ExitCode::from(end.code)
        }
    }
}

/// Why a command ended early.
struct End {
    code: u8,
    words: String,
}

/// Anything that can be said.
struct Words(String);

impl<T: std::fmt::Display> From<T> for Words {
    fn from(words: T) -> Self {
        Self(words.to_string())
    }
}

impl End {
    fn usage(words: impl Into<Words>) -> Self {
        Self { code: USAGE, words: words.into().0 }
    }

    fn failed(words: impl Into<Words>) -> Self {
        Self { code: FAILED, words: words.into().0 }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, End> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(End::failed)
}
