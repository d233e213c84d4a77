//! The one place for AWS credentials, region, endpoints and retry mode. Floor 5.

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_smithy_http_client::tls;
use std::time::Duration;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long one call may take as a whole: a response of Kinesis is up to 10 MiB.
const CALL_TIMEOUT: Duration = Duration::from_mins(1);

/// The configuration of all AWS clients, see [`loader`].
pub async fn configuration(region: Option<&str>) -> SdkConfig {
    loader(region).load().await
}

/// What the configuration of all AWS clients is loaded with: the usual credential chain, TLS by rustls on ring, and no
/// retries inside the SDK, since whoever calls paces and retries by the service's own limits.
///
/// Without `region` the environment's or the profile's counts. Whoever has other credentials sets them before loading.
#[must_use]
pub fn loader(region: Option<&str>) -> ConfigLoader {
    let provider = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring);
    let client = aws_smithy_http_client::Builder::new().tls_provider(provider).build_https();
    let timeouts =
        TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_attempt_timeout(CALL_TIMEOUT).build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(client)
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts);
    if let Some(region) = region {
        loader = loader.region(Region::new(region.to_owned()));
    }
    loader
}
