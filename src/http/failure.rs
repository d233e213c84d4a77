//! A request that came to no whole answer: why, and what is to be done about it.

use std::error::Error as StdError;
use std::io;

use rustls::{AlertDescription, CertificateError, Error as TlsError, InvalidMessage};

use super::names::NameError;
use crate::delivery::{self, Disposition};

const RETRY: Disposition = Disposition::Retry { after: None };

/// What a server says that wants another certificate of this side, or one at all.
const CERTIFICATE_ALERTS: [AlertDescription; 9] = [
    AlertDescription::CertificateRequired,
    AlertDescription::BadCertificate,
    AlertDescription::UnsupportedCertificate,
    AlertDescription::CertificateRevoked,
    AlertDescription::CertificateExpired,
    AlertDescription::CertificateUnknown,
    AlertDescription::UnknownCA,
    AlertDescription::AccessDenied,
    // The signature is of another key than the authority of that name has.
    AlertDescription::DecryptError,
];

/// What the lane is told of a request without a whole answer. The URL is left out: it may be a secret.
///
/// What a person has to mend (a certificate, a proxy's password, a request that cannot be written) pauses; what may pass by
/// itself is retried: a name that is not resolved among it, since name servers fail and come back.
pub(super) fn failure(error: reqwest::Error) -> delivery::Error {
    let (is_builder, is_connect) = (error.is_builder(), error.is_connect());
    let (is_timeout, is_body) = (error.is_timeout(), error.is_body() || error.is_decode());
    let error = error.without_url();
    let chain = chain(&error);
    let told = |disposition, code: &'static str, what: &str| delivery::Error {
        disposition,
        code: code.into(),
        words: format!("{what}: {}", words(&chain)),
    };
    if is_builder {
        return told(Disposition::Pause, "request", "the request cannot be written");
    }
    if let Some(error) = chain.iter().find_map(|cause| cause.downcast_ref::<NameError>()) {
        let words = format!("{error}; check its spelling, and that DNS answers from here");
        return delivery::Error { disposition: RETRY, code: "dns".into(), words };
    }
    let says = |part: &str| chain.iter().any(|cause| cause.to_string().contains(part));
    // HTTP/2 keeps no more of such an error than its words.
    if CERTIFICATE_ALERTS.iter().any(|alert| says(&TlsError::AlertReceived(*alert).to_string())) {
        let what = "the server asks for a client certificate that it trusts: set `http.client_certificate_file` and \
                    `http.client_key_file`";
        return told(Disposition::Pause, "tls", what);
    }
    if let Some(error) = chain.iter().find_map(|cause| cause.downcast_ref::<TlsError>()) {
        let (disposition, remedy) = tls(error);
        return delivery::Error { disposition, code: "tls".into(), words: format!("TLS failed: {error}; {remedy}") };
    }
    if says("proxy authorization required") {
        return told(Disposition::Pause, "proxy", "set `http.proxy_username` and `http.proxy_password`");
    }
    if says("tunnel error") {
        return told(RETRY, "proxy", "the proxy does not let this through");
    }
    if is_connect {
        return told(RETRY, "connect", "cannot connect");
    }
    if is_timeout {
        return told(RETRY, "timeout", "no whole answer in time");
    }
    if is_body || is_cut(&chain) {
        return told(RETRY, "cut", "the connection was cut before the whole answer was there");
    }
    told(RETRY, "network", "the request failed on its way")
}

/// What to do about a failure of TLS.
fn tls(error: &TlsError) -> (Disposition, &'static str) {
    use CertificateError as Certificate;
    let remedy = match error {
        TlsError::InvalidCertificate(Certificate::UnknownIssuer) => {
            "the server's certificate is of an authority that is not trusted here: name its PEM file as `http.ca_file`"
        }
        TlsError::InvalidCertificate(Certificate::NotValidForName | Certificate::NotValidForNameContext { .. }) => {
            "the server's certificate is for another name: write the endpoint with a name that the certificate holds"
        }
        TlsError::InvalidCertificate(
            Certificate::Expired
            | Certificate::ExpiredContext { .. }
            | Certificate::NotValidYet
            | Certificate::NotValidYetContext { .. },
        ) => "the server's certificate is not valid now: have it renewed, and check this machine's clock",
        TlsError::InvalidCertificate(_) => "the server's certificate does not verify: have it mended",
        TlsError::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "what answers there does not speak TLS: check the port, or write http://"
        }
        _ => return (RETRY, "check that the server speaks TLS 1.2 or 1.3, and what stands between"),
    };
    (Disposition::Pause, remedy)
}

/// Says whether the connection ended while an answer was awaited.
fn is_cut(chain: &[&(dyn StdError + 'static)]) -> bool {
    // The first is the client's own error.
    chain.iter().skip(1).any(|cause| cause.is::<io::Error>() || cause.to_string().contains("before message completed"))
}

/// An error and its causes. An I/O error made of another error hides it from the usual chain.
fn chain<'a>(error: &'a (dyn StdError + 'static)) -> Vec<&'a (dyn StdError + 'static)> {
    let (mut causes, mut next) = (Vec::new(), Some(error));
    while let Some(cause) = next {
        causes.push(cause);
        let hidden = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let hidden = hidden.map(|hidden| -> &'a (dyn StdError + 'static) { hidden });
        next = hidden.or_else(|| cause.source());
    }
    causes
}

/// The words of a chain, each once.
fn words(chain: &[&(dyn StdError + 'static)]) -> String {
    let mut words = String::new();
    for cause in chain {
        let cause = cause.to_string();
        if words.ends_with(&cause) {
            continue;
        }
        if !words.is_empty() {
            words.push_str(": ");
        }
        words.push_str(&cause);
    }
    super::words(words.as_bytes())
}

/// The words of an error and its causes.
pub(super) fn words_of(error: &(dyn StdError + 'static)) -> String {
    words(&chain(error))
}
