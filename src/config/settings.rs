//! The configuration as it is used: resolved, and valid by construction.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::options::{DeadLetterOptions, LogOptions, NormalizeOptions, Options};
use super::place::{self, Mistake};
use crate::delivery::SpillPlace;
use crate::normalize::Mappings;
use crate::normalize::redact::{self, Redactions, Redactor};
use crate::pipeline::{self, AccountsSettings, LetterStore, SinkSettings, SourceSettings};
use crate::route::{self, PatternOptions, RouteOptions, Routes};
use crate::sink;
use crate::telemetry;

/// The configuration, resolved.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the pipeline is made of.
    pub pipeline: pipeline::Settings,
    /// How records become OCSF.
    pub normalize: NormalizeOptions,
    /// What is logged.
    pub log: LogOptions,
}

/// Reads and resolves a configuration file.
///
/// # Errors
///
/// With the first mistake: where it stands, and the remedy. Nothing has been opened or asked by then.
pub fn load(path: &Path) -> Result<Settings, Mistake> {
    let (file, text) = read(path)?;
    parse(&file, &text)
}

/// Reads a configuration file as it is written, and resolves nothing.
///
/// # Errors
///
/// As [`load`].
pub fn options(path: &Path) -> Result<Options, Mistake> {
    let (file, text) = read(path)?;
    parse_options(&file, &text)
}

fn read(path: &Path) -> Result<(String, String), Mistake> {
    let file = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => Ok((file, text)),
        Err(error) => {
            let words = format!("cannot read the configuration: {error}; name the file with --config");
            Err(Mistake::in_file(&file, words))
        }
    }
}

/// Checks what a configuration says of log types against the mappings: a route or a redaction for one that there is not
/// would do nothing, unnoticed.
///
/// # Errors
///
/// With the first mistake.
pub fn check_log_types(path: &Path, settings: &Settings, mappings: &Arc<Mappings>) -> Result<(), Mistake> {
    let (file, text) = read(path)?;
    let resolver = Resolver { file: &file, text: &text, redacts: false };
    let pipeline = &settings.pipeline;
    Redactor::new(&pipeline.redactions, mappings).map_err(|error| resolver.in_redaction(&error))?;
    let known = mappings.known_log_types();
    pipeline.routes.check_log_types(&known).map_err(|error| resolver.in_route(&error, &BTreeMap::new()))
}

/// Resolves a configuration's text; `file` is its name in messages.
///
/// # Errors
///
/// As [`load`].
pub fn parse(file: &str, text: &str) -> Result<Settings, Mistake> {
    let options = parse_options(file, text)?;
    Resolver { file, text, redacts: !options.redact.is_empty() }.resolve(options)
}

fn parse_options(file: &str, text: &str) -> Result<Options, Mistake> {
    toml::from_str(text).map_err(|error: toml::de::Error| {
        let words = error.message().trim().replace('\n', " ");
        match error.span() {
            Some(span) => Mistake::at_byte(file, text, span.start, words),
            None => Mistake::in_file(file, words),
        }
    })
}

struct Resolver<'a> {
    file: &'a str,
    text: &'a str,
    /// Whether anything is redacted.
    redacts: bool,
}

