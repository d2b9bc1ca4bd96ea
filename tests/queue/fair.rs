//! Clients share an account: the promise of fair queueing, against the queue on disk.
//!
//! The arithmetic has tests of its own (`src/queue/fair`); here it is what a lease returns, over restarts, refused
//! transactions, pools that share an account, and messages that change their place.

use std::collections::BTreeMap;

use crate::mailbag::*;
use proptest::prelude::*;
use yizhan::mail::{ClientKey, Lane};
use yizhan::queue::{
    AccountUsage, LaneRequest, Lease, LeaseRequest, MessageQueue as _, MessageState, NewMessage, NextAttempt, Queue,
};

contract!(
    embedded,
    embedded,
    [
        clients_take_turns_by_recipients,
        a_newcomer_is_among_the_next_two,
        pools_that_share_an_account_share_the_turns,
        turns_of_other_names_count_by_themselves,
        lanes_count_by_themselves,
        what_was_not_offered_costs_nothing,
        a_message_with_many_recipients_is_charged_by_the_transaction,
        clients_that_wait_are_found_again_after_a_restart,
        a_client_whose_messages_are_not_due_holds_up_no_other,
        a_thousand_clients_take_turns,
    ]
);

/// Message number `n` of a client.
fn of(client: &str, n: u64, recipients: usize) -> NewMessage {
    let mut new =
        NewMessage { pool: "a".to_owned(), ..message(n, START, recipients, bytes::Bytes::from_static(b"x").into()) };
    new.origin.key = ClientKey::stored(client);
    new
}

async fn put(queue: &dyn Queue, client: &str, numbers: std::ops::Range<u64>) {
    for n in numbers {
        queue.put(of(client, n, 1)).await.unwrap();
    }
}

/// Asks for `total` normal messages of these pools.
fn ask(pools: &[&str], total: usize) -> LeaseRequest {
    let pools = pools.iter().map(|pool| (*pool).to_owned()).collect();
    request(vec![LaneRequest { lane: Lane::Normal, pools, limit: total }], total)
}

fn client(lease: &Lease) -> &str {
    lease.entry.origin.key.as_str()
}

/// Leases one message and settles it as delivered to all it was offered to; its client.
async fn send(queue: &dyn Queue, request: LeaseRequest) -> Option<String> {
    let most = request.recipients;
    let lease = queue.lease(at(0), LeaseRequest { total: 1, ..request }).await.unwrap().pop()?;
    let (name, places) = (client(&lease).to_owned(), lease.entry.offered(most));
    let outcomes = places.iter().map(|place| (*place, delivered(1))).collect();
    let mut end = settlement(outcomes, NextAttempt::Waiting(lease.entry.due));
    let recipients = places.len() as u32;
    end.usage = Some(AccountUsage { account: "qq".to_owned(), at: at(0), messages: 1, recipients, logins: 0 });
    queue.settle(lease, end).await.unwrap();
    Some(name)
}

async fn order(queue: &dyn Queue, request: LeaseRequest, count: usize) -> String {
    let mut order = Vec::new();
    for _ in 0..count {
        order.push(send(queue, request.clone()).await.unwrap_or_else(|| "-".to_owned()));
    }
    order.join(" ")
}

async fn clients_take_turns_by_recipients(open: Open<'_>) {
    let queue = open();
    for n in 0..12 {
        queue.put(of("many", n, 3)).await.unwrap();
    }
    put(&*queue, "one", 20..40).await;
    // Three recipients of one client, then three messages of the other, each for one.
    assert_eq!(order(&*queue, ask(&["a"], 1), 9).await, "many one one one many one one one many");
}

async fn a_newcomer_is_among_the_next_two(open: Open<'_>) {
    let queue = open();
    put(&*queue, "news", 0..300).await;
    order(&*queue, ask(&["a"], 1), 100).await;
    put(&*queue, "scan", 900..901).await;
    assert!(order(&*queue, ask(&["a"], 1), 2).await.contains("scan"));
    // Several at once are no exception: one request for four has it as well.
    put(&*queue, "scan", 901..902).await;
    let leases = queue.lease(at(0), ask(&["a"], 4)).await.unwrap();
    assert!(leases[..2].iter().any(|lease| client(lease) == "scan"), "{leases:?}");
}

