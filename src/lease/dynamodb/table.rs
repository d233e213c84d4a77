//! The calls to DynamoDB, and what their failures mean.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::get_item::GetItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ReturnValue,
    ReturnValuesOnConditionCheckFailure, ScalarAttributeType, TableDescription, TableStatus,
};

use tokio::time::Instant;

use super::item::{self, Item, LEADER, LEASE_KEY};
use super::keys::Keys;
use super::request;
use crate::lease::{Change, Changed, Checkpoint, Error, Leader, Lease, LeaseTable, Start};

/// How often a table that is being created is asked whether it is there.
const CREATION_POLL: Duration = Duration::from_millis(500);

/// How long the creation of a table may take.
const CREATION_MAX: Duration = Duration::from_mins(2);

/// How long a table of KCL's locks that is not there is not looked for again.
const LOCKS_MISSING: Duration = Duration::from_mins(1);

/// The leases of one stream in a table of DynamoDB.
///
/// It reads consistently: what was written before is seen. A table is scanned whole, also where others share it, since KCL's
/// layout has no other way; leases are small, and a thousand of them cost about 75 read units.
#[derive(Clone, Debug)]
pub struct DynamoDbTable {
    client: Client,
    table: String,
    keys: Keys,
    start: Start,
    /// Until when the table of KCL's locks need not be looked for: it is not there, or not for us.
    no_locks_until: Arc<Mutex<Option<Instant>>>,
}

impl DynamoDbTable {
    /// The leases with these keys in the table of this name. Nothing is asked yet.
    #[must_use]
    pub fn new(sdk_config: &SdkConfig, endpoint_url: Option<&str>, table: &str, keys: Keys, start: Start) -> Self {
        let mut builder = aws_sdk_dynamodb::config::Builder::from(sdk_config);
        builder.set_endpoint_url(endpoint_url.map(str::to_owned));
        Self {
            client: Client::from_conf(builder.build()),
            table: table.to_owned(),
            keys,
            start,
            no_locks_until: Arc::default(),
        }
    }

    /// Says whether the table is there and is a lease table.
    ///
    /// # Errors
    ///
    /// [`Error::Table`] with the remedy where it is not, [`Error::Passing`] where it cannot be asked now.
    pub async fn check(&self) -> Result<(), Error> {
        let answer = self.client.describe_table().table_name(&self.table).send().await;
        let table = answer.map_err(|error| self.failed("DescribeTable", &error))?.table;
        let schema = table.as_ref().map(TableDescription::key_schema).unwrap_or_default();
        let keys: Vec<(&str, &KeyType)> = schema.iter().map(|key| (key.attribute_name(), key.key_type())).collect();
        if keys != [(LEASE_KEY, &KeyType::Hash)] {
            let found: Vec<String> = keys.iter().map(|(name, kind)| format!("{name} ({kind})")).collect();
            return Err(Error::Table(format!(
                "DynamoDB table `{}` is no lease table: its key is {}, and should be {LEASE_KEY} (HASH): choose another \
                 `lease_table`",
                self.table,
                found.join(", "),
            )));
        }
        match table.and_then(|table| table.table_status) {
            Some(TableStatus::Active | TableStatus::Updating) => Ok(()),
            status => Err(Error::Passing(format!("DynamoDB table `{}` is not ready: {status:?}", self.table))),
        }
    }

    /// Creates the table if it is not there, with capacity on demand, and waits until it is ready.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check).
    pub async fn create_table(&self) -> Result<(), Error> {
        match self.check().await {
            Err(Error::Table(_)) if self.is_missing().await? => {}
            checked => return checked,
        }
        let key = KeySchemaElement::builder().attribute_name(LEASE_KEY).key_type(KeyType::Hash);
        let attribute = AttributeDefinition::builder().attribute_name(LEASE_KEY).attribute_type(ScalarAttributeType::S);
        let broken = |error: aws_sdk_dynamodb::error::BuildError| Error::Table(error.to_string());
        let request = self.client.create_table().table_name(&self.table).billing_mode(BillingMode::PayPerRequest);
        let request = request.key_schema(key.build().map_err(broken)?);
        let created = request.attribute_definitions(attribute.build().map_err(broken)?).send().await;
        match created {
            Ok(_) => {}
            // Another copy was faster.
            Err(error) if code(&error) == "ResourceInUseException" => {}
            Err(error) => return Err(self.failed("CreateTable", &error)),
        }
        let ready = async {
            loop {
                match self.check().await {
                    Err(Error::Passing(_)) => {}
                    Err(error) if !self.is_missing().await? => return Err(error),
                    Err(_) => {}
                    Ok(()) => return Ok(()),
                }
                tokio::time::sleep(CREATION_POLL).await;
            }
        };
        tokio::time::timeout(CREATION_MAX, ready).await.unwrap_or_else(|_| {
            Err(Error::Table(format!("DynamoDB table `{}` is not ready after {CREATION_MAX:?}", self.table)))
        })
    }

