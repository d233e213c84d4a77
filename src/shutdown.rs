//! The wish to stop, handed to everything that runs. Floor 0.

use std::sync::Arc;

use tokio::sync::watch;

/// Asks everything that holds its [`Shutdown`] to stop reading and drain.
#[derive(Clone, Debug)]
pub struct Stop(Arc<watch::Sender<bool>>);

/// Tells when to stop. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<bool>);

/// A new wish, not yet uttered.
#[must_use]
pub fn channel() -> (Stop, Shutdown) {
    let (sender, receiver) = watch::channel(false);
    (Stop(Arc::new(sender)), Shutdown(receiver))
}

impl Stop {
    /// Utters the wish. More than once does no harm.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Shutdown {
    /// Says whether the wish was uttered.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Completes when the wish is uttered, also when nobody is left to utter it. Dropping the future midway is safe.
    pub async fn requested(&self) {
        // An error means that the other side is gone, which asks for the same.
        let _ = self.0.clone().wait_for(|stop| *stop).await;
    }
}
