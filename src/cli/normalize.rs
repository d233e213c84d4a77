//! `normalize`: files in any envelope to NDJSON.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use super::args::{Form, Normalize};
use super::{End, INCOMPLETE};
use crate::config;
use crate::envelope::kpl::MAGIC;
use crate::envelope::{Event, Limits, Peeler, Piece};
use crate::normalize::{self, Explanation, Leaves, Mappings, Normalizer, Projection, Projector};
use crate::sink::push_raw_line;
use crate::source::file::Decoder;

/// How much is read and decompressed at a time.
const PIECE_BYTES: usize = 64 << 10;

/// A file is peeled in runs of whole documents of about this size, so that a long one needs no more memory than a short
/// one. A document that is longer comes whole, up to the bound of a record.
const RUN_BYTES: usize = 4 << 20;

/// Normalizes files, or standard input.
pub fn normalize(options: &Normalize) -> Result<u8, End> {
    let mappings = Arc::new(config::mappings(&options.to_options()).map_err(End::usage)?);
    let mut bench = Bench {
        peeler: Peeler::new(Limits::default()),
        normalizer: Normalizer::new(Arc::clone(&mappings)),
        projector: Projector::new(Arc::clone(&mappings)),
        mappings,
        options,
        out: BufWriter::new(io::stdout().lock()),
        document: Vec::new(),
        projected: Vec::new(),
        tally: Tally::default(),
    };
    let standard_input = [Path::new("-").to_path_buf()];
    let files = if options.files.is_empty() { &standard_input[..] } else { &options.files };
    for path in files {
        match bench.file(path) {
            Err(Stop::Read(error)) => return Err(End::usage(format!("cannot read {}: {error}", path.display()))),
            // Whoever read our output has seen enough.
            Err(Stop::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(0),
            Err(Stop::Write(error)) => return Err(End::failed(format!("cannot write: {error}"))),
            Ok(()) => {}
        }
    }
    bench.out.flush().map_err(|error| End::failed(format!("cannot write: {error}")))?;
    if options.stats {
        eprint!("{}", bench.tally.table());
    }
    eprintln!("{}", bench.tally.equation());
    Ok(if bench.tally.dead_lettered.is_empty() { 0 } else { INCOMPLETE })
}

enum Stop {
    Read(io::Error),
    Write(io::Error),
}

struct Bench<'o> {
    peeler: Peeler,
    normalizer: Normalizer,
    projector: Projector,
    mappings: Arc<Mappings>,
    options: &'o Normalize,
    out: BufWriter<io::StdoutLock<'static>>,
    document: Vec<u8>,
    projected: Vec<u8>,
    tally: Tally,
}

#[derive(Default)]
struct Tally {
    read: u64,
    out: u64,
    filtered: BTreeMap<&'static str, u64>,
    dead_lettered: BTreeMap<String, u64>,
    log_types: BTreeMap<Arc<str>, (u64, Leaves)>,
}

