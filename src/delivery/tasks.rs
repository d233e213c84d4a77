//! Where a lane's requests run.

use std::future::Future;

/// Where requests run. Compressing and encrypting a batch takes milliseconds of a core, so that the requests of a busy lane
/// are to run on several; but nothing below `pipeline` spawns, so that it is given.
pub trait Tasks: Send + Sync + 'static {
    /// Runs a request, and returns what it returns. Dropping the future that is returned drops the request midway, now or
    /// soon.
    fn run<F>(&self, request: F) -> impl Future<Output = F::Output> + Send
    where
        F: Future<Output: Send> + Send + 'static;
}

/// On the task of the lane itself.
#[derive(Clone, Copy, Debug)]
pub struct Here;

impl Tasks for Here {
    fn run<F>(&self, request: F) -> impl Future<Output = F::Output> + Send
    where
        F: Future<Output: Send> + Send + 'static,
    {
        request
    }
}
