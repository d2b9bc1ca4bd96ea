//! SMTP smuggling through the whole relay: what resembles an end of the data goes in at the port of
//! the devices, and the provider must get one message with clean line ends.
//!
//! Not here: the same in the state machine, cut at every octet (`smuggling`).

#[path = "support/endings.rs"]
mod endings;
mod support;

use endings::{AFTER, AN_END, BEFORE, INJECTED, NOT_AN_END, ONE, has_bare};
use mail_parser::MessageParser;
use support::office::{Device, Office};
use tokio::time::timeout;
use yizhan::config::Profile;
use yizhan::sandbox::{Limits, Received};

/// Says it all without waiting for a reply, and reads to the end.
async fn say(office: &Office, octets: &[u8], piece: usize) {
    let mut device = Device::dial(office.door()).await;
    for octets in octets.chunks(piece) {
        device.write(octets).await;
    }
    let all = async { while device.reply().await.is_some() {} };
    timeout(support::office::PATIENCE, all).await.expect("QUIT is the end");
}

/// The text of the only part, decoded, with line ends as LF and without NUL.
fn text(received: &Received) -> String {
    let mail = MessageParser::default().parse(&received.data[..]).expect("it is a mail");
    plain(mail.body_text(0).expect("there is text").as_bytes())
}

fn plain(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).replace("\r\n", "\n").replace('\r', "\n").replace('\0', "")
}

/// Lines, but for the empty ones: how many CRs before an LF made a line is not the question here.
fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_002_to_014_one_message_stays_one() {
    for profile in [Profile::Tolerant, Profile::Legacy] {
        let generous = |settings: &mut yizhan::config::Settings| {
            settings.listeners[0].profile = profile;
            settings.limits.messages_per_client.count = 10_000;
        };
        let office = Office::with("smuggling", Limits::default(), generous).await;
        let mut count = 0;
        for (name, middle, content) in NOT_AN_END {
            let octets = [BEFORE, ONE, middle, INJECTED, AFTER].concat();
            for piece in [usize::MAX, 1] {
                say(&office, &octets, piece).await;
                count += 1;
                let received = office.received(count).await;
                let one = &received[count - 1];
                assert_eq!(one.to, ["c@d"], "{name} in pieces of {piece}");
                let (got, wanted) = (text(one), plain(&[b"first", *content, INJECTED].concat()));
                // Octets of no charset are kept as they are, and a reader may see what it likes in that line.
                let skip = usize::from(std::str::from_utf8(content).is_err());
                assert_eq!(lines(&got)[skip..], lines(&wanted)[skip..], "{name} in pieces of {piece}");
            }
        }
        office.wait_empty().await;
        assert_eq!(office.received(count).await.len(), count, "nobody smuggled a second one in");
        for one in office.received(count).await {
            assert!(!has_bare(&one.data), "A-024: {}", one.data.escape_ascii());
            assert!(!one.data.contains(&0), "{}", one.data.escape_ascii());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_001_and_012c_a_real_end_is_an_end_and_two_messages_go_out() {
    let office = Office::open("real-end").await;
    for (n, (name, middle, _)) in AN_END.iter().enumerate() {
        say(&office, &[BEFORE, ONE, middle, INJECTED, AFTER].concat(), usize::MAX).await;
        let received = office.received(2 * n + 2).await;
        let mut to: Vec<_> = received[2 * n..].iter().map(|one| one.to.concat()).collect();
        to.sort();
        assert_eq!(to, ["c@d", "victim@x"], "{name}");
        assert!(received.iter().all(|one| !has_bare(&one.data)), "{name}");
    }
    office.wait_empty().await;
    assert_eq!(office.sandbox.stats().accepted, 4);
}