impl Resolver<'_> {
    fn resolve(&self, options: Options) -> Result<Settings, Mistake> {
        telemetry::check(&options.log.level).map_err(|error| self.mistake(&["log", "level"], &error.to_string()))?;
        let sources = self.sources(options.source)?;
        let sinks = self.sinks(&options.sink)?;
        let names: Vec<&str> = sinks.iter().map(|(name, _)| name.as_ref()).collect();
        let mut routes: Vec<_> = options.route.iter().map(|(name, route)| (name.as_str(), route)).collect();
        routes.sort_by_key(|(name, _)| place::byte_of(self.text, &["route", name]));
        let routes = Routes::new(routes, &names).map_err(|error| self.in_route(&error, &options.route))?;
        let mut redactions: Vec<_> = options.redact.iter().map(|(name, redact)| (name.as_str(), redact)).collect();
        redactions.sort_by_key(|(name, _)| place::byte_of(self.text, &["redact", name]));
        let redactions = Redactions::new(redactions).map_err(|error| self.in_redaction(&error))?;
        let accounts = AccountsSettings::load(&options.enrich.accounts)
            .map_err(|error| self.mistake(&["enrich", "accounts", "file"], &error.to_string()))?;
        let letter_store = self.letter_store(&options.dead_letter)?;
        let pipeline = pipeline::Settings {
            sources,
            sinks,
            routes,
            redactions,
            deduplicate: options.deduplicate,
            accounts,
            dead_letters: options.dead_letter.file,
            letter_store,
            options: options.pipeline,
            limits: options.normalize.limits(),
            admin: options.admin,
        };
        Ok(Settings { pipeline, normalize: options.normalize, log: options.log })
    }

    fn sources(&self, options: super::SourceOptions) -> Result<Vec<(Arc<str>, SourceSettings)>, Mistake> {
        for (name, kinesis) in &options.kinesis {
            if let Some((option, words)) = kinesis.lease.mistake() {
                return Err(self.mistake(&["source", "kinesis", name, "lease", option], &words));
            }
            if let Some((option, words)) = kinesis.mistake() {
                return Err(self.mistake(&["source", "kinesis", name, option], &words));
            }
        }
        let kinesis =
            options.kinesis.into_iter().map(|(name, options)| (name, SourceSettings::Kinesis(Box::new(options))));
        let file = options.file.into_iter().map(|(name, options)| (name, SourceSettings::File(options)));
        let sources: Vec<_> = kinesis.chain(file).map(|(name, source)| (Arc::from(name), source)).collect();
        if sources.is_empty() {
            let words = "no source is configured: add a table such as [source.kinesis.<name>] or [source.file.<name>]";
            return Err(self.mistake(&["source"], words));
        }
        self.distinct("source", &sources)?;
        Ok(sources)
    }

    fn sinks(&self, options: &super::SinkOptions) -> Result<Vec<(Arc<str>, SinkSettings)>, Mistake> {
        let mut sinks = Vec::new();
        sinks.append(&mut self.of_kind("splunk_hec", &options.splunk_hec, SinkSettings::splunk_hec)?);
        sinks.append(&mut self.of_kind("elastic", &options.elastic, SinkSettings::elastic)?);
        sinks.append(&mut self.of_kind("kafka", &options.kafka, SinkSettings::kafka)?);
        sinks.append(&mut self.of_kind("firehose", &options.firehose, SinkSettings::firehose)?);
        sinks.append(&mut self.of_kind("sumo", &options.sumo, SinkSettings::sumo)?);
        sinks.append(&mut self.of_kind("http", &options.http, SinkSettings::http)?);
        sinks.append(&mut self.of_kind("s3", &options.s3, SinkSettings::s3)?);
        sinks.append(&mut self.of_kind("file", &options.file, SinkSettings::file)?);
        sinks.append(&mut self.of_kind("stdout", &options.stdout, SinkSettings::stdout)?);
        if sinks.is_empty() {
            let words = "no sink is configured: add a table such as [sink.splunk_hec.<name>] or [sink.file.<name>]";
            return Err(self.mistake(&["sink"], words));
        }
        self.distinct("sink", &sinks)?;
        Ok(sinks)
    }

    /// The sinks of one kind.
    fn of_kind<O>(
        &self,
        kind: &str,
        named: &BTreeMap<String, O>,
        make: fn(&O) -> Result<SinkSettings, sink::Error>,
    ) -> Result<Vec<(Arc<str>, SinkSettings)>, Mistake> {
        let made = named.iter().map(|(name, options)| match make(options) {
            Ok(sink) => {
                self.check_spill(&["sink", kind, name, "lane", "spill", "s3"], &sink)?;
                Ok((Arc::from(name.as_str()), sink))
            }
            Err(error) => Err(self.mistake(&["sink", kind, name], &error.to_string())),
        });
        made.collect()
    }

    /// A spill that leaves the machine, if the sink has one.
    fn check_spill(&self, path: &[&str], sink: &SinkSettings) -> Result<(), Mistake> {
        let Some(SpillPlace::S3(options)) = sink.lane.spill().map(|spill| &spill.place) else { return Ok(()) };
        self.check_originals(path, options.unredacted, "a spill holds", "name a local `directory`")?;
        match pipeline::bucket_mistake(options) {
            Some(error) => Err(self.mistake(path, &error.to_string())),
            None => Ok(()),
        }
    }

    /// The store of dead letters on the network, if there is one.
    fn letter_store(&self, options: &DeadLetterOptions) -> Result<Option<LetterStore>, Mistake> {
        // Each kind stands here by name, so that a new one cannot be forgotten.
        let DeadLetterOptions { file: _, elastic, kafka, s3 } = options;
        let stores = [
            elastic.as_ref().map(|options| ("elastic", options.unredacted, LetterStore::elastic(options))),
            kafka.as_ref().map(|options| ("kafka", options.unredacted, LetterStore::kafka(options))),
            s3.as_ref().map(|options| ("s3", options.unredacted, LetterStore::s3(options))),
        ];
        let mut stores = stores.into_iter().flatten();
        let Some((kind, unredacted, store)) = stores.next() else { return Ok(None) };
        if let Some((other, _, _)) = stores.next() {
            let words =
                format!("dead letters go to one store beside the file, and there is [dead_letter.{kind}]: choose");
            return Err(self.mistake(&["dead_letter", other], &words));
        }
        let path = ["dead_letter", kind];
        self.check_originals(&path, unredacted, "dead letters hold", "keep them in the local file only")?;
        store.map(Some).map_err(|error| self.mistake(&path, &error.to_string()))
    }

    /// What was redacted leaves the machine as it was read where somebody said that it may, and only there.
    fn check_originals(&self, path: &[&str], may_leave: bool, what: &str, otherwise: &str) -> Result<(), Mistake> {
        if may_leave || !self.redacts {
            return Ok(());
        }
        let words = format!(
            "{what} the originals, which no redaction has seen: set `unredacted = true` if they may lie there all the same, or \
             {otherwise}"
        );
        Err(self.mistake(path, &words))
    }

    /// Names are told apart in routes, metrics and checkpoints: one may not stand for two.
    fn distinct<T>(&self, kind: &str, named: &[(Arc<str>, T)]) -> Result<(), Mistake> {
        let twice =
            named.iter().enumerate().find(|(at, (name, _))| named.iter().take(*at).any(|(other, _)| other == name));
        match twice {
            Some((_, (name, _))) => {
                Err(self.mistake(&[kind], &format!("two {kind}s are called `{name}`: give each a name of its own")))
            }
            None => Ok(()),
        }
    }

    fn in_route(&self, error: &route::Error, routes: &BTreeMap<String, RouteOptions>) -> Mistake {
        let words = error.to_string();
        match error {
            route::Error::UnknownSink { route, option, .. } | route::Error::Option { route, option, .. } => {
                self.mistake(&["route", route, option], &words)
            }
            route::Error::Purpose(route) => self.mistake(&["route", route], &words),
            route::Error::Pattern { route, option, mistake } => {
                let written = routes.get(route).and_then(|options| match *option {
                    "raw_pattern" => options.raw_pattern.as_ref(),
                    _ => options.pattern.as_ref(),
                });
                let way: Vec<&str> = mistake.way.iter().map(String::as_str).collect();
                let path = ["route", route, option];
                match written.and_then(PatternOptions::json) {
                    Some(_) => Mistake::in_json(self.file, self.text, &path, &way, words),
                    None => self.mistake(&[&path[..], &way].concat(), &words),
                }
            }
            route::Error::TooManySinks(_) => self.mistake(&["sink"], &words),
        }
    }

    fn in_redaction(&self, error: &redact::Error) -> Mistake {
        self.mistake(&["redact", &error.name, error.option], &error.to_string())
    }

    fn mistake(&self, path: &[&str], words: &str) -> Mistake {
        Mistake::at_key(self.file, self.text, path, words)
    }
}
