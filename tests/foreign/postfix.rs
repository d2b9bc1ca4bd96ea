//! The relay sends through Postfix and Dovecot: TLS, log-in and policy as other people wrote them.
//!
//! What arrives is compared octet by octet below the header. Not here: the harness without the relay (`foreign::harness`).

use std::time::Duration;

use crate::support::branch::{Account, Branch, body};
use crate::support::day::Day;
use crate::support::office::{field, until};
use crate::support::postfix::{Delivered, Postfix, PostfixOptions, PostfixTls};
use crate::support::proxy::ForeignProxy;
use crate::support::skip::need;
use mail_parser::{MessageParser, MimeHeaders as _};
use yizhan::account::breaker::BreakerState;
use yizhan::clock::Clock;
use yizhan::mail::Id;
use yizhan::queue::{MessageState, QueueEntry, RecipientOutcome};
use yizhan::telemetry::counter::LOGINS;

const BOX: &str = "box@peer.test";
/// For tests in which the try that failed is repeated by hand, or not at all.
const HOUR: Duration = Duration::from_secs(3600);
/// For tests in which it is repeated by itself.
const SOON: Duration = Duration::from_millis(300);

/// What a scanner of some years ago sends: a subject in raw GBK, dots at line starts, 8-bit text, no Date.
fn scan() -> Vec<u8> {
    let mut mail = b"From: Scanner <scan@copier.lan>\r\nTo: a@else.test\r\nSubject: ".to_vec();
    mail.extend_from_slice(&gbk("扫描件 已完成"));
    mail.extend_from_slice(b"\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n");
    mail.extend_from_slice(b"Content-Transfer-Encoding: 8bit\r\n\r\nfirst\r\n.\r\n..two dots\r\n.x\r\n\r\n");
    mail.extend_from_slice("中文 8-bit\r\n\r\n".as_bytes());
    mail
}

fn gbk(text: &str) -> Vec<u8> {
    encoding_rs::GBK.encode(text).0.into_owned()
}

/// Octets that look like nothing, always the same.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..count).map(step).collect()
}

fn attachment(content: &[u8]) -> Vec<u8> {
    use base64::Engine as _;
    let mut mail = b"From: a@copier.lan\r\nSubject: scan\r\nMIME-Version: 1.0\r\n\
        Content-Type: multipart/mixed; boundary=bound\r\n\r\n--bound\r\nContent-Type: text/plain\r\n\r\nsee below\r\n\
        --bound\r\nContent-Type: application/pdf; name=scan.pdf\r\nContent-Disposition: attachment; \
        filename=scan.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        .to_vec();
    let text = base64::engine::general_purpose::STANDARD.encode(content);
    for line in text.as_bytes().chunks(76) {
        mail.extend_from_slice(line);
        mail.extend_from_slice(b"\r\n");
    }
    mail.extend_from_slice(b"--bound--\r\n");
    mail
}

/// The log-ins that Postfix refused, by its own log.
fn refused_logins(postfix: &Postfix) -> usize {
    postfix.log().matches("authentication failed").count()
}

fn texts(entry: &QueueEntry) -> String {
    entry.recipients.iter().map(|one| format!("{:?}\n", one.outcome)).collect()
}

/// The one mail among those that came for `recipient`.
fn only<'a>(delivered: &'a [Delivered], recipient: &str) -> &'a Delivered {
    let found: Vec<_> = delivered.iter().filter(|mail| mail.recipient == recipient).collect();
    assert_eq!(found.len(), 1, "for {recipient}");
    found[0]
}

