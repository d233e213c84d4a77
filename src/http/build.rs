//! Making the client: what is read of files and secrets, and how they become TLS and a proxy.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::Resolve;
use reqwest::{Certificate, Identity, Proxy, Url, redirect};

use super::failure::words_of;
use super::{Error, HttpOptions};

/// Idle connections are closed before the usual load balancer closes them (60 s), so that a request does not run into
/// a connection that is just being taken away.
const POOL_IDLE: Duration = Duration::from_secs(50);

/// What a written proxy means for "none".
const NO_PROXY: &str = "none";

/// A client after these options, with connections of its own. Reads files and secrets.
pub(super) fn build(options: &HttpOptions, names: &Arc<dyn Resolve>) -> Result<reqwest::Client, Error> {
    // The second and later calls of one process find the provider installed, which is what is wanted.
    let _installed_before = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("siemline/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(options.connect_timeout.0)
        .pool_idle_timeout(POOL_IDLE)
        .redirect(redirect::Policy::none())
        .referer(false)
        .dns_resolver(Arc::clone(names));
    builder = match proxy(options)? {
        Chosen::Environment => builder,
        Chosen::Nothing => builder.no_proxy(),
        Chosen::Proxy(proxy) => builder.no_proxy().proxy(*proxy),
    };
    if let Some(path) = &options.ca_file {
        let pem = std::fs::read(path).map_err(|error| Error::CaFile { path: path.clone(), error })?;
        let certificates = Certificate::from_pem_bundle(&pem).unwrap_or_default();
        if certificates.is_empty() {
            return Err(Error::Certificates(path.clone()));
        }
        builder = builder.tls_certs_merge(certificates);
    }
    if let Some(identity) = identity(options)? {
        builder = builder.identity(identity);
    }
    builder.build().map_err(|error| Error::Tls(words_of(&error.without_url())))
}

enum Chosen {
    Environment,
    Nothing,
    Proxy(Box<Proxy>),
}

fn proxy(options: &HttpOptions) -> Result<Chosen, Error> {
    let credentials = match (&options.proxy_username, &options.proxy_password) {
        (None, None) => None,
        (Some(user), Some(password)) if options.proxy.is_some() => Some((user, password)),
        _ => return Err(Error::ProxyCredentials),
    };
    let Some(text) = options.proxy.as_deref() else { return Ok(Chosen::Environment) };
    if text == NO_PROXY {
        return Ok(Chosen::Nothing);
    }
    // It is shown only where it cannot hold a password.
    let shown = if text.contains('@') { "***" } else { text };
    let wrong = || Error::Proxy(shown.to_owned());
    let url = Url::parse(text).map_err(|_| wrong())?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(wrong());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Error::ProxyCredentials);
    }
    let mut proxy = Proxy::all(url).map_err(|_| wrong())?;
    if let Some((user, password)) = credentials {
        let password = password.resolve().map_err(Error::ProxyPassword)?;
        proxy = proxy.basic_auth(user, password.expose());
    }
    Ok(Chosen::Proxy(Box::new(proxy)))
}

fn identity(options: &HttpOptions) -> Result<Option<Identity>, Error> {
    let Some(certificates) = &options.client_certificate_file else {
        return match &options.client_key_file {
            None => Ok(None),
            Some(path) => Err(Error::KeyAlone(path.clone())),
        };
    };
    let mut pem = read(certificates)?;
    if let Some(key) = &options.client_key_file {
        pem.push(b'\n');
        pem.extend_from_slice(&read(key)?);
    }
    let key = options.client_key_file.as_ref().unwrap_or(certificates);
    let wrong = |_| Error::Identity { certificates: certificates.clone(), key: key.clone() };
    Identity::from_pem(&pem).map(Some).map_err(wrong)
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|error| Error::IdentityFile { path: path.to_owned(), error })
}
