//! A spill in a bucket of S3: files whose writes are objects.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_config::SdkConfig;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::owner::{Owner, Tempo, failed, late};
use super::parts::{File, Part, files_of, key_of};
use crate::aws::permission::{Home, Permissions};
use crate::delivery::{Disposition, Error, SpillBucketOptions};
use crate::sink;
use crate::sink::s3::{Encryption, Got, Object, Objects, S3Options, prefix_mistake};
use crate::spill::{self, Disk, Inventory};

/// How many calls are under way at once where a file has many parts.
const CALLS_MAX: usize = 16;

/// How often a call is tried before the spill rests for a moment.
const TRIES: u32 = 5;

/// What is waited before the second try. It doubles with every other.
const AGAIN_AFTER: Duration = Duration::from_millis(150);

/// How long one call may take: a part has up to 16 MiB, but for one event that is larger.
const CALL_TIMEOUT: Duration = Duration::from_mins(1);

/// The most objects of a file that do not count before they are removed.
const STALE_MAX: usize = 64;

/// The objects below a prefix of a bucket, as files, held by this process as long as this lives.
#[derive(Debug)]
pub struct Bucket {
    objects: Arc<Objects>,
    prefix: String,
    owner: Arc<Owner>,
    index: Mutex<Index>,
    /// Dropping it ends the renewing.
    _renewing: JoinSet<()>,
}

#[derive(Debug)]
struct Index {
    files: BTreeMap<String, File>,
    generation: u64,
    /// How many writes were begun.
    writes: u64,
}

impl Bucket {
    /// Takes the prefix, and looks what lies there. Where another process has not given it up, this takes as long as it is to be
    /// watched.
    ///
    /// # Errors
    ///
    /// [`spill::Error::Held`] where another process renews its hold; any other where S3 refuses.
    pub async fn open(options: &SpillBucketOptions) -> Result<Self, spill::Error> {
        Self::open_with(options, None, Tempo::default()).await
    }

