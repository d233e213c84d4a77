//! A strict STS: `AssumeRole`, and nothing else.

use std::sync::{Arc, Mutex};

use super::http::{Asked, Reply, Server};

/// A running service that gives out credentials.
pub struct FakeSts {
    pub url: String,
    /// The bodies of the requests that came.
    asked: Arc<Mutex<Vec<String>>>,
    _server: Server,
}

impl FakeSts {
    /// Starts; whoever assumes a role gets the key `ASIAROLEEXAMPLE`.
    pub async fn start() -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let server = Server::start(move |request| answer(&mut seen.lock().unwrap(), &request)).await;
        Self { url: server.url(), asked, _server: server }
    }

    /// The requests that came.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn answer(seen: &mut Vec<String>, request: &Asked) -> Reply {
    let body = String::from_utf8(request.body.clone()).unwrap();
    assert!(body.starts_with("Action=AssumeRole&"), "{body}");
    assert!(
        request.header("authorization").unwrap().contains("AKIDEXAMPLE"),
        "signed with the configuration's own key"
    );
    seen.push(body);
    Reply::new(
        200,
        r#"<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
        <AssumedRoleUser><AssumedRoleId>AROAEXAMPLE:siemline</AssumedRoleId>
        <Arn>arn:aws:sts::444455556666:assumed-role/reader/siemline</Arn></AssumedRoleUser>
        <Credentials><AccessKeyId>ASIAROLEEXAMPLE</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>
        <SessionToken>token</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>
        </AssumeRoleResult></AssumeRoleResponse>"#,
    )
}
