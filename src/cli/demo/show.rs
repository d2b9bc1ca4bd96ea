//! The demonstration on the screen: a mail as it came, what was repaired and why, and as the provider got it.

use std::net::SocketAddr;
use std::time::Duration;

use mail_parser::{MessageParser, MimeHeaders as _};

use crate::app::Relay;
use crate::cli::sandbox::{Provider, USER};
use crate::cli::screen::{Ink, Lang, Paint, harmless, say, size};
use crate::message::Repair;
use crate::sandbox::Received;
use crate::telemetry::counter;

use super::device::Sent;
use super::mails::Mail;

/// How many lines of a header, and characters of a line, are shown.
const MOST: (usize, usize) = (14, 96);

pub(super) fn opening(paint: Paint, lang: Lang, door: SocketAddr, provider: &Provider) {
    say(&paint.ink(Ink::Title, lang.pick("Yizhan 驿站: the main job, for real", "驿站 Yizhan：真实演示")));
    let upstream = provider.sandbox.implicit_addr().map(|addr| addr.to_string()).unwrap_or_default();
    say(&match lang {
        Lang::En => {
            format!("relay on {door} (plaintext)  ->  pretended QQ Mail on {upstream} (TLS, log-in as {USER})\n")
        }
        Lang::Zh => format!("中继在 {door}（明文） ->  模拟的 QQ 邮箱在 {upstream}（TLS，以 {USER} 登录）\n"),
    });
}

/// Whether a received mail is this one, or the notice about it.
pub(super) fn belongs(received: &Received, sent: &Sent) -> bool {
    let text = String::from_utf8_lossy(&received.data[..received.data.len().min(8192)]).into_owned();
    text.contains(&format!("id {}", sent.id)) || text.contains(&format!("X-Yizhan-Notice-For: {}", sent.id))
}

/// Shows one mail. False when something that should have arrived has not.
pub(super) fn mail(paint: Paint, lang: Lang, number: usize, mail: &Mail, sent: &Sent, arrived: &[&Received]) -> bool {
    let title =
        format!("{number}. {}: {}", lang.pick(mail.device, mail.device_zh), lang.pick(mail.trouble, mail.trouble_zh));
    say(&paint.ink(Ink::Title, &title));
    say(&paint.ink(Ink::Quiet, lang.pick("   as it came", "   收到时")));
    for line in header_lines(&mail.data) {
        say(&format!("     {}", paint.ink(Ink::Bad, &line)));
    }
    say(&format!("   {} {}", paint.ink(Ink::Quiet, lang.pick("the device was told", "设备得到的回答")), sent.reply));
    show_repairs(paint, lang, &sent.repairs);
    let mut well = arrived.len() == mail.arrives;
    for received in arrived {
        let notice = belongs_to_notice(received);
        say(&paint.ink(Ink::Quiet, &heading(lang, received, notice)));
        for line in header_lines(&received.data) {
            say(&format!("     {}", paint.ink(Ink::Good, &line)));
        }
        decoded(paint, lang, received);
        if let Some(attachment) = mail.attachment().filter(|_| !notice) {
            well &= attachment_is_whole(paint, lang, received, attachment);
        }
    }
    if arrived.len() != mail.arrives {
        let text = format!("   {} of {} mails arrived", arrived.len(), mail.arrives);
        say(&paint.ink(Ink::Bad, &text));
    }
    say("");
    well
}

fn belongs_to_notice(received: &Received) -> bool {
    received.data.windows(21).take(8192).any(|window| window == b"X-Yizhan-Notice-For: ")
}

fn heading(lang: Lang, received: &Received, notice: bool) -> String {
    let (from, to) = (&received.from, received.to.join(", "));
    let what = match notice {
        true => lang.pick("the notice to the owner", "给邮箱主人的通知"),
        false => lang.pick("as the provider received it", "服务商收到时"),
    };
    format!("   {what} (MAIL FROM:<{from}>, RCPT TO:<{to}>)")
}

