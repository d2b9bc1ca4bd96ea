//! One log-in at a time: new connections of an account are opened one after another.
//!
//! Eight connections must not ask a refused account at once, since each refusal feeds the provider's limiter. A message
//! that waited behind an opening that failed takes its result instead of trying again. Not here: how a connection is
//! opened (`connect`), and what a refusal means for the account (`account`).

use std::sync::{Mutex, MutexGuard};

use super::outcome::Condition;

/// How many openings had ended when a message began to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark(u64);

/// The openings of one account.
#[derive(Debug, Default)]
pub(super) struct LoginGate {
    running: tokio::sync::Mutex<()>,
    last: Mutex<Last>,
}

#[derive(Debug, Default)]
struct Last {
    number: u64,
    /// Why the last opening failed; `None` when it did not.
    failed: Option<Condition>,
}

/// The right to open a connection. Dropped without a word, it leaves things as they were.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    last: &'a Mutex<Last>,
    _running: tokio::sync::MutexGuard<'a, ()>,
}

impl LoginGate {
    /// What has ended by now is not waited for.
    pub(super) fn mark(&self) -> Mark {
        Mark(lock(&self.last).number)
    }

    /// Waits until no other message opens a connection.
    ///
    /// # Errors
    /// The last opening ended after `mark`, and failed like this.
    pub(super) async fn enter(&self, mark: Mark) -> Result<Pass<'_>, Condition> {
        let running = self.running.lock().await;
        let last = lock(&self.last);
        match &last.failed {
            Some(condition) if Mark(last.number) != mark => Err(condition.clone()),
            Some(_) | None => Ok(Pass { last: &self.last, _running: running }),
        }
    }
}

impl Pass<'_> {
    /// The opening has ended: with a connection, or for this reason.
    pub(super) fn ended(self, failed: Option<Condition>) {
        let mut last = lock(self.last);
        last.number += 1;
        last.failed = failed;
    }
}

fn lock(last: &Mutex<Last>) -> MutexGuard<'_, Last> {
    // Both fields are set together, and nothing panics between.
    last.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> Condition {
        Condition::Line("no".to_owned())
    }

    #[tokio::test]
    async fn who_waited_behind_a_failure_takes_it_and_who_comes_later_tries() {
        let gate = LoginGate::default();
        let before = gate.mark();
        let pass = gate.enter(before).await.unwrap();
        let mut waiting = Box::pin(gate.enter(before));
        assert!(futures_poll(&mut waiting).await.is_none(), "one at a time");
        pass.ended(Some(refused()));
        assert_eq!(waiting.await.unwrap_err(), refused());
        assert!(gate.enter(gate.mark()).await.is_ok(), "the failure is over");
    }

    #[tokio::test]
    async fn a_success_wipes_the_failure_out_and_a_pass_not_used_changes_nothing() {
        let gate = LoginGate::default();
        let before = gate.mark();
        gate.enter(before).await.unwrap().ended(Some(refused()));
        gate.enter(gate.mark()).await.unwrap().ended(None);
        assert!(gate.enter(before).await.is_ok());
        let mark = gate.mark();
        drop(gate.enter(mark).await.unwrap());
        assert_eq!(gate.mark(), mark);
    }

    async fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        std::future::poll_fn(|cx| match std::pin::Pin::new(&mut *future).poll(cx) {
            std::task::Poll::Ready(output) => std::task::Poll::Ready(Some(output)),
            std::task::Poll::Pending => std::task::Poll::Ready(None),
        })
        .await
    }
}