    /// The same, with this configuration of AWS instead of the environment's, and another tempo than the real one.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub async fn open_with(
        options: &SpillBucketOptions,
        config: Option<SdkConfig>,
        tempo: Tempo,
    ) -> Result<Self, spill::Error> {
        let sink = as_sink(options);
        let objects = Arc::new(match config {
            Some(config) => Objects::configured(&sink, config).await,
            None => Objects::new(&sink),
        });
        let prefix = options.prefix.clone();
        let owner = Arc::new(Owner::take(Arc::clone(&objects), &prefix, tempo).await?);
        let mut renewing = JoinSet::new();
        renewing.spawn(Arc::clone(&owner).renew());
        let opened = async {
            let (files, generation) = files_of(&prefix, listed(&objects, &prefix).await?);
            owner.rise_above(generation).await?;
            Ok::<_, io::Error>(files)
        };
        let files = match opened.await {
            Ok(files) => files,
            Err(error) => {
                drop(renewing);
                owner.give_up().await;
                return Err(error.into());
            }
        };
        let empty: Vec<String> =
            files.iter().filter(|(_, file)| file.bytes() == 0).map(|(name, _)| name.clone()).collect();
        let index = Mutex::new(Index { files, generation: owner.generation(), writes: 0 });
        let bucket = Self { objects, prefix, owner, index, _renewing: renewing };
        for name in empty {
            // An earlier process was about to remove it. Should this fail, the next one finds it.
            if bucket.purge(&name).await.is_ok() {
                bucket.index().files.remove(&name);
            }
        }
        Ok(bucket)
    }

    /// The hold, to be given up when this is dropped.
    pub fn hold(&self) -> BucketHold {
        BucketHold(Arc::clone(&self.owner))
    }

    /// Asks whether a spill could begin, and what it holds, and leaves nothing behind. Whether another process has it is not asked.
    ///
    /// # Errors
    ///
    /// With what S3 says against it, and the remedy.
    pub async fn probe(options: &SpillBucketOptions) -> io::Result<Inventory> {
        let objects = Arc::new(Objects::new(&as_sink(options)));
        Box::pin(objects.check(&options.prefix)).await.map_err(failed)?;
        let (files, _) = files_of(&options.prefix, listed(&objects, &options.prefix).await?);
        Ok(Inventory::of(files.into_iter().map(|(name, file)| (name, file.bytes()))))
    }

    /// Puts an object for a write, and takes note of it.
    async fn put(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.owner.stands()?;
        let key = {
            let mut index = self.index();
            index.writes = index.writes.saturating_add(1);
            let key = key_of(&self.prefix, name, offset, index.generation, index.writes);
            // If this comes to no end, nobody knows whether it is there.
            index.files.entry(name.to_owned()).or_default().stale.push(key.clone());
            key
        };
        retried(|| {
            let object = Object { key: key.clone(), body: bytes.to_vec(), content_type: "application/octet-stream" };
            let objects = Arc::clone(&self.objects);
            async move { objects.put(object).await }.boxed()
        })
        .await?;
        // A hold that ended meanwhile is no hold: the next process may have looked before this came.
        self.owner.stands()?;
        let mut index = self.index();
        let file = index.files.entry(name.to_owned()).or_default();
        file.stale.retain(|stale| *stale != key);
        file.write(Part { offset, bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX), key });
        Ok(())
    }

    /// Removes the objects of a file that do not count.
    async fn purge(&self, name: &str) -> io::Result<()> {
        let stale = self.index().files.get(name).map(|file| file.stale.clone()).unwrap_or_default();
        // An empty write empties the file for whoever looks meanwhile: it goes last.
        let (last, others) = stale.split_last().map_or((None, &[][..]), |(last, others)| (Some(last), others));
        self.delete(others).await?;
        self.delete(last.map(std::slice::from_ref).unwrap_or_default()).await?;
        if let Some(file) = self.index().files.get_mut(name) {
            file.stale.retain(|key| !stale.contains(key));
        }
        Ok(())
    }

    async fn delete(&self, keys: &[String]) -> io::Result<()> {
        let delete = |key: &String| -> BoxFuture<'static, io::Result<()>> {
            let (objects, key) = (Arc::clone(&self.objects), key.clone());
            let call = move || {
                let (objects, key) = (Arc::clone(&objects), key.clone());
                async move { objects.delete(&key).await }.boxed()
            };
            retried(call).boxed()
        };
        let calls: Vec<_> = keys.iter().map(delete).collect();
        stream::iter(calls).buffer_unordered(CALLS_MAX).try_collect::<()>().await
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk for Bucket {
    async fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let index = self.index();
        let there = index.files.iter().filter(|(_, file)| file.bytes() > 0);
        Ok(there.map(|(name, file)| (name.clone(), file.bytes())).collect())
    }

    async fn write(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let stale = self.index().files.get(name).map_or(0, |file| file.stale.len());
        if stale >= STALE_MAX {
            self.purge(name).await?;
        }
        self.put(name, offset, bytes).await
    }

    async fn read(&self, name: &str, from: u64, to: u64) -> io::Result<Vec<u8>> {
        self.owner.stands()?;
        let (spans, end) = {
            let index = self.index();
            let file = index.files.get(name).filter(|file| file.bytes() > 0).ok_or(io::ErrorKind::NotFound)?;
            (file.between(from, to), file.bytes())
        };
        let fetch = |(part, begin, end): (Part, u64, u64)| -> BoxFuture<'static, io::Result<(u64, Vec<u8>)>> {
            let objects = Arc::clone(&self.objects);
            let call = move || {
                let (objects, key) = (Arc::clone(&objects), part.key.clone());
                async move { objects.get_part(&key, begin - part.offset, end - part.offset).await }.boxed()
            };
            let got = retried(call).map(move |got| match got? {
                Got::Object(bytes) => Ok((begin, bytes)),
                // Somebody has removed it, or changed it: what stood there is damaged.
                Got::Nothing | Got::TooLarge => Ok((begin, Vec::new())),
            });
            got.boxed()
        };
        let calls: Vec<_> = spans.into_iter().map(fetch).collect();
        let pieces: Vec<(u64, Vec<u8>)> = stream::iter(calls).buffered(CALLS_MAX).try_collect().await?;
        let mut bytes = Vec::new();
        for (begin, piece) in pieces {
            // What is missing before it reads as zeros, which are no frame.
            bytes.resize(offset_in(from, begin), 0);
            bytes.extend_from_slice(&piece);
        }
        bytes.resize(offset_in(from, end.min(to).max(from)), 0);
        Ok(bytes)
    }

    async fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.write(name, 0, bytes).await?;
        // What it takes the place of counts no more, and is removed with the next if not now.
        drop(self.purge(name).await);
        Ok(())
    }

    async fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let bytes = self.read(from, 0, u64::MAX).await?;
        self.replace(to, &bytes).await?;
        self.remove(from).await
    }

    async fn remove(&self, name: &str) -> io::Result<()> {
        let parts = self.index().files.get(name).map_or(0, |file| file.parts.len());
        if parts > 0 {
            // Objects go one by one: whoever looks meanwhile is to find it whole, or not at all.
            self.put(name, 0, &[]).await?;
        }
        self.owner.stands()?;
        self.purge(name).await?;
        self.index().files.remove(name);
        Ok(())
    }
}