    async fn is_missing(&self) -> Result<bool, Error> {
        match self.client.describe_table().table_name(&self.table).send().await {
            Ok(_) => Ok(false),
            Err(error) if code(&error) == "ResourceNotFoundException" => Ok(true),
            Err(error) => Err(self.failed("DescribeTable", &error)),
        }
    }

    async fn update(&self, shard: &str, update: request::Update) -> Result<Changed, Error> {
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(LEASE_KEY, AttributeValue::S(self.keys.key(shard)))
            .condition_expression(update.condition)
            .update_expression(update.expression)
            .set_expression_attribute_values(Some(update.values))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match answer {
            Ok(answer) => {
                let lease = self.lease(&answer.attributes.unwrap_or_default())?;
                lease.map(|(_, lease)| Changed::Done(Box::new(lease))).ok_or_else(|| {
                    Error::Passing(format!("UpdateItem on {} gave no lease back for {shard}", self.table))
                })
            }
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                    let found = match failed.item() {
                        Some(item) => self.lease(item)?,
                        // Stand-ins do not give the item back; in the service it is missing where there is none.
                        None => self.get(shard).await?,
                    };
                    Ok(Changed::Refused(found.map(|(_, lease)| Box::new(lease))))
                }
                _ => Err(self.failed("UpdateItem", &error)),
            },
        }
    }

    async fn lock(&self, table: &str, key: &str) -> Result<Option<Leader>, SdkError<GetItemError>> {
        let get = self.client.get_item().table_name(table).key(key, AttributeValue::S(LEADER.to_owned()));
        Ok(get.consistent_read(true).send().await?.item.as_ref().and_then(item::leader))
    }

    async fn get(&self, shard: &str) -> Result<Option<(String, Lease)>, Error> {
        let key = AttributeValue::S(self.keys.key(shard));
        let answer =
            self.client.get_item().table_name(&self.table).key(LEASE_KEY, key).consistent_read(true).send().await;
        match answer.map_err(|error| self.failed("GetItem", &error))?.item {
            Some(item) => self.lease(&item),
            None => Ok(None),
        }
    }

    fn lease(&self, item: &Item) -> Result<Option<(String, Lease)>, Error> {
        item::lease(&self.keys, item, self.start)
            .map_err(|words| Error::Table(format!("DynamoDB table `{}`: {words}: mend or remove it", self.table)))
    }

    fn failed<E>(&self, call: &str, error: &SdkError<E>) -> Error
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let code = code(error);
        let words = match error.as_service_error().and_then(ProvideErrorMetadata::message) {
            Some(message) => format!("{call} on DynamoDB table `{}`: {code}: {message}", self.table),
            None if code.is_empty() => {
                format!("{call} on DynamoDB table `{}`: {}", self.table, DisplayErrorContext(error))
            }
            None => format!("{call} on DynamoDB table `{}`: {code}", self.table),
        };
        match code.as_str() {
            "ResourceNotFoundException" => Error::Table(format!(
                "{words}: create it with the key {LEASE_KEY} (HASH, string), or set `create_table` under `lease`, or mend \
                 `lease_table`, region and account"
            )),
            "ValidationException" => Error::Table(format!(
                "{words}: the table is no lease table: its key should be {LEASE_KEY} (HASH, string): choose another \
                 `lease_table`"
            )),
            "AccessDeniedException" => {
                Error::Forbidden(format!("{words}: allow dynamodb:{call} (`siemline iam` prints the policy)"))
            }
            "ExpiredTokenException" | "UnrecognizedClientException" => {
                Error::Forbidden(format!("{words}: renew the credentials of the environment"))
            }
            _ => Error::Passing(words),
        }
    }
}

