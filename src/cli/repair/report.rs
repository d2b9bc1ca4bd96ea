//! What `yizhan repair` says: the message before and after, line by line, and the repairs with their reasons.
//!
//! One value for both forms: [`Report`] is what `--json` prints, and what people read is made from it. Not here: the
//! repair. Invariant: whatever is in the message, nothing but printable text reaches the terminal.

use mail_parser::MessageParser;
use serde::Serialize;

use crate::cli::screen::{Ink, Lang, Paint, harmless, say, size};
use crate::message::{Repair, Splitter};

/// Header block and body.
pub(super) struct Letter {
    /// Fields, without the blank line that ends them.
    pub(super) head: Vec<u8>,
    /// Everything after the blank line.
    pub(super) body: Vec<u8>,
}

impl Letter {
    /// Takes a message apart where the relay does. A header beyond the caps counts as none: it is refused anyway.
    pub(super) fn as_sent(mail: &[u8]) -> Letter {
        let mut splitter = Splitter::new();
        let split = splitter.push(mail).map(|part| [&part.held[..], part.rest].concat());
        let body = match split.and_then(|body| Ok((body, splitter.finish()?))) {
            Ok((body, (_, held))) => [body, held].concat(),
            Err(_) => mail.to_vec(),
        };
        // What is above the body is shown as it is, blank lines and stray octets too.
        let head = mail.strip_suffix(&body[..]).unwrap_or(mail).to_vec();
        Letter { head, body }
    }
}

/// What there is to say about a message.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// The client it was treated as mail of.
    client: Option<String>,
    /// The account that rewrites the sender; without one the sender stays.
    pub(super) account: Option<String>,
    /// Whether sender rewriting changed anything.
    pub(super) sender_rewritten: bool,
    /// What the client would have been told, had it been refused.
    pub(super) refused: Option<String>,
    /// What was put right, in order.
    repairs: Vec<Named>,
    /// As it came.
    before: Side,
    /// As it would be sent.
    after: Option<Side>,
    /// What the recipient's mail program shows.
    reads: Option<Reads>,
}

#[derive(Debug, Serialize)]
struct Named {
    name: &'static str,
    why: &'static str,
}

#[derive(Debug, Serialize)]
struct Side {
    header: Vec<Line>,
    body: Body,
}

/// One field, folded as it is.
#[derive(Debug, Serialize)]
struct Line {
    text: String,
    /// Whether the other side does not have it.
    changed: bool,
}

#[derive(Debug, Serialize)]
struct Body {
    octets: usize,
    lines: usize,
    longest_line: usize,
    eight_bit: usize,
    nul: usize,
    /// Lines that end in CR or LF alone.
    bare_line_ends: usize,
}

#[derive(Debug, Serialize)]
struct Reads {
    from: String,
    subject: String,
}

impl Report {
    /// A report of a message that nothing was done with yet.
    pub(super) fn new(client: Option<&str>, before: &Letter) -> Report {
        Report {
            client: client.map(str::to_owned),
            account: None,
            sender_rewritten: false,
            refused: None,
            repairs: Vec::new(),
            before: side(before, &before.head),
            after: None,
            reads: None,
        }
    }

    /// Takes note of the repairs.
    pub(super) fn repairs(&mut self, repairs: &[Repair], lang: Lang) {
        self.repairs =
            repairs.iter().map(|&one| Named { name: one.name(), why: lang.pick(one.why(), one.why_zh()) }).collect();
    }

    /// Takes note of what has changed.
    pub(super) fn compare(&mut self, before: &Letter, after: &Letter) {
        self.before = side(before, &after.head);
        self.after = Some(side(after, &before.head));
        self.reads = reads(&after.head);
    }