impl Bench<'_> {
    fn file(&mut self, path: &Path) -> Result<(), Stop> {
        let name = path.display().to_string();
        if path == Path::new("-") {
            return self.read(&name, io::stdin().lock(), None);
        }
        let file = File::open(path).map_err(Stop::Read)?;
        let modified = file.metadata().and_then(|metadata| metadata.modified()).ok();
        let since = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let arrival_ms = since.and_then(|since| i64::try_from(since.as_millis()).ok());
        self.read(&name, file, arrival_ms)
    }

    fn read(&mut self, name: &str, mut reader: impl io::Read, arrival_ms: Option<i64>) -> Result<(), Stop> {
        let (mut decoder, mut piece, mut plain) = (Decoder::Start, vec![0; PIECE_BYTES], Vec::new());
        let (mut record, mut cut, mut is_skipping) = (0_u64, None, false);
        let bytes_max = Limits::default().decompressed_bytes_max;
        loop {
            let read = reader.read(&mut piece).map_err(Stop::Read)?;
            let before = plain.len();
            let decoded = match piece.get(..read) {
                Some(piece) if read > 0 => decoder.feed(piece, &mut plain),
                _ => decoder.finish(&mut plain),
            };
            cut = last_cut(&plain, before).or(cut);
            if is_skipping {
                // What is still to come of something over the bound is passed over; it was dead-lettered as one.
                let rest = cut.take().map_or(plain.len(), |cut| {
                    is_skipping = false;
                    cut
                });
                plain.drain(..rest);
                cut = last_cut(&plain, 0);
            }
            if read == 0 || decoded.is_err() {
                if !plain.trim_ascii().is_empty() {
                    self.record(name, record, &plain, arrival_ms).map_err(Stop::Write)?;
                }
                if let Err(error) = decoded {
                    record += 1;
                    self.dead_letter(name, record, "corrupt_compression", &error.to_string());
                }
                return Ok(());
            }
            // What is compressed once more, and a Kinesis record with an aggregate in it, can only be read whole.
            let is_whole = Decoder::is_compressed(&plain) || plain.starts_with(&MAGIC);
            if plain.len() < RUN_BYTES || is_whole && plain.len() <= bytes_max {
                continue;
            }
            if let Some(cut) = cut.take() {
                let rest = plain.split_off(cut);
                self.record(name, record, &plain, arrival_ms).map_err(Stop::Write)?;
                plain = rest;
                record += 1;
            } else if plain.len() > bytes_max {
                let words =
                    format!("more than {bytes_max} bytes without the end of a document, passed over up to there");
                self.dead_letter(name, record, "decompressed_bytes_max", &words);
                (plain, is_skipping) = (Vec::new(), true);
                record += 1;
            }
        }
    }

    fn record(&mut self, name: &str, number: u64, bytes: &[u8], arrival_ms: Option<i64>) -> io::Result<()> {
        let mut peeler = std::mem::replace(&mut self.peeler, Peeler::new(Limits::default()));
        let result = match peeler.peel(bytes, arrival_ms) {
            Ok(peeled) => {
                for complaint in peeled.complaints() {
                    eprintln!("{name}: record {number}, event {}: {}", complaint.index, complaint.oddity.code());
                }
                peeled.pieces().try_for_each(|piece| self.piece(name, number, piece))
            }
            Err(refusal) => {
                self.dead_letter(name, number, refusal.code, &refusal.words);
                Ok(())
            }
        };
        self.peeler = peeler;
        result
    }

    fn piece(&mut self, name: &str, record: u64, piece: Piece<'_>) -> io::Result<()> {
        match piece {
            Piece::Event(event) => self.event(name, record, &event),
            Piece::Filtered { rule, .. } => {
                self.tally.read += 1;
                *self.tally.filtered.entry(rule).or_default() += 1;
                Ok(())
            }
            Piece::Refused { index, code, .. } => {
                self.dead_letter(name, record, code, &format!("event {index} cannot be read"));
                Ok(())
            }
        }
    }

    fn event(&mut self, name: &str, record: u64, event: &Event<'_>) -> io::Result<()> {
        self.document.clear();
        let digest = normalize::digest(event.body);
        let explained = self.options.why || self.options.stats;
        let (normalized, explanation) = if explained {
            let (normalized, explanation) = self.normalizer.normalize_explained(event, &digest, &mut self.document);
            (normalized, Some(explanation))
        } else {
            (self.normalizer.normalize(event, &digest, &mut self.document), None)
        };
        for complaint in normalized.complaints.iter() {
            eprintln!("{name}: record {record}, event {}: {}", event.index, complaint.code());
        }
        self.tally.read += 1;
        self.tally.out += 1;
        let log_type = Arc::clone(&normalized.log_type);
        if let Some(explanation) = explanation {
            if self.options.why {
                eprintln!("{name}: record {record}, event {}: {}", event.index, normalized.log_type);
                self.why(&explanation);
            }
            let (events, leaves) = self.tally.log_types.entry(normalized.log_type).or_default();
            *events += 1;
            leaves.typed += explanation.leaves.typed;
            leaves.free_form += explanation.leaves.free_form;
            leaves.unmapped += explanation.leaves.unmapped;
            leaves.ignored += explanation.leaves.ignored;
        }
        match self.options.format {
            Form::Ocsf => self.document.push(b'\n'),
            Form::Ecs => self.project(Projection::Ecs, &log_type),
            Form::Cim => self.project(Projection::Cim, &log_type),
            Form::Raw => {
                self.document.clear();
                push_raw_line(event.body, &mut self.document);
            }
        }
        self.out.write_all(&self.document)
    }

    /// Puts the projection of the document in its place.
    fn project(&mut self, to: Projection, log_type: &str) {
        self.projected.clear();
        if self.options.why {
            let explanation = self.projector.project_explained(to, &self.document, log_type, &mut self.projected);
            eprintln!("  {}:", to.name());
            self.why(&explanation);
        } else {
            self.projector.project(to, &self.document, log_type, &mut self.projected);
        }
        self.projected.push(b'\n');
        std::mem::swap(&mut self.document, &mut self.projected);
    }

    fn why(&self, explanation: &Explanation) {
        let rules = explanation.mapping.as_deref().map_or(&[][..], |log_type| self.mappings.rules(log_type));
        for written in &explanation.written {
            let source = written.source.as_deref().unwrap_or("(constant)");
            match rules.get(usize::try_from(written.rule.0).unwrap_or(usize::MAX)) {
                Some(rule) if rule.label == written.target => {
                    eprintln!("  {} <- {source}  ({}:{})", written.target, rule.at.file, rule.at.line);
                }
                Some(rule) => {
                    let (target, label, at) = (&written.target, &rule.label, &rule.at);
                    eprintln!("  {target} <- {source}  ({}:{} {label})", at.file, at.line);
                }
                None => eprintln!("  {} <- {source}", written.target),
            }
        }
    }

    fn dead_letter(&mut self, name: &str, record: u64, code: &str, words: &str) {
        eprintln!("{name}: record {record}: dead-lettered: {code}: {words}");
        self.tally.read += 1;
        *self.tally.dead_lettered.entry(code.to_owned()).or_default() += 1;
    }
}

