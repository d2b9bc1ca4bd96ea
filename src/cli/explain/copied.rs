//! From what a person pastes to code and text of a reply.
//!
//! Replies are copied from logs, from notices, from the output of swaks, Python, Node and Go, and from our own log lines in
//! JSON. Not here: what the reply means. Invariant: total; what holds no letter and no code is no reply.

use serde_json::Value;

use crate::provider::{Phase, reply_text};

/// What was found in a pasted text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Copied {
    /// `None` when the text has no code.
    pub(super) code: Option<u16>,
    /// One line, without the code.
    pub(super) text: String,
    /// Where it came, when the text says so.
    pub(super) phase: Option<Phase>,
}

/// Fields of a JSON object that may hold a reply, the likeliest first.
const FIELDS: [&str; 8] = ["why", "text", "reply", "response", "error", "message", "msg", "reason"];

/// Reads a pasted text. `None` when there is no reply in it.
pub(super) fn read(pasted: &str) -> Option<Copied> {
    match serde_json::from_str::<Value>(pasted.trim()) {
        Ok(Value::Object(fields)) => of_object(&fields),
        Ok(Value::String(text)) => of_text(&text),
        Ok(_) | Err(_) => of_text(pasted),
    }
}

/// A log line: ours, or one of another program such as Node's `{"responseCode":535,"response":"535 ..."}`.
fn of_object(fields: &serde_json::Map<String, Value>) -> Option<Copied> {
    // Some loggers put the fields one level deeper.
    let inner = fields.get("fields").and_then(Value::as_object);
    let field = |name: &str| fields.get(name).or_else(|| inner?.get(name));
    let texts = FIELDS.iter().filter_map(|name| field(name)?.as_str()).filter_map(of_text);
    let texts: Vec<Copied> = texts.collect();
    let place = texts.iter().position(|one| one.code.is_some()).unwrap_or(0);
    let mut copied = texts.into_iter().nth(place)?;
    let number = |name: &str| field(name)?.as_u64().and_then(|code| u16::try_from(code).ok());
    let code = number("responseCode").or_else(|| number("code")).filter(|code| (200..600).contains(code));
    copied.code = copied.code.or(code);
    copied.phase = field("phase").and_then(Value::as_str).and_then(Phase::named).or(copied.phase);
    Some(copied)
}

fn of_text(pasted: &str) -> Option<Copied> {
    let pasted = pasted.trim();
    let lines: Vec<&str> = pasted.lines().filter(|line| !is_of_client(line)).map(unmarked).collect();
    let joined = lines.join("\n");
    let phase = phase_in(&joined);
    let codes: Vec<usize> = joined.char_indices().map(|(at, _)| at).filter(|&at| begins_code(&joined, at)).collect();
    // A whole dialogue may have been pasted: the refusal in it is meant.
    let refused = codes.iter().find(|&&at| code_of(&joined[at..]).is_some_and(|(code, _)| code >= 400));
    let Some(&start) = refused.or(codes.first()) else {
        let text = reply_text([unquoted(&joined)]);
        return text.chars().any(char::is_alphabetic).then_some(Copied { code: None, text, phase });
    };
    let (code, rest) = code_of(&joined[start..])?;
    // In `(550, b'...')` a comma follows the code.
    let literal = joined[start + 3..].trim_start().starts_with(',').then_some(rest).and_then(python_bytes);
    let text = match literal {
        Some(octets) => of_lines(code, &octets),
        None => of_lines(code, unquoted_tail(&joined[..start], &joined[start..]).as_bytes()),
    };
    Some(Copied { code: Some(code), text, phase })
}

/// The lines of one reply, of which each may have the code again (RFC 5321 section 4.2.1). What follows the last one in a
/// pasted dialogue has another code, and is left out.
fn of_lines(code: u16, octets: &[u8]) -> String {
    let mut lines = Vec::new();
    for line in octets.split(|&b| b == b'\n') {
        let again = std::str::from_utf8(line).ok().and_then(|line| code_of(line.trim_start()));
        match again {
            Some((same, rest)) if same == code => lines.push(rest.as_bytes()),
            Some(_) => break,
            None => lines.push(line),
        }
    }
    reply_text(lines)
}

