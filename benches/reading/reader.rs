//! The source at work, in the place of the pipeline somebody who settles everything at once.

use std::collections::HashMap;
use std::sync::Arc;

use aws_config::SdkConfig;
use aws_sdk_kinesis::config::Credentials;
use aws_smithy_http_client::tls::{self, TlsContext, TrustStore};
use serde_json::json;
use siemline::ack::Outcome;
use siemline::aws;
use siemline::budget::Budget;
use siemline::lease::MemoryTable;
use siemline::record::{Chunk, Record};
use siemline::shutdown;
use siemline::source::kinesis::KinesisSource;
use siemline::source::{Intake, Source as _};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use crate::corpus::Corpus;
use crate::served::{SHARDS, STREAM, Served, sequence};

/// So much memory that no answer is ever cut short for want of it: half of it is the readers'.
const IN_FLIGHT_BYTES_MAX: usize = 2 << 30;

/// How records come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By asking for them, in the clear.
    Polling,
    /// By asking for them, behind TLS.
    PollingTls,
    /// By subscriptions, which are always behind TLS.
    FanOut,
}

impl Way {
    pub const ALL: [Self; 3] = [Self::Polling, Self::PollingTls, Self::FanOut];

    pub fn name(self) -> &'static str {
        match self {
            Self::Polling => "polling, HTTP/1.1",
            Self::PollingTls => "polling, HTTP/2 and TLS",
            Self::FanOut => "enhanced fan-out, HTTP/2 and TLS",
        }
    }

    pub fn has_tls(self) -> bool {
        self != Self::Polling
    }
}

/// Reads all shards once, all of it on the thread of the caller. `look` sees each record and its shard.
pub fn read(runtime: &Runtime, way: Way, served: &Served, corpus: &Corpus, mut look: impl FnMut(&Record)) {
    let mode = if way == Way::FanOut { "fan_out" } else { "polling" };
    let options = json!({
        "stream": STREAM, "endpoint_url": served.url, "mode": mode, "consumer": "bench", "checkpoint_interval": "1h",
    });
    let options = serde_json::from_value(options).expect("options");
    runtime.block_on(async {
        let source = KinesisSource::with_tables(&Arc::from("bench"), options, |_| MemoryTable::default());
        let source = source.configured(sdk_config(served.certificate.as_deref()).await);
        let (sender, mut chunks) = mpsc::channel::<Chunk>(4);
        let (stop, shutdown) = shutdown::channel();
        let settling = async {
            let mut missing = corpus.records.len() * SHARDS;
            while let Some(chunk) = chunks.recv().await {
                chunk.records.iter().for_each(&mut look);
                missing -= chunk.records.len();
                chunk.receipt.settle(Outcome::Delivered);
                if missing == 0 {
                    stop.stop();
                }
            }
            assert_eq!(missing, 0, "all of it is read");
        };
        let intake = Intake::new(sender, Budget::new(IN_FLIGHT_BYTES_MAX));
        let (ended, ()) = tokio::join!(source.run(intake, shutdown), settling);
        ended.expect("the source reads");
    });
}

/// Reads all shards once and holds every record against what was served.
pub fn assert_whole(runtime: &Runtime, way: Way, served: &Served, corpus: &Corpus) {
    let mut read_so_far: HashMap<Arc<str>, usize> = HashMap::new();
    read(runtime, way, served, corpus, |record| {
        let place = read_so_far.entry(Arc::clone(&record.position.shard)).or_default();
        assert!(record.data == corpus.records[*place], "record {place} as it was served");
        assert_eq!(record.position.sequence.as_str(), sequence(*place));
        assert!(record.arrival_ms.is_some());
        *place += 1;
    });
    assert_eq!(read_so_far.len(), SHARDS);
    assert!(read_so_far.values().all(|read| *read == corpus.records.len()), "{read_so_far:?}");
}

/// Credentials of nobody, and trust in the fake's certificate.
async fn sdk_config(certificate: Option<&str>) -> SdkConfig {
    let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "bench");
    let mut loader = aws::loader(Some("eu-west-1")).credentials_provider(credentials);
    if let Some(certificate) = certificate {
        let trusted = TrustStore::empty().with_pem_certificate(certificate);
        let context = TlsContext::builder().with_trust_store(trusted).build().expect("a certificate");
        let provider = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring);
        let client = aws_smithy_http_client::Builder::new().tls_provider(provider).tls_context(context).build_https();
        loader = loader.http_client(client);
    }
    loader.load().await
}