/// The last place where a document may begin: after a line's end, where what follows is neither indented nor closes
/// something, as the later lines of a document do that is written over many. `before` bytes have been searched already.
fn last_cut(plain: &[u8], before: usize) -> Option<usize> {
    let from = before.saturating_sub(1);
    let ends = memchr::memrchr_iter(b'\n', plain.get(from..)?).map(|at| from + at + 1);
    ends.into_iter()
        .find(|end| plain.get(*end).is_some_and(|next| !next.is_ascii_whitespace() && !matches!(next, b'}' | b']')))
}

impl Tally {
    /// `read = out + filtered + dead-lettered`, each with its reasons.
    fn equation(&self) -> String {
        let filtered = by_reason(self.filtered.iter().map(|(rule, count)| (*rule, *count)));
        let dead_lettered = by_reason(self.dead_lettered.iter().map(|(code, count)| (code.as_str(), *count)));
        format!("read {} = out {} + filtered {filtered} + dead-lettered {dead_lettered}", self.read, self.out)
    }

    fn table(&self) -> String {
        let width = self.log_types.keys().map(|name| name.len()).max().unwrap_or(0).max(8);
        let mut table = format!(
            "{:width$}  {:>8}  {:>9}  {:>16}  {:>16}  {:>16}  {:>8}\n",
            "log type", "events", "leaves", "typed", "free-form", "unmapped", "ignored"
        );
        for (log_type, (events, leaves)) in &self.log_types {
            let all = leaves.typed + leaves.free_form + leaves.unmapped + leaves.ignored;
            let share = |part: u64| format!("{part} {:>5.1} %", percent(part, all));
            let row = format!(
                "{log_type:width$}  {events:>8}  {all:>9}  {:>16}  {:>16}  {:>16}  {:>8}\n",
                share(leaves.typed),
                share(leaves.free_form),
                share(leaves.unmapped),
                leaves.ignored
            );
            table.push_str(&row);
        }
        table
    }
}

fn by_reason<'a>(counts: impl Iterator<Item = (&'a str, u64)>) -> String {
    let counts: Vec<_> = counts.collect();
    let all: u64 = counts.iter().map(|(_, count)| count).sum();
    if all == 0 {
        return "0".to_owned();
    }
    let parts: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    format!("{all} ({})", parts.join(", "))
}

fn percent(part: u64, all: u64) -> f64 {
    let number = |count: u64| u32::try_from(count).map_or(f64::INFINITY, f64::from);
    if all == 0 { 0.0 } else { 100.0 * number(part) / number(all) }
}
