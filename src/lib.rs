//! siemline: AWS security records in, OCSF out, nothing lost.
//!
//! # The way of the data
//!
//! ```text
//! source ──Chunk──▶ normalize workers ──Parcel──▶ lane per sink ──Batch──▶ sink.send ──Delivery──┐
//!   ▲   records +      envelope → detect →          encode, batch by         one verdict an entry │
//!   │   receipt        mapping → route → project    entries, bytes, age                           │
//!   └── checkpoint ◀── frontier (contiguous, per shard) ◀── receipts settle ◀────────────┴─▶ dead letters
//! ```
//!
//! A source hands on [chunks](record::Chunk) of [records](record::Record). A worker undoes their [envelopes](envelope),
//! [normalizes](normalize) each event to OCSF bytes, [routes](route) it, and projects it to the [vocabularies](vocabulary)
//! that its sinks want. Each sink has a [lane](delivery) that batches, sends, and acts on one verdict an entry. When every part of a chunk is settled, its [receipt](ack::Receipt)
//! tells the shard's [frontier](ack::Frontier), and the checkpoint moves.
//!
//! # The house
//!
//! Rooms stand on floors; a room names only rooms below it. `tests/it/house.rs` holds it.
//!
//! | floor | room | what it is |
//! |---|---|---|
//! | 0 | [`ack`] | positions, receipts, outcomes, the frontier |
//! | 0 | [`budget`] | the bytes in flight, bounded over everything |
//! | 0 | [`metric`] | what is counted |
//! | 0 | [`secret`] | secrets as references, never shown |
//! | 0 | [`shutdown`] | the wish to stop |
//! | 0 | [`mod@unit`] | durations and sizes with their units |
//! | 1 | [`record`] | what a source hands on |
//! | 1 | [`vocabulary`] | which names an event may use and what each takes: the form of the tables |
//! | 2 | [`envelope`] | from a record's bytes to its events |
//! | 2 | [`ocsf`] | the table of OCSF 1.8.0; a strict validator |
//! | 2 | [`ecs`] | the table of Elastic's common schema 8.17 |
//! | 2 | [`cim`] | the table of Splunk's common information model 6.0 |
//! | 3 | [`normalize`] | mapping files, compiled; from an event to OCSF bytes, and from those to ECS and CIM |
//! | 4 | [`route`] | which sinks an event goes to |
//! | 4 | [`delivery`] | the seam of sinks; batches, lanes, retry, dead letters |
//! | 5 | [`spill`] | what waits for a destination that is down, on the disk |
//! | 5 | [`telemetry`] | what the process says about itself: logs; health, metrics and status over HTTP |
//! | 5 | [`aws`] | credentials, region, endpoints of all AWS clients |
//! | 5 | [`http`] | the one place where HTTP clients are made |
//! | 6 | [`lease`] | who reads which shard, and up to where all is settled: a local file, or a table in the layout of KCL |
//! | 7 | [`source`] | Kinesis, files |
//! | 7 | [`sink`] | Splunk HEC, Elastic, Kafka, Firehose, Sumo Logic, any HTTP input, S3, files, standard output |
//! | 8 | [`pipeline`] | intake, workers, lanes, dead letters, drain |
//! | 9 | [`config`] | options as written, settings as used, what is generated from them |
//! | 10 | [`cli`] | the commands |
//!
//! # What holds everywhere
//!
//! 1. *Conservation.* Every event read ends as delivered, filtered by a named rule, dead-lettered with a reason, or is read
//!    again. `read = delivered + filtered + dead-lettered + in flight + to be read again`, per event and per entry.
//! 2. *Success is spoken.* An entry without a verdict is not delivered; a receipt dropped unsettled means "read it again"; a
//!    checkpoint moves only over what is settled.
//! 3. *Everything is bounded*, by name and unit. A full bound stops the reading; it never drops.
//! 4. *Foreign bytes cannot hurt.* Whatever comes in, events and complaints come out: no panic, no hang, no unbounded memory.
//! 5. *A mapping is data.* The engine knows no log type; every leaf of an event is kept at least once.
//!
//! And what is *not* there: below `pipeline` nothing spawns a task or a thread; floors 0 to 4 but for the lane's waiting
//! know no clock, no disk and no network; there is no `unsafe`; there is no trait object on the data path.

pub mod ack;
pub mod aws;
pub mod budget;
pub mod cim;
pub mod cli;
pub mod config;
pub mod delivery;
pub mod ecs;
pub mod envelope;
pub mod http;
pub mod lease;
pub mod metric;
pub mod normalize;
pub mod ocsf;
pub mod pipeline;
pub mod record;
pub mod route;
pub mod secret;
pub mod shutdown;
pub mod sink;
pub mod source;
pub mod spill;
pub mod telemetry;
pub mod unit;
pub mod vocabulary;
