//! Cookies that keep a client at one node behind a load balancer. Nothing else is done with them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderValue, SET_COOKIE};

/// How many origins have their cookies kept; one sink speaks with few.
const ORIGINS_MAX: usize = 64;

/// How many cookies of one origin are kept. Load balancers set one or two.
const COOKIES_MAX: usize = 8;

/// The longest cookie that is kept, name and value, in bytes: what RFC 6265 asks of clients.
const COOKIE_BYTES_MAX: usize = 4096;

/// The cookies of each origin, sent back to that origin only, whatever path and domain they name; bounded in number and
/// size. They are forgotten with the process, or when the server takes them back (`Max-Age=0`).
#[derive(Default)]
pub(super) struct Cookies(Mutex<BTreeMap<String, BTreeMap<String, String>>>);

impl Cookies {
    /// Takes note of what an answer sets.
    pub fn note(&self, url: &Url, headers: &HeaderMap) {
        let set: Vec<Set> = headers.get_all(SET_COOKIE).iter().filter_map(Set::parse).collect();
        if set.is_empty() {
            return;
        }
        let mut origins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let origin = url.origin().ascii_serialization();
        if origins.len() >= ORIGINS_MAX && !origins.contains_key(&origin) {
            return;
        }
        let cookies = origins.entry(origin).or_default();
        for Set { name, value } in set {
            match value {
                None => drop(cookies.remove(&name)),
                Some(value) if cookies.len() < COOKIES_MAX || cookies.contains_key(&name) => {
                    cookies.insert(name, value);
                }
                Some(_) => {}
            }
        }
    }

    /// The header that brings them back; `None` where there are none.
    pub fn header(&self, url: &Url) -> Option<HeaderValue> {
        let origins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let cookies = origins.get(&url.origin().ascii_serialization()).filter(|cookies| !cookies.is_empty())?;
        let pairs: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        drop(origins);
        let mut header = HeaderValue::try_from(pairs.join("; ")).ok()?;
        header.set_sensitive(true);
        Some(header)
    }
}

/// What one `Set-Cookie` says: a value, or none to take the cookie back.
struct Set {
    name: String,
    value: Option<String>,
}

impl Set {
    fn parse(header: &HeaderValue) -> Option<Self> {
        let mut parts = header.to_str().ok()?.split(';').map(str::trim);
        let (name, value) = parts.next()?.split_once('=')?;
        if name.is_empty() || name.len() + value.len() > COOKIE_BYTES_MAX {
            return None;
        }
        let is_over = parts.filter_map(|part| part.split_once('=')).any(|(attribute, seconds)| {
            attribute.eq_ignore_ascii_case("max-age") && seconds.parse().is_ok_and(|seconds: i64| seconds <= 0)
        });
        Some(Self { name: name.to_owned(), value: (!is_over).then(|| value.to_owned()) })
    }
}

impl std::fmt::Debug for Cookies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cookies(***)")
    }
}
