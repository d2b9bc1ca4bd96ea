//! The harness tries itself: foreign clients against foreign servers, without the relay between them.
//!
//! When one of these fails, a test of the relay against the same peer says nothing. They need Debian's packages
//! (`tests/install-peers`), and Postfix needs root; what is missing is counted as skipped.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::ca::{self, TestCa};
use crate::support::clients::{self, Letter, Target, Tls};
use crate::support::front::{Ending, Front};
use crate::support::postfix::{Postfix, PostfixOptions, PostfixTls};
use crate::support::process::{is_listening, poll};
use crate::support::sink::SmtpSink;
use crate::support::skip::{Missing, need};

const BOX: &str = "box@peer.test";

fn message(subject: &str) -> Vec<u8> {
    let mut text = format!("From: {BOX}\r\nTo: a@else.test\r\nSubject: {subject}\r\nMessage-ID: <1@peer.test>\r\n");
    text.push_str("Date: Sat, 21 Nov 2026 10:00:00 +0800\r\n\r\nfirst\r\n.\r\n..two dots\r\n\r\n");
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice("中文 ".as_bytes());
    bytes.extend_from_slice(b"\xc4\xe3\xba\xc3 in GBK\r\nlast\r\n");
    bytes
}

fn secure(postfix: &Postfix, tls: Tls) -> Target {
    let options = postfix.options();
    Target::secure(postfix.port(), tls, postfix.ca_file(), &options.user, &options.password)
}

fn accepts_and_refuses(tls: PostfixTls, client_tls: Tls) {
    let postfix = need!(Postfix::start(PostfixOptions { tls, ..PostfixOptions::default() }));
    let target = secure(&postfix, client_tls);
    let sent = message("accepted");
    let ran = need!(clients::swaks(&target, &Letter::new(BOX, &["a@else.test", "b@else.test"], &sent), &[]));
    assert!(ran.ok(), "{}", ran.output);
    let delivered = postfix.wait_delivered(2);
    let mut recipients: Vec<_> = delivered.iter().map(|mail| mail.recipient.as_str()).collect();
    recipients.sort_unstable();
    assert_eq!(recipients, ["a@else.test", "b@else.test"]);
    for mail in &delivered {
        assert_eq!(mail.sender, BOX);
        assert_eq!(mail.message, sent, "{}", String::from_utf8_lossy(&mail.message));
        assert!(mail.received.contains("ESMTPSA"), "TLS and log-in: {}", mail.received);
    }

    let foreign = need!(clients::swaks(&target, &Letter::new("scan@copier.lan", &["a@else.test"], &sent), &[]));
    assert!(!foreign.ok() && foreign.output.contains("553 5.7.1"), "{}", foreign.output);
    for (address, reply) in [("refused@else.test", "550 5.1.1"), ("later@else.test", "451 4.7.1")] {
        let ran = need!(clients::swaks(&target, &Letter::new(BOX, &[address], &sent), &[]));
        assert!(!ran.ok() && ran.output.contains(reply), "{}", ran.output);
    }
    let mut wrong = target.clone();
    wrong.login = Some((BOX.to_owned(), "revoked".to_owned()));
    let ran = need!(clients::swaks(&wrong, &Letter::new(BOX, &["a@else.test"], &sent), &[]));
    assert!(!ran.ok() && ran.output.contains("535 5.7.8"), "{}", ran.output);
    let mut nobody = target;
    nobody.login = None;
    let ran = need!(clients::swaks(&nobody, &Letter::new(BOX, &["a@else.test"], &sent), &[]));
    assert!(!ran.ok() && ran.output.contains("5.7.1"), "no open relay: {}", ran.output);
    assert_eq!(postfix.delivered().len(), 2, "nothing that was refused came in");
}

#[test]
fn swaks_to_postfix_implicit_tls() {
    accepts_and_refuses(PostfixTls::Implicit465, Tls::Implicit);
}

#[test]
fn swaks_to_postfix_starttls() {
    accepts_and_refuses(PostfixTls::Starttls587, Tls::Starttls);
}

#[test]
fn every_secure_client_to_postfix() {
    for (tls, client_tls) in [(PostfixTls::Implicit465, Tls::Implicit), (PostfixTls::Starttls587, Tls::Starttls)] {
        let postfix = need!(Postfix::start(PostfixOptions { tls, ..PostfixOptions::default() }));
        let target = secure(&postfix, client_tls);
        let sent = message("every client");
        let letter = Letter::new(BOX, &["a@else.test"], &sent);
        let runs = [
            need!(clients::swaks(&target, &letter, &[])),
            need!(clients::curl(&target, &letter, &[])),
            need!(clients::msmtp(&target, &letter, &[])),
            need!(clients::smtplib(&target, &letter)),
        ];
        for ran in &runs {
            assert!(ran.ok(), "{}", ran.output);
        }
        for mail in postfix.wait_delivered(runs.len()) {
            assert_eq!(mail.message, sent, "{}", mail.received);
        }
    }
}

