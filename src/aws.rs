//! The one place for AWS credentials, region, endpoints and retry mode, for what is to be
//! allowed ([`permission`]), and for signing requests that no SDK makes. Floor 5.

pub mod permission;
mod signing;

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_sdk_kinesis::config::SharedCredentialsProvider;
use aws_smithy_http_client::tls;

pub use signing::{Error as SigningError, Signer};

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long one call may take as a whole: a response of Kinesis is up to 10 MiB.
const CALL_TIMEOUT: Duration = Duration::from_mins(1);

/// How AWS is accessed: as whom, and where.
#[derive(Clone, Copy, Debug, Default)]
pub struct Access<'a> {
    /// The region; none for the environment's or the profile's.
    pub region: Option<&'a str>,
    /// The role to assume, by its ARN.
    pub assume_role: Option<&'a str>,
    /// What the other account's role asks for besides.
    pub external_id: Option<&'a str>,
    /// The name of the session, which the other account sees in its CloudTrail.
    pub session: Option<&'a str>,
    /// Endpoints with FIPS 140 validated cryptography.
    pub use_fips: bool,
    /// Endpoints that can be reached by IPv4 and IPv6.
    pub use_dual_stack: bool,
}

/// The configuration of all AWS clients, see [`loader`] and [`assuming`].
pub async fn configuration(access: &Access<'_>) -> SdkConfig {
    let mut loader = loader(access.region);
    if access.use_fips {
        loader = loader.use_fips(true);
    }
    if access.use_dual_stack {
        loader = loader.use_dual_stack(true);
    }
    // Loading looks in many places, and its future is as large as all of them.
    assuming(Box::pin(loader.load()).await, access).await
}

/// The configuration with the credentials of the role that is to be assumed; as it is where none is. They are renewed before
/// they expire, for as long as the configuration's own credentials are good for it.
pub async fn assuming(config: SdkConfig, access: &Access<'_>) -> SdkConfig {
    let Some(role) = access.assume_role else { return config };
    let mut provider = AssumeRoleProvider::builder(role).configure(&config);
    if let Some(external_id) = access.external_id {
        provider = provider.external_id(external_id);
    }
    if let Some(session) = access.session {
        provider = provider.session_name(session_name(session));
    }
    let credentials = SharedCredentialsProvider::new(Box::pin(provider.build()).await);
    config.into_builder().credentials_provider(credentials).build()
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

/// A session's name as STS takes it: 2 to 64 letters, digits and some signs.
fn session_name(text: &str) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() || "=,.@_-".contains(c) { c } else { '-' };
    format!("siemline-{text}").chars().map(fits).take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::{Access, configuration, session_name};

    /// Guards that what is asked for reaches the clients, whose endpoints follow from it.
    #[tokio::test]
    async fn access_becomes_configuration() {
        let access =
            Access { region: Some("us-gov-west-1"), use_fips: true, use_dual_stack: true, ..Access::default() };
        let config = configuration(&access).await;
        assert_eq!(config.region().map(AsRef::as_ref), Some("us-gov-west-1"));
        assert_eq!((config.use_fips(), config.use_dual_stack()), (Some(true), Some(true)));
    }

    /// Guards that any name of a source makes a session's name that STS takes.
    #[test]
    fn sessions_have_names() {
        assert_eq!(session_name("findings"), "siemline-findings");
        assert_eq!(session_name("über all"), "siemline--ber-all");
        assert_eq!(session_name(&"x".repeat(100)).len(), 64);
    }
}
