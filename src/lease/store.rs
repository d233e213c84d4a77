//! The table that a configuration asks for.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;

use tokio::sync::OnceCell;

use super::dynamodb::{DynamoDbTable, Keys, StreamIdentity};
use super::options::{LeaseKeys, LeaseOptions};
use super::{Change, Changed, Checkpoint, Error, FileTable, Leader, Lease, LeaseTable, Start};
use crate::aws::{self, Access};

/// A local file, or a table of DynamoDB.
#[derive(Debug)]
pub enum Store {
    /// For one process.
    File(FileTable),
    /// For several. Boxed, since a file is small.
    DynamoDb(Box<DynamoDbStore>),
}

/// A table of DynamoDB that is opened when it is [prepared](LeaseTable::prepare): its keys are made of what the stream says
/// of itself.
#[derive(Debug)]
pub struct DynamoDbStore {
    name: String,
    options: LeaseOptions,
    region: Option<String>,
    use_fips: bool,
    use_dual_stack: bool,
    start: Start,
    table: OnceCell<DynamoDbTable>,
}

impl Store {
    /// The leases of this stream in a file.
    #[must_use]
    pub fn file(path: PathBuf, stream: &str) -> Self {
        Self::File(FileTable::new(path, stream))
    }

    /// The leases of a stream in this table of DynamoDB. The stream's access tells the region and the kind of endpoint; the
    /// role is for the stream alone. Nothing is opened or asked yet.
    #[must_use]
    pub fn dynamodb(name: &str, options: &LeaseOptions, stream: &Access<'_>, start: Start) -> Self {
        let region = options.region.as_deref().or(stream.region).map(str::to_owned);
        let (use_fips, use_dual_stack) = (stream.use_fips, stream.use_dual_stack);
        let (name, options, table) = (name.to_owned(), options.clone(), OnceCell::new());
        Self::DynamoDb(Box::new(DynamoDbStore { name, options, region, use_fips, use_dual_stack, start, table }))
    }
}

impl DynamoDbStore {
    fn table(&self) -> Result<&DynamoDbTable, Error> {
        self.table.get().ok_or_else(|| Error::Passing(format!("DynamoDB table `{}` is not open yet", self.name)))
    }

    async fn prepare(&self, stream: impl Future<Output = Result<StreamIdentity, Error>>) -> Result<(), Error> {
        let keys = match (self.options.keys, &self.options.application) {
            (LeaseKeys::Shard, _) => Keys::Shard,
            (LeaseKeys::Stream, None) => Keys::Stream(stream.await?),
            (LeaseKeys::Stream, Some(application)) => Keys::Application(application.clone(), stream.await?),
        };
        let table = self.open(keys).await;
        if self.options.create_table {
            table.create_table().await?;
        } else {
            table.check().await?;
        }
        // It was prepared before: the same.
        let _ = self.table.set(table);
        Ok(())
    }

    /// The table is the process's own, whoever's role the stream is read with.
    async fn open(&self, keys: Keys) -> DynamoDbTable {
        let Self { use_fips, use_dual_stack, .. } = *self;
        let access = Access { region: self.region.as_deref(), use_fips, use_dual_stack, ..Access::default() };
        let sdk_config = aws::configuration(&access).await;
        DynamoDbTable::new(&sdk_config, self.options.endpoint_url.as_deref(), &self.name, keys, self.start)
    }
}

impl LeaseTable for Store {
    async fn prepare<F>(&self, stream: F) -> Result<(), Error>
    where
        F: Future<Output = Result<StreamIdentity, Error>> + Send,
    {
        let store = match self {
            Self::File(table) => return table.take().await,
            Self::DynamoDb(store) => store,
        };
        // The calls of the SDK are large futures, and are made once.
        Box::pin(store.prepare(stream)).await
    }

    async fn load(&self) -> Result<BTreeMap<String, Lease>, Error> {
        match self {
            Self::File(table) => table.load().await,
            Self::DynamoDb(store) => store.table()?.load().await,
        }
    }

    async fn create(&self, shard: &str, lease: &Lease) -> Result<bool, Error> {
        match self {
            Self::File(table) => table.create(shard, lease).await,
            Self::DynamoDb(store) => store.table()?.create(shard, lease).await,
        }
    }

    async fn change(&self, shard: &str, change: &Change) -> Result<Changed, Error> {
        match self {
            Self::File(table) => table.change(shard, change).await,
            Self::DynamoDb(store) => store.table()?.change(shard, change).await,
        }
    }

    async fn remove(&self, shard: &str, counter: u64) -> Result<bool, Error> {
        match self {
            Self::File(table) => table.remove(shard, counter).await,
            Self::DynamoDb(store) => store.table()?.remove(shard, counter).await,
        }
    }

    async fn reset(&self, shard: &str, counter: u64, checkpoint: &Checkpoint) -> Result<bool, Error> {
        match self {
            Self::File(table) => table.reset(shard, counter, checkpoint).await,
            Self::DynamoDb(store) => store.table()?.reset(shard, counter, checkpoint).await,
        }
    }

    async fn leader(&self) -> Result<Option<Leader>, Error> {
        match self {
            Self::File(table) => table.leader().await,
            Self::DynamoDb(store) => store.table()?.leader().await,
        }
    }
}