#[test]
fn postfix_goes_away_and_comes_back_and_its_password_changes() {
    let mut postfix = need!(Postfix::start(PostfixOptions::default()));
    let target = secure(&postfix, Tls::Implicit);
    let letter = Letter::new(BOX, &["a@else.test"], message("outage"));
    postfix.pause();
    assert!(!need!(clients::swaks(&target, &letter, &[])).ok(), "nobody listens");
    postfix.resume();
    assert!(need!(clients::swaks(&target, &letter, &[])).ok());
    postfix.set_password("another");
    let ran = need!(clients::swaks(&target, &letter, &[]));
    assert!(ran.output.contains("535 5.7.8"), "{}", ran.output);
    let options = postfix.options().clone();
    postfix.set_password(&options.password);
    assert!(need!(clients::swaks(&target, &letter, &[])).ok());
    assert_eq!(postfix.wait_delivered(2).len(), 2);
}

#[test]
fn certificates_are_verified() {
    let expired = need!(Postfix::start(PostfixOptions { expired: true, ..PostfixOptions::default() }));
    let names = vec!["mail.other.test".to_owned()];
    let other = need!(Postfix::start(PostfixOptions { names, ..PostfixOptions::default() }));
    let letter = Letter::new(BOX, &["a@else.test"], message("not sent"));
    for postfix in [&expired, &other] {
        let target = secure(postfix, Tls::Implicit);
        for ran in [need!(clients::curl(&target, &letter, &[])), need!(clients::smtplib(&target, &letter))] {
            assert!(!ran.ok() && ran.output.to_lowercase().contains("certificate"), "{}", ran.output);
        }
    }
}

#[test]
fn every_client_to_smtp_sink() {
    let sink = need!(SmtpSink::start(&[]));
    let target = Target::plain(sink.port());
    let sent = message("dump");
    let letter = Letter::new(BOX, &["a@else.test"], &sent);
    let runs = [
        need!(clients::swaks(&target, &letter, &[])),
        need!(clients::curl(&target, &letter, &[])),
        need!(clients::msmtp(&target, &letter, &[])),
        need!(clients::smtplib(&target, &letter)),
        need!(clients::smtp_source(&target, &letter, &[])),
    ];
    for ran in &runs {
        assert!(ran.ok(), "{}", ran.output);
    }
    let dumps = sink.wait_dumps(runs.len());
    assert_eq!(dumps.len(), runs.len());
    for (number, dump) in dumps.iter().enumerate() {
        assert_eq!(dump.helo, "client.test");
        assert!(dump.mail.starts_with("<box@peer.test>"), "{}", dump.mail);
        assert_eq!(dump.rcpts.len(), 1);
        // smtp-source, the last, adds an empty line.
        let added: &[u8] = if number == 4 { b"\r\n" } else { b"" };
        assert_eq!(dump.message, [&sent, added].concat(), "{}", String::from_utf8_lossy(&dump.message));
    }
}

#[test]
fn a_front_gives_smtp_sink_tls_and_shows_the_wire() {
    let sink = need!(SmtpSink::start(&[]));
    let ca = TestCa::new();
    let front = Front::tls(&ca.issue(ca::NAMES), sink.port(), Ending::Orderly);
    let mut target = Target::secure(front.port(), Tls::Implicit, ca.file(), "", "");
    target.login = None;
    let sent = message("through TLS");
    let ran = need!(clients::curl(&target, &Letter::new(BOX, &["a@else.test"], &sent), &[]));
    assert!(ran.ok(), "{}", ran.output);
    assert_eq!(sink.wait_dumps(1)[0].message, sent);
    let tapped = front.connections();
    assert_eq!(tapped.len(), 1);
    assert!(tapped[0].sent.starts_with(b"EHLO client.test\r\n"));
    assert!(tapped[0].sent.windows(7).any(|bytes| bytes == b"\r\n..\r\n."), "dots are stuffed on the wire");
    assert!(tapped[0].answered.starts_with(b"220 smtp-sink ESMTP\r\n"));

    let stranger = TestCa::new();
    target.ca = Some(stranger.file().to_owned());
    let ran = need!(clients::curl(&target, &Letter::new(BOX, &["a@else.test"], &sent), &[]));
    assert_eq!(ran.status, 60, "the authority is not known: {}", ran.output);
    let why = front.failure(1);
    assert!(why.starts_with("TLS: "), "{why}");
}

