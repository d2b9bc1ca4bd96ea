//! The relay sends through Postfix and Dovecot: TLS, log-in and policy as other people wrote them.
//!
//! What arrives is compared octet by octet below the header. Not here: the harness without the relay (`third_party`).

mod support;

use std::time::Duration;

use mail_parser::{MessageParser, MimeHeaders as _};
use support::branch::{Account, Branch, body};
use support::office::{field, until};
use support::postfix::{Delivered, Postfix, PostfixOptions, PostfixTls};
use support::skip::need;
use yizhan::mail::Id;
use yizhan::queue::entry::{Entry, Outcome, State};
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

fn texts(entry: &Entry) -> String {
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
    branch.wait_state(id, State::Delivered).await;
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
    branch.wait_state(large, State::Delivered).await;
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
    let entry = branch.wait_state(id, State::Failed).await;
    let delivered: Vec<bool> =
        entry.recipients.iter().map(|r| matches!(r.outcome, Outcome::Delivered { .. })).collect();
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
    let notices: Vec<Entry> = branch.list().await.into_iter().filter(|entry| entry.notice).collect();
    assert_eq!(notices.len(), 1);
    branch.wait_state(notices[0].id, State::Delivered).await;
    assert_eq!(postfix.delivered().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn greylisted_then_taken() {
    let mut postfix = need!(Postfix::start(PostfixOptions::default()));
    let branch = Branch::open("later", &Account::at(&postfix), HOUR);
    let id = branch.send(&["later@else.test", "a@else.test"], &scan()).await;
    let entry = branch.wait_state(id, State::Deferred).await;
    assert_eq!((entry.tries, entry.uncertain), (1, 0));
    assert!(texts(&entry).contains("451 4.7.1"), "{}", texts(&entry));
    assert_eq!(postfix.wait_delivered(1)[0].recipient, "a@else.test", "the other does not wait");
    branch.again(id).await;
    let entry = branch.wait(id, "a second try", |entry| entry.tries == 2 && entry.state == State::Deferred).await;
    assert!(matches!(entry.recipients[1].outcome, Outcome::Delivered { .. }));
    postfix.resume_with("smtpd_recipient_restrictions", "permit");
    until("delivery", async || {
        if branch.entry(id).await.state == State::Deferred {
            branch.again(id).await;
        }
        (branch.entry(id).await.state == State::Delivered).then_some(())
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
        let entry = branch.wait_state(id, State::Waiting).await;
        assert_eq!((entry.tries, entry.notice), (0, false), "waiting is not failing");
    }
    assert_eq!(branch.relay.counters().sum(LOGINS, &[("outcome", "refused")]), 1);
    assert_eq!(refused_logins(&postfix), 1, "one log-in and no more, by Postfix's own log:\n{}", postfix.log());
    assert!(postfix.delivered().is_empty() && branch.list().await.len() == 4, "no notice either");
    branch.set_code("another-code");
    for &id in &ids {
        branch.wait_state(id, State::Delivered).await;
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
    branch.wait_state(before, State::Delivered).await;
    postfix.pause();
    let ids = [branch.send(&["a@else.test"], &scan()).await, branch.send(&["b@else.test"], &scan()).await];
    let tried = branch.wait(ids[0], "a try", |entry| entry.state == State::Deferred && entry.tries >= 1).await;
    assert_eq!(tried.uncertain, 0, "{}", texts(&tried));
    postfix.resume();
    for id in ids {
        branch.wait_state(id, State::Delivered).await;
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
    let entry = branch.wait_state(id, State::Deferred).await;
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
