//! Where a message ends and a command begins (A-001 to A-025), through the whole relay.
//!
//! Not here: the state machine by itself, cut at every octet (`smuggling`, and the transcripts).

use mail_parser::MessageParser;
use yizhan::provider::Tls;
use yizhan::queue::MessageState;
use yizhan::sandbox::Received;
use yizhan::smtp::server::Profile;

use super::{Scene, codes, rest};
use crate::support::conventions::legal;
use crate::support::endings::{AFTER, AN_END, BEFORE, INJECTED, NOT_AN_END, ONE, has_bare};
use crate::support::entrance::Line;
use crate::support::scripted::{Say, Scripted};

const TAKEN: [&str; 7] = ["220", "250", "250", "250", "354", "250", "221"];
const MAIL: &[u8] = b"Subject: one\r\n\r\nfirst\r\n";

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

/// What resembles an end is text: at each listener that takes it, in one piece and octet by octet, one message goes out,
/// with the commands in its body. A strict listener refuses bare line ends after the real end, and nothing goes out.
async fn is_no_end(row: &str) {
    let scene = Scene::open("no-end").await;
    let endings: Vec<_> = NOT_AN_END.iter().filter(|(name, ..)| name.split(' ').next() == Some(row)).collect();
    assert!(!endings.is_empty(), "{row} is in the table");
    let mut expected = Vec::new();
    for (name, middle, content) in endings {
        let message = [ONE, middle, INJECTED, AFTER].concat();
        for (profile, piece) in [Profile::Tolerant, Profile::Legacy].into_iter().flat_map(|p| [(p, usize::MAX), (p, 1)])
        {
            let replies = scene.say(profile, &[BEFORE, &message].concat(), piece).await;
            assert_eq!(codes(&replies), TAKEN, "{name} {profile:?} {piece}: {replies:?}");
            expected.push("c@d");
            let received = scene.office.received(expected.len()).await;
            let (got, wanted) = (text(&received[expected.len() - 1]), plain(&[b"first", *content, INJECTED].concat()));
            // Octets of no charset are kept as they are, and a reader may see what it likes in that line.
            let skip = usize::from(std::str::from_utf8(content).is_err());
            assert_eq!(lines(&got)[skip..], lines(&wanted)[skip..], "{name} {profile:?} in pieces of {piece}");
        }
        let mut line = Line::hello(scene.door(Profile::Strict)).await;
        line.write(&BEFORE[b"EHLO x\r\n".len()..]).await;
        for code in ["250", "250", "354"] {
            line.expect(code).await;
        }
        line.write(&message).await;
        let bare = has_bare(&message);
        line.expect(if bare { "550 5.5.2" } else { "250 2.0.0 queued as " }).await;
        line.expect("221").await;
        expected.extend((!bare).then_some("c@d"));
    }
    let received = scene.holds(&expected).await;
    // Nobody smuggled a second envelope in.
    assert!(received.iter().all(|one| one.to == ["c@d"] && one.subject() == "one"));
}

/// One function a row, for what resembles an end.
macro_rules! rows {
    ($($name:ident: $row:literal;)*) => {
        $(#[tokio::test]
        async fn $name() {
            is_no_end($row).await;
        })*
    };
}

rows! {
    a_002_lf_dot_lf_is_text: "A-002";
    a_003_lf_dot_crlf_is_text: "A-003";
    a_004_lf_dot_cr_is_text: "A-004";
    a_005_cr_dot_cr_is_text: "A-005";
    a_006_cr_dot_lf_is_text: "A-006";
    a_007_cr_dot_crlf_is_text: "A-007";
    a_008_crlf_dot_lf_is_text: "A-008";
    a_009_crlf_dot_cr_is_text: "A-009";
    a_010_a_nul_before_the_dot_makes_it_text: "A-010";
    a_011_a_nul_behind_the_dot_makes_it_text: "A-011";
    a_012a_crlf_dot_cr_crlf_is_text: "A-012a";
    a_012b_cr_crlf_dot_cr_crlf_is_text: "A-012b";
    a_013_a_dot_with_company_is_text: "A-013";
    a_014_other_line_ends_are_text: "A-014";
}

