//! Signing requests that no SDK makes: Signature Version 4, in headers.

use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_sdk_kinesis::config::{Credentials, ProvideCredentials as _};
use aws_sigv4::http_request::{PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use tokio::sync::Mutex;

use super::{Access, configuration};

/// Credentials are fetched anew so long before they expire.
const RENEW_BEFORE: Duration = Duration::from_mins(5);

/// Credentials that do not say when they expire, such as those of a profile's file, are looked up again after this time.
const RENEW_AFTER: Duration = Duration::from_mins(15);

/// Signs requests to one service, with credentials that it renews. Nothing is fetched before the first request.
pub struct Signer {
    service: &'static str,
    region: Option<String>,
    assume_role: Option<String>,
    external_id: Option<String>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    config: Option<SdkConfig>,
    credentials: Option<(Credentials, SystemTime)>,
}

/// A request that cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing says which region the service is in.
    #[error("the region is not known: write `aws.region`, or set AWS_REGION")]
    Region,
    /// No credentials can be had, now.
    #[error("no AWS credentials: {0}")]
    Credentials(String),
    /// The request cannot be signed.
    #[error("the request cannot be signed: {0}")]
    Request(String),
}

impl Signer {
    /// A signer for this service (`es`, `aoss`), as whom `access` says.
    #[must_use]
    pub fn new(service: &'static str, access: &Access<'_>) -> Self {
        Self {
            service,
            region: access.region.map(str::to_owned),
            assume_role: access.assume_role.map(str::to_owned),
            external_id: access.external_id.map(str::to_owned),
            known: Mutex::default(),
        }
    }

    /// The headers that sign this request at this time: its method, its URL as it is sent, and its body as it is sent, after
    /// compression. The body's hash is one of them (`x-amz-content-sha256`), which OpenSearch Serverless asks for.
    ///
    /// The first call, and one now and then, fetch credentials, for which the others wait; how long that takes at most,
    /// [`loader`](super::loader) says. Dropping it midway is safe.
    ///
    /// # Errors
    ///
    /// Where no credentials can be had, or no region is known.
    pub async fn headers(
        &self,
        method: &str,
        url: &str,
        body: &[u8],
        now: SystemTime,
    ) -> Result<Vec<(String, String)>, Error> {
        let mut known = self.known.lock().await;
        let config = match known.config.take() {
            Some(config) => config,
            None => Box::pin(configuration(&self.access())).await,
        };
        let region = config.region().map(ToString::to_string);
        let credentials = match known.credentials.take() {
            Some((credentials, since)) if is_fresh(&credentials, since, now) => Ok((credentials, since)),
            old => match (fetch(&config).await, old) {
                (Ok(credentials), _) => Ok((credentials, now)),
                // They could not be renewed this time, and are good for some minutes yet.
                (Err(_), Some((old, since))) if old.expiry().is_some_and(|expiry| expiry > now) => Ok((old, since)),
                (Err(error), _) => Err(error),
            },
        };
        known.config = Some(config);
        let (credentials, since) = credentials?;
        known.credentials = Some((credentials.clone(), since));
        drop(known);
        signed(credentials, &region.ok_or(Error::Region)?, self.service, (method, url, body), now)
    }

    fn access(&self) -> Access<'_> {
        Access {
            region: self.region.as_deref(),
            assume_role: self.assume_role.as_deref(),
            external_id: self.external_id.as_deref(),
            session: Some(self.service),
            ..Access::default()
        }
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("service", &self.service).field("region", &self.region).finish_non_exhaustive()
    }
}

fn is_fresh(credentials: &Credentials, since: SystemTime, now: SystemTime) -> bool {
    match credentials.expiry() {
        Some(expiry) => now + RENEW_BEFORE < expiry,
        None => now.duration_since(since).is_ok_and(|age| age < RENEW_AFTER),
    }
}

async fn fetch(config: &SdkConfig) -> Result<Credentials, Error> {
    let provider = config.credentials_provider().ok_or_else(|| Error::Credentials("no provider".to_owned()))?;
    provider.provide_credentials().await.map_err(|error| {
        // What the chain as a whole says is less than what its last link says.
        let mut words = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            words = format!("{words}: {inner}");
            cause = inner.source();
        }
        Error::Credentials(words)
    })
}

