//! Whether a batch could be delivered now, and what to do where not.

use serde::Deserialize;
use serde_json::{Value, json};

use super::Elastic;
use super::response::judge_status;
use crate::delivery::{Disposition, Error};
use crate::http::{Answer, Method};

#[derive(Deserialize)]
struct Privileges {
    has_all_requested: bool,
}

/// What a name is, as `_resolve/index` tells.
#[derive(Default, Deserialize)]
struct Resolved {
    #[serde(default)]
    indices: Vec<Value>,
    #[serde(default)]
    aliases: Vec<Alias>,
    #[serde(default)]
    data_streams: Vec<Value>,
}

#[derive(Deserialize)]
struct Alias {
    #[serde(default)]
    indices: Vec<Value>,
}

/// Asks for the credentials, for what they may, and for what the names of the options stand for. What these credentials may
/// not ask, or what this cluster does not know, is left open.
pub(super) async fn check(sink: &Elastic) -> Result<(), Error> {
    let root = sink.ask(Method::GET, &[], None).await?;
    if sink.is_aoss {
        return check_aoss(&root);
    }
    // A key that may do nothing but create documents is answered 403 here, and is a good key all the same.
    if !matches!(root.status, 200 | 403) {
        return Err(judge_status(&root, root.status));
    }
    check_privileges(sink, &root).await?;
    check_names(sink).await
}

/// A collection has no root (404); what is signed wrongly, or for somebody who may nothing, does not get so far.
fn check_aoss(root: &Answer) -> Result<(), Error> {
    match root.status {
        200..=299 | 404 => Ok(()),
        401 | 403 => {
            let error = judge_status(root, root.status);
            let words = format!(
                "{}: the role needs aoss:APIAccessAll, a data access policy of the collection that lets it write documents, \
                 and a network policy that lets this machine in",
                error.words
            );
            Err(Error { words, ..error })
        }
        status => Err(judge_status(root, status)),
    }
}

async fn check_privileges(sink: &Elastic, root: &Answer) -> Result<(), Error> {
    let names = &sink.framing.names;
    let mut created = vec![names.pattern()];
    created.extend(names.namespace.iter().map(|namespace| format!("logs-aws.*-{namespace}")));
    let mut privileges = vec![json!({ "names": created, "privileges": ["create_doc"] })];
    let mut wanted = format!("`create_doc` on `{}`", created.join("`, `"));
    if let Some(latest) = names.latest_pattern() {
        wanted = format!("{wanted} and `index` on `{latest}`");
        privileges.push(json!({ "names": [latest], "privileges": ["index"] }));
    }
    let question = json!({ "index": privileges });
    let answer = sink.ask(Method::POST, &["_security", "user", "_has_privileges"], Some(&question)).await?;
    match serde_json::from_slice::<Privileges>(&answer.body) {
        Ok(Privileges { has_all_requested: true }) if answer.status == 200 => Ok(()),
        Ok(Privileges { has_all_requested: false }) if answer.status == 200 => {
            Err(wrong("create_doc", format!("these credentials may not write what they should: grant {wanted}")))
        }
        // OpenSearch, and Elasticsearch without security, do not know the question. What the root said stands.
        _ if answer.is_passing() || answer.status == 401 => Err(judge_status(&answer, answer.status)),
        _ if root.status == 403 => check_writing(sink, &created).await,
        _ => Ok(()),
    }
}

/// A user of OpenSearch's security plugin may be one who writes and may ask nothing, not even who the cluster is. What they may
/// write is then learned from a document that cannot be stored wherever it goes: an index, a data stream and a name that nothing
/// has are no alias, and behind an alias no document has this number. The privileges are looked at before (measured on 2.19.1).
async fn check_writing(sink: &Elastic, names: &[String]) -> Result<(), Error> {
    let pairs = [("require_alias", "true"), ("if_seq_no", "9007199254740991"), ("if_primary_term", "1")];
    for name in names {
        let answer = sink.ask_with(Method::PUT, &[name, "_doc", "siemline-check"], &pairs, Some(&json!({}))).await?;
        if answer.status == 403 {
            let error = judge_status(&answer, answer.status);
            let wanted = "`indices:data/write/bulk*` and `indices:data/write/index`";
            return Err(Error { words: format!("{}: grant {wanted} on `{name}`", error.words), ..error });
        }
        if answer.is_passing() || answer.status == 401 {
            return Err(judge_status(&answer, answer.status));
        }
    }
    Ok(())
}

async fn check_names(sink: &Elastic) -> Result<(), Error> {
    if let Some(name) = sink.framing.names.fixed()
        && let Some(resolved) = resolve(sink, name).await?
    {
        check_write_index(sink, name, &resolved).await?;
        if resolved.is_nothing() && sink.is_named_by_default {
            check_template(sink, name).await?;
        }
    }
    if let Some(name) = sink.framing.names.fixed_latest()
        && let Some(resolved) = resolve(sink, name).await?
    {
        check_write_index(sink, name, &resolved).await?;
        if !resolved.data_streams.is_empty() {
            let words =
                format!("`latest` names the data stream `{name}`, where nothing can be replaced: name an index");
            return Err(wrong("latest", words));
        }
    }
    Ok(())
}

/// `None` where that cannot be known. OpenSearch 2.19 answers for a name that nothing has with empty lists; 404 is taken for
/// the same.
async fn resolve(sink: &Elastic, name: &str) -> Result<Option<Resolved>, Error> {
    let answer = sink.ask(Method::GET, &["_resolve", "index", name], None).await?;
    Ok(match answer.status {
        200 => serde_json::from_slice(&answer.body).ok(),
        404 => Some(Resolved::default()),
        _ => None,
    })
}

/// An alias of several indexes takes documents only if one of them is its write index.
async fn check_write_index(sink: &Elastic, name: &str, resolved: &Resolved) -> Result<(), Error> {
    if !resolved.aliases.iter().any(|alias| alias.indices.len() > 1) {
        return Ok(());
    }
    let answer = sink.ask(Method::GET, &["_alias", name], None).await?;
    let Ok(Value::Object(indexes)) = serde_json::from_slice::<Value>(&answer.body) else { return Ok(()) };
    let is_written = |index: &Value| {
        let alias = index.get("aliases").and_then(|aliases| aliases.get(name));
        alias.and_then(|alias| alias.get("is_write_index")).and_then(Value::as_bool) == Some(true)
    };
    if answer.status != 200 || indexes.values().any(is_written) {
        return Ok(());
    }
    let words = format!(
        "`{name}` is an alias of {} indexes and none is its write index: set `is_write_index` for one of them",
        indexes.len()
    );
    Err(wrong("write_index", words))
}

/// A data stream that is not there yet is made by the first document, where an index template says so. Without one the cluster
/// would make a plain index and guess the types of its fields.
async fn check_template(sink: &Elastic, name: &str) -> Result<(), Error> {
    let answer = sink.ask(Method::POST, &["_index_template", "_simulate_index", name], None).await?;
    match serde_json::from_slice::<Value>(&answer.body) {
        Ok(Value::Object(simulated))
            if answer.status == 200 && simulated.get("template").is_none_or(Value::is_null) =>
        {
            let words = format!("no index template is for the data stream `{name}`: run `siemline setup elastic`");
            Err(wrong("no_index_template", words))
        }
        _ => Ok(()),
    }
}

impl Resolved {
    const fn is_nothing(&self) -> bool {
        self.indices.is_empty() && self.aliases.is_empty() && self.data_streams.is_empty()
    }
}

fn wrong(code: &'static str, words: String) -> Error {
    Error { disposition: Disposition::Pause, code: code.into(), words }
}
