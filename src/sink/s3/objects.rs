//! The calls to S3.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::Builder;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectError;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{self, CompletedMultipartUpload, CompletedPart, ServerSideEncryption};
use bytes::Bytes;
use tokio::sync::OnceCell;

use super::request::Object;
use super::response::{Said, judge};
use super::{Encryption, S3Options};
use crate::aws;
use crate::delivery::Error;

/// Where the probe of `check` begins an upload that it gives up.
const PROBE_KEY: &str = "siemline-check";

/// The objects of one bucket. The client is made when it is first needed.
#[derive(Debug)]
pub(super) struct Objects {
    options: S3Options,
    client: OnceCell<Client>,
}

/// What was found under a key.
#[derive(Debug)]
pub(super) enum Got {
    /// These bytes.
    Object(Vec<u8>),
    /// More than were asked for.
    TooLarge,
    /// No object.
    Nothing,
}

impl Objects {
    pub(super) fn new(options: &S3Options) -> Self {
        Self { options: options.clone(), client: OnceCell::new() }
    }

    /// With this configuration of AWS instead of the environment's.
    pub(super) async fn configured(options: &S3Options, config: SdkConfig) -> Self {
        let config = aws::assuming(config, &options.access()).await;
        Self { options: options.clone(), client: OnceCell::new_with(Some(client(options, &config))) }
    }

    /// Writes an object, in parts where it is large. Dropping the future midway may leave parts that nobody sees, and that
    /// cost until the bucket's lifecycle removes them.
    pub(super) async fn put(&self, object: Object) -> Result<(), Error> {
        if object.body.len() > self.options.part_bytes.bytes() {
            return self.put_parts(object).await;
        }
        let request = self.client().await.put_object().bucket(&self.options.bucket).key(object.key);
        let request = request
            .content_type(object.content_type)
            .set_storage_class(self.storage_class())
            .set_server_side_encryption(self.encryption())
            .set_ssekms_key_id(self.options.kms_key.clone())
            .set_expected_bucket_owner(self.options.bucket_owner.clone())
            .body(ByteStream::from(object.body));
        let answer = request.send().await.map_err(|error| self.failed("PutObject", &error))?;
        self.stands(answer.e_tag.as_deref(), "PutObject")
    }

    /// The keys that begin so, in their order, from behind the page that `token` ends; and the token of this page where another
    /// follows.
    pub(super) async fn list(
        &self,
        prefix: &str,
        token: Option<String>,
    ) -> Result<(Vec<String>, Option<String>), Error> {
        let request = self.client().await.list_objects_v2().bucket(&self.options.bucket).prefix(prefix);
        let request =
            request.set_continuation_token(token).set_expected_bucket_owner(self.options.bucket_owner.clone());
        let page = request.send().await.map_err(|error| self.failed("ListObjectsV2", &error))?;
        let keys = page.contents.unwrap_or_default().into_iter().filter_map(|object| object.key).collect();
        Ok((keys, page.next_continuation_token.filter(|_| page.is_truncated == Some(true))))
    }

