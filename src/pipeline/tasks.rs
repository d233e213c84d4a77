//! Requests as tasks of their own, so that those of one lane run on several cores.

use std::future::Future;
use std::panic::resume_unwind;

use tokio::task::JoinHandle;

use crate::delivery::Tasks;

/// Each request on a task of its own, which ends with the future that waits for it.
#[derive(Clone, Copy, Debug)]
pub struct Spawned;

/// A task that is aborted when nobody waits for it any more.
struct Task<T>(JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Tasks for Spawned {
    fn run<F>(&self, request: F) -> impl Future<Output = F::Output> + Send
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let mut task = Task(tokio::spawn(request));
        async move {
            match (&mut task.0).await {
                Ok(output) => output,
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => resume_unwind(panic),
                    // Only a runtime that is going down cancels it, and this future with it.
                    Err(_) => std::future::pending().await,
                },
            }
        }
    }
}
