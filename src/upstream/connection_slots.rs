//! The slots of an account's connections, and the line of messages that wait for one.
//!
//! A message that waits leaves a [`Ticket`] with its commands. A busy connection may take the first ticket and announce
//! that message behind its own final dot (RFC 2920 section 3.1), which saves a round trip; it then hands itself over,
//! with its slot. So a [`ConnectionSlot`] is either free, or has a connection that has announced this very message.
//!
//! Invariants: at most as many slots are taken as there are connections; a ticket is either withdrawn by its owner or
//! taken by one connection, never both; an owner whose ticket was taken in vain waits for a slot again.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::smtp::client::Transaction;

use super::connection::ProviderConnection;

/// The right to use one of the account's connections.
#[derive(Debug, Default)]
pub struct ConnectionSlot {
    /// `None` once it was handed over.
    pub(super) permit: Option<OwnedSemaphorePermit>,
    /// The connection that has announced the message of this slot.
    pub(super) announced: Option<Box<ProviderConnection>>,
    /// The report repeats that of another message.
    pub(super) second_hand: bool,
}

impl ConnectionSlot {
    /// Whether the last report only repeats what the provider, or the permit, said to another message, behind which
    /// this one had waited: an account must not be blamed twice for one refusal.
    pub fn is_second_hand(&self) -> bool {
        self.second_hand
    }
}

/// A message that waits for a connection.
#[derive(Debug)]
pub(super) struct Ticket {
    number: u64,
    /// What to announce.
    pub(super) transaction: Transaction,
    hand_over: oneshot::Sender<ConnectionSlot>,
}

impl Ticket {
    /// Gives the connection that has announced this message to its owner, with its slot. `Err` when it waits no
    /// more: the slot comes back.
    pub(super) fn hand_over(
        self,
        connection: ProviderConnection,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Result<(), ConnectionSlot> {
        self.hand_over.send(ConnectionSlot { permit, announced: Some(Box::new(connection)), second_hand: false })
    }
}

/// The slots of one account, and the messages that wait for them.
#[derive(Debug)]
pub(super) struct ConnectionSlots {
    slots: Arc<Semaphore>,
    waiting: Mutex<VecDeque<Ticket>>,
    number: AtomicU64,
    announces: AtomicBool,
}

impl ConnectionSlots {
    /// As many slots as connections; `announces` says whether connections may announce the next message.
    pub(super) fn new(connections: usize, announces: bool) -> ConnectionSlots {
        ConnectionSlots {
            slots: Arc::new(Semaphore::new(connections.max(1))),
            waiting: Mutex::default(),
            number: AtomicU64::new(0),
            announces: AtomicBool::new(announces),
        }
    }

    /// Waits for a slot, or for a connection that announces `transaction`, whichever comes first.
    pub(super) async fn take(&self, transaction: Transaction) -> ConnectionSlot {
        if let Ok(permit) = self.slots.clone().try_acquire_owned() {
            return ConnectionSlot { permit: Some(permit), announced: None, second_hand: false };
        }
        if !self.announces() {
            return self.slot().await;
        }
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let (hand_over, mut handed) = oneshot::channel();
        self.waiting().push_back(Ticket { number, transaction, hand_over });
        tokio::select! {
            biased;
            slot = &mut handed => match slot {
                Ok(slot) => slot,
                Err(_) => self.slot().await,
            },
            slot = self.slot() => {
                if self.withdraw(number) {
                    return slot;
                }
                // A connection is announcing this message right now: it is waited for, the slot is for others.
                drop(slot);
                match handed.await {
                    Ok(slot) => slot,
                    Err(_) => self.slot().await,
                }
            }
        }
    }

    async fn slot(&self) -> ConnectionSlot {
        // The semaphore is never closed; if it were, there would be no pace, but still every message.
        ConnectionSlot { permit: self.slots.clone().acquire_owned().await.ok(), announced: None, second_hand: false }
    }

    /// The message that has waited longest, to be announced.
    pub(super) fn next(&self) -> Option<Ticket> {
        if self.announces() { self.waiting().pop_front() } else { None }
    }

    /// Announces nothing any more: this server lost what came behind a final dot.
    pub(super) fn stop_announcing(&self) {
        self.announces.store(false, Ordering::Relaxed);
    }

    fn announces(&self) -> bool {
        self.announces.load(Ordering::Relaxed)
    }

    /// Takes a ticket back; false when a connection has it already.
    fn withdraw(&self, number: u64) -> bool {
        let mut waiting = self.waiting();
        let before = waiting.len();
        waiting.retain(|ticket| ticket.number != number);
        waiting.len() < before
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Ticket>> {
        // Only whole tickets are pushed and taken under the lock.
        self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::ReversePath;

    fn transaction() -> Transaction {
        Transaction { from: ReversePath::Null, to: Vec::new(), size: 1, eight_bit: false }
    }

    #[tokio::test]
    async fn there_are_no_more_slots_than_connections() {
        let slots = Arc::new(ConnectionSlots::new(2, true));
        let (first, _second) = (slots.take(transaction()).await, slots.take(transaction()).await);
        let third = tokio::spawn({
            let slots = slots.clone();
            async move { slots.take(transaction()).await }
        });
        tokio::task::yield_now().await;
        assert!(!third.is_finished());
        drop(first);
        assert!(third.await.unwrap().permit.is_some());
        assert!(slots.waiting().is_empty(), "its ticket was withdrawn");
    }

    #[tokio::test]
    async fn a_ticket_taken_in_vain_leaves_its_owner_in_the_line() {
        let slots = Arc::new(ConnectionSlots::new(1, true));
        let first = slots.take(transaction()).await;
        let second = tokio::spawn({
            let slots = slots.clone();
            async move { slots.take(transaction()).await }
        });
        tokio::task::yield_now().await;
        let ticket = slots.next().expect("the second one waits");
        drop(ticket);
        tokio::task::yield_now().await;
        assert!(!second.is_finished(), "the only slot is taken");
        drop(first);
        assert!(second.await.unwrap().permit.is_some());
    }

    #[tokio::test]
    async fn without_announcing_there_are_no_tickets() {
        let slots = Arc::new(ConnectionSlots::new(1, false));
        let first = slots.take(transaction()).await;
        let second = tokio::spawn({
            let slots = slots.clone();
            async move { slots.take(transaction()).await }
        });
        tokio::task::yield_now().await;
        assert!(slots.next().is_none());
        drop(first);
        assert!(second.await.unwrap().permit.is_some());
    }
}
