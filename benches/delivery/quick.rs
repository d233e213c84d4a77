//! A destination that answers at once, and remembers nothing.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use flate2::bufread::GzDecoder;

/// No batch is larger.
const BODY_BYTES_MAX: u64 = 64 << 20;

/// What a destination answers to a body, given the path.
type Answer = fn(&str, &[u8]) -> String;

/// Starts a destination on a port of its own; it ends with the process. Returns its URL.
pub fn start() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream, answer));
        }
    });
    format!("http://{address}")
}

/// Every destination has its path.
fn answer(path: &str, body: &[u8]) -> String {
    if path.contains("_bulk") {
        let items = vec![r#"{"create":{"status":201}}"#; body.split(|byte| *byte == b'\n').count() / 2];
        return format!(r#"{{"errors":false,"items":[{}]}}"#, items.join(","));
    }
    r#"{"text":"Success","code":0}"#.to_owned()
}

/// Serves one connection until it is closed.
#[expect(clippy::disallowed_methods, reason = "it is bounded, by `take`")]
fn serve(stream: TcpStream, answer: Answer) {
    let mut out = stream.try_clone().expect("a socket has two ends");
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    loop {
        let (mut length, mut is_gzip, mut path) = (0, false, String::new());
        loop {
            line.clear();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let text = line.trim_end().to_ascii_lowercase();
            if text.is_empty() {
                break;
            }
            if path.is_empty() {
                text.split(' ').nth(1).unwrap_or_default().clone_into(&mut path);
            } else if let Some(value) = text.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            } else if text.starts_with("content-encoding:") {
                is_gzip = text.contains("gzip");
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).expect("the whole body");
        // Nothing else is answered by what is in it.
        if is_gzip && path.contains("_bulk") {
            let mut plain = Vec::new();
            GzDecoder::new(&*body).take(BODY_BYTES_MAX).read_to_end(&mut plain).expect("gzip");
            body = plain;
        }
        let text = answer(&path, &body);
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length:";
        if write!(out, "{head} {}\r\n\r\n{text}", text.len()).is_err() {
            return;
        }
    }
}

/// Starts a destination that takes connections and never reads from them. It ends with the process. Returns its URL.
pub fn silent() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    // The kernel answers for whoever does not accept.
    std::mem::forget(listener);
    format!("http://{address}")
}