/// What is an end is one: two messages where pipelining is put up with; where it is not, the second is refused.
async fn is_an_end(row: &str) {
    let scene = Scene::open("an-end").await;
    let (name, middle, _) = AN_END.iter().find(|(name, ..)| *name == row).expect("it is in the table");
    let octets = [ONE, middle, INJECTED, AFTER].concat();
    for piece in [usize::MAX, 1] {
        let replies = scene.say(Profile::Tolerant, &[BEFORE, &octets].concat(), piece).await;
        let two = [&TAKEN[..6], &TAKEN[2..]].concat();
        assert_eq!(codes(&replies), two, "{name}: {replies:?}");
    }
    let mut line = Line::hello(scene.door(Profile::Strict)).await;
    line.write(&BEFORE[b"EHLO x\r\n".len()..]).await;
    for code in ["250", "250", "354"] {
        line.expect(code).await;
    }
    line.write(&octets).await;
    let bare = has_bare(middle);
    line.expect(if bare { "550 5.5.2" } else { "250 2.0.0 queued as " }).await;
    let replies = rest(&mut line).await;
    assert_eq!(codes(&replies), ["250", "250", "554"], "{name}: {replies:?}");
    assert!(replies[2].starts_with("554 5.5.0"), "{replies:?}");
    let mut expected = vec!["c@d", "victim@x", "c@d", "victim@x"];
    expected.extend((!bare).then_some("c@d"));
    scene.holds(&expected).await;
}

#[tokio::test]
async fn a_001_the_real_end_is_an_end() {
    is_an_end("A-001").await;
}

#[tokio::test]
async fn a_012c_an_end_behind_a_spare_cr_is_an_end() {
    is_an_end("A-012c").await;
}

#[tokio::test]
async fn a_016_an_lf_message_is_the_last_one_of_its_session() {
    let scene = Scene::open("lf").await;
    let octets = b"EHLO x\nMAIL FROM:<a@b>\nRCPT TO:<c@d>\nDATA\nSubject: one\n\n..\nfirst\n.\nMAIL FROM:<evil@x>\n\
        RCPT TO:<victim@x>\nDATA\nSubject: two\n\nsecond\n.\nQUIT\n";
    for piece in [usize::MAX, 1] {
        let replies = scene.say(Profile::Legacy, octets, piece).await;
        assert_eq!(codes(&replies), ["220", "250", "250", "250", "354", "250", "554"], "{replies:?}");
        assert!(replies[6].starts_with("554 5.5.0"), "{replies:?}");
    }
    let received = scene.holds(&["c@d", "c@d"]).await;
    assert!(received.iter().all(|one| one.data.ends_with(b"\r\n\r\n.\r\nfirst\r\n")), "{received:?}");
}

#[tokio::test]
async fn a_017_what_follows_a_refused_data_is_never_run() {
    let scene = Scene::open("refused").await;
    let body = b"Subject: x\r\n\r\nMAIL FROM:<evil@x>\r\nRCPT TO:<victim@x>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n";
    let cases: [(&[u8], &[u8], &[&str]); 4] = [
        (b"EHLO x\r\nDATA\r\n", body, &["250", "503 5.5.1"]),
        (b"EHLO x\r\nMAIL FROM:<a@b>\r\nDATA\r\n", body, &["250", "250", "554 5.5.1"]),
        (
            b"EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<no mailbox>\r\nRCPT TO:<@>\r\nDATA\r\n",
            body,
            &["250", "250", "553", "553", "554 5.5.1"],
        ),
        (
            b"EHLO x\r\nMAIL FROM:<a@b>\r\nDATA\r\n",
            b"hello there\r\nRCPT TO:<victim@x>\r\n",
            &["250", "250", "554 5.5.1"],
        ),
    ];
    for (commands, body, wanted) in cases {
        for piece in [usize::MAX, 1] {
            let replies = scene.say(Profile::Tolerant, &[commands, body].concat(), piece).await;
            let wanted = [&["220"][..], wanted, &["421 4.7.0"]].concat();
            assert_eq!(replies.len(), wanted.len(), "{replies:?}");
            assert!(replies.iter().zip(&wanted).all(|(reply, start)| reply.starts_with(start)), "{replies:?}");
        }
    }
    scene.holds(&[]).await;
}

#[tokio::test]
async fn a_018_data_before_354_are_data_or_refused_and_never_half() {
    let scene = Scene::open("early").await;
    let octets = [BEFORE, MAIL, AFTER].concat();
    let replies = scene.say(Profile::Tolerant, &octets, usize::MAX).await;
    assert_eq!(codes(&replies), TAKEN, "{replies:?}");
    let replies = scene.say(Profile::Strict, &octets, usize::MAX).await;
    assert_eq!(codes(&replies), ["220", "250", "250", "250", "554"], "{replies:?}");
    assert!(replies[4].starts_with("554 5.5.0"), "{replies:?}");
    scene.holds(&["c@d"]).await;
}