/// A process's hold on a prefix.
#[derive(Debug)]
pub struct BucketHold(Arc<Owner>);

impl BucketHold {
    /// Gives it up, so that the next process has it at once. The [`Bucket`] must be gone.
    pub async fn give_up(self) {
        self.0.give_up().await;
    }
}

/// What is wrong with a bucket: the option, and the remedy. Pure.
#[must_use]
pub fn bucket_mistake(options: &SpillBucketOptions) -> Option<sink::Error> {
    let ends = options.prefix.len() > 1 && options.prefix.ends_with('/');
    let words = "write one that ends with `/` and is this lane's alone, such as `siemline-spill/soc/`";
    let of_prefix = (!ends).then(|| words.to_owned()).or_else(|| prefix_mistake(&options.prefix));
    let mistake = of_prefix.map(|words| ("prefix", words)).or_else(|| as_sink(options).mistake());
    mistake.map(|(option, words)| sink::Error::Option { option, words })
}

/// What a spill in a bucket needs; `home` is where the process runs, as far as it is known. Pure.
#[must_use]
pub fn bucket_permissions(options: &SpillBucketOptions, home: &Home) -> Permissions {
    let sink = as_sink(options);
    let mut permissions = sink::s3::permissions(&sink, home);
    permissions.extend(sink::s3::upkeep_permissions(&sink, home));
    permissions
}

/// A sink with the same bucket and access, whose calls keep the spill.
fn as_sink(options: &SpillBucketOptions) -> S3Options {
    S3Options {
        prefix: options.prefix.clone(),
        encryption: if options.kms_key.is_some() { Encryption::Kms } else { Encryption::Bucket },
        kms_key: options.kms_key.clone(),
        bucket_owner: options.bucket_owner.clone(),
        region: options.region.clone(),
        endpoint_url: options.endpoint_url.clone(),
        path_style: options.path_style,
        fips: options.fips,
        dual_stack: options.dual_stack,
        assume_role: options.assume_role.clone(),
        external_id: options.external_id.clone(),
        ..S3Options::new(&options.bucket)
    }
}

/// The keys and sizes of all objects below a prefix.
async fn listed(objects: &Arc<Objects>, prefix: &str) -> io::Result<Vec<(String, u64)>> {
    let (mut all, mut token) = (Vec::new(), None::<String>);
    loop {
        let (page, next) = retried(|| {
            let (objects, prefix, token) = (Arc::clone(objects), prefix.to_owned(), token.clone());
            async move { objects.list(&prefix, token).await }.boxed()
        })
        .await?;
        all.extend(page.into_iter().map(|listed| (listed.key, listed.bytes)));
        match next {
            Some(_) => token = next,
            None => return Ok(all),
        }
    }
}

/// Tries a call some times.
async fn retried<T>(call: impl Fn() -> BoxFuture<'static, Result<T, Error>>) -> io::Result<T> {
    let mut wait = AGAIN_AFTER;
    for _ in 1..TRIES {
        match timeout(CALL_TIMEOUT, call()).await.unwrap_or_else(|_elapsed| Err(late(CALL_TIMEOUT))) {
            Ok(done) => return Ok(done),
            Err(Error { disposition: Disposition::Retry { .. }, .. }) => sleep(wait).await,
            Err(error) => return Err(failed(error)),
        }
        wait *= 2;
    }
    timeout(CALL_TIMEOUT, call()).await.unwrap_or_else(|_elapsed| Err(late(CALL_TIMEOUT))).map_err(failed)
}

fn offset_in(from: u64, to: u64) -> usize {
    usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX)
}
