//! Options of the admin server, and its answers without a socket.

use hyper::Method;

use super::answer::answer;
use super::{AdminOptions, Listen, reachable};

/// Guards the addresses that are taken, and the words for the others.
#[test]
fn an_address_is_an_address() {
    let read = |text: &str| toml::from_str::<AdminOptions>(&format!("listen = '{text}'"));
    for text in ["127.0.0.1:9600", "0.0.0.0:1", "[::1]:9600", "127.0.0.1:0"] {
        assert_eq!(read(text).unwrap().listen.unwrap().to_string(), text);
    }
    for text in ["", "9600", ":9600", "localhost:9600", "127.0.0.1", "127.0.0.1:99999", "::1:9600"] {
        let words = read(text).unwrap_err().to_string();
        assert!(words.contains("is no address with a port"), "{text}: {words}");
    }
}

/// Guards where `siemline status` asks: all addresses of a machine are reached by its own.
#[test]
fn all_addresses_are_reached_at_home() {
    for (listen, expect) in
        [("0.0.0.0:9600", "127.0.0.1:9600"), ("[::]:9600", "[::1]:9600"), ("10.0.0.7:1", "10.0.0.7:1")]
    {
        let listen = Listen::try_from(listen.to_owned()).unwrap();
        assert_eq!(reachable(listen).to_string(), expect);
    }
}

/// Guards that what is not asked for is not even looked up, and the codes of questions that are none.
#[test]
fn only_questions_are_answered() {
    let status = || panic!("nothing is to be asked");
    for (method, path, code) in [
        (Method::GET, "/healthz", 200),
        (Method::HEAD, "/healthz", 200),
        (Method::POST, "/healthz", 405),
        (Method::DELETE, "/status", 405),
        (Method::GET, "/favicon.ico", 404),
        (Method::GET, "/status/", 404),
        (Method::GET, "/../status", 404),
        (Method::POST, "/nothing", 404),
    ] {
        let answered = answer(&method, path, status);
        assert_eq!(answered.status(), code, "{method} {path}");
        assert_eq!(answered.headers().contains_key("allow"), code == 405, "{method} {path}");
    }
}