#[tokio::test]
async fn a_019_lf_ends_a_command_unless_the_listener_is_strict() {
    let scene = Scene::open("lf-commands").await;
    let octets = b"EHLO x\nMAIL FROM:<a@b>\nRCPT TO:<c@d>\nDATA\nSubject: one\r\n\r\nfirst\r\n.\r\nQUIT\n";
    let replies = scene.say(Profile::Tolerant, octets, usize::MAX).await;
    assert_eq!(codes(&replies), TAKEN, "{replies:?}");
    let octets = b"EHLO x\r\nMAIL FROM:<a@b>\nRCPT TO:<c@d>\nQUIT\r\n";
    let replies = scene.say(Profile::Strict, octets, usize::MAX).await;
    assert_eq!(codes(&replies), ["220", "250", "500", "500", "221"], "{replies:?}");
    assert!(replies[2].starts_with("500 5.5.2") && replies[3].starts_with("500 5.5.2"), "{replies:?}");
    scene.holds(&["c@d"]).await;
}

/// Commands that are refused as one, behind a good EHLO; what they hide is not run, and the session goes on.
async fn refused_as_one(name: &str, start: &[u8], commands: &[&[u8]]) {
    let scene = Scene::open(name).await;
    for command in commands {
        let octets = [b"EHLO x\r\n", start, command, b"\r\nDATA\r\nNOOP\r\nQUIT\r\n"].concat();
        let replies = scene.say(Profile::Tolerant, &octets, usize::MAX).await;
        let before = start.iter().filter(|&&octet| octet == b'\n').count();
        let at = 2 + before;
        assert!(replies[at].starts_with("501 5.5.4"), "{}: {replies:?}", command.escape_ascii());
        assert_eq!(replies.len(), at + 4, "{}: {replies:?}", command.escape_ascii());
        assert!(replies[at + 1].starts_with("503") || replies[at + 1].starts_with("554"), "{replies:?}");
        assert_eq!(codes(&replies[at + 2..]), ["250", "221"], "{replies:?}");
    }
    scene.holds(&[]).await;
}

#[tokio::test]
async fn a_020_a_bare_cr_does_not_end_a_command() {
    refused_as_one(
        "cr",
        b"",
        &[b"MAIL FROM:<a@b>\rRCPT TO:<evil@x>", b"EHLO y\rMAIL FROM:<a@b>", b"MAIL FROM:<a\r@b>"],
    )
    .await;
    refused_as_one("cr-to", b"MAIL FROM:<a@b>\r\n", &[b"RCPT TO:<a@b>\rRCPT TO:<evil@x>"]).await;
}

#[tokio::test]
async fn a_021_a_nul_does_not_end_a_command() {
    refused_as_one("nul", b"", &[b"MAIL FROM:<a@b\0c>", b"MAIL FROM:<a@b>\0", b"\0MAIL FROM:<a@b>", b"MAIL\0"]).await;
    refused_as_one("nul-to", b"MAIL FROM:<a@b>\r\n", &[b"RCPT TO:<a@b>\0", b"RCPT TO:<a\0@b>"]).await;
}

/// Chunks that are read over and refused, or that end the session.
#[tokio::test]
async fn a_022_bdat_is_read_over_and_the_stream_stays_in_step() {
    let scene = Scene::open("bdat").await;
    let cases: [(&[u8], &[&str]); 9] = [
        (b"BDAT 10\r\nMAIL FROM:NOOP\r\n", &["502 5.5.1", "250"]),
        (b"BDAT 0 LAST\r\nNOOP\r\n", &["502 5.5.1", "250"]),
        (b"BDAT 5 FIRST\r\nhelloNOOP\r\n", &["502 5.5.1", "250"]),
        (b"bdat 18 LAST\r\nMAIL FROM:<a@b>\r\n\nNOOP\r\n", &["502 5.5.1", "250"]),
        (b"BDAT 99999999999 LAST\r\nMAIL FROM:<a@b>\r\n", &["502 5.5.1"]),
        (b"BDAT 99999999999999999999999 LAST\r\nMAIL FROM:<a@b>\r\n", &["501 5.5.4"]),
        (b"BDAT -1\r\nMAIL FROM:<a@b>\r\n", &["501 5.5.4"]),
        (b"BDAT +5\r\nhelloMAIL FROM:<a@b>\r\n", &["501 5.5.4"]),
        (b"BDAT\r\nMAIL FROM:<a@b>\r\n", &["501 5.5.4"]),
    ];
    for (octets, wanted) in cases {
        for piece in [usize::MAX, 1] {
            // Where the stream is in step, QUIT is heard; where it cannot be, the relay has hung up.
            let bye = wanted.last() == Some(&"250");
            let octets = [b"EHLO x\r\n", octets, b"QUIT\r\n"].concat();
            let replies = scene.say(Profile::Tolerant, &octets, piece).await;
            let wanted = [&["220", "250"][..], wanted, if bye { &["221"][..] } else { &[] }].concat();
            assert_eq!(replies.len(), wanted.len(), "{}: {replies:?}", octets.escape_ascii());
            assert!(replies.iter().zip(&wanted).all(|(reply, start)| reply.starts_with(start)), "{replies:?}");
        }
    }
    scene.holds(&[]).await;
}

