//! The I/O of a Firehose sink.

use std::fmt;

use aws_config::SdkConfig;
use aws_sdk_firehose::Client;
use aws_sdk_firehose::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_firehose::operation::put_record_batch::PutRecordBatchOutput;
use aws_sdk_firehose::primitives::Blob;
use aws_sdk_firehose::types::{DeliveryStreamStatus, DeliveryStreamType, Record};
use tokio::sync::OnceCell;

use super::FirehoseOptions;
use super::request::{Piece, push, records};
use super::response::{Outcome, failure, judge};
use crate::aws;
use crate::delivery::{Batch, Delivery, Disposition, Error, EventView, Sink};
use crate::http::words;
use crate::sink;

/// A Firehose stream.
pub struct Firehose {
    options: FirehoseOptions,
    sdk_config: Option<SdkConfig>,
    /// Made at the first call: looking for the region and credentials may ask the network.
    client: OnceCell<Client>,
}

impl Firehose {
    /// A sink after these options. Asks nobody.
    ///
    /// # Errors
    ///
    /// When options cannot be, or contradict each other.
    pub fn new(options: &FirehoseOptions) -> Result<Self, sink::Error> {
        if let Some((option, words)) = options.mistake() {
            return Err(sink::Error::Option { option, words });
        }
        Ok(Self { options: options.clone(), sdk_config: None, client: OnceCell::new() })
    }

    /// The same with this configuration in place of the environment's. A role is assumed by it all the same.
    #[must_use]
    pub fn configured(self, sdk_config: SdkConfig) -> Self {
        Self { sdk_config: Some(sdk_config), ..self }
    }

    async fn client(&self) -> &Client {
        let made = self.client.get_or_init(|| async {
            let access = self.options.access();
            let config = match &self.sdk_config {
                Some(config) => Box::pin(aws::assuming(config.clone(), &access)).await,
                None => Box::pin(aws::configuration(&access)).await,
            };
            let mut builder = aws_sdk_firehose::config::Builder::from(&config);
            if let Some(url) = &self.options.endpoint_url {
                builder = builder.endpoint_url(url);
            }
            Client::from_conf(builder.build())
        });
        made.await
    }
}

impl Sink for Firehose {
    fn encode(&self, event: EventView<'_>, out: &mut Vec<u8>) {
        push(self.options.format, event, out);
    }

    async fn send(&self, batch: &Batch) -> Result<Delivery, Error> {
        let pieces = records(batch.frames(), self.options.pack);
        if pieces.is_empty() {
            return Ok(judge(batch.len(), &[], &[]));
        }
        let made: Result<Vec<Record>, _> = pieces.iter().map(record).collect();
        let made = made.map_err(|error| failure(0, "record", &error.to_string()))?;
        let request = self.client().await.put_record_batch().delivery_stream_name(self.options.name());
        match request.set_records(Some(made)).send().await {
            Ok(answer) => Ok(judge(batch.len(), &pieces, &outcomes(&answer))),
            Err(error) => Err(told("PutRecordBatch", &error)),
        }
    }

    async fn check(&self) -> Result<(), Error> {
        let request = self.client().await.describe_delivery_stream().delivery_stream_name(self.options.name());
        let answer = request.limit(1).send().await.map_err(|error| {
            let mut error = told("DescribeDeliveryStream", &error);
            if error.code.starts_with("AccessDenied") {
                error
                    .words
                    .push_str("; `check` asks with `firehose:DescribeDeliveryStream`, which delivery does not need");
            }
            error
        })?;
        let Some(stream) = answer.delivery_stream_description else {
            return Err(failure(200, "", "DescribeDeliveryStream: the answer describes nothing"));
        };
        let fault = |disposition, code: &'static str, words| Err(Error { disposition, code: code.into(), words });
        match (stream.delivery_stream_status, stream.delivery_stream_type) {
            (DeliveryStreamStatus::Active, DeliveryStreamType::DirectPut) => Ok(()),
            (DeliveryStreamStatus::Active, kind) => {
                let words = format!("the stream's source is {kind}: only one with Direct PUT takes records");
                fault(Disposition::Pause, "not_direct_put", words)
            }
            (DeliveryStreamStatus::Creating, _) => {
                let words = "the stream is being created: wait until it is ACTIVE".to_owned();
                fault(Disposition::Retry { after: None }, "not_active", words)
            }
            (status, _) => fault(
                Disposition::Pause,
                "not_active",
                format!("the stream is {status}: create it anew, or name another"),
            ),
        }
    }
}

impl fmt::Debug for Firehose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Firehose").field("options", &self.options).finish_non_exhaustive()
    }
}

fn record(piece: &Piece<'_>) -> Result<Record, aws_sdk_firehose::error::BuildError> {
    Record::builder().data(Blob::new(piece.data.concat())).build()
}

/// What the service says of each record. One with neither an id nor a code is taken for a failure: success is spoken.
fn outcomes(answer: &PutRecordBatchOutput) -> Vec<Outcome> {
    let each = answer.request_responses.iter().map(|entry| match (&entry.error_code, &entry.record_id) {
        (None, Some(id)) if !id.is_empty() => Ok(()),
        (code, _) => Err((
            code.clone().unwrap_or_else(|| "no_record_id".to_owned()),
            words(entry.error_message.as_deref().unwrap_or_default().as_bytes()),
        )),
    });
    each.collect()
}

fn told<E, R>(call: &str, error: &SdkError<E, R>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: Status + fmt::Debug + Send + Sync + 'static,
{
    let service = error.as_service_error();
    let code = service.and_then(ProvideErrorMetadata::code).unwrap_or_default();
    let status = error.raw_response().map_or(0, Status::status);
    let told = match service.and_then(ProvideErrorMetadata::message) {
        Some(message) => message.to_owned(),
        None => DisplayErrorContext(error).to_string(),
    };
    failure(status, code, &format!("{call}: {}", words(told.as_bytes())))
}

/// The status of an answer.
trait Status {
    fn status(&self) -> u16;
}

impl Status for aws_sdk_firehose::config::http::HttpResponse {
    fn status(&self) -> u16 {
        self.status().as_u16()
    }
}