async fn pools_that_share_an_account_share_the_turns(open: Open<'_>) {
    let queue = open();
    put(&*queue, "flood", 0..50).await;
    for n in 100..103 {
        queue.put(NewMessage { pool: "b".to_owned(), ..of("other", n, 1) }).await.unwrap();
    }
    assert_eq!(order(&*queue, ask(&["a", "b"], 1), 6).await, "flood other flood other flood other");
    // A client that has mail in both pools has one turn for both.
    for n in 200..220 {
        queue.put(NewMessage { pool: "b".to_owned(), ..of("flood", n, 1) }).await.unwrap();
    }
    put(&*queue, "third", 300..310).await;
    let shared = order(&*queue, ask(&["a", "b"], 1), 10).await;
    assert_eq!(shared.matches("third").count(), 5, "{shared}");
}

async fn turns_of_other_names_count_by_themselves(open: Open<'_>) {
    let queue = open();
    put(&*queue, "x", 0..20).await;
    put(&*queue, "y", 100..120).await;
    let through = |turns: &str| LeaseRequest { turns: turns.to_owned(), ..ask(&["a"], 1) };
    // A fast account must not put the clients of a slow one out of step.
    order(&*queue, through("fast"), 15).await;
    let slow = order(&*queue, through("slow"), 6).await;
    assert_eq!((slow.matches('x').count(), slow.matches('y').count()), (3, 3), "{slow}");
}

async fn lanes_count_by_themselves(open: Open<'_>) {
    let queue = open();
    for n in 0..20 {
        queue.put(NewMessage { lane: Lane::Bulk, ..of("x", n, 1) }).await.unwrap();
    }
    let bulk = LaneRequest { lane: Lane::Bulk, pools: vec!["a".to_owned()], limit: 1 };
    order(&*queue, request(vec![bulk], 1), 10).await;
    put(&*queue, "x", 100..110).await;
    put(&*queue, "y", 200..210).await;
    assert_eq!(order(&*queue, ask(&["a"], 1), 4).await, "x y x y");
}

async fn what_was_not_offered_costs_nothing(open: Open<'_>) {
    let queue = open();
    put(&*queue, "x", 0..10).await;
    put(&*queue, "y", 100..110).await;
    // Leased and given back: a budget was spent, or the account began to rest.
    for _ in 0..5 {
        let leases = queue.lease(at(0), ask(&["a"], 1)).await.unwrap();
        assert_eq!(client(&leases[0]), "x");
    }
    // Leased and not offered: the provider could not be reached. The next message of the same client goes.
    let lease = queue.lease(at(0), ask(&["a"], 1)).await.unwrap().pop().unwrap();
    queue.settle(lease, settlement(vec![(0, again())], NextAttempt::Deferred(at(600)))).await.unwrap();
    assert_eq!(order(&*queue, ask(&["a"], 1), 4).await, "x y x y");
}

async fn a_message_with_many_recipients_is_charged_by_the_transaction(open: Open<'_>) {
    let queue = open();
    queue.put(of("list", 0, 50)).await.unwrap();
    put(&*queue, "one", 100..140).await;
    // Ten at a time, and ten messages of the other client in between.
    let ten = LeaseRequest { recipients: 10, ..ask(&["a"], 1) };
    let order = order(&*queue, ten, 24).await;
    let list: Vec<usize> =
        order.split(' ').enumerate().filter(|(_, name)| *name == "list").map(|(place, _)| place).collect();
    assert_eq!(list, [0, 11, 22], "{order}");
}