/// What was repaired: each repair by its name and its reason.
fn show_repairs(paint: Paint, lang: Lang, repairs: &[Repair]) {
    if repairs.is_empty() {
        say(&format!("   {}", paint.ink(Ink::Quiet, lang.pick("nothing had to be repaired", "无需修复"))));
    }
    for repair in repairs {
        say(&format!("   {} {}", paint.ink(Ink::Title, repair.name()), lang.pick(repair.why(), repair.why_zh())));
    }
    let why = lang.pick(
        "envelope and From: carry the account's address, nothing else is accepted",
        "信封与 From: 换成账号地址，否则服务商拒收",
    );
    say(&format!("   {} {why}", paint.ink(Ink::Title, "sender-rewritten")));
}

/// The subject and the sender as a mail program would show them.
fn decoded(paint: Paint, lang: Lang, received: &Received) {
    let Some(message) = MessageParser::default().parse(&received.data[..]) else { return };
    let from = message.from().and_then(|from| from.first());
    let name = from.and_then(|from| from.name()).unwrap_or("");
    let address = from.and_then(|from| from.address()).unwrap_or("");
    let subject = message.subject().unwrap_or("");
    let label = lang.pick("   a person reads", "   收件人看到");
    say(&format!("{} {}", paint.ink(Ink::Quiet, label), harmless(&format!("{name} <{address}>: {subject}"))));
}

fn attachment_is_whole(paint: Paint, lang: Lang, received: &Received, attachment: &[u8]) -> bool {
    let found = MessageParser::default().parse(&received.data[..]).is_some_and(|message| {
        message.attachments().any(|part| part.attachment_name() == Some("scan.pdf") && part.contents() == attachment)
    });
    let octets = size(attachment.len() as u64);
    say(&if found {
        format!(
            "   {} {octets}",
            paint.ink(Ink::Good, lang.pick("the attachment arrived octet for octet:", "附件逐字节一致："))
        )
    } else {
        paint.ink(Ink::Bad, lang.pick("   the attachment is damaged", "   附件损坏"))
    });
    found
}

/// The header of a mail, printable: octets that are not ASCII as `\xNN`, long lines cut.
fn header_lines(data: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    for line in data.split(|&octet| octet == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() || lines.len() >= MOST.0 {
            break;
        }
        let text: String = line.iter().flat_map(|&octet| std::ascii::escape_default(octet)).map(char::from).collect();
        let text = text.replace("\\\"", "\"").replace("\\'", "'").replace("\\t", "  ");
        lines.push(match text.char_indices().nth(MOST.1) {
            Some((cut, _)) => format!("{} ...", &text[..cut]),
            None => text,
        });
    }
    lines
}

pub(super) fn closing(paint: Paint, lang: Lang, relay: &Relay, provider: &Provider, took: Duration) -> bool {
    let counters = relay.counters();
    let accepted = counters.sum(counter::ACCEPTED, &[]);
    let delivered = counters.sum(counter::DELIVERIES, &[("outcome", "delivered")]);
    let failed = counters.sum(counter::DELIVERIES, &[("outcome", "failed")]);
    let logins = counters.sum(counter::LOGINS, &[("outcome", "accepted")]);
    let received = provider.sandbox.received().len();
    let well = received == super::mails::all().iter().map(|mail| mail.arrives).sum::<usize>() && logins == 1;
    let text = match lang {
        Lang::En => format!(
            "{accepted} mails taken, {received} received by the provider ({delivered} recipients, {failed} refused and told to the \
             owner), {logins} log-in, {:.1} s",
            took.as_secs_f64()
        ),
        Lang::Zh => format!(
            "收下 {accepted} 封，服务商收到 {received} 封（{delivered} 个收件人成功，{failed} 个被拒并已通知主人），登录 {logins} 次，用时 {:.1} 秒",
            took.as_secs_f64()
        ),
    };
    say(&paint.ink(if well { Ink::Good } else { Ink::Bad }, &text));
    well
}
