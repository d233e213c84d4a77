//! A Kafka broker as far as SASL goes: it tells its versions, shakes hands, hears the credentials, and refuses them.

use std::io;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// No request of a test is larger.
const REQUEST_BYTES_MAX: usize = 1 << 20;

const SASL_HANDSHAKE: i16 = 17;
const API_VERSIONS: i16 = 18;
const SASL_AUTHENTICATE: i16 = 36;

const UNSUPPORTED_SASL_MECHANISM: i16 = 33;
const UNSUPPORTED_VERSION: i16 = 35;
const SASL_AUTHENTICATION_FAILED: i16 = 58;

/// A running broker.
pub struct SaslBroker {
    /// `host:port`
    pub address: String,
    heard: Arc<Mutex<Vec<String>>>,
    accepting: JoinHandle<()>,
}

impl SaslBroker {
    /// Starts one that speaks this mechanism.
    pub async fn start(mechanism: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hearing = Arc::clone(&heard);
        let accepting = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                while connections.try_join_next().is_some() {}
                connections.spawn(serve(stream, mechanism, Arc::clone(&hearing)));
            }
        });
        Self { address, heard, accepting }
    }

    /// The credentials that came, each first word of a client.
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

impl Drop for SaslBroker {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Answers one request after the other, until the client goes.
async fn serve(mut stream: TcpStream, mechanism: &str, heard: Arc<Mutex<Vec<String>>>) -> io::Result<()> {
    loop {
        let length = usize::try_from(stream.read_i32().await?).unwrap_or(usize::MAX);
        assert!(length <= REQUEST_BYTES_MAX, "a request of {length} bytes");
        let mut request = vec![0; length];
        stream.read_exact(&mut request).await?;
        let mut request = Fields(&request);
        let (api, version, correlation) = (request.int16(), request.int16(), request.take(4).to_vec());
        let _client = request.text();
        let mut answer = correlation;
        match (api, version) {
            (API_VERSIONS, 0) => {
                answer.extend([0, 0]);
                let apis = [(API_VERSIONS, 0_i16), (SASL_HANDSHAKE, 1), (SASL_AUTHENTICATE, 0)];
                answer.extend(i32::try_from(apis.len()).unwrap().to_be_bytes());
                for (api, version_max) in apis {
                    answer.extend([api.to_be_bytes(), [0, 0], version_max.to_be_bytes()].concat());
                }
            }
            (API_VERSIONS, _) => {
                answer.extend(UNSUPPORTED_VERSION.to_be_bytes());
                answer.extend([0; 4]);
            }
            (SASL_HANDSHAKE, 0 | 1) => {
                let code = if request.text() == mechanism { 0 } else { UNSUPPORTED_SASL_MECHANISM };
                answer.extend(code.to_be_bytes());
                answer.extend(1_i32.to_be_bytes());
                push_text(&mut answer, mechanism);
            }
            (SASL_AUTHENTICATE, 0) => {
                let length = i32::from_be_bytes(request.take(4).try_into().unwrap());
                let credentials = request.take(usize::try_from(length).unwrap());
                heard.lock().unwrap().push(String::from_utf8_lossy(credentials).into_owned());
                answer.extend(SASL_AUTHENTICATION_FAILED.to_be_bytes());
                push_text(&mut answer, "refused, as told by the broker");
                answer.extend([0; 4]);
            }
            // Nothing else is asked of a broker that has not let anybody in.
            other => panic!("asked for {other:?}"),
        }
        stream.write_i32(i32::try_from(answer.len()).unwrap()).await?;
        stream.write_all(&answer).await?;
    }
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    out.extend(i16::try_from(text.len()).unwrap().to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// The fields of a request that have not been read.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }

    fn int16(&mut self) -> i16 {
        i16::from_be_bytes(self.take(2).try_into().unwrap())
    }

    /// Empty for none.
    fn text(&mut self) -> String {
        let length = self.int16();
        String::from_utf8(self.take(usize::try_from(length).unwrap_or(0)).to_vec()).unwrap()
    }
}