/// A line that the client said, in the marks of swaks and of debug logs.
fn is_of_client(line: &str) -> bool {
    let line = line.trim_start();
    ["->", "~>", ">>>", "=>", "C:"].iter().any(|mark| {
        // Some logs mark the server's lines with `>>>`: those begin with a code.
        line.strip_prefix(mark).is_some_and(|rest| code_of(rest.trim_start()).is_none() && rest.starts_with([' ', '~']))
    })
}

/// A line without the marks in front of it.
fn unmarked(line: &str) -> &str {
    let bare = line.trim_start_matches(['<', '>', '*', '~', '-', '|', '=', ' ', '\t', '"', '\'']);
    let bare = bare.strip_prefix("S:").unwrap_or(bare).trim_start();
    if code_of(bare).is_some() { bare } else { line }
}

fn begins_code(text: &str, at: usize) -> bool {
    let before = text[..at].chars().next_back();
    let apart = before.is_none_or(|c| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '-' | ':' | '[' | '#'));
    // `: 550` and `why=550` are apart, `12:550` and `[550` are not.
    apart && code_of(&text[at..]).is_some()
}

/// The code that a line begins with, and what follows it.
fn code_of(line: &str) -> Option<(u16, &str)> {
    let (digits, rest) = line.split_at_checked(3)?;
    let code = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten()?;
    let apart = rest
        .chars()
        .next()
        .is_none_or(|c| matches!(c, ' ' | '-' | '\t' | '\r' | '\n' | ':' | '：' | ',' | '，' | ';' | '\u{a0}'));
    let text = rest.strip_prefix(['-', ':', '：', ',', '，', ';']).unwrap_or(rest);
    ((200..600).contains(&code) && apart).then_some((code, text.trim_start_matches([' ', '\t'])))
}

/// The octets of a Python literal such as `b'5.7.8 \xe5...'` or `'text'`, which follows the code in an exception.
fn python_bytes(rest: &str) -> Option<Vec<u8>> {
    let rest = rest.trim_start();
    let literal = rest.strip_prefix('b').unwrap_or(rest);
    let quote = literal.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let mut octets = Vec::new();
    let mut chars = literal[1..].chars();
    while let Some(c) = chars.next() {
        match c {
            _ if c == quote => return Some(octets),
            '\\' => match chars.next()? {
                'n' => octets.push(b'\n'),
                'r' => octets.push(b'\r'),
                't' => octets.push(b'\t'),
                'x' => {
                    let digits: String = chars.by_ref().take(2).collect();
                    octets.push(u8::from_str_radix(&digits, 16).ok()?);
                }
                other => octets.extend(other.encode_utf8(&mut [0; 4]).bytes()),
            },
            _ => octets.extend(c.encode_utf8(&mut [0; 4]).bytes()),
        }
    }
    None
}

/// Without the quotes around the whole.
fn unquoted(text: &str) -> &str {
    let text = text.trim();
    let inner = |open: char, close: char| text.strip_prefix(open)?.strip_suffix(close);
    inner('"', '"')
        .or_else(|| inner('\'', '\''))
        .or_else(|| inner('“', '”'))
        .or_else(|| inner('`', '`'))
        .unwrap_or(text)
}

/// `text` without the quote or bracket that was opened right before it.
fn unquoted_tail<'t>(before: &str, text: &'t str) -> &'t str {
    let close = match before.chars().next_back() {
        Some('"') => '"',
        Some('\'') => '\'',
        Some('`') => '`',
        Some('“') => '”',
        Some('(') => ')',
        Some('<') => '>',
        _ => return text,
    };
    text.trim_end().strip_suffix(close).unwrap_or(text)
}

