//! A strict DynamoDB, as far as leases need it: tables with a hash key, `PutItem`, `UpdateItem`, `DeleteItem` and `GetItem` with
//! conditions, `Scan` in pages, in AWS JSON 1.0.
//!
//! What the service would not take fails the test: the fake says so when it is dropped. A read that does not ask for
//! consistency gets what was there before the last write.

mod answers;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Notify;

use self::answers::answer;
use super::expression::Attributes;
use super::http::Server;
use super::kinesis::PATIENCE;
use super::plan::{Fault, Plan};

type Items = BTreeMap<String, Attributes>;

/// A call that came.
#[derive(Clone, Debug)]
pub struct Call {
    /// Such as `UpdateItem`.
    pub operation: String,
    /// The key of the item, where there is one.
    pub key: Option<String>,
    /// The code of the error that was answered.
    pub error: Option<String>,
}

struct Table {
    key: String,
    items: Items,
    /// As it was before the last write.
    stale: Items,
    /// For so many more questions it is being created.
    creating: usize,
}

struct State {
    tables: HashMap<String, Table>,
    plan: Plan,
    page_items_max: usize,
    /// Whether a failed condition gives the item back: the service does where it is asked to, and stand-ins do not.
    gives_back: bool,
    /// Whether a scan shows the table as it was before the last write, whatever it asks for.
    is_behind: bool,
    /// What is answered to these calls until it is mended: a code.
    refused: HashMap<String, String>,
    calls: Vec<Call>,
    violations: Vec<String>,
}

/// A running service without tables.
pub struct FakeDynamoDb {
    /// The endpoint.
    pub url: String,
    state: Arc<Mutex<State>>,
    called: Arc<Notify>,
    _server: Server,
}

impl FakeDynamoDb {
    /// With no table.
    pub async fn start(plan: Plan) -> Self {
        let state = Arc::new(Mutex::new(State {
            tables: HashMap::new(),
            plan,
            page_items_max: 1000,
            gives_back: true,
            is_behind: false,
            refused: HashMap::new(),
            calls: Vec::new(),
            violations: Vec::new(),
        }));
        let called = Arc::new(Notify::new());
        let (shared, notify) = (Arc::clone(&state), Arc::clone(&called));
        let server = Server::start(move |asked| {
            let reply = answer(&mut shared.lock().unwrap(), &asked);
            notify.notify_waiters();
            reply
        })
        .await;
        Self { url: server.url(), state, called, _server: server }
    }

    /// With a lease table of this name.
    pub async fn with_table(name: &str, plan: Plan) -> Self {
        let fake = Self::start(plan).await;
        fake.make_table(name, "leaseKey");
        fake
    }

    /// Makes a table with this hash key.
    pub fn make_table(&self, name: &str, key: &str) {
        let table = Table { key: key.to_owned(), items: Items::new(), stale: Items::new(), creating: 0 };
        self.state().tables.insert(name.to_owned(), table);
    }

    /// Writes an item as somebody else would, past all conditions.
    pub fn put(&self, table: &str, item: Value) {
        let mut state = self.state();
        let table = state.tables.get_mut(table).expect("the table is there");
        let item: Attributes = serde_json::from_value(item).unwrap();
        let key = item[&table.key]["S"].as_str().unwrap().to_owned();
        table.write(key, Some(item));
    }

    /// All items of a table, by key.
    pub fn items(&self, table: &str) -> Items {
        self.state().tables[table].items.clone()
    }

    /// An attribute of an item, without its type.
    pub fn attribute(&self, table: &str, key: &str, name: &str) -> Option<String> {
        let state = self.state();
        let value = state.tables.get(table)?.items.get(key)?.get(name)?;
        value.get("S").or_else(|| value.get("N")).and_then(Value::as_str).map(str::to_owned)
    }

    /// Gives so many items on a page.
    pub fn page_items_max(&self, items: usize) {
        self.state().page_items_max = items;
    }

    /// Does not give the item back when a condition fails, as the stand-ins do.
    pub fn give_nothing_back(&self) {
        self.state().gives_back = false;
    }

    /// Shows scans the table as it was before the last write.
    pub fn scan_behind(&self) {
        self.state().is_behind = true;
    }

    /// Refuses all calls of this name, until it is mended.
    pub fn refuse(&self, operation: &str, code: &str) {
        self.state().refused.insert(operation.to_owned(), code.to_owned());
    }

    /// Refuses nothing any more.
    pub fn mend(&self) {
        self.state().refused.clear();
    }

    /// The calls that came.
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    /// Waits until the items of a table are as they should be.
    pub async fn until(&self, table: &str, what: &str, mut is: impl FnMut(&Items) -> bool) {
        let waiting = async {
            loop {
                let called = self.called.notified();
                if is(&self.state().tables[table].items) {
                    return;
                }
                called.await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, waiting).await.is_ok();
        assert!(in_time, "waited too long for {what}: {:#?}", self.items(table));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Drop for FakeDynamoDb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.state().violations, Vec::<String>::new(), "requests that DynamoDB does not take");
        }
    }
}

impl Table {
    fn write(&mut self, key: String, item: Option<Attributes>) {
        self.stale.clone_from(&self.items);
        match item {
            Some(item) => self.items.insert(key, item),
            None => self.items.remove(&key),
        };
    }

    fn read(&self, is_consistent: Option<bool>) -> &Items {
        if is_consistent == Some(true) { &self.items } else { &self.stale }
    }
}

/// An error of the service, as it answers it.
pub fn error(code: &str) -> Fault {
    let body =
        json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{code}"), "message": "by plan" }).to_string();
    Fault::Reject { status: 400, body, retry_after_s: None }
}

/// All faults that are got over.
pub fn passing() -> Vec<Fault> {
    vec![
        error("ProvisionedThroughputExceededException"),
        error("ThrottlingException"),
        error("RequestLimitExceeded"),
        error("ExpiredTokenException"),
        Fault::Reject { status: 500, body: String::new(), retry_after_s: None },
        Fault::garbage(),
        Fault::Slow(Duration::from_millis(100)),
        Fault::CutBefore,
        Fault::CutMidway,
    ]
}