    /// For a person.
    pub(super) fn show(&self, lang: Lang) {
        let paint = Paint::new();
        let title = |text: &str| say(&paint.ink(Ink::Title, text));
        title(&match (&self.client, lang) {
            (Some(client), Lang::En) => format!("as client {client} would send it"),
            (Some(client), Lang::Zh) => format!("客户端 {client} 发来时"),
            (None, _) => lang.pick("as a device would send it", "设备发来时").to_owned(),
        });
        self.before.show(paint, lang, '-', Ink::Bad);
        if let Some(refused) = &self.refused {
            title(lang.pick("the relay would refuse it", "中继会拒收"));
            return say(&format!("    {}", harmless(refused)));
        }
        self.show_repairs(paint, lang);
        let Some(after) = &self.after else { return };
        title(&match (&self.account, lang) {
            (Some(account), Lang::En) => format!("as it would be sent through account {account}"),
            (Some(account), Lang::Zh) => format!("经账号 {account} 发出时"),
            (None, Lang::En) => "as it would be stored; there is no account, so the sender is not rewritten".to_owned(),
            (None, Lang::Zh) => "入队时的样子；没有账号，因此不显示改写后的发件人".to_owned(),
        });
        after.show(paint, lang, '+', Ink::Good);
        if let Some(reads) = &self.reads {
            title(lang.pick("a person reads", "收件人看到"));
            say(&harmless(&format!("    {}: {}", reads.from, reads.subject).replace('\n', " ")));
        }
    }

    fn show_repairs(&self, paint: Paint, lang: Lang) {
        say(&paint.ink(Ink::Title, lang.pick("repairs", "修复")));
        for repair in &self.repairs {
            say(&format!("    {}  {}", paint.ink(Ink::Quiet, repair.name), repair.why));
        }
        if self.repairs.is_empty() {
            say(lang.pick("    nothing has to be repaired", "    无需修复"));
        }
        if self.sender_rewritten {
            let why = lang.pick(
                "From: carries the account's address; the provider takes no other",
                "From: 换成账号地址，否则服务商拒收",
            );
            say(&format!("    {}  {why}", paint.ink(Ink::Quiet, "sender-rewritten")));
        }
    }
}

impl Side {
    fn show(&self, paint: Paint, lang: Lang, mark: char, ink: Ink) {
        for line in self.header.iter().flat_map(|field| field.text.lines().map(|text| (field.changed, text))) {
            match line {
                (true, text) => say(&paint.ink(ink, &format!("  {mark} {text}"))),
                (false, text) => say(&format!("    {text}")),
            }
        }
        say(&paint.ink(Ink::Quiet, &format!("    {}", self.body.describe(lang))));
    }
}

impl Body {
    fn of(body: &[u8]) -> Body {
        let count = |test: &dyn Fn(u8) -> bool| body.iter().filter(|&&octet| test(octet)).count();
        let crlf = body.windows(2).filter(|pair| pair == b"\r\n").count();
        let mut lines = 0;
        let mut longest_line = 0;
        let mut rest = body;
        while !rest.is_empty() {
            let end = rest.iter().position(|&octet| octet == b'\r' || octet == b'\n').unwrap_or(rest.len());
            let next = end + if rest[end..].starts_with(b"\r\n") { 2 } else { 1 };
            lines += 1;
            longest_line = longest_line.max(end);
            rest = &rest[next.min(rest.len())..];
        }
        Body {
            octets: body.len(),
            lines,
            longest_line,
            eight_bit: count(&|octet| octet >= 0x80),
            nul: count(&|octet| octet == 0),
            bare_line_ends: count(&|octet| octet == b'\r' || octet == b'\n') - 2 * crlf,
        }
    }

    fn describe(&self, lang: Lang) -> String {
        let octets = size(self.octets as u64);
        let mut text = match lang {
            Lang::En => format!("body: {octets}, {} lines, the longest {}", self.lines, self.longest_line),
            Lang::Zh => format!("正文：{octets}，{} 行，最长 {}", self.lines, self.longest_line),
        };
        for (count, en, zh) in [
            (self.eight_bit, "8-bit octets", "个 8 位字节"),
            (self.nul, "NUL", "个 NUL"),
            (self.bare_line_ends, "line ends without CR or LF", "个不完整的行尾"),
        ] {
            if count > 0 {
                text.push_str(&match lang {
                    Lang::En => format!(", {count} {en}"),
                    Lang::Zh => format!("，{count} {zh}"),
                });
            }
        }
        text
    }
}

