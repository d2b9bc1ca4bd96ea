//! Every golden mail through the whole relay: the pretended QQ Mail, which is as strict as the real one, takes each.

use std::fs;
use std::path::Path;

use crate::support::office::{Device, Office};
use yizhan::queue::MessageState;
use yizhan::sandbox::SandboxLimits;

/// Dots at the beginning of a line are doubled, as a client must (RFC 5321 section 4.5.2); a line begins behind a CRLF.
fn stuffed(mail: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(mail.len() + 16);
    for (at, &octet) in mail.iter().enumerate() {
        if octet == b'.' && (at == 0 || mail[..at].ends_with(b"\r\n")) {
            out.push(b'.');
        }
        out.push(octet);
    }
    out
}

#[tokio::test]
async fn the_provider_takes_every_golden_mail() {
    let office = Office::with("golden", SandboxLimits::default(), |settings| {
        settings.limits.messages_per_client.count = 10_000_u32.try_into().unwrap();
    })
    .await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/repair");
    let mut sent = Vec::new();
    let mut device = Device::connect(office.door()).await;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let mail = fs::read(path.join("in.eml")).unwrap();
        device.ask("MAIL FROM:<scanner@office.lan>", "250").await;
        device.ask("RCPT TO:<boss@example.com>", "250").await;
        device.ask("DATA", "354").await;
        device.write(&stuffed(&mail)).await;
        // The end is CRLF.CRLF, whatever the mail ends with.
        let reply = device.ask(if mail.ends_with(b"\r\n") || mail.is_empty() { "." } else { "\r\n." }, "250").await;
        let id = yizhan::mail::Id::parse(reply.rsplit(' ').next().unwrap()).unwrap();
        sent.push((path, id));
    }
    assert!(sent.len() > 80, "only {} golden mails were found", sent.len());
    for (path, id) in &sent {
        let entry = office.wait_state(*id, MessageState::Delivered).await;
        assert_eq!(entry.tries, 0, "{}", path.display());
    }
    let received = office.received(sent.len()).await;
    let is_legal = |line: &[u8]| line.len() <= 998 && !line.contains(&b'\r') && !line.contains(&0);
    for one in &received {
        assert!(one.data.ends_with(b"\r\n"));
        let lines: Vec<&[u8]> = one.data.split(|&b| b == b'\n').collect();
        let whole = lines[..lines.len() - 1]
            .iter()
            .all(|line| line.last() == Some(&b'\r') && is_legal(&line[..line.len() - 1]));
        assert!(whole, "{}", String::from_utf8_lossy(&one.data));
    }
}
