//! A strict STS: `AssumeRole`, and nothing else.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::http::{Asked, Reply, Server};

/// A running service that gives out credentials.
pub struct FakeSts {
    pub url: String,
    /// The bodies of the requests that came.
    asked: Arc<Mutex<Vec<String>>>,
    /// Whether nobody may assume the role.
    refuses: Arc<AtomicBool>,
    /// For how many seconds credentials are good.
    lasts_s: Arc<AtomicI64>,
    _server: Server,
}

impl FakeSts {
    /// Starts; whoever assumes a role gets the key `ASIAROLEEXAMPLE`.
    pub async fn start() -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (refuses, lasts_s) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI64::new(3600)));
        let (seen, refused, lasting) = (Arc::clone(&asked), Arc::clone(&refuses), Arc::clone(&lasts_s));
        let server = Server::start(move |request| {
            let granted = answer(&mut seen.lock().unwrap(), &request, lasting.load(Ordering::Relaxed));
            if refused.load(Ordering::Relaxed) { denied() } else { granted }
        })
        .await;
        Self { url: server.url(), asked, refuses, lasts_s, _server: server }
    }

    /// Lets nobody assume the role, or everybody again.
    pub fn refuse(&self, refuses: bool) {
        self.refuses.store(refuses, Ordering::Relaxed);
    }

    /// Gives credentials that are good for so long.
    pub fn lasts(&self, lasts: Duration) {
        self.lasts_s.store(i64::try_from(lasts.as_secs()).unwrap(), Ordering::Relaxed);
    }

    /// The requests that came.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn denied() -> Reply {
    Reply::new(
        403,
        r#"<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>
        <Code>AccessDenied</Code><Message>not authorized to perform: sts:AssumeRole</Message></Error>
        <RequestId>by-plan</RequestId></ErrorResponse>"#,
    )
}

fn answer(seen: &mut Vec<String>, request: &Asked, lasts_s: i64) -> Reply {
    let body = String::from_utf8(request.body.clone()).unwrap();
    assert!(body.starts_with("Action=AssumeRole&"), "{body}");
    assert!(
        request.header("authorization").unwrap().contains("AKIDEXAMPLE"),
        "signed with the configuration's own key"
    );
    seen.push(body);
    let expiration = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second() + lasts_s).unwrap();
    let body = format!(
        r#"<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
        <AssumedRoleUser><AssumedRoleId>AROAEXAMPLE:siemline</AssumedRoleId>
        <Arn>arn:aws:sts::444455556666:assumed-role/reader/siemline</Arn></AssumedRoleUser>
        <Credentials><AccessKeyId>ASIAROLEEXAMPLE</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>
        <SessionToken>token</SessionToken><Expiration>{expiration}</Expiration></Credentials>
        </AssumeRoleResult></AssumeRoleResponse>"#,
    );
    Reply::new(200, body)
}