fn side(letter: &Letter, other: &[u8]) -> Side {
    let other = fields(other);
    let line = |field: &&[u8]| Line { text: printable(field), changed: !other.contains(field) };
    Side { header: fields(&letter.head).iter().map(line).collect(), body: Body::of(&letter.body) }
}

/// The fields of a header block as they stand, each with its folded lines, without its last CRLF. The blank line at the
/// end is not one; before that, whatever is no field is one by itself.
fn fields(head: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    let mut rest = head;
    while !rest.is_empty() {
        let mut end = 0;
        // A line ends with LF; the next one belongs to it when it begins with a blank (RFC 5322 section 2.2.3).
        loop {
            end += rest[end..].iter().position(|&octet| octet == b'\n').map_or(rest.len() - end, |at| at + 1);
            if !matches!(rest.get(end), Some(b' ' | b'\t')) {
                break;
            }
        }
        let (field, tail) = rest.split_at(end);
        found.push(field.strip_suffix(b"\r\n").unwrap_or(field));
        rest = tail;
    }
    if found.last().is_some_and(|last| last.iter().all(u8::is_ascii_whitespace)) {
        found.pop();
    }
    found
}

/// UTF-8 as it is; of other octets what they are, as `\xNN`. CRLF is LF, and no other control character is left.
fn printable(raw: &[u8]) -> String {
    let text = match std::str::from_utf8(raw) {
        Ok(text) => text.to_owned(),
        Err(_) => {
            let shown = |&octet: &u8| match octet {
                b'\r' | b'\n' | b'\t' | 0x20..0x7f => (octet as char).to_string(),
                _ => format!("\\x{octet:02x}"),
            };
            raw.iter().map(shown).collect()
        }
    };
    harmless(text.replace("\r\n", "\n").trim_end_matches('\n'))
}

fn reads(head: &[u8]) -> Option<Reads> {
    let message = MessageParser::default().parse_headers(head)?;
    let from = message.from().and_then(|from| from.first());
    let name = from.and_then(|from| from.name()).unwrap_or("");
    let address = from.and_then(|from| from.address()).unwrap_or("");
    Some(Reads {
        from: format!("{name} <{address}>").trim_start().to_owned(),
        subject: message.subject().unwrap_or("").to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_summed_up() {
        let body = Body::of(b"ab\r\nabcd\ne\rf\r\n\r\n\0\xff");
        let counted = (body.octets, body.lines, body.longest_line, body.eight_bit, body.nul, body.bare_line_ends);
        assert_eq!(counted, (18, 6, 4, 1, 1, 2));
        let empty = Body::of(b"");
        assert_eq!((empty.octets, empty.lines, empty.longest_line), (0, 0, 0));
    }

    #[test]
    fn a_header_is_shown_as_it_stands() {
        let head = |mail: &[u8]| Letter::as_sent(mail).head;
        assert_eq!(fields(&head(b"A: b\r\n c\r\nD: e\n\nbody")), [&b"A: b\r\n c"[..], b"D: e\n"]);
        assert_eq!(fields(&head(b"A: b\r\nno field\r\nbody")), [&b"A: b"[..]]);
        assert_eq!(fields(&head(b"\r\nA: \0b\r\n\r\n")), [&b""[..], b"A: \0b"]);
        assert!(fields(&head(b"just text\r\n")).is_empty() && fields(b"").is_empty());
    }

    #[test]
    fn nothing_in_a_field_moves_the_cursor() {
        assert_eq!(printable(b"Subject: \x1b[2J\xb1\xa8\r\n x"), "Subject: \\x1b[2J\\xb1\\xa8\n x");
        assert_eq!(printable("Subject: 报告\u{1b}[2J".as_bytes()), "Subject: 报告\\u{1b}[2J");
    }
}
