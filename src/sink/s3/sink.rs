//! The I/O of an S3 sink, and what it must be allowed.

use aws_config::SdkConfig;

use super::objects::Objects;
use super::request::Packing;
use super::{Encryption, S3Options};
use crate::aws::permission::{Home, Permissions, Statement};
use crate::delivery::{Batch, Delivery, Error, EventView, Sink};
use crate::sink;
use crate::sink::template::Template;

/// A bucket of S3.
#[derive(Debug)]
pub struct S3Sink {
    packing: Packing,
    objects: Objects,
    /// What all keys begin with.
    start: String,
}

impl S3Sink {
    /// A sink after these options. Connects to nothing; credentials are looked for at the first call.
    pub fn new(options: &S3Options) -> Result<Self, sink::Error> {
        if let Some((option, words)) = options.mistake() {
            return Err(sink::Error::Option { option, words });
        }
        let packing = Packing::new(options)
            .map_err(|mistake| sink::Error::Option { option: "prefix", words: mistake.to_string() })?;
        Ok(Self { packing, objects: Objects::new(options), start: start(options) })
    }

    /// With this configuration of AWS instead of the environment's.
    pub async fn configured(options: &S3Options, config: SdkConfig) -> Result<Self, sink::Error> {
        Ok(Self { objects: Objects::configured(options, config).await, ..Self::new(options)? })
    }
}

impl Sink for S3Sink {
    fn encode(&self, event: EventView<'_>, out: &mut Vec<u8>) {
        self.packing.push(event, out);
    }

    fn bucket(&self, event: EventView<'_>, out: &mut Vec<u8>) {
        self.packing.push_prefix(event, out);
    }

    async fn send(&self, batch: &Batch) -> Result<Delivery, Error> {
        // The SDK's futures are large, and a lane holds several.
        Box::pin(self.objects.put(self.packing.object(batch))).await?;
        Ok(Delivery::accepted())
    }

    async fn check(&self) -> Result<(), Error> {
        Box::pin(self.objects.check(&self.start)).await
    }
}

/// What the sink needs; `home` is where the process runs, as far as it is known. Pure.
#[must_use]
pub fn permissions(options: &S3Options, home: &Home) -> Permissions {
    let access = options.access();
    let home = home.accessed(&access);
    let start = start(options);
    let resource = if options.bucket.starts_with("arn:") {
        format!("{}/object/{start}*", options.bucket)
    } else {
        home.global_arn("s3", &format!("{}/{start}*", options.bucket))
    };
    let mut permissions = Permissions::default();
    permissions.allow(&access, Statement::new(&["s3:PutObject", "s3:AbortMultipartUpload"], resource));
    if options.encryption == Encryption::Kms {
        // Decrypting belongs to writing in parts: S3 reads them when it puts them together.
        let actions = ["kms:GenerateDataKey", "kms:Decrypt"];
        let keys = match &options.kms_key {
            Some(key) if key.starts_with("arn:") => Home::of_arn(key).or(&home).keys(&actions, "s3").on(key),
            _ => home.keys(&actions, "s3"),
        };
        permissions.allow(&access, keys);
    }
    permissions
}

/// What finding, reading and removing its objects needs besides; `home` as before. The prefix is one without fields. Pure.
#[must_use]
pub fn upkeep_permissions(options: &S3Options, home: &Home) -> Permissions {
    let access = options.access();
    let home = home.accessed(&access);
    let (bucket, object) = if options.bucket.starts_with("arn:") {
        (options.bucket.clone(), format!("{}/object/{}*", options.bucket, options.prefix))
    } else {
        let object = home.global_arn("s3", &format!("{}/{}*", options.bucket, options.prefix));
        (home.global_arn("s3", &options.bucket), object)
    };
    let mut permissions = Permissions::default();
    permissions.allow(&access, Statement::new(&["s3:GetObject", "s3:DeleteObject"], object));
    let list = Statement::new(&["s3:ListBucket"], bucket).only_if("s3:prefix", format!("{}*", options.prefix));
    permissions.allow(&access, list);
    permissions
}

/// What all keys begin with: the prefix up to its first field.
fn start(options: &S3Options) -> String {
    Template::parse(&options.prefix).map(|template| template.start().to_owned()).unwrap_or_default()
}
