//! A place of any kind: a match for each call costs nothing beside the work.

use std::io;

use super::bucket::Bucket;
use crate::spill::{Directory, Disk};

/// Where a spill lies.
#[derive(Debug)]
pub enum Place {
    /// On a disk.
    Directory(Directory),
    /// In a bucket of S3.
    Bucket(Box<Bucket>),
}

impl Disk for Place {
    async fn list(&self) -> io::Result<Vec<(String, u64)>> {
        match self {
            Self::Directory(directory) => directory.list().await,
            Self::Bucket(bucket) => bucket.list().await,
        }
    }

    async fn write(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Directory(directory) => directory.write(name, offset, bytes).await,
            Self::Bucket(bucket) => bucket.write(name, offset, bytes).await,
        }
    }

    async fn read(&self, name: &str, from: u64, to: u64) -> io::Result<Vec<u8>> {
        match self {
            Self::Directory(directory) => directory.read(name, from, to).await,
            Self::Bucket(bucket) => bucket.read(name, from, to).await,
        }
    }

    async fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Directory(directory) => directory.replace(name, bytes).await,
            Self::Bucket(bucket) => bucket.replace(name, bytes).await,
        }
    }

    async fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        match self {
            Self::Directory(directory) => directory.rename(from, to).await,
            Self::Bucket(bucket) => bucket.rename(from, to).await,
        }
    }

    async fn remove(&self, name: &str) -> io::Result<()> {
        match self {
            Self::Directory(directory) => directory.remove(name).await,
            Self::Bucket(bucket) => bucket.remove(name).await,
        }
    }
}