    /// An object's bytes, if there is one and it has no more than so many.
    pub(super) async fn get(&self, key: &str, bytes_max: usize) -> Result<Got, Error> {
        let request = self.client().await.get_object().bucket(&self.options.bucket).key(key);
        let request = request.set_expected_bucket_owner(self.options.bucket_owner.clone());
        let mut answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) if error.as_service_error().is_some_and(GetObjectError::is_no_such_key) => {
                return Ok(Got::Nothing);
            }
            Err(error) => return Err(self.failed("GetObject", &error)),
        };
        let mut body = Vec::new();
        while let Some(bytes) = answer.body.next().await {
            let bytes = bytes.map_err(|error| {
                let words = format!("the object ended too soon: {error}");
                judge(&Said { words, ..Said::default() }, &self.options.bucket, "GetObject")
            })?;
            if body.len() + bytes.len() > bytes_max {
                return Ok(Got::TooLarge);
            }
            body.extend_from_slice(&bytes);
        }
        Ok(Got::Object(body))
    }

    /// Removes an object; that there is none is as good.
    pub(super) async fn delete(&self, key: &str) -> Result<(), Error> {
        let request = self.client().await.delete_object().bucket(&self.options.bucket).key(key);
        let request = request.set_expected_bucket_owner(self.options.bucket_owner.clone());
        request.send().await.map_err(|error| self.failed("DeleteObject", &error))?;
        Ok(())
    }

    /// Asks whether an object could be written, and writes none: it begins an upload of several parts and gives it up. That
    /// takes the right to write, and the use of the key, and nothing more.
    pub(super) async fn check(&self, prefix: &str) -> Result<(), Error> {
        let key = format!("{prefix}{PROBE_KEY}");
        let upload = self.begin(&key, "application/x-ndjson").await?;
        self.give_up(&key, &upload).await
    }

    async fn put_parts(&self, object: Object) -> Result<(), Error> {
        let Object { key, body, content_type } = object;
        let upload = self.begin(&key, content_type).await?;
        let written = self.finish(&key, &upload, body.into()).await;
        if written.is_err() {
            // What is not given up is found by the bucket's lifecycle; the first failure is the one to tell.
            drop(self.give_up(&key, &upload).await);
        }
        written
    }

    async fn begin(&self, key: &str, content_type: &str) -> Result<String, Error> {
        let request = self.client().await.create_multipart_upload().bucket(&self.options.bucket).key(key);
        let request = request
            .content_type(content_type)
            .set_storage_class(self.storage_class())
            .set_server_side_encryption(self.encryption())
            .set_ssekms_key_id(self.options.kms_key.clone())
            .set_expected_bucket_owner(self.options.bucket_owner.clone());
        let begun = request.send().await.map_err(|error| self.failed("CreateMultipartUpload", &error))?;
        begun.upload_id.ok_or_else(|| {
            let words = "an answer without the id of the upload".to_owned();
            judge(&Said { status: Some(500), words, ..Said::default() }, &self.options.bucket, "CreateMultipartUpload")
        })
    }

    async fn finish(&self, key: &str, upload: &str, mut body: Bytes) -> Result<(), Error> {
        let client = self.client().await;
        let mut parts = CompletedMultipartUpload::builder();
        for number in 1.. {
            if body.is_empty() {
                break;
            }
            let part = body.split_to(self.options.part_bytes.bytes().min(body.len()));
            let request = client.upload_part().bucket(&self.options.bucket).key(key).upload_id(upload);
            let request = request
                .part_number(number)
                .set_expected_bucket_owner(self.options.bucket_owner.clone())
                .body(ByteStream::from(part));
            let answer = request.send().await.map_err(|error| self.failed("UploadPart", &error))?;
            self.stands(answer.e_tag.as_deref(), "UploadPart")?;
            let done = CompletedPart::builder().part_number(number).set_e_tag(answer.e_tag);
            let done = done
                .set_checksum_crc32(answer.checksum_crc32)
                .set_checksum_crc32_c(answer.checksum_crc32_c)
                .set_checksum_crc64_nvme(answer.checksum_crc64_nvme);
            parts = parts.parts(done.build());
        }
        let request = client.complete_multipart_upload().bucket(&self.options.bucket).key(key).upload_id(upload);
        let request =
            request.set_expected_bucket_owner(self.options.bucket_owner.clone()).multipart_upload(parts.build());
        request.send().await.map_err(|error| self.failed("CompleteMultipartUpload", &error))?;
        Ok(())
    }

    async fn give_up(&self, key: &str, upload: &str) -> Result<(), Error> {
        let request =
            self.client().await.abort_multipart_upload().bucket(&self.options.bucket).key(key).upload_id(upload);
        let request = request.set_expected_bucket_owner(self.options.bucket_owner.clone());
        request.send().await.map_err(|error| self.failed("AbortMultipartUpload", &error))?;
        Ok(())
    }

    async fn client(&self) -> &Client {
        let make = async || client(&self.options, &aws::configuration(&self.options.access()).await);
        self.client.get_or_init(make).await
    }

    fn storage_class(&self) -> Option<types::StorageClass> {
        self.options.storage_class.map(|class| class.name().into())
    }

    fn encryption(&self) -> Option<ServerSideEncryption> {
        match self.options.encryption {
            Encryption::Bucket => None,
            Encryption::S3 => Some(ServerSideEncryption::Aes256),
            Encryption::Kms => Some(ServerSideEncryption::AwsKms),
        }
    }

    /// A success is S3's where it names the object's tag, as S3 always does. A page that a proxy answers to everything is a
    /// success too, of which the SDK looks at nothing but the status.
    fn stands(&self, e_tag: Option<&str>, call: &str) -> Result<(), Error> {
        if e_tag.is_some_and(|tag| !tag.is_empty()) {
            return Ok(());
        }
        let words = "success without the object's tag (ETag), which S3 always names: something else answers".to_owned();
        Err(judge(&Said { status: Some(200), words, ..Said::default() }, &self.options.bucket, call))
    }

    fn failed<E>(&self, call: &str, error: &SdkError<E>) -> Error
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let answer = error.raw_response();
        let retry_after = answer.and_then(|answer| answer.headers().get("retry-after"));
        let retry_after = retry_after.and_then(|text| text.parse().ok()).map(Duration::from_secs);
        let service = error.as_service_error();
        let code = service.and_then(ProvideErrorMetadata::code).unwrap_or_default().to_owned();
        let words = match service.and_then(ProvideErrorMetadata::message) {
            Some(message) => format!("{code}: {message}"),
            None if code.is_empty() => DisplayErrorContext(error).to_string(),
            None => code.clone(),
        };
        let status = answer.map(|answer| answer.status().as_u16());
        let lacks_credentials = status.is_none() && is_of_credentials(error);
        judge(&Said { status, code, words, retry_after, lacks_credentials }, &self.options.bucket, call)
    }
}

fn client(options: &S3Options, config: &SdkConfig) -> Client {
    let mut builder = Builder::from(config).force_path_style(options.path_style);
    if let Some(url) = &options.endpoint_url {
        builder = builder.endpoint_url(url);
    }
    Client::from_conf(builder.build())
}

/// Says whether a call failed for want of credentials, which the SDK tells in words only.
fn is_of_credentials(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|cause| cause.to_string().contains("credentials"))
}