#[tokio::test]
async fn a_023_no_chunk_reaches_over_data_or_rset() {
    let scene = Scene::open("chunks").await;
    let envelope = b"EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n";
    let octets = [&envelope[..], b"BDAT 5\r\nhelloDATA\r\nQUIT\r\n"].concat();
    let replies = scene.say(Profile::Tolerant, &octets, 1).await;
    assert_eq!(codes(&replies), ["220", "250", "250", "250", "502", "503", "221"], "{replies:?}");
    // A length that was begun is not what the next transaction begins with.
    let again = b"BDAT 5\r\nhelloRSET\r\nBDAT 3\r\nabcRSET\r\n";
    let mail = [&envelope[8..], b"DATA\r\n", MAIL, AFTER].concat();
    let replies = scene.say(Profile::Tolerant, &[&envelope[..], again, &mail].concat(), usize::MAX).await;
    let wanted = ["220", "250", "250", "250", "502", "250", "502", "250", "250", "250", "354", "250", "221"];
    assert_eq!(codes(&replies), wanted, "{replies:?}");
    scene.holds(&["c@d"]).await;
}

/// The provider is a server that keeps every octet as it came over the wire.
#[tokio::test]
async fn a_024_what_goes_out_is_one_message_for_any_server() {
    let server = Scripted::implicit(|_, _| Say::Usual).await;
    let scene = Scene::towards("raw", "localhost", server.addr(), Tls::Implicit, server.ca()).await;
    for (name, middle, _) in NOT_AN_END {
        let replies = scene.say(Profile::Tolerant, &[BEFORE, ONE, middle, INJECTED, AFTER].concat(), usize::MAX).await;
        assert_eq!(codes(&replies), TAKEN, "{name}: {replies:?}");
    }
    for entry in scene.office.list(&MessageState::ALL).await {
        scene.office.wait_state(entry.id, MessageState::Delivered).await;
    }
    scene.holds_and_keeps(&[], NOT_AN_END.len()).await;
    assert_eq!((server.count("DATA"), server.count("RCPT")), (NOT_AN_END.len(), NOT_AN_END.len()));
    let heard: Vec<String> = server.heard().concat();
    let messages: Vec<&String> = heard.iter().filter(|line| line.contains("Subject: one")).collect();
    assert_eq!(messages.len(), NOT_AN_END.len());
    for wire in messages {
        legal(wire.as_bytes());
        assert!(wire.split("\r\n").all(|line| !line.starts_with('.') || line.starts_with("..")), "{wire:?}");
    }
}

#[tokio::test]
async fn a_025_dots_come_through_octet_for_octet() {
    let scene = Scene::open("dots").await;
    let body = b".x\r\n.\r\n..\r\n...\r\n\r\n.\r\n.x.\r\nlast\r\n";
    let stuffed = b"..x\r\n..\r\n...\r\n....\r\n\r\n..\r\n..x.\r\nlast\r\n";
    let octets = [BEFORE, b"Subject: one\r\n\r\n", stuffed, AFTER].concat();
    for piece in [usize::MAX, 1] {
        let replies = scene.say(Profile::Tolerant, &octets, piece).await;
        assert_eq!(codes(&replies), TAKEN, "{replies:?}");
    }
    let received = scene.holds(&["c@d", "c@d"]).await;
    for one in &received {
        let end = one.data.windows(4).position(|four| four == b"\r\n\r\n").expect("it has a body") + 4;
        assert_eq!(one.data[end..].escape_ascii().to_string(), body.escape_ascii().to_string());
    }
}
