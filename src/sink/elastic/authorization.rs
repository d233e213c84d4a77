//! Who asks: one of the kinds of credentials that clusters take.

use std::time::SystemTime;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::header::AUTHORIZATION;

use super::options::{AwsOptions, AwsService, ElasticOptions};
use crate::aws::{Access, Signer};
use crate::delivery::{Disposition, Error};
use crate::http::{self, HeaderValue, Method, RequestBuilder, Url};
use crate::secret::{Secret, SecretRef};
use crate::sink;

/// The credentials of a sink.
#[derive(Debug)]
pub(super) enum Authorization {
    /// None.
    Nobody,
    /// The value of `Authorization`, the same for all requests.
    Header(HeaderValue),
    /// A signature of AWS, made for each request.
    Signed(Box<Signer>),
}

/// What a name of an AWS endpoint says: `<name>.<region>.<service>.amazonaws.com`.
pub(super) struct AwsHost<'a> {
    /// The first part: a collection's id, or `search-<domain>-<letters>`.
    pub(super) name: &'a str,
    pub(super) region: &'a str,
    pub(super) service: AwsService,
}

impl Authorization {
    /// The credentials that these options name, for these nodes. Reads secrets.
    pub(super) fn new(options: &ElasticOptions, urls: &[Url]) -> Result<Self, sink::Error> {
        let wrong = |option, words: &str| Err(sink::Error::Option { option, words: words.to_owned() });
        let kinds = [
            options.api_key.is_some(),
            options.username.is_some() || options.password.is_some(),
            options.bearer_token.is_some(),
            options.aws.is_some(),
        ];
        if kinds.into_iter().filter(|is_written| *is_written).count() > 1 {
            let words = "write either `api_key`, or `username` and `password`, or `bearer_token`, or `aws`";
            return wrong("api_key", words);
        }
        if let Some(aws) = &options.aws {
            if aws.external_id.is_some() && aws.assume_role.is_none() {
                return wrong("aws.external_id", "it belongs to a role: name it in `aws.assume_role`");
            }
            let service = service(aws, urls.first());
            let signer = Signer::new(service.name(), &access(aws, urls.first()));
            return Ok(Self::Signed(Box::new(signer)));
        }
        if let Some(key) = &options.api_key {
            return header("api_key", &format!("ApiKey {}", secret("api_key", key)?.expose()));
        }
        if let Some(token) = &options.bearer_token {
            return header("bearer_token", &format!("Bearer {}", secret("bearer_token", token)?.expose()));
        }
        match (&options.username, &options.password) {
            (None, None) => Ok(Self::Nobody),
            (Some(user), Some(password)) => {
                let pair = format!("{user}:{}", secret("password", password)?.expose());
                header("password", &format!("Basic {}", BASE64_STANDARD.encode(pair)))
            }
            _ => wrong("password", "`username` and `password` belong together: one of them is missing"),
        }
    }

    /// The request with its credentials. `body` is what is sent, after compression. Dropping it midway is safe.
    ///
    /// # Errors
    ///
    /// Where AWS credentials cannot be had now.
    pub(super) async fn authorize(
        &self,
        request: RequestBuilder,
        method: &Method,
        url: &Url,
        body: &[u8],
    ) -> Result<RequestBuilder, Error> {
        match self {
            Self::Nobody => Ok(request),
            Self::Header(value) => Ok(request.header(AUTHORIZATION, value.clone())),
            Self::Signed(signer) => {
                let signed = signer.headers(method.as_str(), url.as_str(), body, SystemTime::now()).await;
                let headers = signed.map_err(|error| Error {
                    // What gives credentials out may be out of reach for a moment.
                    disposition: Disposition::Retry { after: None },
                    code: "aws_credentials".into(),
                    words: error.to_string(),
                })?;
                Ok(headers.into_iter().fold(request, |request, (name, value)| request.header(name, value)))
            }
        }
    }
}

/// As whom AWS is accessed for these options, and where.
pub(super) fn access<'a>(aws: &'a AwsOptions, url: Option<&'a Url>) -> Access<'a> {
    Access {
        region: aws.region.as_deref().or_else(|| Some(aws_host(url?)?.region)),
        assume_role: aws.assume_role.as_deref(),
        external_id: aws.external_id.as_deref(),
        ..Access::default()
    }
}

/// Which service signatures are for.
pub(super) fn service(aws: &AwsOptions, url: Option<&Url>) -> AwsService {
    let told = url.and_then(aws_host).map(|host| host.service);
    aws.service.or(told).unwrap_or(AwsService::Es)
}

/// Reads the name of an AWS endpoint; `None` for any other name.
pub(super) fn aws_host(url: &Url) -> Option<AwsHost<'_>> {
    let host = url.host_str()?;
    let (name, rest) = host.split_once('.')?;
    let (region, rest) = rest.split_once('.')?;
    let service = match rest {
        "es.amazonaws.com" | "es.amazonaws.com.cn" => AwsService::Es,
        "aoss.amazonaws.com" | "aoss.amazonaws.com.cn" => AwsService::Aoss,
        _ => return None,
    };
    Some(AwsHost { name, region, service })
}

fn secret(option: &'static str, reference: &SecretRef) -> Result<Secret, sink::Error> {
    reference.resolve().map_err(|error| sink::Error::Secret { option, error })
}

fn header(option: &'static str, text: &str) -> Result<Authorization, sink::Error> {
    let mut value = HeaderValue::try_from(text).map_err(|_| http::Error::Header(option))?;
    value.set_sensitive(true);
    Ok(Authorization::Header(value))
}