/// Pure.
fn signed(
    credentials: Credentials,
    region: &str,
    service: &str,
    (method, url, body): (&str, &str, &[u8]),
    now: SystemTime,
) -> Result<Vec<(String, String)>, Error> {
    let mut settings = SigningSettings::default();
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let identity = credentials.into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service)
        .time(now)
        .settings(settings)
        .build()
        .map_err(|error| Error::Request(error.to_string()))?
        .into();
    let request = SignableRequest::new(method, url, std::iter::empty(), SignableBody::Bytes(body))
        .map_err(|error| Error::Request(error.to_string()))?;
    let (instructions, _signature) =
        sign(request, &parameters).map_err(|error| Error::Request(error.to_string()))?.into_parts();
    Ok(instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use hmac::{Hmac, KeyInit as _, Mac as _};
    use sha2::{Digest as _, Sha256};

    use super::*;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

    /// 2026-01-02T03:04:05Z.
    const AT: Duration = Duration::from_secs(1_767_323_045);

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    fn mac(key: &[u8], text: &str) -> Vec<u8> {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().to_vec()
    }

    /// Guards the signature: it is worked out here once more, step by step as AWS describes Signature Version 4.
    #[test]
    fn signatures_are_what_aws_works_out() {
        let body = b"\x1f\x8bcompressed";
        for (service, token) in [("es", None), ("aoss", Some("tokenEXAMPLE"))] {
            let credentials = Credentials::new("AKIDEXAMPLE", SECRET, token.map(str::to_owned), None, "test");
            let url =
                "https://search-a.eu-west-1.es.amazonaws.com/logs-a/_bulk?filter_path=items.%2A.status&pipeline=a%20b";
            let now = SystemTime::UNIX_EPOCH + AT;
            let headers = signed(credentials, "eu-west-1", service, ("POST", url, body), now).unwrap();
            let header = |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
            let hash = hex(&Sha256::digest(body));
            assert_eq!(header("x-amz-content-sha256"), Some(hash.as_str()));
            assert_eq!(header("x-amz-security-token"), token);

            let mut signed_headers = vec![
                ("host", "search-a.eu-west-1.es.amazonaws.com"),
                ("x-amz-content-sha256", &hash),
                ("x-amz-date", "20260102T030405Z"),
            ];
            signed_headers.extend(token.map(|token| ("x-amz-security-token", token)));
            let names: Vec<&str> = signed_headers.iter().map(|(name, _)| *name).collect();
            let names = names.join(";");
            let mut lines = String::new();
            for (name, value) in &signed_headers {
                let _ = writeln!(lines, "{name}:{value}");
            }
            let query = "filter_path=items.%2A.status&pipeline=a%20b";
            let canonical = format!("POST\n/logs-a/_bulk\n{query}\n{lines}\n{names}\n{hash}");
            let scope = format!("20260102/eu-west-1/{service}/aws4_request");
            let to_sign = format!("AWS4-HMAC-SHA256\n20260102T030405Z\n{scope}\n{}", hex(&Sha256::digest(canonical)));
            let mut key = mac(format!("AWS4{SECRET}").as_bytes(), "20260102");
            for part in ["eu-west-1", service, "aws4_request"] {
                key = mac(&key, part);
            }
            let signature = hex(&mac(&key, &to_sign));
            let expected = format!(
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{scope}, SignedHeaders={names}, Signature={signature}"
            );
            assert_eq!(header("authorization"), Some(expected.as_str()), "{service}");
        }
    }

    /// Guards that credentials are renewed before they expire, and looked up again where they do not say when.
    #[test]
    fn credentials_grow_old() {
        let since = SystemTime::UNIX_EPOCH + AT;
        let expiring = Credentials::new("AKIDEXAMPLE", SECRET, None, Some(since + Duration::from_hours(1)), "test");
        let lasting = Credentials::new("AKIDEXAMPLE", SECRET, None, None, "test");
        for (credentials, minutes, expected) in
            [(&expiring, 54, true), (&expiring, 56, false), (&lasting, 14, true), (&lasting, 16, false)]
        {
            assert_eq!(is_fresh(credentials, since, since + Duration::from_mins(minutes)), expected, "{minutes}");
        }
    }
}
