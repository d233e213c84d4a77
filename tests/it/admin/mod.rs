//! The admin server over sockets: as probes, scrapers, people and hostile clients meet it.

mod hostile;
mod letters;
mod process;
mod sinks;

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Nothing takes longer, even on a busy machine: what does hangs.
const PATIENCE: Duration = Duration::from_mins(2);

/// An answer.
#[derive(Debug)]
struct Answer {
    code: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The values of a metric: each series with its value.
    fn metric(&self, name: &str) -> Vec<(&str, &str)> {
        let lines = self.body.lines().filter(|line| !line.starts_with('#'));
        let series = lines.filter_map(|line| line.rsplit_once(' '));
        let series = series.filter(|(series, _)| series.split('{').next() == Some(name));
        series.collect()
    }

    /// The sum of a metric of whole numbers over all its series.
    fn sum(&self, name: &str) -> u64 {
        self.metric(name).into_iter().map(|(_, value)| value.parse::<u64>().unwrap()).sum()
    }
}

/// Asks, and reads until the server closes the connection, which it does after each answer.
async fn ask(address: &str, method: &str, path: &str) -> Answer {
    let asking = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nAccept: */*\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        String::from_utf8(bytes).unwrap()
    };
    let text = timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("no answer to {method} {path}"));
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {text:?}"));
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { code, head: head.to_owned(), body: body.to_owned() }
}

async fn get(address: &str, path: &str) -> Answer {
    ask(address, "GET", path).await
}