/// The phase that mail servers name in their logs.
fn phase_in(text: &str) -> Option<Phase> {
    let lower = text.to_ascii_lowercase();
    let (_, command) = lower.split_once("in reply to ")?;
    let phases = [
        ("mail from", Phase::Mail),
        ("rcpt to", Phase::Rcpt),
        ("end of data", Phase::Data),
        ("data command", Phase::Data),
        ("auth", Phase::Auth),
        ("ehlo", Phase::Ehlo),
    ];
    phases.iter().find(|(words, _)| command.starts_with(words)).map(|(_, phase)| *phase)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code_and_text(pasted: &str) -> Option<(u16, String)> {
        read(pasted).map(|copied| (copied.code.unwrap_or(0), copied.text))
    }

    #[test]
    fn a_reply_is_found_however_it_was_copied() {
        let cases = [
            ("550 Ip frequency limited", 550, "Ip frequency limited"),
            ("  550-5.7.8 Username and\n550 5.7.8 Password", 550, "5.7.8 Username and Password"),
            ("550-one\r\n550-two\r\n550 three\r\n", 550, "one two three"),
            ("host smtp.qq.com said: 550 no (in reply to end of DATA)", 550, "no (in reply to end of DATA)"),
            ("why=535 Login fail", 535, "Login fail"),
            ("454", 454, ""),
            ("535: 5.7.8 bad", 535, "5.7.8 bad"),
            ("550：用户不存在", 550, "用户不存在"),
            ("\"550 no such user\"", 550, "no such user"),
            ("“550 no such user”", 550, "no such user"),
            ("(535, b'5.7.8 Error: authentication failed')", 535, "5.7.8 Error: authentication failed"),
            ("(535, b'5.7.8 one\\n5.7.8 two')", 535, "5.7.8 one two"),
            ("(535, b'\\xe7\\x94\\xa8\\xe6\\x88\\xb7')", 535, "用户"),
            ("smtplib.SMTPDataError: (550, b\"can't\")", 550, "can't"),
            ("SMTPDataError: (550, 'Mail content denied')", 550, "Mail content denied"),
            ("{'a@b.example': (550, b'no such user')}", 550, "no such user"),
            ("<** 550 5.1.1 no such user", 550, "5.1.1 no such user"),
            (
                "<-  220 hello\n -> MAIL FROM:<a@b>\n<-  250 OK\n -> RCPT TO:<c@d>\n<** 550-no\n<** 550 such user\n -> QUIT\n<-  221 bye",
                550,
                "no such user",
            ),
            (">>> RCPT TO:<c@d>\n<<< 550 no such user", 550, "no such user"),
            (">>> 550 no such user", 550, "no such user"),
            ("S: 450 wait", 450, "wait"),
            ("550 \"From\" address is wrong", 550, "\"From\" address is wrong"),
            ("Invalid login: 535-5.7.8 a\n535 5.7.8 b", 535, "5.7.8 a b"),
            (r#"{"event":"waiting","why":"550 Ip frequency limited","phase":"data"}"#, 550, "Ip frequency limited"),
            (r#"{"level":"INFO","fields":{"event":"unknown_reply","text":"554 moon","phase":"rcpt"}}"#, 554, "moon"),
            (r#"{"code":"EAUTH","responseCode":535,"response":"535 no"}"#, 535, "no"),
            (r#"{"responseCode":535,"message":"no good"}"#, 535, "no good"),
            // No code: the words alone.
            ("frequency limited", 0, "frequency limited"),
            ("from 10.0.0.250 at 5.7.550 x", 0, "from 10.0.0.250 at 5.7.550 x"),
            ("999 what", 0, "999 what"),
        ];
        for (copied, code, text) in cases {
            assert_eq!(code_and_text(copied), Some((code, text.to_owned())), "{copied}");
        }
        for nothing in ["", " ", "12", "{}", "[]", "--", "{\"a\":1}"] {
            assert_eq!(read(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn the_phase_is_taken_from_the_text() {
        let phase = |text: &str| read(text).and_then(|copied| copied.phase);
        assert_eq!(phase("550 no (in reply to RCPT TO command)"), Some(Phase::Rcpt));
        assert_eq!(phase("550 no (in reply to end of DATA command)"), Some(Phase::Data));
        assert_eq!(phase(r#"{"text":"550 no","phase":"mail"}"#), Some(Phase::Mail));
        assert_eq!(phase("550 no"), None);
    }
}
