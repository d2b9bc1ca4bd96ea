//! The promises of fair queueing, over random clients, messages, accounts and refunds.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const LANE: Lane = Lane::Normal;

fn key(n: u32) -> ClientKey {
    ClientKey::stored(&format!("192.0.2.{n}"))
}

/// Clients with waiting messages, served through one account. `sizes` are recipients.
#[derive(Default)]
struct PoolLane {
    service: Service,
    waiting: BTreeMap<u32, Vec<u32>>,
    /// Recipients served since both of a pair have been waiting without a break.
    served: BTreeMap<u32, u64>,
    /// The largest message of each since the start.
    largest: BTreeMap<u32, u64>,
}

impl PoolLane {
    fn arrives(&mut self, n: u32, size: u32) {
        let place = self.service.place(&key(n));
        let queue = self.waiting.entry(place).or_default();
        if queue.is_empty() {
            // The pairs with this client begin anew; what it was served last still counts.
            self.served.clear();
        }
        queue.push(size);
        let largest = self.largest.entry(place).or_default();
        *largest = (*largest).max(u64::from(size));
    }

    /// Serves one message; `offered` of its recipients are really offered.
    fn serve(&mut self, offered: impl Fn(u32) -> u32) -> Option<u32> {
        let turns = self.service.turns("a", LANE);
        let next = self.waiting.keys().copied().min_by_key(|&client| (turns(client), client))?;
        drop(turns);
        let queue = self.waiting.get_mut(&next).unwrap();
        let size = queue.remove(0);
        let offered = offered(size).min(size);
        self.service.serve("a", LANE, next, size);
        self.service.refund("a", LANE, next, size - offered);
        *self.served.entry(next).or_default() += u64::from(offered);
        let largest = self.largest.entry(next).or_default();
        *largest = (*largest).max(u64::from(size));
        if queue.is_empty() {
            self.waiting.remove(&next);
            self.served.clear();
        }
        Some(next)
    }

    /// Of two clients that have waited all the time, neither is ahead by more than the largest message of each.
    fn check(&self) {
        let served = |client: &u32| self.served.get(client).copied().unwrap_or(0);
        let largest = |client: &u32| {
            self.largest
                .get(client)
                .copied()
                .unwrap_or(0)
                .max(self.waiting[client].iter().copied().max().unwrap_or(0).into())
        };
        for one in self.waiting.keys() {
            for other in self.waiting.keys() {
                let ahead = served(one).saturating_sub(served(other));
                assert!(ahead <= largest(one) + largest(other), "{one} is {ahead} recipients ahead of {other}");
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Arrives(u32, u32),
    Serve,
    /// A part of the recipients was offered, or none: the budget, a quota reply, an account that cools.
    ServePart(u32),
    /// The process ends: what clients were served is forgotten.
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0u32..6, prop_oneof![9 => 1u32..4, 1 => 50u32..120]).prop_map(|(n, size)| Step::Arrives(n, size)),
        4 => Just(Step::Serve),
        1 => (0u32..3).prop_map(Step::ServePart),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 0..300)
}

proptest! {
    #[test]
    fn two_clients_that_wait_all_the_time_differ_by_the_largest_message_of_each(steps in steps()) {
        let mut line = PoolLane::default();
        for step in steps {
            match step {
                Step::Arrives(n, size) => line.arrives(n, size),
                Step::Serve => drop(line.serve(|size| size)),
                Step::ServePart(part) => drop(line.serve(|_| part)),
                Step::Restart => {
                    let keys: Vec<ClientKey> = line.service.keys.clone();
                    line.service = Service::default();
                    for key in &keys {
                        line.service.place(key);
                    }
                    line.served.clear();
                }
            }
            line.check();
        }
    }

    #[test]
    fn a_newcomer_waits_for_at_most_one_message_of_every_other_client(steps in steps(), size in 1u32..120) {
        let mut line = PoolLane::default();
        for step in steps {
            match step {
                Step::Arrives(n, size) => line.arrives(n, size),
                Step::Serve | Step::Restart => drop(line.serve(|size| size)),
                Step::ServePart(part) => drop(line.serve(|_| part)),
            }
        }
        let others = line.waiting.len();
        line.arrives(99, size);
        let newcomer = line.service.known(&key(99)).unwrap();
        let before = (0..=others).take_while(|_| line.serve(|size| size) != Some(newcomer)).count();
        prop_assert!(before <= others, "{before} messages of {others} clients went first");
    }
}

#[test]
fn a_client_that_returns_keeps_what_it_was_served() {
    let mut service = Service::default();
    let (flood, scan) = (service.place(&key(1)), service.place(&key(2)));
    service.serve("a", LANE, flood, 100);
    service.serve("a", LANE, scan, 1);
    let turns = service.turns("a", LANE);
    assert!(turns(scan) < turns(flood), "its 100 recipients are not forgotten while it was away");
    drop(turns);
    // Another account, and another lane, have clocks of their own.
    assert_eq!(service.turns("b", LANE)(flood), (0, 0));
    assert_eq!(service.turns("a", Lane::Bulk)(flood), (0, 0));
}

#[test]
fn what_was_not_offered_is_given_back() {
    let mut service = Service::default();
    let (one, other) = (service.place(&key(1)), service.place(&key(2)));
    service.serve("a", LANE, one, 100);
    service.refund("a", LANE, one, 100);
    service.serve("a", LANE, other, 1);
    let turns = service.turns("a", LANE);
    assert!(turns(one) < turns(other));
}

#[test]
fn clients_that_are_gone_are_forgotten_and_the_others_keep_their_turns() {
    let mut service = Service::default();
    for n in 0..4000 {
        let place = service.place(&ClientKey::stored(&n.to_string()));
        service.serve("a", LANE, place, 1 + n % 3);
    }
    let waits = [ClientKey::stored("17"), ClientKey::stored("2900")];
    let before: Vec<Turn> = waits.iter().map(|key| service.turns("a", LANE)(service.known(key).unwrap())).collect();
    assert!(service.is_crowded(2));
    let places: Vec<Client> = waits.iter().map(|key| service.known(key).unwrap()).collect();
    let moved = service.forget(|client| places.contains(&client));
    assert_eq!(service.keys.len(), 2);
    for ((key, turn), old) in waits.iter().zip(before).zip(places) {
        let place = service.known(key).unwrap();
        assert_eq!(moved[old as usize], Some(place));
        assert_eq!((service.turns("a", LANE)(place), service.key(place)), (turn, key));
    }
}
