//! SMTP smuggling: everything that resembles the end of a message and is not (A-001 to A-016, A-024, A-025), cut at
//! every octet and sent octet by octet. One message must stay one message.
//!
//! Not here: the same through the whole relay, row by row (`attacks::protocol`).

use crate::support::endings::{AFTER, AN_END, BEFORE, INJECTED, NOT_AN_END, ONE, has_bare};
use crate::support::transcript::Driver;
use bytes::BytesMut;
use yizhan::smtp::data::{Piece, Stuff, Unstuff};
use yizhan::smtp::server::{Profile, SessionSettings};

type Message = (String, Vec<String>, Vec<u8>);

fn message(from: &str, to: &str, parts: &[&[u8]]) -> Message {
    (from.to_owned(), vec![to.to_owned()], parts.concat())
}

fn run(profile: Profile, pieces: &[&[u8]]) -> Driver {
    let mut driver = Driver::new(SessionSettings { profile, ..SessionSettings::relay("relay.test") });
    for piece in pieces {
        if !driver.closed {
            driver.feed(piece);
        }
    }
    driver
}

/// The conversation whole, cut in two at each octet, and octet by octet: always the same messages.
fn always(name: &str, profile: Profile, octets: &[u8], wanted: &[Message]) {
    for cut in 0..=octets.len() {
        let (a, b) = octets.split_at(cut);
        let driver = run(profile, &[a, b]);
        assert_eq!(driver.messages, wanted, "{name} cut at {cut}");
        assert!(driver.closed, "{name} cut at {cut}: QUIT was not reached");
    }
    let single: Vec<&[u8]> = octets.chunks(1).collect();
    assert_eq!(run(profile, &single).messages, wanted, "{name} octet by octet");
}

#[test]
fn a_015_what_resembles_an_end_is_text_however_it_is_cut() {
    for (name, middle, content) in NOT_AN_END {
        let octets = [BEFORE, ONE, middle, INJECTED, AFTER].concat();
        let wanted = [message("a@b", "c@d", &[ONE, content, INJECTED])];
        always(name, Profile::Tolerant, &octets, &wanted);
        // The first line ended in CRLF, so the legacy profile is no weaker.
        always(name, Profile::Legacy, &octets, &wanted);
    }
}

#[test]
fn a_015_a_real_end_is_an_end_however_it_is_cut() {
    for (name, middle, content) in AN_END {
        let octets = [BEFORE, ONE, middle, INJECTED, AFTER].concat();
        let wanted = [
            message("a@b", "c@d", &[ONE, content]),
            message("evil@x", "victim@x", &[b"Subject: two\r\n\r\nsecond\r\n"]),
        ];
        always(name, Profile::Tolerant, &octets, &wanted);
    }
}

#[test]
fn strict_relays_nothing_that_has_bare_line_ends() {
    for (name, middle, _) in NOT_AN_END {
        let (a, b) = ([BEFORE].concat(), [ONE, middle, INJECTED, AFTER].concat());
        let driver = run(Profile::Strict, &[&a, &b]);
        let bare = has_bare(&b[..b.len() - AFTER.len()]);
        assert_eq!(driver.messages.len(), usize::from(!bare), "{name}");
        assert!(driver.closed, "{name}");
    }
}

#[test]
fn a_016_a_message_that_ends_at_lf_is_the_last_one() {
    let start = b"EHLO x\nMAIL FROM:<a@b>\nRCPT TO:<c@d>\nDATA\n";
    let first: &[u8] = b"Subject: one\n\n..\nfirst\n";
    let rest: &[u8] = b".\nMAIL FROM:<evil@x>\nRCPT TO:<victim@x>\nDATA\nSubject: two\n\nsecond\n.\nQUIT\n";
    let octets = [start, first, rest].concat();
    always("A-016", Profile::Legacy, &octets, &[message("a@b", "c@d", &[b"Subject: one\n\n.\nfirst\n"])]);
}

#[test]
fn a_016_mixed_ends_do_not_end_an_lf_message() {
    let start = b"EHLO x\nMAIL FROM:<a@b>\nRCPT TO:<c@d>\nDATA\n";
    for middle in [&b"\n.\r\n"[..], b"\r\n.\n", b"\r.\r", b"\n.\r"] {
        let octets = [start, &b"Subject: one\n\nfirst"[..], middle, b"MAIL FROM:<evil@x>\nx\r\n.\r\nQUIT\n"].concat();
        let driver = run(Profile::Legacy, &octets.chunks(1).collect::<Vec<_>>());
        assert_eq!(driver.messages.len(), 1, "{middle:?}");
        assert!(driver.messages[0].2.ends_with(b"MAIL FROM:<evil@x>\nx\r\n"), "{middle:?}");
    }
}

#[test]
fn a_024_what_we_send_has_one_end_and_no_bare_line_ends() {
    for (name, middle, _) in NOT_AN_END.iter().chain(AN_END) {
        let octets = [ONE, middle, INJECTED].concat();
        for cut in 0..=octets.len() {
            let mut out = BytesMut::new();
            let mut stuff = Stuff::new();
            stuff.push(&octets[..cut], &mut out);
            stuff.push(&octets[cut..], &mut out);
            stuff.finish(&mut out);
            assert!(!has_bare(&out), "{name}: {:?}", out.escape_ascii().to_string());
            let ends = out.windows(5).filter(|w| w == b"\r\n.\r\n").count();
            assert!(ends == 1 && out.ends_with(b"\r\n.\r\n"), "{name}: {:?}", out.escape_ascii().to_string());
        }
    }
}

#[test]
fn a_025_dots_come_through_both_machines_unchanged() {
    let body = b".x\r\n.\r\n..\r\n...\r\n\r\n.\r\n.";
    let mut wire = BytesMut::new();
    let mut stuff = Stuff::new();
    stuff.push(body, &mut wire);
    stuff.finish(&mut wire);
    let (mut unstuff, mut back) = (Unstuff::new(false), Vec::new());
    loop {
        match unstuff.next(&mut wire) {
            Piece::Text(text) => back.extend_from_slice(&text),
            Piece::End => break,
            Piece::More => panic!("no end"),
        }
    }
    // The line that was open is closed, and nothing else is added.
    assert_eq!(back, [&body[..], b"\r\n"].concat());
    assert!(wire.is_empty());
}