/// What curl sees and the sink keeps under each flag that the relay's tests may use.
#[test]
fn smtp_sink_flags_do_what_they_say() {
    // Flags; whether curl is content; the end of what the server answered; messages written down.
    let table: &[(&[&str], bool, &str, usize)] = &[
        (&[], true, "250 2.0.0 Ok\r\n221 Bye\r\n", 1),
        // -q: closes without a reply.
        (&["-q", "CONNECT"], false, "", 0),
        (&["-q", "EHLO"], false, "220 smtp-sink ESMTP\r\n", 0),
        (&["-q", "MAIL"], false, "250 \r\n", 0),
        (&["-q", "RCPT"], false, "250 2.1.0 Ok\r\n", 0),
        (&["-q", "DATA"], false, "250 2.1.5 Ok\r\n", 0),
        (&["-q", "."], false, "354 End data with <CR><LF>.<CR><LF>\r\n", 1),
        (&["-q", "QUIT"], true, "250 2.0.0 Ok\r\n", 1),
        // -Q: 421, then closes.
        (&["-Q", "CONNECT"], false, "421 4.0.0 Server closing connection\r\n", 0),
        (&["-Q", "MAIL"], false, "421 4.0.0 Server closing connection\r\n", 0),
        (&["-Q", "."], false, "421 4.0.0 Server closing connection\r\n", 1),
        (&["-Q", "QUIT"], true, "421 4.0.0 Server closing connection\r\n", 1),
        // -r and -f: 4xx and 5xx, and the session goes on.
        (&["-r", "CONNECT"], false, "450 4.3.0 Error: command failed\r\n", 0),
        (&["-r", "RCPT"], false, "450 4.3.0 Error: command failed\r\n221 Bye\r\n", 0),
        (&["-r", "."], false, "450 4.3.0 Error: command failed\r\n221 Bye\r\n", 1),
        (&["-f", "MAIL"], false, "500 5.3.0 Error: command failed\r\n221 Bye\r\n", 0),
        (&["-f", ".", "-B", "550 5.7.1 spam"], false, "550 5.7.1 spam\r\n221 Bye\r\n", 1),
        (&["-f", "EHLO"], true, "221 Bye\r\n", 1),
        (&["-r", "MAIL", "-b", "451 4.7.1 slow"], false, "451 4.7.1 slow\r\n221 Bye\r\n", 0),
        // -A: 354, then 550 before the client has finished.
        (&["-A", "0"], false, "550 This violates SMTP\r\n", 0),
        (&["-n", "1"], true, "221 Bye\r\n", 1),
    ];
    for (flags, content, end, count) in table {
        let sink = need!(SmtpSink::start(flags));
        let front = Front::plain(sink.port());
        let ran = need!(clients::curl(
            &Target::plain(front.port()),
            &Letter::new(BOX, &["a@else.test"], "A: b\r\n\r\nc\r\n"),
            &[]
        ));
        assert_eq!(ran.ok(), *content, "{flags:?}: {}", ran.output);
        let answered = String::from_utf8(front.connections()[0].answered.clone()).unwrap();
        assert!(answered.ends_with(end) && (!end.is_empty() || answered.is_empty()), "{flags:?}: {answered}");
        assert_eq!(sink.dumps().len(), *count, "{flags:?}");
    }
}

/// What smtp-sink announces, and what each flag takes away.
#[test]
fn smtp_sink_announces_less_with_flags() {
    let table =
        [("-8", "8BITMIME"), ("-a", "AUTH"), ("-p", "PIPELINING"), ("-E", "ENHANCED"), ("-N", "DSN"), ("-e", "ESMTP")];
    let greeting = |flags: &[&str]| {
        let sink = SmtpSink::start(flags)?;
        let front = Front::plain(sink.port());
        clients::curl(&Target::plain(front.port()), &Letter::new(BOX, &["a@else.test"], "A: b\r\n\r\nc\r\n"), &[])?;
        Ok::<_, Missing>(String::from_utf8(front.connections()[0].answered.clone()).unwrap())
    };
    let full = need!(greeting(&[]));
    assert!(!full.contains("SIZE"), "{full}");
    for (flag, word) in table {
        let less = need!(greeting(&[flag]));
        assert!(full.contains(word) && !less.contains(word), "{flag}: {less}");
    }
    let cisco = need!(greeting(&["-P"]));
    assert!(cisco.starts_with("220 ********\r\n500 "), "{cisco}");
}