impl LeaseTable for DynamoDbTable {
    async fn load(&self) -> Result<BTreeMap<String, Lease>, Error> {
        let (mut leases, mut next): (_, Option<HashMap<String, AttributeValue>>) = (BTreeMap::new(), None);
        let prefix = AttributeValue::S(self.keys.prefix());
        loop {
            let scan = self.client.scan().table_name(&self.table).consistent_read(true);
            let scan = scan.filter_expression(format!("begins_with({LEASE_KEY}, :prefix)"));
            let scan = scan.expression_attribute_values(":prefix", prefix.clone()).set_exclusive_start_key(next);
            let page = scan.send().await.map_err(|error| self.failed("Scan", &error))?;
            for item in page.items.unwrap_or_default() {
                leases.extend(self.lease(&item)?);
            }
            next = page.last_evaluated_key.filter(|key| !key.is_empty());
            if next.is_none() {
                return Ok(leases);
            }
        }
    }

    async fn create(&self, shard: &str, lease: &Lease) -> Result<bool, Error> {
        let put = self.client.put_item().table_name(&self.table);
        let put = put.set_item(Some(item::item(&self.keys, shard, lease, self.start)));
        match put.condition_expression(format!("attribute_not_exists({LEASE_KEY})")).send().await {
            Ok(_) => Ok(true),
            Err(error) if code(&error) == CONDITION_FAILED => Ok(false),
            Err(error) => Err(self.failed("PutItem", &error)),
        }
    }

    async fn change(&self, shard: &str, change: &Change) -> Result<Changed, Error> {
        self.update(shard, request::update(change, self.start)).await
    }

    async fn remove(&self, shard: &str, counter: u64) -> Result<bool, Error> {
        let delete = self.client.delete_item().table_name(&self.table);
        let delete = delete.key(LEASE_KEY, AttributeValue::S(self.keys.key(shard)));
        let delete = delete.condition_expression(format!("{} = :counter", item::COUNTER));
        match delete.expression_attribute_values(":counter", item::number(counter)).send().await {
            Ok(_) => Ok(true),
            Err(error) if code(&error) == CONDITION_FAILED => Ok(false),
            Err(error) => Err(self.failed("DeleteItem", &error)),
        }
    }

    async fn reset(&self, shard: &str, counter: u64, checkpoint: &Checkpoint) -> Result<bool, Error> {
        let update = request::reset(counter, checkpoint, self.start);
        Ok(matches!(self.update(shard, update).await?, Changed::Done(_)))
    }

    /// The lock lies in the table of leases since KCL 3.5, and in a table of its own before, whose name is the application's
    /// with `-CoordinatorState`; the lease table has the application's name. With keys of our own, no KCL is there.
    async fn leader(&self) -> Result<Option<Leader>, Error> {
        if matches!(self.keys, Keys::Application(..)) {
            return Ok(None);
        }
        let lock = self.lock(&self.table, LEASE_KEY).await.map_err(|error| self.failed("GetItem", &error))?;
        let no_locks_until = *self.no_locks_until.lock().unwrap_or_else(PoisonError::into_inner);
        if lock.is_some() || no_locks_until.is_some_and(|until| Instant::now() < until) {
            return Ok(lock);
        }
        match self.lock(&format!("{}-CoordinatorState", self.table), "key").await {
            Ok(lock) => Ok(lock),
            Err(error) if matches!(code(&error).as_str(), "ResourceNotFoundException" | "AccessDeniedException") => {
                let until = Instant::now() + LOCKS_MISSING;
                *self.no_locks_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
                Ok(None)
            }
            Err(error) => Err(self.failed("GetItem", &error)),
        }
    }
}

const CONDITION_FAILED: &str = "ConditionalCheckFailedException";

fn code<E: ProvideErrorMetadata>(error: &SdkError<E>) -> String {
    error.as_service_error().and_then(ProvideErrorMetadata::code).unwrap_or_default().to_owned()
}
