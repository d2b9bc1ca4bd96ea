//! What the log has of mail that does not come in: one line a refusal, with what a search for the mail needs.
//!
//! The table goes through the replies from 400 on that the listener gives. Each case has an address of its own, so that
//! its lines are told apart and none is held back. Invariant of every case: as many are counted as are logged.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::support::ca::{NAMES, TestCa};
use crate::support::door::{Door, Plan, an_hour, client};
use crate::support::entrance::{self, Entrance, Line};
use crate::support::facts::{Fact, Facts};
use crate::support::office::{Device, until};
use yizhan::intake::Client;
use yizhan::limits::capacity::Levels;
use yizhan::queue::Queue as _;
use yizhan::smtp::server::{AuthMode, Profile};
use yizhan::telemetry::counter::REFUSED;

const NONE: &[&str] = &[];
const TWO: &str = "MAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\n";
const OPEN: &str = "MAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\n";

/// What is said, the codes of all replies, how the client leaves, and the lines: fields as the log has them.
struct Case {
    name: &'static str,
    says: String,
    codes: &'static str,
    leaves: Leaves,
    lines: &'static [&'static str],
}

#[derive(Clone, Copy)]
enum Leaves {
    /// With QUIT, where the relay has not closed already.
    Politely,
    Half,
    Reset,
    /// The relay closes.
    Not,
}

fn case(name: &'static str, says: impl Into<String>, codes: &'static str, lines: &'static [&'static str]) -> Case {
    Case { name, says: says.into(), codes, leaves: Leaves::Politely, lines }
}

impl Case {
    fn leaving(self, leaves: Leaves) -> Case {
        Case { leaves, ..self }
    }
}

/// The fields that a case names, in this order. `size` of received octets is shown as it is.
fn shown(fact: &Fact) -> String {
    let mut words = Vec::new();
    for name in ["event", "reason", "sender", "recipient", "size", "reply", "why"] {
        if let Some(value) = fact.get(name) {
            let value = if name == "reply" { value.get(..3).unwrap_or(value) } else { value };
            words.push(if name == "event" { value.to_owned() } else { format!("{name}={value}") });
        }
    }
    words.join(" ")
}

fn lines(facts: &Facts, addr: &str) -> Vec<Fact> {
    facts.with(&["refused", "discarded"], "addr", addr)
}

/// Says it all, reads all replies, and leaves.
async fn play(device: &mut Device, case: &Case) {
    device.write(case.says.as_bytes()).await;
    for code in case.codes.split_ascii_whitespace() {
        let reply = device.reply().await.unwrap_or_else(|| panic!("{}: closed instead of {code}", case.name));
        assert!(reply.starts_with(code), "{}: {reply} instead of {code}", case.name);
    }
}

