//! The board of the manual clock: who sleeps, who works, and when it may move on.

use std::time::Duration;

use tokio::sync::mpsc;

use super::*;

const START: Timestamp = Timestamp::from_millis(1_795_000_000_000);

fn at(seconds: u64) -> Timestamp {
    START + Duration::from_secs(seconds)
}

#[tokio::test]
async fn sleepers_wake_when_their_time_has_come() {
    let clock = Clock::manual(START);
    let (told, mut woken) = mpsc::unbounded_channel();
    for seconds in [30, 10, 20] {
        let (clock, told) = (clock.clone(), told.clone());
        tokio::spawn(async move {
            clock.sleep_until(at(seconds)).await;
            told.send(seconds).unwrap();
        });
    }
    assert_eq!(clock.wait_earliest(|earliest| earliest == Some(at(10))).await, Some(at(10)));
    clock.set(at(15));
    assert_eq!(woken.recv().await, Some(10));
    assert_eq!(clock.at_rest().await, Some(at(20)), "the first is gone, and only the first");
    // Back, and over the date of another one.
    clock.set(at(0));
    assert_eq!(clock.at_rest().await, Some(at(20)));
    clock.advance(Duration::from_secs(25));
    assert_eq!(woken.recv().await, Some(20));
    assert_eq!(clock.wait_earliest(|earliest| earliest > Some(at(25))).await, Some(at(30)));
    assert!(woken.try_recv().is_err());
}

#[tokio::test]
async fn a_sleep_that_is_given_up_leaves_nothing_on_the_board() {
    let clock = Clock::manual(START);
    let worker = clock.worker("loop");
    tokio::select! {
        biased;
        () = clock.sleep_until(at(5)) => panic!("nobody moved the clock"),
        () = worker.sleep_until(Some(at(6))) => panic!("nobody moved the clock"),
        () = std::future::ready(()) => {}
    }
    assert_eq!(clock.earliest(), None);
    assert_eq!(clock.at_work(), ["loop is at work"]);
    drop(worker);
    assert_eq!(clock.at_rest().await, None);
}

#[tokio::test]
async fn the_clock_is_not_at_rest_while_somebody_works() {
    let clock = Clock::manual(START);
    let (worker, errand) = (clock.worker("loop"), clock.worker("errand"));
    let (order, mut orders) = mpsc::unbounded_channel::<Worker>();
    let done = tokio::spawn(async move {
        let mut looked = 0;
        loop {
            tokio::select! {
                () = worker.sleep_until(Some(at(60))) => looked += 1,
                // The errand is over only here, where its end is known.
                end = orders.recv() => if end.is_none() { return looked },
            }
        }
    });
    clock.wait_earliest(|earliest| earliest.is_some()).await;
    assert_eq!(clock.at_work(), ["errand is at work"]);
    order.send(errand).unwrap();
    assert_eq!(clock.at_rest().await, Some(at(60)));
    drop(order);
    assert_eq!(done.await.unwrap(), 0);
}

#[tokio::test]
async fn a_nudge_has_every_worker_look_once_more_even_one_that_was_at_work() {
    let clock = Clock::manual(START);
    let worker = clock.worker("loop");
    // It comes while the worker works: the sleep after that work is no rest.
    clock.nudge();
    worker.sleep_until(None).await;
    let asleep = tokio::spawn(async move {
        worker.sleep_until(Some(at(9))).await;
        worker
    });
    assert_eq!(clock.at_rest().await, Some(at(9)));
    clock.nudge();
    assert_eq!(clock.at_work(), ["loop should look at its work again"]);
    let worker = asleep.await.unwrap();
    assert_eq!(clock.at_work(), ["loop is at work"]);
    drop(worker);
}

#[tokio::test]
async fn who_is_due_is_named_until_its_task_has_run() {
    let clock = Clock::manual(START);
    let sleeper = tokio::spawn({
        let clock = clock.clone();
        async move { clock.sleep_until(at(1)).await }
    });
    clock.wait_earliest(|earliest| earliest.is_some()).await;
    clock.set(at(1));
    // On this runtime of one thread the sleeper cannot have run yet.
    assert_eq!(clock.at_work().len(), 1, "{:?}", clock.at_work());
    assert_eq!(clock.at_rest().await, None);
    sleeper.await.unwrap();
}
