//! The libraries and programs that applications send their mail with, at our door: with and without a log-in, in the clear and in TLS.
//!
//! Each sends a Chinese subject, lines of dots, a line beyond 998 octets and an attachment of odd octets. What the pretended
//! provider received is compared after decoding, and must be of legal form. Where a client loses something itself, that is what
//! is asserted. Not here: clients that break off (`foreign::faults`), swaks and smtp-source (`foreign::clients`).

use crate::support::apps::{self, App, Parcel};
use crate::support::clients::Target;
use crate::support::office::{Device, USER, field};
use crate::support::offload;
use crate::support::reception::{Reception, illegal};
use crate::support::skip::need;
use mail_parser::{Message, MessageParser, MimeHeaders as _};
use yizhan::sandbox::Received;

const SUBJECT: &str = "月度报表 – 第三季度 已经完成，请查收附件";
const FILE: &[u8] = b"%PDF-1.4\0\x01\x02\xfe\xff\r\n.\r\n..\r\r\n\n.\nend\x1a";

/// A line that is too long for the wire (RFC 5322 section 2.1.1).
fn long() -> String {
    "0123456789".repeat(150)
}

/// Text with everything that goes wrong on the way.
fn text() -> String {
    format!("第一行\n.\n..two dots\n.hidden\n\nFrom here\n{}\nlast\n", long())
}

/// At which door, and how: the word behind `with` in our Received field says what was used (RFC 3848).
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// HELO, and no more.
    Hello,
    /// EHLO, no log-in.
    Plain,
    /// A log-in that is not looked at.
    Any,
    /// A log-in that opens the door.
    Login,
    /// The same in TLS, with our authority and no other.
    Starttls,
}

impl Way {
    fn target(self, reception: &Reception) -> Target {
        match self {
            Way::Hello | Way::Plain => reception.plain(),
            Way::Any => reception.any(),
            Way::Login => reception.login(),
            Way::Starttls => reception.secure(),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Way::Hello => " with SMTP id ",
            Way::Plain => " with ESMTP id ",
            Way::Any | Way::Login => " with ESMTPA id ",
            Way::Starttls => " with ESMTPSA id ",
        }
    }
}

/// What a client leaves of what it was given.
struct Kept {
    text: fn() -> String,
    file: bool,
}

const ALL: Kept = Kept { text, file: true };

/// Sends one parcel each way, and looks at what arrived.
async fn sends(app: App, ways: &[Way], kept: Kept) {
    let reception = Reception::open("app", |_| {}).await;
    for (number, way) in ways.iter().enumerate() {
        let (target, to) = (way.target(&reception), format!("way{number}@else.test"));
        let parcel = Parcel {
            from: "report@erp.lan".to_owned(),
            to,
            subject: SUBJECT.to_owned(),
            text: text(),
            file: FILE.to_owned(),
        };
        let ran = need!(offload(move || app(&target, &parcel)).await);
        assert!(ran.ok(), "{way:?}: {} {}", ran.status, ran.output);
        // However it went away: the next one is answered.
        reception.answers().await;
    }
    let received = reception.exactly(ways.len()).await;
    for (number, way) in ways.iter().enumerate() {
        let mine: Vec<_> = received.iter().filter(|one| one.to == [format!("way{number}@else.test")]).collect();
        let [one] = mine[..] else { panic!("{way:?}: {} messages", mine.len()) };
        let trace = field(&one.data, "Received").expect("the relay leaves a trace");
        assert!(trace.contains(way.word()), "{way:?}: {trace}");
        compare(one, &kept);
    }
}

/// The message is whole: subject, text, attachment, and legal form.
fn compare(one: &Received, kept: &Kept) {
    let shown = String::from_utf8_lossy(&one.data);
    assert_eq!(one.from, USER);
    assert_eq!(illegal(&one.data), None, "{shown}");
    let mail: Message<'_> = MessageParser::default().parse(&one.data[..]).expect("it is a mail");
    assert_eq!(mail.subject(), Some(SUBJECT), "{shown}");
    // Some clients end the text with a line more, and some with a line less.
    let body = mail.body_text(0).expect("there is text").replace("\r\n", "\n");
    assert_eq!(body.trim_end_matches('\n'), (kept.text)().trim_end_matches('\n'), "{shown}");
    let parts: Vec<_> = mail.attachments().map(|part| (part.attachment_name(), part.contents())).collect();
    let wanted = if kept.file { vec![(Some("report.bin"), FILE)] } else { Vec::new() };
    assert_eq!(parts, wanted, "{shown}");
    for name in ["From", "To", "Date", "Message-ID", "MIME-Version"] {
        assert!(field(&one.data, name).is_some(), "{name}: {shown}");
    }
}

