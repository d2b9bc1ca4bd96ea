//! A stop that cannot wait any longer: what the provider may have is recorded as uncertain, what it cannot have is as it was.

use std::time::Duration;

use crate::support::office::{Office, until};
use yizhan::app::Relay;
use yizhan::clock::Clock;
use yizhan::queue::{Inspection as _, MessageState, Queue as _, QueueEntry};
use yizhan::sandbox::{Fault, Stage, What};

const SCAN: &[u8] = b"From: scanner@office.lan\r\nSubject: scan\r\n\r\npage\r\n";

/// Stops a relay while the provider keeps it waiting at `stage`. Gives the message as the next process finds it.
async fn cut_at(name: &str, stage: Stage) -> (QueueEntry, Office) {
    let office = Office::open(name).await;
    office.sandbox.fault(Fault::forever(stage, What::Stall));
    let id = office.send(&["boss@else.test"], SCAN).await;
    until("the provider to keep it waiting", async || (office.sandbox.stats().faults == 1).then_some(())).await;
    let Office { sandbox, relay, settings, folder } = office;
    assert!(!relay.stop(Duration::from_millis(50)).await, "it did not end by itself");
    sandbox.clear_faults();
    let of = &settings.queue;
    let keep = of.retention;
    let queue = yizhan::queue::sqlite::SqliteQueue::open(&of.data_dir, keep);
    let queue = queue.expect("it was closed").0;
    let entry = queue.show(id).await.expect("it is there").0;
    queue.close().await.expect("it is open");
    let relay = Relay::start(&settings, Clock::system()).unwrap_or_else(|error| panic!("{error}"));
    (entry, Office { sandbox, relay, settings, folder })
}

#[tokio::test]
async fn a_message_whose_final_dot_is_unanswered_is_uncertain_after_the_stop() {
    let (entry, office) = cut_at("cut-dot", Stage::FinalDot).await;
    assert_eq!((entry.state, entry.tries, entry.uncertain), (MessageState::Deferred, 1, 1));
    assert!(format!("{:?}", entry.recipients[0].outcome).contains("the relay was stopped"), "{entry:?}");
    // It is not lost: it is tried again.
    office.wait_state(entry.id, MessageState::Delivered).await;
}

#[tokio::test]
async fn a_message_that_the_provider_cannot_have_is_as_it_was_after_the_stop() {
    for (name, stage) in [("cut-greeting", Stage::Connect), ("cut-mail", Stage::Mail), ("cut-data", Stage::Data)] {
        let (entry, office) = cut_at(name, stage).await;
        assert_eq!((entry.state, entry.tries, entry.uncertain), (MessageState::Queued, 0, 0), "{name}");
        office.wait_state(entry.id, MessageState::Delivered).await;
    }
}
