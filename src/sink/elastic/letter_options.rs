//! What the configuration says about dead letters in an index.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ElasticOptions;
use super::options::AwsOptions;
use crate::delivery::LaneOptions;
use crate::http::{CompressionLevel, HttpOptions};
use crate::secret::SecretRef;
use crate::sink::Format;

/// Dead letters as documents of an index of Elasticsearch or OpenSearch, one each. While the cluster does not take them, the local
/// file does. Beside the file there is one store at most.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LetterIndexOptions {
    /// Where the cluster listens, such as `https://es.example.com:9200`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// More nodes of the same cluster, 64 at most with `endpoint`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<String>,
    /// The Cloud id of an Elastic Cloud deployment, in the place of `endpoint`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud_id: Option<String>,
    /// The index, or an alias of it. Nothing else may lie there. `siemline setup elastic --dead-letters` installs its template.
    #[serde(default = "index")]
    pub index: String,
    /// Dead letters hold the originals, which no redaction has seen. Where there are redactions, `true` says that the cluster may
    /// have them all the same.
    #[serde(default)]
    pub unredacted: bool,
    /// The API key, in the encoded form (base64 of id and key) in which Kibana and the API hand it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<SecretRef>,
    /// The user, for basic authentication. It needs `password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The user's password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretRef>,
    /// A token that is sent as `Authorization: Bearer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer_token: Option<SecretRef>,
    /// Signs requests with AWS credentials, for Amazon OpenSearch Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws: Option<AwsOptions>,
    /// The HTTP client. A letter that is larger than `response_bytes_max` can be kept, and cannot be replayed.
    #[serde(default)]
    pub http: HttpOptions,
}

impl LetterIndexOptions {
    /// A sink with the same cluster and credentials, whose calls keep the letters.
    #[must_use]
    pub fn sink(&self) -> ElasticOptions {
        ElasticOptions {
            endpoint: self.endpoint.clone(),
            endpoints: self.endpoints.clone(),
            cloud_id: self.cloud_id.clone(),
            index: Some(self.index.clone()),
            indexes_max: 1,
            latest: None,
            document_ids: true,
            namespace: "default".to_owned(),
            api_key: self.api_key.clone(),
            username: self.username.clone(),
            password: self.password.clone(),
            bearer_token: self.bearer_token.clone(),
            aws: self.aws.clone(),
            pipeline: None,
            format: Format::Ocsf,
            compression_level: CompressionLevel::default(),
            http: self.http.clone(),
            lane: LaneOptions::default(),
        }
    }

    /// What cannot be: the option, and the remedy.
    #[must_use]
    pub fn mistake(&self) -> Option<(&'static str, String)> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
        let is_name = (1..=255).contains(&self.index.len()) && self.index.bytes().all(is_plain);
        let begins = self.index.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.');
        let words = "small letters, digits, `.`, `-` and `_`: no field of an event is filled in here";
        (!is_name || !begins).then(|| ("index", words.to_owned()))
    }
}

fn index() -> String {
    "siemline-dead-letters".to_owned()
}