const EVERY: &[Way] = &[Way::Plain, Way::Any, Way::Login, Way::Starttls];
const CLEAR: &[Way] = &[Way::Plain, Way::Any, Way::Login];

#[tokio::test(flavor = "multi_thread")]
async fn curl() {
    sends(apps::curl, EVERY, ALL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn msmtp() {
    sends(apps::msmtp, EVERY, ALL).await;
}

/// Its `send_message` marks a line that begins with `From `, as in a mailbox file.
#[tokio::test(flavor = "multi_thread")]
async fn q_024_python_email_and_smtplib() {
    let marked = || text().replace("\nFrom ", "\n>From ");
    sends(apps::python, EVERY, Kept { text: marked, file: true }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn phpmailer() {
    sends(apps::phpmailer, EVERY, ALL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn net_smtp() {
    sends(apps::net_smtp, EVERY, ALL).await;
}

/// Eight-bit letters without a charset, in a part that says `binary`. It ends a line after 990 octets.
#[tokio::test(flavor = "multi_thread")]
async fn q_081_q_105_mime_lite_ends_long_lines() {
    let shorter = || text().replace(&long(), &format!("{}\n{}", &long()[..990], &long()[990..]));
    sends(apps::mime_lite, CLEAR, Kept { text: shorter, file: true }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn q_023_javamail() {
    sends(apps::javamail, EVERY, ALL).await;
}

/// All commands in one write, and gone without QUIT.
#[tokio::test(flavor = "multi_thread")]
async fn q_114_q_116_nodemailer() {
    sends(apps::nodemailer, EVERY, ALL).await;
}

/// Lines with bare LF, dots that are not stuffed, and gone without QUIT.
#[tokio::test(flavor = "multi_thread")]
async fn q_080_emailjs() {
    sends(apps::emailjs, EVERY, ALL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn q_032_s_nail() {
    sends(apps::s_nail, &[Way::Hello, Way::Any, Way::Login, Way::Starttls], ALL).await;
}

/// It reads a line in pieces of 999 octets, and makes a line end of the last one of each; it attaches nothing.
#[tokio::test(flavor = "multi_thread")]
async fn q_032_q_104_bsmtp_loses_an_octet_of_long_lines() {
    let shorter = || text().replace(&long(), &format!("{}\n{}", &long()[..998], &long()[999..]));
    sends(apps::bsmtp, &[Way::Hello], Kept { text: shorter, file: false }).await;
}

/// It stuffs a lone dot and no other: whoever reads it as RFC 5321 section 4.5.2 says loses a dot.
#[tokio::test(flavor = "multi_thread")]
async fn q_084_sendemail_loses_a_dot() {
    let one_dot_less = || text().replace("\n..two", "\n.two").replace("\n.hidden", "\nhidden");
    sends(apps::send_email, CLEAR, Kept { text: one_dot_less, file: true }).await;
}

/// It would send BDAT if CHUNKING were offered.
#[tokio::test(flavor = "multi_thread")]
async fn q_117_esmtp() {
    sends(apps::esmtp, CLEAR, ALL).await;
}

/// A client that was told another authority sends nothing, and nothing of it stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_know_our_authority_sends_nothing() {
    let (reception, stranger) = (Reception::open("stranger", |_| {}).await, crate::support::ca::TestCa::new());
    for app in [apps::python as App, apps::phpmailer, apps::net_smtp, apps::nodemailer] {
        let mut target = reception.secure();
        target.ca = Some(stranger.file().to_owned());
        let (from, to) = ("report@erp.lan".to_owned(), "a@else.test".to_owned());
        let parcel = Parcel { from, to, subject: SUBJECT.to_owned(), text: text(), file: FILE.to_owned() };
        let ran = need!(offload(move || app(&target, &parcel)).await);
        assert!(!ran.ok(), "{}", ran.output);
        reception.answers().await;
    }
    let mut device = Device::connect(reception.door("open")).await;
    device.send("device@lan.local", &["after@else.test"], b"Subject: after\r\n\r\nx\r\n").await;
    assert_eq!(reception.exactly(1).await[0].to, ["after@else.test"]);
}