async fn clients_that_wait_are_found_again_after_a_restart(open: Open<'_>) {
    let queue = open();
    put(&*queue, "flood", 0..40).await;
    put(&*queue, "other", 100..103).await;
    order(&*queue, ask(&["a"], 1), 1).await;
    drop(queue);
    let queue = open();
    let first = order(&*queue, ask(&["a"], 1), 4).await;
    assert_eq!(first.matches("other").count(), 2, "{first}");
    assert_eq!(earliest(&*queue, wants("a", 1)).await, Some(START));
}

async fn a_client_whose_messages_are_not_due_holds_up_no_other(open: Open<'_>) {
    let queue = open();
    put(&*queue, "late", 0..3).await;
    put(&*queue, "due", 10..13).await;
    for _ in 0..2 {
        for lease in queue.lease(at(0), ask(&["a"], 6)).await.unwrap() {
            let next = if client(&lease) == "late" { at(500) } else { at(0) };
            queue.settle(lease, settlement(vec![], NextAttempt::Deferred(next))).await.unwrap();
        }
    }
    assert_eq!(order(&*queue, ask(&["a"], 1), 4).await, "due due due -");
    assert_eq!(earliest(&*queue, wants("a", 1)).await, Some(at(500)));
    let late = queue.lease(at(500), ask(&["a"], 9)).await.unwrap();
    assert_eq!(late.len(), 3);
}

async fn a_thousand_clients_take_turns(open: Open<'_>) {
    let queue = open();
    for round in 0..2 {
        for n in 0..1000 {
            queue.put(of(&format!("c{n}"), round * 1000 + n, 1)).await.unwrap();
        }
    }
    let mut served: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..100 {
        for lease in queue.lease(at(0), ask(&["a"], 10)).await.unwrap() {
            *served.entry(client(&lease).to_owned()).or_default() += 1;
            let mut end = settlement(vec![(0, delivered(1))], NextAttempt::Deferred(at(1)));
            end.usage =
                Some(AccountUsage { account: "qq".to_owned(), at: at(0), messages: 1, recipients: 1, logins: 0 });
            queue.settle(lease, end).await.unwrap();
        }
    }
    assert_eq!((served.len(), served.values().max()), (1000, Some(&1)), "each once before any twice");
    assert_eq!(queue.depth().await.unwrap().messages[MessageState::Queued as usize], 1000);
}

/// Two clients, each always with mail: sizes of their messages, how many of the recipients are really offered (a quota
/// reply takes none), and where the process ends.
fn lives() -> impl Strategy<Value = Vec<(usize, u8)>> {
    prop::collection::vec((1usize..9, 0u8..10), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn two_clients_that_always_wait_are_never_apart_by_more_than_the_largest_message_of_each(lives in lives()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = Folder::new();
            let mut queue = open_clean(folder.path());
            let mut number = 0;
            for client in ["x", "y"] {
                for (size, _) in &lives {
                    number += 1;
                    queue.put(of(client, number, *size)).await.unwrap();
                }
            }
            let mut served: BTreeMap<String, i64> = BTreeMap::new();
            for (_, event) in &lives {
                if *event == 9 {
                    drop(queue);
                    queue = open_clean(folder.path());
                    served.clear();
                }
                let lease = queue.lease(at(0), ask(&["a"], 1)).await.unwrap().pop().unwrap();
                let (name, size) = (client(&lease).to_owned(), lease.entry.recipients.len());
                if *event == 8 {
                    // A quota reply: nothing of it counts, and it keeps its place.
                    queue.settle(lease, settlement(vec![], NextAttempt::Waiting(at(0)))).await.unwrap();
                } else {
                    let mut end = settlement((0..size).map(|n| (n, delivered(1))).collect(), NextAttempt::Waiting(at(0)));
                    let recipients = size as u32;
                    end.usage = Some(AccountUsage { account: "qq".to_owned(), at: at(0), messages: 1, recipients, logins: 0 });
                    queue.settle(lease, end).await.unwrap();
                    *served.entry(name).or_default() += size as i64;
                }
                let of = |name: &str| served.get(name).copied().unwrap_or(0);
                assert!((of("x") - of("y")).abs() <= 16, "{served:?}");
            }
        });
    }
}
