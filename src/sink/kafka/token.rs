//! The tokens of OAUTHBEARER: given, fetched from an OIDC token endpoint, or signed for Amazon MSK.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_config::{Region, SdkConfig};
use aws_msk_iam_sasl_signer::generate_auth_token_from_credentials_provider;
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use rdkafka::client::OAuthToken;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use serde::Deserialize;

use super::options::{Mechanism, SaslOptions};
use super::settings::mistake;
use crate::aws::{self, Access};
use crate::http::{self, Client, HttpOptions, Method, Url, words};
use crate::secret::SecretRef;
use crate::sink;

/// How long fetching a token may take. The thread that hands on delivery reports waits for it.
const FETCH_TIMEOUT: Duration = Duration::from_secs(20);

/// When a token is looked for anew that does not say how long it is valid.
const LIFETIME: Duration = Duration::from_mins(5);

/// Where tokens come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tokens {
    /// A reference to the token itself.
    Given(SecretRef),
    /// An endpoint that hands out tokens for client credentials (RFC 6749, section 4.4).
    Endpoint { url: Url, client_id: String, client_secret: SecretRef, scope: Option<String> },
    /// Signed with the credentials of AWS: a presigned `kafka-cluster:Connect`, valid for 15 minutes.
    Msk { region: Option<String>, assume_role: Option<String>, external_id: Option<String> },
}

/// What a token endpoint answers.
#[derive(Deserialize)]
struct Granted {
    access_token: String,
    #[serde(default)]
    expires_in: Option<u64>,
}

/// Of a JSON web token, when it expires, in seconds since 1970.
#[derive(Deserialize)]
struct Claims {
    exp: f64,
}

impl Tokens {
    /// The source of tokens that the options describe.
    ///
    /// # Errors
    ///
    /// With what is missing, or does not belong together.
    pub fn new(sasl: &SaslOptions, brokers: &[String]) -> Result<Self, sink::Error> {
        if sasl.mechanism == Mechanism::AwsMskIam {
            if sasl.external_id.is_some() && sasl.assume_role.is_none() {
                let words = "`external_id` belongs to a role: name it in `assume_role`".to_owned();
                return Err(mistake("sasl", words));
            }
            let region = sasl.region.clone().or_else(|| brokers.iter().find_map(|broker| region(broker)));
            return Ok(Self::Msk {
                region,
                assume_role: sasl.assume_role.clone(),
                external_id: sasl.external_id.clone(),
            });
        }
        match (&sasl.token, &sasl.token_endpoint, &sasl.client_id, &sasl.client_secret) {
            (Some(token), None, None, None) => {
                token.resolve().map_err(|error| sink::Error::Secret { option: "sasl.token", error })?;
                Ok(Self::Given(token.clone()))
            }
            (None, Some(endpoint), Some(client_id), Some(secret)) => {
                secret.resolve().map_err(|error| sink::Error::Secret { option: "sasl.client_secret", error })?;
                Ok(Self::Endpoint {
                    url: http::endpoint(endpoint)?,
                    client_id: client_id.clone(),
                    client_secret: secret.clone(),
                    scope: sasl.scope.clone(),
                })
            }
            _ => {
                let words = "OAUTHBEARER asks for `token`, or for `token_endpoint`, `client_id` and `client_secret`";
                Err(mistake("sasl", words.to_owned()))
            }
        }
    }

    /// A token that is valid now. Blocks for 20 s at most; for a thread of librdkafka's, outside of any runtime, since
    /// the process's own may be waiting for that thread.
    ///
    /// # Errors
    ///
    /// With what stood in the way, in one line.
    pub fn fetch(&self) -> Result<OAuthToken, String> {
        if let Self::Given(secret) = self {
            let token = secret.resolve().map_err(|error| error.to_string())?.expose().to_owned();
            let lifetime_ms = expiry_ms(&token).unwrap_or_else(|| now_ms() + milliseconds(LIFETIME));
            return Ok(named(token, lifetime_ms));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|error| error.to_string())?.block_on(async {
            let fetched = tokio::time::timeout(FETCH_TIMEOUT, Box::pin(self.ask())).await;
            fetched.unwrap_or_else(|_| Err(format!("no token within {} s", FETCH_TIMEOUT.as_secs())))
        })
    }

