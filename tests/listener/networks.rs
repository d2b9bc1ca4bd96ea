//! Who may come in, and as whom: networks, load balancers that name the client, and lists of senders and recipients.
//!
//! Devices connect from several addresses of 127.0.0.0/8. The header's own forms are tested where it is read
//! (`smtp::proxy_header`), the patterns where they are compared (`route`).

use std::time::Duration;

use crate::support::door::{Door, an_hour, client};
use crate::support::office::{Device, PATIENCE, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use yizhan::mail::Address;
use yizhan::queue::{Inspection as _, QueueEntry};
use yizhan::route::Pattern;
use yizhan::telemetry::counter::ACCEPTED;

const DATA: &[u8] = b"Subject: x\r\n\r\nbody\r\n";
/// The load balancer; the tests' other devices are none.
const BALANCER: [u8; 4] = [127, 0, 9, 9];

/// Believes the balancer, and lets 10.0.0.0/8 in.
fn behind_a_balancer(name: &str) -> Door {
    Door::open(name, |plan| {
        plan.listener.proxy_from = vec!["127.0.9.9/32".parse().unwrap()];
        plan.listener.allow = vec!["10.0.0.0/8".parse().unwrap(), "127.0.0.1/32".parse().unwrap()];
        plan.clients = vec![client("scanner", &["10.1.2.3/32"], &[], &[])];
    })
}

/// Connects from the balancer, with this header.
async fn through(door: &Door, header: &[u8]) -> Device {
    let mut device = Device::dial_from(BALANCER.into(), door.addr).await;
    device.write(header).await;
    device
}

/// A header of version 2 for a client with an IPv4 address.
fn v2(client: [u8; 4]) -> Vec<u8> {
    [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".as_slice(), &client, &[127, 0, 0, 1, 200, 0, 0, 25]].concat()
}

async fn head(door: &Door, entry: &QueueEntry) -> String {
    let (_, head, _) = door.queue.show(entry.id).await.expect("it is known");
    String::from_utf8_lossy(&head).into_owned()
}

#[tokio::test]
async fn a_050_a_stranger_hears_no_before_it_can_ask() {
    let door = Door::open("stranger", |plan| plan.listener.allow = vec!["127.0.0.1/32".parse().unwrap()]);
    let mut stranger = Device::dial_from([127, 0, 0, 2].into(), door.addr).await;
    stranger.expect("554 5.7.1").await;
    assert_eq!(stranger.reply().await, None);
    assert_eq!(door.refused("network"), 1);
    door.device([127, 0, 0, 1]).await.send("a@b.c", &["d@e.f"], DATA).await;
}

#[tokio::test]
async fn a_049_nobody_else_is_believed_who_the_client_is() {
    let door = behind_a_balancer("forged");
    // Not the balancer: what it claims to be does not help a stranger, nor hurt a client.
    for header in [b"PROXY TCP4 10.1.2.3 127.0.0.1 1 25\r\n".to_vec(), v2([10, 1, 2, 3])] {
        let mut stranger = Device::dial_from([127, 0, 0, 2].into(), door.addr).await;
        stranger.write(&header).await;
        stranger.expect("554 5.7.1").await;
    }
    let mut own = Device::dial_from([127, 0, 0, 1].into(), door.addr).await;
    own.expect("220").await;
    own.ask("PROXY TCP4 10.1.2.3 127.0.0.1 1 25", "500 5.5.2").await;
    own.ask("EHLO own.lan", "250").await;
    own.send("a@b.c", &["d@e.f"], DATA).await;
    let entry = door.queued().await.remove(0);
    assert_eq!((entry.origin.client.as_str(), entry.origin.addr), ("127.0.0.1", [127, 0, 0, 1].into()));
    // Version 2 has a QUIT in it, so that it ends here, and nothing behind it is run.
    let mut binary = Device::dial_from([127, 0, 0, 1].into(), door.addr).await;
    binary.expect("220").await;
    binary.write(&[v2([10, 1, 2, 3]).as_slice(), b"\r\nMAIL FROM:<a@b.c>\r\n"].concat()).await;
    let mut replies = Vec::new();
    while let Some(reply) = binary.reply().await {
        replies.push(reply);
    }
    assert!(replies.last().is_some_and(|last| last.starts_with("221")), "{replies:?}");
    assert!(replies.iter().all(|reply| !reply.starts_with("250")), "{replies:?}");
    for command in ["XCLIENT ADDR=10.1.2.3", "XFORWARD ADDR=10.1.2.3", "TURN", "ETRN x", "SEND FROM:<a@b.c>"] {
        own.ask(command, "50").await;
    }
    assert_eq!(door.counters.sum(ACCEPTED, &[("client", "scanner")]), 0);
}

#[tokio::test]
async fn the_client_behind_a_balancer_is_the_one_that_counts() {
    let door = behind_a_balancer("behind");
    let mapped = [
        b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24".as_slice(),
        &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 2, 3],
        &[0; 20],
    ];
    let headers = [b"PROXY TCP4 10.1.2.3 127.0.0.1 50000 25\r\n".to_vec(), v2([10, 1, 2, 3]), mapped.concat()];
    for (n, header) in headers.iter().enumerate() {
        let mut device = through(&door, header).await;
        device.expect("220").await;
        device.ask("EHLO device.lan", "250").await;
        device.send("a@b.c", &["d@e.f"], DATA).await;
        let entry = door.queued().await.remove(n);
        assert_eq!((entry.origin.client.as_str(), entry.origin.addr), ("scanner", [10, 1, 2, 3].into()));
        let head = head(&door, &entry).await;
        assert!(head.contains("[10.1.2.3]") && !head.contains("127.0.9.9"), "{head}");
    }
    // In pieces, and with the first command in the last of them.
    let mut device = through(&door, b"PROXY TCP4 10.1").await;
    device.write(b".2.4 127.0.0.1 1 25\r\nEHLO early.lan\r\n").await;
    device.expect("220").await;
    device.expect("250").await;
    device.send("a@b.c", &["d@e.f"], DATA).await;
    assert_eq!(door.queued().await.remove(3).origin.client, "10.1.2.4");
    // The networks are asked about the client.
    through(&door, b"PROXY TCP4 192.168.1.1 127.0.0.1 1 25\r\n").await.expect("554 5.7.1").await;
    // Health checks come from the balancer itself, which is in no network here.
    for header in [b"PROXY UNKNOWN\r\n".to_vec(), b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".to_vec()] {
        through(&door, &header).await.expect("554 5.7.1").await;
    }
    assert_eq!(door.refused("network"), 3);
}

#[tokio::test]
async fn counters_name_entries_and_no_address() {
    let door = behind_a_balancer("labels");
    for host in 1..=9 {
        let header = format!("PROXY TCP4 10.1.2.{host} 127.0.0.1 50000 25\r\n");
        let mut device = through(&door, header.as_bytes()).await;
        device.expect("220").await;
        device.send("a@b.c", &["d@e.f"], DATA).await;
    }
    let accepted = |client: &str| door.counters.sum(ACCEPTED, &[("client", client)]);
    assert_eq!((accepted("scanner"), accepted("other"), door.counters.sum(ACCEPTED, &[])), (1, 8, 9));
    let shown = door.counters.render();
    assert!(!shown.contains("10.1.2."), "{shown}");
}

#[tokio::test]
async fn clients_behind_a_balancer_have_limits_of_their_own() {
    let door = Door::open("shared", |plan| {
        plan.listener.proxy_from = vec!["127.0.9.0/24".parse().unwrap()];
        plan.listener.allow = vec!["10.0.0.0/8".parse().unwrap()];
        plan.limits.connections_per_client = 1;
        plan.limits.messages_per_client = an_hour(1);
    });
    let mut first = through(&door, &v2([10, 0, 0, 1])).await;
    first.expect("220").await;
    first.send("a@b.c", &["d@e.f"], DATA).await;
    first.ask("MAIL FROM:<a@b.c>", "450 4.7.1").await;
    through(&door, &v2([10, 0, 0, 1])).await.expect("421 4.7.0").await;
    let mut second = through(&door, &v2([10, 0, 0, 2])).await;
    second.expect("220").await;
    second.send("a@b.c", &["d@e.f"], DATA).await;
}

#[tokio::test]
async fn a_balancer_that_does_not_say_who_it_is_gets_no_word() {
    let door = Door::open("silent", |plan| {
        plan.listener.proxy_from = vec!["127.0.9.9/32".parse().unwrap()];
        plan.listener.deadlines.proxy = Duration::from_millis(300);
    });
    let wrong: [&[u8]; 6] = [
        b"",
        b"PROXY TCP4 127.0",
        b"EHLO device.lan\r\nMAIL FROM:<a@b.c>\r\n",
        b"PROXY TCP4 127.0.0.1 127.0.0.1 1 25 7\r\n",
        b"PROXY TCP4 999.0.0.1 127.0.0.1 1 25\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c............",
    ];
    for header in wrong {
        let started = Instant::now();
        let mut device = through(&door, header).await;
        assert_eq!(device.reply().await, None, "{header:?}");
        assert!(started.elapsed() < Duration::from_secs(5));
    }
    assert_eq!(door.refused("proxy_header"), wrong.len() as u64);
    assert_eq!(door.capacity.connections(), 0);
    // Five seconds it is, when nobody says otherwise.
    assert_eq!(yizhan::intake::Deadlines::default().proxy, Duration::from_secs(5));
}

#[tokio::test]
async fn a_balancer_cannot_hold_more_places_than_there_are() {
    let door = Door::open("crowded", |plan| {
        plan.listener.proxy_from = vec!["127.0.9.9/32".parse().unwrap()];
        plan.limits.connections = 2;
    });
    let mut open = [through(&door, &v2([127, 0, 0, 1])).await, through(&door, &v2([127, 0, 0, 2])).await];
    for device in &mut open {
        device.expect("220").await;
    }
    through(&door, b"").await.expect("421 4.3.2").await;
    drop(open);
    until("the places to be free", async || (door.capacity.connections() == 0).then_some(())).await;
    through(&door, &v2([127, 0, 0, 1])).await.expect("220").await;
}

#[tokio::test]
async fn half_proxy_headers_take_a_quarter_of_the_places_and_keep_nobody_out() {
    let door = Door::open("half", |plan| {
        plan.listener.proxy_from = vec!["127.0.9.9/32".parse().unwrap()];
        plan.listener.deadlines.proxy = PATIENCE * 10;
        plan.limits.connections = 8;
    });
    let mut waiting = Vec::new();
    for header in [&b""[..], b"PROXY TCP4 127."].repeat(10) {
        waiting.push(through(&door, header).await);
    }
    until("all but two to be closed", async || (door.refused("proxy_header") == 18).then_some(())).await;
    assert_eq!(door.capacity.connections(), 2);
    for device in &mut waiting[..18] {
        assert_eq!(device.reply().await, None);
    }
    through(&door, &v2([127, 0, 0, 1])).await.expect("220").await;
    door.device([127, 0, 0, 2]).await.send("a@b.c", &["d@e.f"], DATA).await;
    // The one that has waited least still may send the rest.
    waiting[19].write(b"0.0.1 127.0.0.1 1 25\r\n").await;
    waiting[19].expect("220").await;
}

/// A door where 127.0.1.0/24 may use and reach corp.example only.
fn listed(name: &str, null_sender: bool) -> Door {
    Door::open(name, |plan| {
        let recipients = ["*@corp.example", r#""xclow3n@evil.example x"@corp.example"#];
        let mut entry = client("listed", &["127.0.1.0/24"], &["*@corp.example", "Boss@Else.example"], &recipients);
        entry.null_sender = null_sender;
        plan.clients = vec![entry];
    })
}

#[tokio::test]
async fn a_053_what_was_compared_is_what_is_sent() {
    let door = listed("list", true);
    let mut device = door.device([127, 0, 1, 1]).await;
    for sender in [
        "a@evil.example",
        "a@sub.corp.example",
        "a@corp.example.evil",
        "printer",
        "boss@corp.example.else.example",
        "a%evil.example@corp.example",
        r#""a@evil.example"@corp.example"#,
    ] {
        device.ask(&format!("MAIL FROM:<{sender}>"), "553 5.7.1").await;
    }
    for sender in ["a@CORP.example", "a@corp.example.", "BOSS@else.example"] {
        device.ask(&format!("MAIL FROM:<{sender}>"), "250").await;
        device.ask("RSET", "250").await;
    }
    let mut device = door.device([127, 0, 1, 2]).await;
    device.ask("MAIL FROM:<a@corp.example>", "250").await;
    let refused = [
        ("a@evil.example", "550 5.7.1"),
        ("a@sub.corp.example", "550 5.7.1"),
        ("a@corp.example@evil.example", "553 5.1.3"),
        ("a@evil.example@corp.example", "553 5.1.3"),
        (r#""a@corp.example"@evil.example"#, "550 5.7.1"),
        ("a%corp.example@evil.example", "550 5.7.1"),
        ("a%evil.example@corp.example", "550 5.7.1"),
        ("evil.example!a@corp.example", "550 5.7.1"),
        (r#""x@evil.example x"@corp.example"#, "550 5.7.1"),
        ("corp.example!a@evil.example", "550 5.7.1"),
        ("a@corp.example..", "553 5.1.3"),
        ("a@xn--crp-5cd.example", "550 5.7.1"),
        ("=?utf-8?q?a=40corp.example?=@evil.example", "550 5.7.1"),
        ("a@[127.0.0.1]", "553 5.1.3"),
        ("a", "553 5.1.3"),
        (&format!("a@{}.corp.example", "x.".repeat(122)), "55"),
    ];
    for (recipient, reply) in refused {
        device.ask(&format!("RCPT TO:<{recipient}>"), reply).await;
    }
    let taken = ["A@Corp.EXAMPLE", "b@corp.example.", r#""c"@corp.example"#, r#""x y"@corp.example"#];
    for recipient in taken {
        device.ask(&format!("RCPT TO:<{recipient}>"), "250").await;
    }
    // A source route is not followed, and what is left of it is compared.
    device.ask("RCPT TO:<@evil.example:d@corp.example>", "250").await;
    device.ask("RCPT TO:<@corp.example:d@evil.example>", "550 5.7.1").await;
    device.ask("DATA", "354").await;
    device.write(DATA).await;
    device.ask(".", "250").await;
    let entry = door.queued().await.remove(0);
    let kept: Vec<&str> = entry.recipients.iter().map(|one| one.address.as_str()).collect();
    let wanted = ["A@Corp.EXAMPLE", "b@corp.example", r#""c"@corp.example"#, r#""x y"@corp.example"#, "d@corp.example"];
    assert_eq!(kept, wanted);
    let list = Pattern::parse("*@corp.example").unwrap();
    assert!(kept.iter().all(|kept| list.permits(Some(&Address::parse(kept).unwrap()))));
    assert_eq!(door.refused("client_sender"), 7);
    assert_eq!(door.refused("client_recipient"), 11);
}

#[tokio::test]
async fn a_052_a_quoted_at_sign_does_not_end_the_name() {
    let door = listed("quoted", true);
    let mut device = door.device([127, 0, 1, 1]).await;
    device.ask("MAIL FROM:<a@corp.example>", "250").await;
    device.ask(r#"RCPT TO:<"boss@corp.example x"@evil.example>"#, "550 5.7.1").await;
    // This one is in the list as it is, the other is not.
    device.ask(r#"RCPT TO:<"xclow3n@evil.example y"@corp.example>"#, "550 5.7.1").await;
    device.ask(r#"RCPT TO:<"xclow3n@evil.example x"@corp.example>"#, "250").await;
    device.ask("DATA", "354").await;
    device.write(DATA).await;
    device.ask(".", "250").await;
    let entry = door.queued().await.remove(0);
    assert_eq!(entry.recipients[0].address.as_str(), r#""xclow3n@evil.example x"@corp.example"#);
    assert_eq!(entry.recipients[0].address.domain(), "corp.example");
}

#[tokio::test]
async fn a_055_the_null_sender_is_taken_unless_the_entry_says_no() {
    for (null_sender, reply) in [(true, "250"), (false, "553 5.7.1")] {
        let door = listed("null", null_sender);
        door.device([127, 0, 1, 1]).await.ask("MAIL FROM:<>", reply).await;
        // Others have no list.
        let mut other = door.device([127, 0, 2, 1]).await;
        other.ask("MAIL FROM:<>", "250").await;
        other.ask("RCPT TO:<a@evil.example>", "250").await;
    }
    // The owner's mailbox is always reached as postmaster (RFC 5321 section 4.5.1).
    let door = listed("postmaster", true);
    let mut device = door.device([127, 0, 1, 1]).await;
    device.ask("MAIL FROM:<a@corp.example>", "250").await;
    device.ask("RCPT TO:<owner@example.com>", "550 5.7.1").await;
    device.ask("RCPT TO:<Postmaster>", "250").await;
}

#[tokio::test]
async fn a_064_a_web_browser_is_told_goodbye_and_nothing_is_run() {
    let door = Door::open("web", |_| {});
    let attack =
        b"POST / HTTP/1.1\r\nHost: relay\r\n\r\nEHLO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\nhi\r\n.\r\n";
    let header = b"X-Evil: 1\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\nhi\r\n.\r\n";
    for octets in [attack.as_slice(), b"GET / HTTP/1.1\r\nX: \r\nMAIL FROM:<a@b.c>\r\n", header] {
        let mut stream = TcpStream::connect(door.addr).await.unwrap();
        stream.write_all(octets).await.unwrap();
        let mut said = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut said)).await.unwrap().unwrap();
        let codes: Vec<&str> = said.lines().map(|line| &line[..9]).collect();
        assert!(codes.len() == 2 && codes[0].starts_with("220 ") && codes[1] == "421 4.7.0", "{said}");
    }
    assert!(door.queued().await.is_empty());
}
