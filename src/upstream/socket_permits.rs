//! How many TCP connections an account has at its provider: never more than `connections`, one that is being ended included.
//!
//! A [`SocketPermit`] is taken before the dial and given back when the socket is closed. A connection that has said QUIT
//! keeps its permit, so it learns here that a message waits for it ([`SocketPermit::wanted`]). Not here: which message goes
//! next (`connection_slots`). The race of several addresses for one connection (RFC 8305, `dial`) is one connection.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// The permits of one account.
#[derive(Debug)]
pub(super) struct SocketPermits {
    free: Arc<Semaphore>,
    /// How many messages wait for a permit.
    waiting: watch::Sender<usize>,
}

/// The right to one TCP connection. The owner drops it after the socket.
#[derive(Debug)]
pub(super) struct SocketPermit {
    _permit: OwnedSemaphorePermit,
    waiting: watch::Receiver<usize>,
}

impl SocketPermits {
    /// At least one connection.
    pub(super) fn new(connections: usize) -> SocketPermits {
        SocketPermits { free: Arc::new(Semaphore::new(connections.max(1))), waiting: watch::Sender::new(0) }
    }

    /// Waits until the account may have one more connection. May be dropped at any time.
    pub(super) async fn take(&self) -> SocketPermit {
        let free = match self.free.clone().try_acquire_owned() {
            Ok(free) => free,
            Err(_) => {
                let _waiting = Waiting::among(&self.waiting);
                self.free.clone().acquire_owned().await.expect("the semaphore is never closed")
            }
        };
        SocketPermit { _permit: free, waiting: self.waiting.subscribe() }
    }
}

impl SocketPermit {
    /// Returns when a message waits for a permit of the account. The future does not borrow the permit.
    pub(super) fn wanted(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut waiting = self.waiting.clone();
        async move {
            if waiting.wait_for(|&waiting| waiting > 0).await.is_err() {
                // The account is gone, and no message will come.
                std::future::pending().await
            }
        }
    }
}

/// Counts while a message waits.
struct Waiting<'a>(&'a watch::Sender<usize>);

impl Waiting<'_> {
    fn among(waiting: &watch::Sender<usize>) -> Waiting<'_> {
        waiting.send_modify(|waiting| *waiting += 1);
        Waiting(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|waiting| *waiting -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_holder_learns_that_its_permit_is_wanted_and_only_then() {
        let permits = Arc::new(SocketPermits::new(1));
        let permit = permits.take().await;
        let wanted = tokio::spawn(permit.wanted());
        tokio::task::yield_now().await;
        assert!(!wanted.is_finished());
        let next = tokio::spawn({
            let permits = permits.clone();
            async move { permits.take().await }
        });
        wanted.await.unwrap();
        assert!(!next.is_finished());
        drop(permit);
        let next = next.await.unwrap();
        assert_eq!(*permits.waiting.borrow(), 0);
        // A message that gives up waits no more.
        let given_up = tokio::spawn({
            let permits = permits.clone();
            async move { permits.take().await }
        });
        next.wanted().await;
        given_up.abort();
        assert!(given_up.await.is_err() && *permits.waiting.borrow() == 0);
    }
}