/// Three mails over one account: all of them arrive as they were, sent by the log-in.
async fn delivers(tls: PostfixTls, host: &str) {
    let postfix = need!(Postfix::start(PostfixOptions { tls, ..PostfixOptions::default() }));
    let branch = Branch::open("delivers", &Account { host, ..Account::at(&postfix) }, HOUR);
    let sent = scan();
    let id = branch.send(&["a@else.test", "b@else.test"], &sent).await;
    branch.wait_state(id, MessageState::Delivered).await;
    let delivered = postfix.wait_delivered(2);
    for recipient in ["a@else.test", "b@else.test"] {
        let mail = only(&delivered, recipient);
        assert_eq!(mail.sender, BOX, "or reject_sender_login_mismatch would have refused it");
        assert!(mail.received.contains("ESMTPSA"), "TLS and log-in: {}", mail.received);
        assert_eq!(body(&mail.message), body(&sent), "{}", mail.message.escape_ascii());
        let parsed = MessageParser::default().parse(&mail.message).expect("it is a mail");
        assert_eq!(parsed.subject(), Some("扫描件 已完成"));
        assert!(field(&mail.message, "Subject").is_some_and(|subject| subject.is_ascii()));
        assert_eq!(field(&mail.message, "Message-ID"), Some(format!("<{id}@peer.test>")));
        assert!(field(&mail.message, "Date").is_some());
    }

    let content = noise(5 << 20);
    let large = branch.send(&["c@else.test"], &attachment(&content)).await;
    branch.wait_state(large, MessageState::Delivered).await;
    let delivered = postfix.wait_delivered(3);
    let parsed = MessageParser::default().parse(&only(&delivered, "c@else.test").message).expect("it is a mail");
    let part = parsed.attachments().next().expect("it has an attachment");
    assert_eq!(part.attachment_name(), Some("scan.pdf"));
    assert!(part.contents() == content, "the attachment is another one");
    assert_eq!(branch.relay.counters().sum(LOGINS, &[]), 1, "one log-in for all of it");
    assert_eq!(refused_logins(&postfix), 0);
    assert_eq!(postfix.delivered().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn postfix_implicit_tls() {
    delivers(PostfixTls::Implicit465, "localhost").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postfix_starttls() {
    delivers(PostfixTls::Starttls587, "127.0.0.1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_refused_recipient_of_three() {
    let postfix = need!(Postfix::start(PostfixOptions::default()));
    let branch = Branch::open("refused", &Account::at(&postfix), HOUR);
    let id = branch.send(&["a@else.test", "refused@else.test", "b@else.test"], &scan()).await;
    let entry = branch.wait_state(id, MessageState::Failed).await;
    let delivered: Vec<bool> =
        entry.recipients.iter().map(|r| matches!(r.outcome, RecipientOutcome::Delivered { .. })).collect();
    assert_eq!(delivered, [true, false, true]);
    let delivered = postfix.wait_delivered(3);
    for recipient in ["a@else.test", "b@else.test"] {
        assert_eq!(body(&only(&delivered, recipient).message), body(&scan()));
    }
    // The owner is told once, in the provider's words.
    let notice = only(&delivered, BOX);
    let text = String::from_utf8_lossy(&notice.message);
    for part in ["multipart/report", "refused@else.test", "5.1.1", "No such user here", "Action: failed"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let notices: Vec<QueueEntry> = branch.list().await.into_iter().filter(|entry| entry.notice).collect();
    assert_eq!(notices.len(), 1);
    branch.wait_state(notices[0].id, MessageState::Delivered).await;
    assert_eq!(postfix.delivered().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn greylisted_then_taken() {
    let mut postfix = need!(Postfix::start(PostfixOptions::default()));
    let branch = Branch::open("later", &Account::at(&postfix), HOUR);
    let id = branch.send(&["later@else.test", "a@else.test"], &scan()).await;
    let entry = branch.wait_state(id, MessageState::Deferred).await;
    assert_eq!((entry.tries, entry.uncertain), (1, 0));
    assert!(texts(&entry).contains("451 4.7.1"), "{}", texts(&entry));
    assert_eq!(postfix.wait_delivered(1)[0].recipient, "a@else.test", "the other does not wait");
    branch.again(id).await;
    let entry =
        branch.wait(id, "a second try", |entry| entry.tries == 2 && entry.state == MessageState::Deferred).await;
    assert!(matches!(entry.recipients[1].outcome, RecipientOutcome::Delivered { .. }));
    postfix.resume_with("smtpd_recipient_restrictions", "permit");
    until("delivery", async || {
        if branch.entry(id).await.state == MessageState::Deferred {
            branch.again(id).await;
        }
        (branch.entry(id).await.state == MessageState::Delivered).then_some(())
    })
    .await;
    let delivered = postfix.wait_delivered(2);
    assert_eq!(only(&delivered, "later@else.test").sender, BOX);
    assert_eq!(delivered.len(), 2, "and nobody has it twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_code_waits_and_bounces_nothing() {
    let postfix = need!(Postfix::start(PostfixOptions::default()));
    postfix.set_password("another-code");
    let branch = Branch::open("revoked", &Account::at(&postfix), SOON);
    let mut ids: Vec<Id> = Vec::new();
    for _ in 0..4 {
        ids.push(branch.send(&["a@else.test"], &scan()).await);
    }
    for &id in &ids {
        let entry = branch.wait_state(id, MessageState::Waiting).await;
        assert_eq!((entry.tries, entry.notice), (0, false), "waiting is not failing");
    }
    assert_eq!(branch.relay.counters().sum(LOGINS, &[("outcome", "refused")]), 1);
    assert_eq!(refused_logins(&postfix), 1, "one log-in and no more, by Postfix's own log:\n{}", postfix.log());
    assert!(postfix.delivered().is_empty() && branch.list().await.len() == 4, "no notice either");
    branch.set_code("another-code");
    for &id in &ids {
        branch.wait_state(id, MessageState::Delivered).await;
    }
    assert_eq!(postfix.wait_delivered(4).len(), 4);
    assert_eq!(refused_logins(&postfix), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_delays_and_duplicates_nothing() {
    let mut postfix = need!(Postfix::start(PostfixOptions::default()));
    let branch = Branch::open("outage", &Account::at(&postfix), SOON);
    // A connection that is kept open dies with the server.
    let before = branch.send(&["before@else.test"], &scan()).await;
    branch.wait_state(before, MessageState::Delivered).await;
    // Stopped between its delivery and the end of its queue file, Postfix would deliver it again.
    until("Postfix to be done with it", async || postfix.log().contains(": removed").then_some(())).await;
    postfix.pause();
    let ids = [branch.send(&["a@else.test"], &scan()).await, branch.send(&["b@else.test"], &scan()).await];
    let tried = branch.wait(ids[0], "a try", |entry| entry.state == MessageState::Deferred && entry.tries >= 1).await;
    assert_eq!(tried.uncertain, 0, "{}", texts(&tried));
    postfix.resume();
    for id in ids {
        branch.wait_state(id, MessageState::Delivered).await;
    }
    let delivered = postfix.wait_delivered(3);
    for recipient in ["before@else.test", "a@else.test", "b@else.test"] {
        only(&delivered, recipient);
    }
    assert_eq!(branch.list().await.len(), 3, "no notice was written");
}

/// The relay trusts nobody who cannot prove the name: nothing secret is said, and the mail is kept.
async fn not_trusted(postfix: &Postfix, word: &str) {
    let branch = Branch::open("certificate", &Account::at(postfix), HOUR);
    let id = branch.send(&["a@else.test"], &scan()).await;
    let entry = branch.wait_state(id, MessageState::Deferred).await;
    assert_eq!(entry.tries, 1);
    assert!(texts(&entry).to_lowercase().contains(word), "{}", texts(&entry));
    assert_eq!(branch.relay.counters().sum(LOGINS, &[]), 0, "the log-in was not tried");
    assert!(!postfix.log().contains("sasl_") && refused_logins(postfix) == 0, "{}", postfix.log());
    assert!(postfix.delivered().is_empty() && branch.list().await.len() == 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate() {
    let postfix = need!(Postfix::start(PostfixOptions { expired: true, ..PostfixOptions::default() }));
    not_trusted(&postfix, "expired").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_another_name() {
    for tls in [PostfixTls::Implicit465, PostfixTls::Starttls587] {
        let names = vec!["mail.other.test".to_owned()];
        let postfix = need!(Postfix::start(PostfixOptions { names, tls, ..PostfixOptions::default() }));
        not_trusted(&postfix, "name").await;
    }
}

/// Dovecot says 535 all morning: three log-ins, then nothing until the code is another one.
#[tokio::test]
async fn a_wrong_code_is_tried_three_times_in_a_day() {
    let postfix = need!(Postfix::start(PostfixOptions::default()));
    let (day, account) = (Day::new(), Account { code: "wrong-code", ..Account::at(&postfix) });
    let branch = Branch::with("wrong-code", &account, SOON, day.clock(), "");
    let mut ids = Vec::new();
    // Ten minutes lie between them; 15 and 45 minutes are when the account is tried again.
    for number in 0..7 {
        ids.push(branch.send(&[&format!("{number}@else.test")], &scan()).await);
        day.run_until(day.at(0, 10 * (number + 1))).await;
        let tried = [1, 2, 2, 2, 3, 3, 3][number as usize];
        assert_eq!(refused_logins(&postfix), tried, "after {number}:\n{}", postfix.log());
    }
    assert_eq!(branch.relay.accounts()[0].account.state(day.now()), BreakerState::Paused);
    day.run_until(day.at(2, 0)).await;
    assert_eq!(refused_logins(&postfix), 3);
    for &id in &ids {
        let entry = branch.entry(id).await;
        assert_eq!((entry.state, entry.tries, entry.notice), (MessageState::Waiting, 0, false), "{entry:?}");
    }
    assert!(postfix.delivered().is_empty() && branch.list().await.len() == ids.len(), "nothing bounces");
    branch.set_code(&postfix.options().password);
    day.run_until(day.at(2, 1)).await;
    for &id in &ids {
        assert_eq!(branch.entry(id).await.state, MessageState::Delivered);
    }
    let delivered = postfix.wait_delivered(ids.len());
    for number in 0..7 {
        only(&delivered, &format!("{number}@else.test"));
    }
    assert_eq!(refused_logins(&postfix), 3);
}

/// Postfix counts MAIL commands by the client's address, and says 450 to those that are too many.
#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_delays_and_neither_loses_nor_doubles() {
    let limit = [("smtpd_client_message_rate_limit", "4"), ("anvil_rate_time_unit", "2s")];
    let main_cf = limit.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let postfix = need!(Postfix::start(PostfixOptions { main_cf, ..PostfixOptions::default() }));
    // By its words the reply would rest the account for a quarter of an hour; here Postfix forgives after two seconds.
    let own = "[[reply]]\npattern = 'too much mail'\naction = 'RETRY_SOON'\nscope = 'message'";
    let branch = Branch::with("rate", &Account::at(&postfix), SOON, Clock::system(), own);
    let mut ids = Vec::new();
    for number in 0..12 {
        ids.push(branch.send(&[&format!("{number}@else.test")], &scan()).await);
    }
    let mut deferred = 0;
    for &id in &ids {
        let entry = branch.wait_state(id, MessageState::Delivered).await;
        assert_eq!(entry.uncertain, 0);
        deferred += entry.tries;
    }
    let refused = postfix.log().matches("request rate limit exceeded").count();
    assert!(refused > 0 && deferred > 0, "{refused} {deferred}: the limit was met:\n{}", postfix.log());
    let delivered = postfix.wait_delivered(12);
    for number in 0..12 {
        only(&delivered, &format!("{number}@else.test"));
    }
    assert_eq!((branch.list().await.len(), refused_logins(&postfix)), (12, 0), "no notice");
}

/// Postfix takes two recipients, and says 452 to the others: they go in transactions of two.
#[tokio::test(flavor = "multi_thread")]
async fn too_many_recipients_go_in_parts() {
    let main_cf = vec![("smtpd_recipient_limit".to_owned(), "2".to_owned())];
    let postfix = need!(Postfix::start(PostfixOptions { main_cf, ..PostfixOptions::default() }));
    let branch = Branch::open("parts", &Account::at(&postfix), HOUR);
    let to: Vec<String> = (0..5).map(|number| format!("{number}@else.test")).collect();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    let id = branch.send(&to, &scan()).await;
    let entry = branch.wait_state(id, MessageState::Delivered).await;
    assert_eq!((entry.tries, entry.chunk), (0, Some(2)), "{}", texts(&entry));
    let delivered = postfix.wait_delivered(5);
    for recipient in to {
        only(&delivered, recipient);
    }
    assert_eq!((delivered.len(), branch.list().await.len()), (5, 1));
}

/// The account's `proxy` is the only way its mail takes.
async fn through(proxy: &ForeignProxy, url: &str, postfix: &Postfix) {
    let branch = Branch::with("proxied", &Account::at(postfix), SOON, Clock::system(), &format!("proxy = \"{url}\""));
    let sent = scan();
    for (number, recipient) in [(1, "a@else.test"), (2, "b@else.test")] {
        let id = branch.send(&[recipient], &sent).await;
        branch.wait_state(id, MessageState::Delivered).await;
        let delivered = postfix.wait_delivered(number);
        assert_eq!(body(&only(&delivered, recipient).message), body(&sent));
    }
    assert_eq!(branch.relay.counters().sum(LOGINS, &[]), 1, "one log-in for both");
    let port = postfix.port().to_string();
    until("the proxy to have said whom it served", async || proxy.output().contains(&port).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn through_microsocks() {
    for tls in [PostfixTls::Implicit465, PostfixTls::Starttls587] {
        let postfix = need!(Postfix::start(PostfixOptions { tls, ..PostfixOptions::default() }));
        let proxy = need!(ForeignProxy::microsocks(Some(("me", "hunter2"))));
        through(&proxy, &format!("socks5://me:hunter2@{}", proxy.place()), &postfix).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn through_tinyproxy() {
    for tls in [PostfixTls::Implicit465, PostfixTls::Starttls587] {
        let postfix = need!(Postfix::start(PostfixOptions { tls, ..PostfixOptions::default() }));
        let proxy = need!(ForeignProxy::tinyproxy(Some(("me", "hunter2")), &[postfix.port()]));
        through(&proxy, &format!("http://me:hunter2@{}", proxy.place()), &postfix).await;
    }
}

/// A proxy that lets nobody through to this port: the mail is kept, and nothing goes past the proxy.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_refuses_is_not_gone_around() {
    let postfix = need!(Postfix::start(PostfixOptions::default()));
    let proxy = need!(ForeignProxy::tinyproxy(None, &[1]));
    let more = format!("proxy = \"http://{}\"", proxy.place());
    let branch = Branch::with("refusing", &Account::at(&postfix), HOUR, Clock::system(), &more);
    let id = branch.send(&["a@else.test"], &scan()).await;
    let entry = branch.wait_state(id, MessageState::Deferred).await;
    assert!(texts(&entry).contains("403"), "{}", texts(&entry));
    assert!(!postfix.log().contains("connect from"), "{}", postfix.log());
    assert!(postfix.delivered().is_empty() && branch.list().await.len() == 1);
}
