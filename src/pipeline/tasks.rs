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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::oneshot;

    use super::*;

    /// Guards that a request which nobody waits for any more ends, and lets go what it holds.
    #[tokio::test]
    async fn a_request_ends_with_who_waits_for_it() {
        let held = Arc::new(());
        let (let_go, gone) = oneshot::channel::<()>();
        let request = {
            let held = Arc::clone(&held);
            async move {
                let _held = (held, let_go);
                std::future::pending::<()>().await;
            }
        };
        drop(Spawned.run(request));
        gone.await.unwrap_err();
        assert_eq!(Arc::strong_count(&held), 1);
    }

    /// Guards that what a request returns comes back, and that its panic is the lane's.
    #[tokio::test]
    async fn a_request_returns_or_panics_to_who_waits() {
        assert_eq!(Spawned.run(async { 7 }).await, 7);
        let waiting =
            tokio::spawn(async { Spawned.run(async { assert!(std::hint::black_box(false), "as planned") }).await });
        assert!(waiting.await.unwrap_err().is_panic());
    }
}
