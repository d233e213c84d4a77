//! The command line.

use std::path::PathBuf;

use clap::{Args as Arguments, Parser, Subcommand, ValueEnum};

use super::iam;
use crate::config::NormalizeOptions;
use crate::unit::Span;

/// Reads AWS security records, makes OCSF of them, and delivers them to your SIEM without losing one.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Read, normalize and deliver, until the end of the input or SIGTERM; then drain and checkpoint.
    ///
    /// A second signal exits at once. Exit codes: 0 ended well, 1 a source or sink failed for good, 64 the configuration is
    /// wrong.
    Run {
        /// The configuration file.
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Check the configuration and the mappings; with `--connect`, ask every source and sink whether it is there; with
    /// `--canary`, send a marked event to every Splunk.
    ///
    /// Of mappings it says which of yours take the place of shipped ones, who wins a tie, which matches never decide, and
    /// which leaves are let go and why. A rule that could never give anything is a mistake.
    Check {
        /// The configuration file.
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
        /// Ask every source and sink the cheapest honest question.
        #[arg(long)]
        connect: bool,
        /// Send one marked event through each Splunk HEC sink, with each of its tokens, and say which search finds it. Asks
        /// as `--connect` does before.
        #[arg(long)]
        canary: bool,
    },
    /// Normalize files in any envelope to NDJSON on standard output; complaints go to standard error.
    ///
    /// Exit codes: 0 every event came out or was filtered by a named rule, 3 some were dead-lettered, 64 a file cannot be
    /// read or a mapping is wrong.
    Normalize(Normalize),
    /// Run the tests that the mappings hold, and show what differs field by field.
    ///
    /// Exit codes: 0 every test passed (and, with `--coverage`, every rule was fired), 3 not so, 64 a mapping is wrong.
    Test {
        /// Mapping files of your own, and directories of them, laid over the shipped ones.
        #[arg(value_name = "PATH")]
        mappings: Vec<PathBuf>,
        /// Say which rules no test fired.
        #[arg(long)]
        coverage: bool,
    },
    /// Show where the Kinesis sources stand: leases, owners, lag, headroom, checkpoints.
    ///
    /// The lag is asked of each shard, with one call for one record behind its checkpoint. Where the configuration has an
    /// `[admin] listen`, the process that runs with it on this machine is asked why its shards stand still.
    Status {
        /// The configuration file.
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Set the checkpoints of a Kinesis source back or forth, when all copies are stopped.
    ///
    /// It shows what it does and asks before. Copies that still read are found out, and nothing is changed then.
    Reset {
        /// The source's name.
        source: String,
        /// The configuration file.
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
        /// Where to begin: `TRIM_HORIZON`, `LATEST`, or a time such as `2026-01-31T12:00:00Z`.
        #[arg(long, value_name = "PLACE")]
        to: String,
        /// Show what would be done, and do nothing.
        #[arg(long)]
        dry_run: bool,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Print the IAM policies that a configuration needs, and nothing more: one for the process, and one for each role that
    /// it assumes.
    ///
    /// Where the configuration leaves a region or an account open, `*` stands in the ARNs, and standard error says so.
    Iam {
        /// The configuration file.
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
        /// The region where the process runs, for what the configuration names without one.
        #[arg(long, value_parser = iam::region)]
        region: Option<String>,
        /// The account of the process, for what the configuration names without one, and for who may assume its roles.
        #[arg(long, value_parser = iam::account)]
        account: Option<String>,
        /// For whoever replays dead letters, which takes more than to keep them: to find, read and remove them.
        #[arg(long)]
        replay: bool,
    },
    /// Send dead letters again, after what was wrong has been mended.
    ///
    /// Each is normalized again and goes to the sink that could not have it, and to no other; what was broken goes where the
    /// routes say. Its events have the ids that they had, so that a destination which knows ids has nothing twice. What fails
    /// again becomes a dead letter again, in a file of its own. Exit codes: 0 all were delivered or let go by a rule, 1 it
    /// could not be ended, 3 some failed again or cannot be sent, 64 the configuration or the command line is wrong.
    Replay(Replay),
    /// Prepare a destination.
    #[command(subcommand)]
    Setup(Setup),
}

/// The arguments of `replay`.
#[derive(Debug, Arguments)]
pub struct Replay {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE")]
    pub config: PathBuf,
    /// A file of dead letters, or a directory of them; or the kind of the store of the configuration, such as
    /// `s3` (a file of that name is `./s3`). May be given several times. Default: the directory of the configuration, and its
    /// store.
    #[arg(long, value_name = "PATH|STORE")]
    pub from: Vec<PathBuf>,
    /// Only those of this sink. May be given several times, as may all that follow.
    #[arg(long, value_name = "NAME")]
    pub sink: Vec<String>,
    /// Only those with this reason, such as `refused`.
    #[arg(long, value_name = "REASON")]
    pub reason: Vec<String>,
    /// Only those with this code, such as `hec_6`; `hec_*` means all that begin so.
    #[arg(long, value_name = "CODE")]
    pub code: Vec<String>,
    /// Only those of this log type; `aws.*` means all that begin so.
    #[arg(long, value_name = "LOG_TYPE")]
    pub log_type: Vec<String>,
    /// Only those that were last sent at this time or later: `2026-01-31T12:00:00Z`.
    #[arg(long, value_name = "TIME")]
    pub since: Option<jiff::Timestamp>,
    /// Only those that were last sent before this time.
    #[arg(long, value_name = "TIME")]
    pub until: Option<jiff::Timestamp>,
    /// Show how many there are by sink, reason, code and log type, and send nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Pass the routes over: the sink of a letter gets it, whatever they say now.
    #[arg(long)]
    pub straight: bool,
    /// Remove from the files and the store what was delivered, and what failed again and is kept anew. From a
    /// topic of Kafka nothing can be removed.
    #[arg(long, conflicts_with = "dry_run")]
    pub remove: bool,
}

/// The arguments of `normalize`.
#[derive(Debug, Arguments)]
pub struct Normalize {
    /// Files to read; none, or `-`, is standard input.
    pub files: Vec<PathBuf>,
    /// A mapping file of your own, or a directory of them, laid over the shipped ones. May be given several times.
    #[arg(long, value_name = "PATH")]
    pub mappings: Vec<PathBuf>,
    /// The order of columns of a log type that comes as lines of text, such as
    /// `aws.vpc_flow='version srcaddr dstaddr action'`.
    #[arg(long, value_name = "LOG_TYPE=COLUMNS", value_parser = columns)]
    pub columns: Vec<(String, String)>,
    /// Where the clocks stand that wrote times without a zone, such as `Europe/Berlin`.
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    pub timezone: String,
    /// Put the event that an OCSF event was made of into it, as the text of `raw_data`.
    #[arg(long)]
    pub raw_data: bool,
    /// What to write.
    #[arg(long, value_enum, default_value_t = Form::Ocsf)]
    pub format: Form,
    /// Say on standard error, for every target, which rule and which source path filled it.
    #[arg(long)]
    pub why: bool,
    /// Print a table per log type on standard error: events, and where their leaves went.
    #[arg(long)]
    pub stats: bool,
}

impl Normalize {
    /// What a configuration would say of it.
    #[must_use]
    pub fn to_options(&self) -> NormalizeOptions {
        NormalizeOptions {
            mappings: self.mappings.clone(),
            columns: self.columns.iter().cloned().collect(),
            timezone: self.timezone.clone(),
            raw_data: self.raw_data,
            ..NormalizeOptions::default()
        }
    }
}

fn columns(text: &str) -> Result<(String, String), String> {
    let (log_type, columns) = text.split_once('=').ok_or("there is no `=` between the log type and its columns")?;
    Ok((log_type.to_owned(), columns.to_owned()))
}

/// What `normalize` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// OCSF 1.8.0 events.
    Ocsf,
    /// Elastic Common Schema 8.17.
    Ecs,
    /// Splunk's Common Information Model.
    Cim,
    /// The events as AWS wrote them, free of their envelopes.
    Raw,
}

/// Destinations that can be prepared.
#[derive(Debug, Subcommand)]
pub enum Setup {
    /// Install index templates, which keep free-form attributes from exploding the number of fields, and a lifecycle. Doing it
    /// again is harmless; a lifecycle policy that is there already is left as it is.
    Elastic {
        /// The configuration file that names the sink.
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
        /// The sink's name, where several are configured.
        #[arg(long, value_name = "NAME")]
        sink: Option<String>,
        /// For the index of `[dead_letter.elastic]` instead: its template alone. Dead letters are deleted by nobody but `replay`.
        #[arg(long, conflicts_with_all = ["sink", "retention"])]
        dead_letters: bool,
        /// Print what would be installed, and install nothing.
        #[arg(long)]
        dry_run: bool,
        /// With `--dry-run`: print it for OpenSearch, which is otherwise seen by asking the server.
        #[arg(long, requires = "dry_run")]
        opensearch: bool,
        /// With `--dry-run`: print it for the serverless offer, of Elastic or, with `--opensearch`, of AWS.
        #[arg(long, requires = "dry_run")]
        serverless: bool,
        /// Delete data older than this, such as `365d`. Without it nothing is ever deleted.
        #[arg(long, value_name = "TIME", value_parser = Span::parse)]
        retention: Option<Span>,
    },
}