/// Plays each case at an address of its own and compares its lines. The counters have as many.
async fn check(door: &Door, net: u8, first: u8, cases: Vec<Case>) {
    let facts = Facts::listen();
    let (mut logged, mut wrong) = (BTreeMap::<String, u64>::new(), Vec::new());
    let mut addresses = first..;
    for case in cases {
        let from = [127, 0, net, addresses.next().unwrap()];
        let addr = std::net::IpAddr::from(from).to_string();
        let mut device = Device::dial_from(from.into(), door.addr).await;
        if case.name != "early talker" {
            device.expect("220").await;
        }
        play(&mut device, &case).await;
        match case.leaves {
            Leaves::Politely => drop(device.ask("QUIT", "221").await),
            Leaves::Half => device.close_half().await,
            Leaves::Reset | Leaves::Not => {}
        }
        match case.leaves {
            Leaves::Reset => device.reset(),
            Leaves::Politely | Leaves::Half | Leaves::Not => {
                assert_eq!(device.reply().await, None, "{}", case.name);
                drop(device);
            }
        }
        until("the end of the connection", async || (door.capacity.connections() == 0).then_some(())).await;
        let found = lines(&facts, &addr);
        let shown: Vec<String> = found.iter().map(shown).collect();
        if shown != case.lines {
            wrong.push(format!("{}: {shown:#?} instead of {:#?}", case.name, case.lines));
        }
        for fact in found {
            assert_eq!((&*fact["listener"], &*fact["client"]), ("door", name_of(net, &addr)), "{}", case.name);
            *logged.entry(fact["reason"].clone()).or_default() += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for (reason, count) in &logged {
        assert_eq!(door.refused(reason), *count, "{reason}");
    }
    assert_eq!(door.counters.sum(REFUSED, &[]), logged.values().sum::<u64>());
}

fn name_of(net: u8, addr: &str) -> &str {
    if net == STRICT { "strict" } else { addr }
}

const TOLERANT: u8 = 77;
const STRICT: u8 = 78;

fn small(plan: &mut Plan) {
    plan.listener.auth = AuthMode::Off;
    (plan.limits.message_size, plan.limits.recipients) = (1000, 2);
    plan.clients = vec![Client { profile: Some(Profile::Strict), ..client("strict", &["127.0.78.0/24"], &[], &[]) }];
}

#[tokio::test]
async fn each_refusal_of_a_mail_is_one_line() {
    let large = "0123456789abcdef\r\n".repeat(100);
    let door = Door::open("refusals", small);
    let cases = vec![
        case("size at MAIL", "MAIL FROM:<a@b.c> SIZE=1001\r\nRCPT TO:<d@e.f>\r\nDATA\r\n", "552 503 503", &[
            "refused reason=message_size sender=a@b.c size=1001 reply=552",
        ]),
        case("size of the null sender", "MAIL FROM:<> SIZE=1001\r\n", "552", &[
            "refused reason=message_size sender=<> size=1001 reply=552",
        ]),
        case("size while receiving", format!("{OPEN}{large}.\r\n"), "250 250 354 552", &[
            "refused reason=message_size sender=a@b.c size=1800 reply=552",
        ]),
        case("too many recipients", format!("{TWO}RCPT TO:<g@e.f>\r\nRCPT TO:<h@e.f>\r\nDATA\r\n.\r\n"),
            "250 250 250 452 354 250", &[
            "refused reason=recipients sender=a@b.c recipient=h@e.f reply=452 why=the mail goes on without this recipient",
        ]),
        case("all recipients refused", "MAIL FROM:<a@b.c> SIZE=7\r\nRCPT TO:<printer>\r\nDATA\r\n", "250 553 554", &[
            "refused reason=recipient sender=a@b.c recipient=printer size=7 reply=553",
            "refused reason=no_recipients sender=a@b.c size=7 reply=554",
        ]),
        case("a literal", "MAIL FROM:<>\r\nRCPT TO:<a@[10.0.0.1]>\r\n", "250 553", &[
            "refused reason=recipient sender=<> recipient=a@[10.0.0.1] reply=553",
        ]),
        case("AUTH while it is off", "AUTH PLAIN AHVzZXIAc2VjcmV0\r\nAUTH LOGIN\r\n", "502 502", &[
            "refused reason=auth_off reply=502",
            "refused reason=auth_off reply=502",
        ]),
        case("a malformed sender", "MAIL FROM:<a@b..c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\n", "553 503 503", &[
            "refused reason=syntax reply=553 why=bad command: the sender: the address is not a legal mailbox",
        ]),
        case("no sender at all", "MAIL\r\n", "501", &[
            "refused reason=syntax reply=501 why=bad command: the argument is missing or malformed",
        ]),
        case("a malformed recipient", "MAIL FROM:<a@b.c>\r\nRCPT TO:<d e@f>\r\nRCPT TO:d\u{e9}@f\r\n", "250 553 553", &[
            "refused reason=syntax sender=a@b.c recipient=<d e@f> reply=553 why=bad command: the recipient: the address is not a legal mailbox",
            "refused reason=syntax sender=a@b.c recipient=d\\xc3\\xa9@f reply=553 why=bad command: the recipient: the address has characters that are not ASCII",
        ]),
        case("a NUL in a recipient", "MAIL FROM:<a@b.c>\r\nRCPT TO:<d@e\0.f>\r\nNO\0OP\r\n", "250 501 501", &[
            "refused reason=syntax sender=a@b.c recipient=<d@e\\x00.f> reply=501 why=bad command: the line has a CR or a NUL in it",
        ]),
        case("an argument of DATA", format!("{TWO}DATA now\r\n"), "250 250 501", &[
            "refused reason=syntax sender=a@b.c reply=501 why=bad command: the argument is missing or malformed",
        ]),
        case("no MAIL", "RCPT TO:<d@e.f>\r\nDATA\r\n", "503 503", &[
            "refused reason=sequence recipient=d@e.f reply=503",
            "refused reason=sequence reply=503",
        ]),
        case("MAIL in a transaction", format!("{TWO}MAIL FROM:<g@b.c>\r\n"), "250 250 503", &[
            "refused reason=sequence sender=g@b.c reply=503",
        ]),
        case("a long line", format!("{TWO}RCPT TO:<{}>\r\n", "x".repeat(3000)), "250 250 500", &[
            "refused reason=line_too_long sender=a@b.c reply=500",
        ]),
        case("a flood", "x".repeat(70_000), "421", &["refused reason=line_too_long reply=421"]).leaving(Leaves::Not),
        case("BDAT", format!("{TWO}BDAT 4 LAST\r\nabcd"), "250 250 502", &[
            "refused reason=bdat sender=a@b.c reply=502 why=BDAT was not announced",
        ]),
        case("a large BDAT", "BDAT 4000\r\n", "502", &[
            "refused reason=bdat size=4000 reply=502 why=BDAT was not announced",
        ]).leaving(Leaves::Not),
        case("STARTTLS", "STARTTLS\r\n", "502", &["refused reason=starttls reply=502"]),
        case("a message without commands", "Subject: x\r\n", "421", &[
            "refused reason=not_smtp reply=421 why=a header line came instead of a command, closing",
        ]).leaving(Leaves::Not),
        case("dots that are not doubled", format!("{OPEN}one\r\n.\r\ntwo lines\r\n"), "250 250 354 250 554", &[
            "refused reason=not_dot_stuffed reply=554 why=client does not dot-stuff: text came behind the end of the message, closing",
        ]).leaving(Leaves::Not),
        case("errors in a transaction", format!("{TWO}{}", "FOO\r\n".repeat(20)),
            "250 250 500 500 500 500 500 500 500 500 500 500 500 500 500 500 500 500 500 500 500 500 421", &[
            "refused reason=too_many_errors sender=a@b.c reply=421 why=too many errors or idle commands, closing",
        ]).leaving(Leaves::Not),
        case("errors outside", "FOO\r\n".repeat(20),
            "500 500 500 500 500 500 500 500 500 500 500 500 500 500 500 500 500 500 500 500 421", NONE)
            .leaving(Leaves::Not),
        case("no mail at all", "FOO\r\nEXPN x\r\nVRFY x\r\nNOOP\r\nRSET\r\nHELP\r\n", "500 502 252 250 250 214", NONE),
        case("a browser", "GET / HTTP/1.1\r\n", "421", NONE).leaving(Leaves::Not),
        case("a message cut by a half close", format!("{OPEN}12345\r\n"), "250 250 354", &[
            "discarded reason=disconnected sender=a@b.c size=7",
        ]).leaving(Leaves::Half),
        case("a message cut before it begins", OPEN, "250 250 354", &[
            "discarded reason=disconnected sender=a@b.c size=0",
        ]).leaving(Leaves::Half),
        case("a message that is too large and cut", format!("{OPEN}{large}"), "250 250 354", &[
            "discarded reason=message_size sender=a@b.c size=1800",
        ]).leaving(Leaves::Half),
        case("a client that leaves before DATA", TWO, "250 250", NONE).leaving(Leaves::Half),
        case("a client that goes away", OPEN, "250 250 354", &["discarded reason=disconnected sender=a@b.c size=0"])
            .leaving(Leaves::Reset),
    ];
    check(&door, TOLERANT, 1, cases).await;
}

#[tokio::test]
async fn each_refusal_of_a_strict_profile_is_one_line() {
    let door = Door::open("strict_refusals", small);
    let cases = vec![
        case("early talker", "EHLO x\r\n", "554", &[
            "refused reason=early_talker reply=554 why=the client speaks before it is greeted, closing: if it cannot wait, give its network the tolerant profile",
        ]).leaving(Leaves::Not),
        case("MAIL before EHLO", "MAIL FROM:<a@b.c> SIZE=9\r\n", "503", &[
            "refused reason=sequence sender=a@b.c size=9 reply=503",
        ]),
        case("a parameter", "EHLO x\r\nMAIL FROM:<a@b.c> X=Y\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f> X=Y\r\n",
            "250 555 250 555", &[
            "refused reason=parameter sender=a@b.c reply=555",
            "refused reason=parameter sender=a@b.c recipient=d@e.f reply=555",
        ]),
        case("a bare LF", "EHLO x\n", "500", &["refused reason=bare_newline reply=500"]),
        case("a message behind DATA", format!("EHLO x\r\n{OPEN}x"), "250 250 250 554", &[
            "refused reason=early_talker sender=a@b.c reply=554",
        ]).leaving(Leaves::Not),
    ];
    check(&door, STRICT, 1, cases).await;
    let facts = Facts::listen();
    let mut device = door.device([127, 0, STRICT, 100]).await;
    for (command, code) in [("MAIL FROM:<a@b.c>", "250"), ("RCPT TO:<d@e.f>", "250"), ("DATA", "354")] {
        device.ask(command, code).await;
    }
    device.ask("a\nb\r\n.", "550 5.5.2").await;
    let found = lines(&facts, "127.0.78.100");
    let bare = "refused reason=bare_newline sender=a@b.c size=5 reply=550";
    assert_eq!(found.iter().map(shown).collect::<Vec<_>>(), [bare]);
}

#[tokio::test]
async fn each_refused_log_in_is_one_line() {
    let any = Door::open("any_refusals", |plan| plan.listener.auth = AuthMode::AcceptAny);
    let cases = vec![
        case("an unknown mechanism", "AUTH NTLM TlRMTQ==\r\n", "504", &["refused reason=auth_mechanism reply=504"]),
        case(
            "a malformed response",
            "AUTH PLAIN !\r\nAUTH PLAIN a b\r\n",
            "501 501",
            &[
                "refused reason=auth_malformed reply=501",
                "refused reason=auth_malformed reply=501 why=bad command: the argument is missing or malformed",
            ],
        ),
        case(
            "a second log-in",
            "AUTH PLAIN AHVzZXIAc2VjcmV0\r\nAUTH LOGIN\r\n",
            "235 503",
            &["refused reason=sequence reply=503"],
        ),
        case(
            "AUTH in a transaction",
            "MAIL FROM:<a@b.c>\r\nAUTH LOGIN\r\n",
            "250 503",
            &["refused reason=sequence sender=a@b.c reply=503"],
        ),
        case("given up by the client", "AUTH LOGIN\r\n*\r\n", "334 501", NONE),
    ];
    check(&any, 79, 1, cases).await;
    let verify = Door::open("verify_refusals", |plan| {
        plan.listener.auth = AuthMode::Verify;
        plan.listener.allow = vec!["10.0.0.0/8".parse().unwrap()];
    });
    let cases = vec![
        case(
            "no log-in",
            "MAIL FROM:<a@b.c> SIZE=4\r\nRCPT TO:<d@e.f>\r\nDATA\r\n",
            "530 503 503",
            &["refused reason=auth_required sender=a@b.c size=4 reply=530"],
        ),
        case(
            "a user in the wrong place",
            "AUTH PLAIN dXNlcgAAc2VjcmV0\r\n",
            "535",
            &["refused reason=login reply=535"],
        ),
    ];
    check(&verify, 79, 11, cases).await;
    let facts = Facts::listen();
    let tls = Some((TestCa::new().issue(NAMES), false));
    let secure =
        Entrance::open("secure_refusals", entrance::Plan { tls, auth: AuthMode::Verify, ..entrance::Plan::abroad() });
    let mut line = Line::dial_from([127, 0, 79, 21].into(), secure.addr).await;
    line.expect("220").await;
    line.ask("AUTH PLAIN AHVzZXIAc2VjcmV0", "538").await;
    let found = lines(&facts, "127.0.79.21");
    assert_eq!(found.iter().map(shown).collect::<Vec<_>>(), ["refused reason=auth_needs_tls reply=538"]);
    // The name and the password are in no field.
    for net in ["127.0.79.2", "127.0.79.3", "127.0.79.12", "127.0.79.21"] {
        for fact in facts.with(&["refused", "noted"], "addr", net) {
            assert!(!fact.values().any(|text| text.contains("AHV") || text.contains("dXN")), "{fact:?}");
        }
    }
}

#[tokio::test]
async fn a_limit_that_is_spent_is_one_line_with_the_mail() {
    let spend = |name: &str, change: fn(&mut Plan)| Door::open(name, change);
    let messages = spend("spent_messages", |plan| plan.limits.messages_per_client = an_hour(1));
    let cases = vec![case(
        "messages",
        "MAIL FROM:<a@b.c>\r\nRSET\r\nMAIL FROM:<g@b.c> SIZE=5\r\nRCPT TO:<d@e.f>\r\n",
        "250 250 450 503",
        &["refused reason=messages_per_client sender=g@b.c size=5 reply=450"],
    )];
    check(&messages, 80, 1, cases).await;
    let recipients = spend("spent_recipients", |plan| plan.limits.recipients_per_client = an_hour(1));
    let cases = vec![case(
        "recipients",
        format!("{TWO}RCPT TO:<g@e.f>\r\n"),
        "250 250 450",
        &["refused reason=recipients_per_client sender=a@b.c recipient=g@e.f reply=450"],
    )];
    check(&recipients, 80, 2, cases).await;
    let connection = spend("spent_connection", |plan| plan.limits.messages_per_connection = 1);
    let cases = vec![
        case(
            "messages of a connection",
            format!("{OPEN}x\r\n.\r\nMAIL FROM:<g@b.c>\r\n"),
            "250 250 354 250 421",
            &["refused reason=messages_per_connection sender=g@b.c reply=421"],
        )
        .leaving(Leaves::Not),
    ];
    check(&connection, 80, 3, cases).await;
    let full = spend("spent_disk", |plan| plan.limits.disk_free = 1000);
    full.capacity.set_levels(Levels { queue_bytes: 0, disk_free: 999, inodes_free: u64::MAX });
    let facts = Facts::listen();
    let mut refused = Device::dial_from([127, 0, 80, 4].into(), full.addr).await;
    refused.expect("421 4.3.1").await;
    let strangers = spend("spent_network", |plan| plan.listener.allow = vec!["10.0.0.0/8".parse().unwrap()]);
    let mut refused = Device::dial_from([127, 0, 80, 5].into(), strangers.addr).await;
    refused.expect("554 5.7.1").await;
    for (addr, line) in
        [("127.0.80.4", "refused reason=disk_free reply=421"), ("127.0.80.5", "refused reason=network reply=554")]
    {
        assert_eq!(lines(&facts, addr).iter().map(shown).collect::<Vec<_>>(), [line]);
    }
}

#[tokio::test]
async fn a_message_that_is_refused_at_its_end_is_one_line() {
    let door = Door::open("at_the_end", |_| {});
    let hop = "Received: from a by b; Sat, 21 Nov 2026 18:00:00 +0800\r\n";
    let cases = vec![
        case(
            "a loop",
            format!("{OPEN}{}\r\n.\r\n", hop.repeat(51)),
            "250 250 354 554",
            &["refused reason=loop sender=a@b.c size=2858 reply=554"],
        ),
        case(
            "a header of too many fields",
            format!("{OPEN}{}\r\n.\r\n", "X: y\r\n".repeat(20_000)),
            "250 250 354 554",
            &["refused reason=header_fields sender=a@b.c size=120002 reply=554"],
        ),
    ];
    check(&door, 81, 11, cases).await;
}

#[tokio::test]
async fn a_message_that_cannot_be_stored_is_one_line() {
    let door = Door::open("not_stored", |_| {});
    door.queue.close().await.unwrap();
    let cases = vec![case(
        "no queue",
        format!("{OPEN}12345\r\n.\r\nNOOP\r\n"),
        "250 250 354 451 250",
        &["refused reason=queue_error sender=a@b.c size=7 reply=451"],
    )];
    check(&door, 81, 1, cases).await;
}

#[tokio::test]
async fn a_client_that_is_late_leaves_a_line_where_a_mail_is_lost() {
    let door = Door::open("late", |plan| {
        plan.listener.deadlines.data = Duration::from_millis(300);
        plan.listener.deadlines.command = Duration::from_millis(300);
    });
    let cases = vec![
        case(
            "in a message",
            format!("{OPEN}12345\r\n"),
            "250 250 354 421",
            &["discarded reason=timeout sender=a@b.c size=7 reply=421"],
        )
        .leaving(Leaves::Not),
        case("before DATA", TWO, "250 250 421", &["discarded reason=timeout sender=a@b.c reply=421"])
            .leaving(Leaves::Not),
        case("between two mails", "NOOP\r\n", "250 421", NONE).leaving(Leaves::Not),
    ];
    check(&door, 82, 1, cases).await;
}

#[tokio::test]
async fn a_stop_leaves_a_line_where_a_mail_is_lost() {
    let (door, facts) = (Door::open("stopped", |_| {}), Facts::listen());
    let mut open = door.device([127, 0, 83, 1]).await;
    open.ask("MAIL FROM:<a@b.c> SIZE=8", "250").await;
    let mut idle = door.device([127, 0, 83, 2]).await;
    door.drain.start();
    open.expect("421 4.3.2").await;
    idle.expect("421 4.3.2").await;
    let lost = "discarded reason=draining sender=a@b.c size=8 reply=421";
    assert_eq!(lines(&facts, "127.0.83.1").iter().map(shown).collect::<Vec<_>>(), [lost]);
    assert_eq!(lines(&facts, "127.0.83.2"), Vec::<Fact>::new());
    assert_eq!(door.refused("draining"), 1);
}
