//! Clients that nobody here wrote hand their mail to the relay: swaks, curl, msmtp, Python's smtplib, smtp-source.
//!
//! What the pretended provider received is compared after decoding: subject, text, attachment. Not here: what the
//! repair does to each mistake (`golden`), clients without the relay (`foreign::harness`), those that applications carry
//! (`foreign::apps`), and those that break off or come in crowds (`foreign::faults`).

use crate::support::clients::{self, Letter, Ran, Target};
use crate::support::office::{Office, USER, field};
use crate::support::offload;
use crate::support::skip::{Missing, need};
use mail_parser::{Message, MessageParser, MimeHeaders as _};
use yizhan::sandbox::Received;

const SUBJECT: &str = "月度报表 – 第三季度 已经完成，请查收附件";

/// Text with everything that goes wrong on the way: dots, a line beyond 998 octets, 8-bit letters.
fn text() -> String {
    format!("first\r\n.\r\n..two dots\r\n.hidden\r\n\r\n中文正文\r\n{}\r\nlast\r\n", "0123456789".repeat(150))
}

fn plain() -> Vec<u8> {
    format!("From: Report <report@erp.lan>\r\nTo: a@else.test\r\nSubject: {SUBJECT}\r\n\r\n{}", text()).into_bytes()
}

const ATTACHED: &[u8] = b"%PDF-1.4\0\x01\x02\xfe\xff\r\n.\r\nend";

fn with_attachment() -> Vec<u8> {
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::STANDARD.encode(ATTACHED);
    let mut mail = b"From: report@erp.lan\r\nTo: a@else.test\r\nSubject: ".to_vec();
    mail.extend_from_slice(&encoding_rs::GBK.encode("报表").0);
    mail.extend_from_slice(
        format!(
            "\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=bb\r\n\r\n--bb\r\nContent-Type: text/plain; \
             charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n.\r\n见附件\r\n--bb\r\nContent-Type: application/pdf\r\n\
             Content-Disposition: attachment; filename=report.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n\
             {encoded}\r\n--bb--\r\n"
        )
        .as_bytes(),
    );
    mail
}

fn parsed(received: &Received) -> Message<'_> {
    MessageParser::default().parse(&received.data[..]).expect("it is a mail")
}

/// Sends both mails with a client, and looks at what the provider has.
async fn sends(send: impl Fn(&Target, &Letter) -> Result<Ran, Missing> + Send + Clone + 'static) {
    let office = Office::open("client").await;
    for mail in [plain(), with_attachment()] {
        let (target, send) = (Target::plain(office.door().port()), send.clone());
        let letter = Letter::new("report@erp.lan", &["a@else.test"], mail);
        let ran = need!(offload(move || send(&target, &letter)).await);
        assert!(ran.ok(), "{}", ran.output);
    }
    let received = office.received(2).await;
    for one in &received {
        assert_eq!((one.from.as_str(), one.to.as_slice()), (USER, &["a@else.test".to_owned()][..]));
        let trace = field(&one.data, "Received").expect("the relay leaves a trace");
        assert!(trace.starts_with("from client.test ("), "{trace}");
    }
    let find = |subject| {
        let fits = |one: &&Received| parsed(one).subject() == Some(subject);
        received.iter().find(fits).unwrap_or_else(|| panic!("no mail with the subject {subject}"))
    };
    let mail = parsed(find(SUBJECT));
    // smtp-source adds an empty line to whatever it sends.
    let body = mail.body_text(0).expect("there is text").replace("\r\n", "\n");
    let wanted = text().replace("\r\n", "\n");
    assert!(body == wanted || body == format!("{wanted}\n"), "{body}");
    let mail = parsed(find("报表"));
    assert_eq!(mail.body_text(0).expect("there is text").trim_end(), ".\r\n见附件");
    let part = mail.attachments().next().expect("there is an attachment");
    assert_eq!((part.attachment_name(), part.contents()), (Some("report.pdf"), ATTACHED));
    office.wait_empty().await;
    assert_eq!(office.sandbox.stats().accepted, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn swaks() {
    sends(|target, letter| clients::swaks(target, letter, &[])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn swaks_pipelining() {
    sends(|target, letter| clients::swaks(target, letter, &["--pipeline"])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn curl() {
    sends(|target, letter| clients::curl(target, letter, &[])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn msmtp() {
    sends(|target, letter| clients::msmtp(target, letter, &[])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn smtplib() {
    sends(clients::smtplib).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn smtp_source() {
    sends(|target, letter| clients::smtp_source(target, letter, &[])).await;
}