    async fn ask(&self) -> Result<OAuthToken, String> {
        match self {
            Self::Given(_) => Err("a given token is not asked for".to_owned()),
            Self::Endpoint { url, client_id, client_secret, scope } => {
                let secret = client_secret.resolve().map_err(|error| error.to_string())?;
                ask_endpoint(url, client_id, secret.expose(), scope.as_deref()).await
            }
            Self::Msk { region, assume_role, external_id } => {
                let access = Access {
                    region: region.as_deref(),
                    assume_role: assume_role.as_deref(),
                    external_id: external_id.as_deref(),
                    session: Some("kafka"),
                    ..Access::default()
                };
                sign(&aws::configuration(&access).await).await
            }
        }
    }
}

async fn ask_endpoint(url: &Url, client_id: &str, secret: &str, scope: Option<&str>) -> Result<OAuthToken, String> {
    let client = Client::new(&HttpOptions::default()).map_err(|error| error.to_string())?;
    let mut form = Url::parse("form:").map_err(|error| error.to_string())?;
    form.query_pairs_mut().append_pair("grant_type", "client_credentials");
    if let Some(scope) = scope {
        form.query_pairs_mut().append_pair("scope", scope);
    }
    let credentials = BASE64_STANDARD.encode(format!("{client_id}:{secret}"));
    let request = client
        .question(Method::POST, url)
        .header(AUTHORIZATION, format!("Basic {credentials}"))
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(form.query().unwrap_or_default().to_owned());
    let answer = client.answer(request).await.map_err(|error| format!("token endpoint: {error}"))?;
    match serde_json::from_slice::<Granted>(&answer.body) {
        Ok(granted) if answer.status == 200 => {
            let lifetime_ms = granted
                .expires_in
                .map(|seconds| now_ms() + milliseconds(Duration::from_secs(seconds)))
                .or_else(|| expiry_ms(&granted.access_token))
                .unwrap_or_else(|| now_ms() + milliseconds(LIFETIME));
            Ok(named(granted.access_token, lifetime_ms))
        }
        // An answer with a token in it is not shown.
        Ok(_) => Err(format!("token endpoint: status {}", answer.status)),
        Err(_) if answer.status == 200 => Err("token endpoint: the answer holds no `access_token`".to_owned()),
        Err(_) => Err(format!("token endpoint: status {}: {}", answer.status, words(&answer.body))),
    }
}

/// A token for Amazon MSK.
pub(super) async fn sign(config: &SdkConfig) -> Result<OAuthToken, String> {
    let region: Region = config.region().cloned().ok_or("no region: name it under `sasl`")?;
    let provider = config.credentials_provider().ok_or("no credentials of AWS")?;
    let signed = generate_auth_token_from_credentials_provider(region, provider).await;
    let (token, lifetime_ms) = signed.map_err(|error| error.to_string())?;
    Ok(named(token, lifetime_ms))
}

/// The region in a broker's name: `b-1.name.abc.c2.kafka.eu-west-1.amazonaws.com:9098`, also with `kafka-serverless`.
pub(super) fn region(broker: &str) -> Option<String> {
    let host = broker.rsplit_once(':').map_or(broker, |(host, _)| host);
    let mut parts = host.split('.').skip_while(|part| !matches!(*part, "kafka" | "kafka-serverless"));
    let (_, region, domain) = (parts.next()?, parts.next()?, parts.next()?);
    (domain == "amazonaws").then(|| region.to_owned())
}

/// When a JSON web token expires, in milliseconds since 1970.
pub(super) fn expiry_ms(token: &str) -> Option<i64> {
    let body = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Claims = serde_json::from_slice(&body).ok()?;
    Duration::try_from_secs_f64(claims.exp).ok().map(milliseconds)
}

/// The name beside the token stays here: brokers take the principal from the token.
fn named(token: String, lifetime_ms: i64) -> OAuthToken {
    OAuthToken { token, principal_name: "siemline".to_owned(), lifetime_ms }
}

fn now_ms() -> i64 {
    milliseconds(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 2)
}
