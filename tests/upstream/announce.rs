//! Messages that are announced behind the final dot of another one: faster, and not less careful.

use crate::support::office::{Device, Office};
use yizhan::config::Settings;
use yizhan::provider::preset;
use yizhan::queue::MessageState;
use yizhan::sandbox::{Fault, SandboxLimits, Stage, What};

/// Through another server than QQ, over one connection, so that messages queue up for it.
fn custom(settings: &mut Settings) {
    settings.accounts[0].preset = preset("custom").expect("it is a preset");
    settings.limits.messages_per_client.count = 100_000_u32.try_into().unwrap();
}

/// Sends `count` mails at once, each with its number in it.
async fn send(office: &Office, count: usize) -> Vec<yizhan::mail::Id> {
    let mut ids = Vec::new();
    let mut device = Device::connect(office.door()).await;
    for n in 0..count {
        let mail = format!("Subject: {n}\r\nMessage-ID: <{n}@x>\r\n\r\nnumber {n}\r\n");
        ids.push(device.send("a@lan.local", &["a@else.test"], mail.as_bytes()).await);
    }
    ids
}

/// How often each number arrived.
fn arrivals(received: &[yizhan::sandbox::Received], count: usize) -> Vec<usize> {
    let text: Vec<String> = received.iter().map(|one| String::from_utf8_lossy(&one.data).into_owned()).collect();
    (0..count).map(|n| text.iter().filter(|text| text.contains(&format!("number {n}\r\n"))).count()).collect()
}

#[tokio::test]
async fn every_message_arrives_once_and_whole() {
    let office = Office::with("announce", SandboxLimits::default(), custom).await;
    let ids = send(&office, 250).await;
    let received = office.received(250).await;
    assert!(arrivals(&received, 250).iter().all(|times| *times == 1));
    office.wait_empty().await;
    for id in ids {
        office.wait_state(id, MessageState::Delivered).await;
    }
    let stats = office.sandbox.stats();
    assert_eq!(stats.accepted, 250);
    assert!(stats.logins_ok <= 2, "hundreds of messages a connection: {stats:?}");
}

#[tokio::test]
async fn faults_in_the_middle_lose_nothing_and_double_only_the_uncertain() {
    let faults = [
        (Stage::FinalDot, What::CloseAfterAccept),
        (Stage::FinalDot, What::Close),
        (Stage::FinalDot, What::Reply(b"451 4.3.0 later\r\n".to_vec())),
        (Stage::Mail, What::Close),
        (Stage::Mail, What::Reply(b"421 4.4.2 closing\r\n".to_vec())),
        (Stage::Rcpt(None), What::Reply(b"450 4.2.1 later\r\n".to_vec())),
        (Stage::Data, What::Reset),
        (Stage::Body, What::ReplyThenClose(b"451 4.3.0 no more\r\n".to_vec())),
    ];
    let office = Office::with("announce-faults", SandboxLimits::default(), custom).await;
    let feeding = async {
        for (stage, what) in faults {
            let before = office.sandbox.stats().accepted;
            office.sandbox.fault(Fault { at: stage, what, times: 1 });
            office.sandbox.wait_until(|stats| stats.accepted > before + 5).await;
        }
    };
    let (ids, ()) = tokio::join!(send(&office, 400), feeding);
    office.wait_empty().await;
    let mut uncertain = 0;
    for id in ids {
        uncertain += office.wait_state(id, MessageState::Delivered).await.uncertain as usize;
    }
    let times = arrivals(&office.sandbox.received(), 400);
    assert!(times.iter().all(|times| *times >= 1), "lost: {times:?}");
    let copies: usize = times.iter().map(|times| times - 1).sum();
    assert!(copies <= uncertain, "{copies} copies, {uncertain} uncertain");
    assert!(uncertain >= 1, "the line was lost between dot and reply");
}

#[tokio::test]
async fn a_limit_named_at_the_dot_stops_what_was_announced_too() {
    let office = Office::with("announce-limit", SandboxLimits::default(), custom).await;
    let limit = What::Reply(b"550 5.4.6 daily sending limit reached\r\n".to_vec());
    office.sandbox.fault(Fault { at: Stage::FinalDot, what: limit, times: u32::MAX });
    let ids = send(&office, 20).await;
    for id in ids {
        let entry = office.wait_state(id, MessageState::Waiting).await;
        assert_eq!(entry.tries, 0);
    }
    assert_eq!(office.sandbox.stats().accepted, 0);
}