#[test]
fn smtp_sink_delays() {
    for flags in [&["-w", "1"][..], &["-W", "RCPT:1"], &["-W", ".:1"], &["-H", "1", "-T", "1024"]] {
        let sink = need!(SmtpSink::start(flags));
        let begin = Instant::now();
        let letter = Letter::new(BOX, &["a@else.test"], "A: b\r\n\r\nc\r\n");
        assert!(need!(clients::curl(&Target::plain(sink.port()), &letter, &[])).ok());
        assert!(begin.elapsed() >= Duration::from_millis(900), "{flags:?}: {:?}", begin.elapsed());
    }
}

/// smtp-sink knows no passwords: it says 250 to AUTH, which is no success reply (RFC 4954 section 4); a front makes a
/// provider of it.
#[test]
fn smtp_sink_and_auth() {
    let sink = need!(SmtpSink::start(&[]));
    let ca = TestCa::new();
    let identity = ca.issue(ca::NAMES);
    let letter = Letter::new(BOX, &["a@else.test"], message("with a log-in"));
    let bare = Front::tls(&identity, sink.port(), Ending::Orderly);
    let target = Target::secure(bare.port(), Tls::Implicit, ca.file(), BOX, "code");
    assert!(!need!(clients::swaks(&target, &letter, &["--auth", "PLAIN"])).ok());
    let answered = String::from_utf8(bare.connections()[0].answered.clone()).unwrap();
    assert!(
        answered.contains("250-AUTH PLAIN LOGIN\r\n") && answered.contains("250 \r\n250 2.0.0 Ok\r\n"),
        "{answered}"
    );

    let provider = Front::provider(&identity, sink.port());
    let target = Target { port: provider.port(), ..target };
    let runs = [
        need!(clients::swaks(&target, &letter, &[])),
        need!(clients::curl(&target, &letter, &["--sasl-ir"])),
        need!(clients::msmtp(&target, &letter, &[])),
        need!(clients::smtplib(&target, &letter)),
    ];
    for (ran, tapped) in runs.iter().zip(provider.connections()) {
        assert!(ran.ok(), "{}", ran.output);
        let answered = String::from_utf8(tapped.answered).unwrap();
        assert_eq!(answered.matches("235 2.7.0").count(), 1, "{answered}");
    }
    assert_eq!(sink.wait_dumps(runs.len()).len(), runs.len());

    let refusing = need!(SmtpSink::start(&["-f", "AUTH", "-B", "535 5.7.8 Login fail"]));
    let provider = Front::provider(&identity, refusing.port());
    let ran = need!(clients::swaks(&Target { port: provider.port(), ..target }, &letter, &[]));
    assert!(!ran.ok() && ran.output.contains("535 5.7.8 Login fail"), "{}", ran.output);
}

#[test]
fn a_front_can_cut_tls_without_a_goodbye() {
    for (ending, polite) in [(Ending::Orderly, true), (Ending::Cut, false)] {
        let sink = need!(SmtpSink::start(&["-q", "DATA"]));
        let ca = TestCa::new();
        let front = Front::tls(&ca.issue(ca::NAMES), sink.port(), ending);
        let mut target = Target::secure(front.port(), Tls::Implicit, ca.file(), "", "");
        target.login = None;
        let ran = need!(clients::curl(&target, &Letter::new(BOX, &["a@else.test"], "A: b\r\n\r\nc\r\n"), &[]));
        assert!(!ran.ok());
        assert_eq!(ran.output.contains("close notify"), polite, "{}", ran.output);
    }
}

/// The guard of a server outlives the test program, whatever kills that. The inner run holds a server, the outer
/// kills it.
#[test]
fn a_killed_test_leaves_nothing() {
    const HOLD: &str = "YIZHAN_TEST_HOLD";
    let sink = need!(SmtpSink::start(&[]));
    if let Some(file) = std::env::var_os(HOLD) {
        std::fs::write(&file, format!("{}\n{}\n", sink.port(), sink.folder().display())).unwrap();
        loop {
            std::thread::park();
        }
    }
    let note = sink.folder().join("note");
    let mut inner = Command::new(std::env::current_exe().unwrap());
    inner.args(["--exact", "harness::a_killed_test_leaves_nothing"]).env(HOLD, &note).stdout(Stdio::null());
    let mut inner = inner.spawn().unwrap();
    let limit = Duration::from_secs(20);
    let lines = poll(limit, || std::fs::read_to_string(&note).ok().filter(|text| text.lines().count() == 2)).unwrap();
    let (port, folder) = lines.trim_end().split_once('\n').unwrap();
    let port = port.parse().unwrap();
    assert!(is_listening(port) && Path::new(folder).is_dir());
    inner.kill().unwrap();
    inner.wait().unwrap();
    poll(limit, || (!is_listening(port) && !Path::new(folder).exists()).then_some(())).expect("the guard cleans up");
}
