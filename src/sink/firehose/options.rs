//! What the configuration says about a Firehose sink.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::aws::Access;
use crate::delivery::{LaneDefaults, LaneOptions};
use crate::sink::Format;
use crate::unit::{Size, Span};

/// A Firehose stream whose source is Direct PUT. Credentials come from the environment, as for every AWS tool. Each event ends in
/// a line break.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FirehoseOptions {
    /// The Firehose stream: its name, or its ARN.
    pub stream: String,
    /// The region. Default: the ARN's, else the environment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Another endpoint than the region's own: an emulator, a VPC endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_url: Option<String>,
    /// Whether to use the endpoints with FIPS 140 validated cryptography, where the region has them.
    #[serde(default)]
    pub fips: bool,
    /// Whether to use the endpoints that can be reached by IPv6 too.
    #[serde(default)]
    pub dual_stack: bool,
    /// The role to assume, by its ARN: for a stream of another account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assume_role: Option<String>,
    /// The external id that the role asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// The form of the events: `ocsf`, `ecs`, `cim`, or `raw`, the bytes as AWS wrote them.
    #[serde(default)]
    pub format: Format,
    /// Whether several events go into one record, up to 1,000 KB: for a stream that only concatenates (to S3, say), since
    /// Firehose bills records in steps of 5 KB. A record that fails is sent again with all its events. A batch may then hold
    /// 10,000 entries.
    #[serde(default)]
    pub pack: bool,
    /// Batches, retries and pacing. The sink's own defaults: 500 entries, which the service allows at most where events are not
    /// packed, 3MiB, which are the 4 MiB that it allows once they are written in base64, 1s, 4 requests at once, 60s for a
    /// request.
    #[serde(default)]
    pub lane: LaneOptions,
}

/// The most records of one request, by the service.
pub(super) const RECORDS_MAX: u32 = 500;

/// The most bytes of one request, by the service.
const REQUEST_BYTES_MAX: u64 = 4 << 20;

impl FirehoseOptions {
    /// What its lane takes where the options say nothing.
    pub const LANE: LaneDefaults = LaneDefaults {
        batch_entries_max: RECORDS_MAX,
        batch_bytes_max: Size::mebibytes(3),
        batch_age_max: Span::seconds(1),
        requests_in_flight_max: 4,
        request_timeout: Span::seconds(60),
        event_bytes_max: Some(Size(1000 << 10)),
    };

    /// What its lane takes where the options say nothing, and events are packed.
    pub const LANE_PACKED: LaneDefaults = LaneDefaults { batch_entries_max: 10_000, ..Self::LANE };

    /// What its lane takes where the options say nothing.
    #[must_use]
    pub const fn lane_defaults(&self) -> LaneDefaults {
        if self.pack { Self::LANE_PACKED } else { Self::LANE }
    }

    /// What does not go together, or cannot be: the option, and the remedy.
    #[must_use]
    pub fn mistake(&self) -> Option<(&'static str, String)> {
        if !is_name(self.name()) {
            let words = "write its name, of 1 to 64 letters, digits, `_`, `.` and `-`, or its ARN";
            return Some(("stream", format!("`{}` is no Firehose stream: {words}", self.stream)));
        }
        if self.external_id.is_some() && self.assume_role.is_none() {
            return Some(("external_id", "it belongs to a role: name it in `assume_role`".to_owned()));
        }
        let entries_max = self.lane.batch_entries_max.unwrap_or_default();
        if !self.pack && entries_max > RECORDS_MAX {
            let words = format!("the service takes {RECORDS_MAX} records at once: write no more, or set `pack = true`");
            return Some(("lane.batch_entries_max", words));
        }
        if self.lane.batch_bytes_max.is_some_and(|size| size.0 > REQUEST_BYTES_MAX) {
            return Some(("lane.batch_bytes_max", "the service takes 4 MiB at once: write no more".to_owned()));
        }
        None
    }

    /// The stream's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.arn().map_or(&self.stream, |(_, name)| name)
    }

    /// How the stream is accessed.
    #[must_use]
    pub fn access(&self) -> Access<'_> {
        Access {
            region: self.region.as_deref().or_else(|| self.arn().map(|(region, _)| region)),
            assume_role: self.assume_role.as_deref(),
            external_id: self.external_id.as_deref(),
            session: Some("firehose"),
            use_fips: self.fips,
            use_dual_stack: self.dual_stack,
        }
    }

    /// Region and name, where `stream` is an ARN: `arn:aws:firehose:eu-west-1:111122223333:deliverystream/security`.
    fn arn(&self) -> Option<(&str, &str)> {
        let mut parts = self.stream.strip_prefix("arn:")?.split(':');
        let (_, service, region, _) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let name = parts.next()?.strip_prefix("deliverystream/")?;
        (service == "firehose" && parts.next().is_none()).then_some((region, name))
    }
}

fn is_name(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (1..=64).contains(&text.len()) && text.bytes().all(is_letter)
}
