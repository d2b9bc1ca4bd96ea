//! Reads `tests/transcripts/*.txt` and replays them into the state machines.
//!
//! ```text
//! # profile: strict            a setting of the session (see `Script::settings`); any other `#` line is a comment
//! C: MAIL FROM:<a@b.c>         the client says this line, with CRLF
//! C| \x16\x03\r\n              the client says these octets; \r \n \t \0 \\ \xNN
//! S: 250 2.1.0 OK              the server answers this line; `...` at the end: any rest
//! S! close                     the server closes
//! C! eof                       the client closes its side
//! E: rcpt <c@d.e>              what the machine told its driver; if there are any, all must be there, in this order
//! ```
//!
//! Lines of one speaker that follow each other are one write. With `# machine: client` the machine under test is C.

#![allow(dead_code, missing_docs, unreachable_pub)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::BytesMut;
use yizhan::mail::ReversePath;
use yizhan::smtp::Reply;
use yizhan::smtp::server::{AuthMode, Profile, Replies, Session, SessionEvent, SessionSettings};

/// One exchange: what one side sends, and what the other must answer before anything else is sent.
#[derive(Debug, Default, Clone)]
pub struct Exchange {
    pub client: Vec<u8>,
    pub eof: bool,
    pub server: Vec<String>,
    /// The same as octets, for scripts in which the server is not the machine under test.
    pub server_octets: Vec<u8>,
    pub close: bool,
}

#[derive(Debug, Clone)]
pub struct Script {
    pub name: String,
    pub directives: Vec<(String, String)>,
    pub exchanges: Vec<Exchange>,
    pub events: Vec<String>,
}

/// All scripts in the folder whose machine is `machine`, by name.
pub fn load(folder: &Path, machine: &str) -> Vec<Script> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("folder").map(|e| e.expect("entry").path()).collect();
    paths.sort();
    let scripts = paths.iter().filter(|p| p.extension().is_some_and(|e| e == "txt"));
    scripts.map(|p| Script::read(p)).filter(|s| s.get("machine").unwrap_or("server") == machine).collect()
}

impl Script {
    pub fn read(path: &Path) -> Script {
        let text = std::fs::read_to_string(path).expect("readable");
        Script::parse(&path.file_stem().expect("name").to_string_lossy(), &text)
    }

    pub fn parse(name: &str, text: &str) -> Script {
        let mut script =
            Script { name: name.to_owned(), directives: Vec::new(), exchanges: Vec::new(), events: Vec::new() };
        // The server speaks first.
        let mut now = Exchange::default();
        for (number, line) in text.lines().enumerate() {
            let (mark, rest) = line.split_at(line.len().min(2));
            let rest = rest.strip_prefix(' ').unwrap_or(rest);
            if mark.starts_with('C') && (!now.server.is_empty() || now.close) {
                script.exchanges.push(std::mem::take(&mut now));
            }
            match mark {
                "C:" => now.client.extend_from_slice(format!("{rest}\r\n").as_bytes()),
                "C|" => now.client.extend_from_slice(&unescape(rest)),
                "C!" if rest == "eof" => now.eof = true,
                "S:" => {
                    now.server.push(rest.to_owned());
                    now.server_octets.extend_from_slice(format!("{rest}\r\n").as_bytes());
                }
                "S|" => {
                    now.server.push(String::from_utf8_lossy(&unescape(rest)).into_owned());
                    now.server_octets.extend_from_slice(&unescape(rest));
                }
                "S!" if rest == "close" => now.close = true,
                "E:" => script.events.push(rest.to_owned()),
                "" => {}
                _ if line.starts_with('#') => {
                    if let Some((key, value)) = line[1..].split_once(": ") {
                        script.directives.push((key.trim().to_owned(), value.trim().to_owned()));
                    }
                }
                _ => panic!("{name}:{}: {line:?}", number + 1),
            }
        }
        script.exchanges.push(now);
        script
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.directives.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// What the directives say, on top of the relay's own settings.
    pub fn settings(&self) -> SessionSettings {
        let mut settings = SessionSettings::relay("relay.test");
        for (key, value) in &self.directives {
            match (key.as_str(), value.as_str()) {
                ("profile", "strict") => settings.profile = Profile::Strict,
                ("profile", "legacy") => settings.profile = Profile::Legacy,
                ("auth", "verify") => settings.auth = AuthMode::Verify,
                ("auth", "any") => settings.auth = AuthMode::AcceptAny,
                ("auth-after-tls", "yes") => settings.auth_after_tls = true,
                ("auth-required", "yes") => settings.auth_required = true,
                ("starttls", "yes") => settings.starttls = true,
                ("max-message", n) => settings.max_message = n.parse().expect("number"),
                ("max-recipients", n) => settings.max_recipients = n.parse().expect("number"),
                ("max-errors", n) => settings.max_errors = n.parse().expect("number"),
                ("max-junk", n) => settings.max_junk = n.parse().expect("number"),
                ("max-messages", n) => settings.max_messages = n.parse().expect("number"),
                _ => {}
            }
        }
        settings
    }

    /// Whether the result may depend on how the octets are cut (strict early-talker rules do).
    pub fn whole_only(&self) -> bool {
        self.get("whole-only").is_some()
    }
}

pub fn unescape(text: &str) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), text.bytes());
    while let Some(octet) = rest.next() {
        if octet != b'\\' {
            out.push(octet);
            continue;
        }
        match rest.next().expect("escape") {
            b'r' => out.push(b'\r'),
            b'n' => out.push(b'\n'),
            b't' => out.push(b'\t'),
            b'0' => out.push(0),
            b'x' => {
                let digits = [rest.next().expect("hex"), rest.next().expect("hex")];
                out.push(u8::from_str_radix(std::str::from_utf8(&digits).expect("hex"), 16).expect("hex"));
            }
            b'*' => {
                // `\*x300;` repeats the letter before: for long lines.
                let count: String = rest.by_ref().skip(1).map(char::from).take_while(|&c| c != ';').collect();
                let last = *out.last().expect("something to repeat");
                out.extend(std::iter::repeat_n(last, count.parse::<usize>().expect("count") - 1));
            }
            other => out.push(other),
        }
    }
    out
}

/// A driver with simple manners: `refused@...` gets 550, `later@...` 451, the sender `nodata@...` no 354, the password
/// `wrong` 535. It keeps a log of events.
pub struct Driver {
    pub session: Session,
    pub input: BytesMut,
    pub log: Vec<String>,
    pub messages: Vec<(String, Vec<String>, Vec<u8>)>,
    pub closed: bool,
    from: String,
    to: Vec<String>,
    body: Vec<u8>,
    replies: Replies,
    any: bool,
}

impl Driver {
    pub fn new(settings: SessionSettings) -> Driver {
        let (replies, any) = (settings.replies.clone(), settings.auth == AuthMode::AcceptAny);
        let mut session = Session::new(Arc::new(settings));
        session.greet();
        Driver {
            session,
            input: BytesMut::new(),
            log: Vec::new(),
            messages: Vec::new(),
            closed: false,
            from: String::new(),
            to: Vec::new(),
            body: Vec::new(),
            replies,
            any,
        }
    }

    pub fn output(&mut self) -> Vec<u8> {
        self.session.output().split().to_vec()
    }

    pub fn feed(&mut self, octets: &[u8]) {
        self.input.extend_from_slice(octets);
        loop {
            let event = self.session.step(&mut self.input);
            if !self.take(event) {
                return;
            }
        }
    }

    pub fn eof(&mut self) {
        while !self.closed {
            let event = self.session.eof();
            self.take(event);
        }
    }

    fn judge(&mut self, local: &str, yes: Reply) -> bool {
        let reply = match local {
            "refused" => Reply::new(550, "5.1.1 No"),
            "later" => Reply::new(451, "4.3.0 Later"),
            _ => yes,
        };
        let accepted = reply.is_positive();
        self.session.answer(reply);
        accepted
    }

    fn take(&mut self, event: SessionEvent) -> bool {
        let event = match event {
            SessionEvent::More => return false,
            SessionEvent::Chunk(chunk) => {
                assert!(!chunk.is_empty());
                self.body.extend_from_slice(&chunk);
                return true;
            }
            // What was answered stands in the transcript.
            SessionEvent::Refused(_) => return true,
            other => other,
        };
        self.log.push(match &event {
            SessionEvent::Mail { from, size, eight_bit } => {
                let size = size.map_or(String::new(), |size| format!(" size={size}"));
                format!("mail <{from}>{size}{}", if *eight_bit { " 8bit" } else { "" })
            }
            SessionEvent::Rcpt(to) => format!("rcpt <{to}>"),
            SessionEvent::Data => "data".to_owned(),
            SessionEvent::End => format!("message {}", self.body.escape_ascii()),
            SessionEvent::Auth { mechanism, user, password } => {
                format!("auth {mechanism} {user}:{}", password.expose())
            }
            SessionEvent::StartTls => "starttls".to_owned(),
            SessionEvent::Reset => "reset".to_owned(),
            SessionEvent::Discarded(reason) => format!("discarded {reason:?}"),
            SessionEvent::Close => "close".to_owned(),
            SessionEvent::More | SessionEvent::Chunk(_) | SessionEvent::Refused(_) => unreachable!(),
        });
        self.act(event);
        !self.closed
    }

    fn act(&mut self, event: SessionEvent) {
        match event {
            SessionEvent::Mail { from, .. } => {
                let local = from.address().map_or("", |a| a.local()).to_owned();
                if self.judge(&local, self.replies.mail_ok.clone()) {
                    (self.from, self.to) = (ReversePath::to_string(&from), Vec::new());
                }
            }
            SessionEvent::Rcpt(to) => {
                if self.judge(to.local(), self.replies.rcpt_ok.clone()) {
                    self.to.push(to.to_string());
                }
            }
            SessionEvent::Data => {
                self.body.clear();
                let refused = self.from.starts_with("nodata@");
                let reply = if refused { Reply::new(451, "4.3.0 No room") } else { self.replies.data_go.clone() };
                self.session.answer(reply);
            }
            SessionEvent::End => {
                let message = (self.from.clone(), std::mem::take(&mut self.to), std::mem::take(&mut self.body));
                self.messages.push(message);
                self.session.answer(Reply::new(250, "2.0.0 Queued"));
            }
            SessionEvent::Auth { password, .. } => {
                let wrong = password.expose() == "wrong" && !self.any;
                let reply = if wrong { self.replies.auth_failed.clone() } else { self.replies.auth_ok.clone() };
                self.session.answer(reply);
            }
            SessionEvent::StartTls => self.session.tls_started(),
            SessionEvent::Reset | SessionEvent::Discarded(_) => self.to.clear(),
            SessionEvent::Close => self.closed = true,
            SessionEvent::More | SessionEvent::Chunk(_) | SessionEvent::Refused(_) => unreachable!(),
        }
    }
}

/// Compares what was answered with what was wanted; `...` at the end of a wanted line stands for any rest.
pub fn compare(name: &str, wanted: &[String], got: &[u8]) {
    let text = got.escape_ascii().to_string();
    let lines: Vec<&str> = match text.strip_suffix("\\r\\n") {
        None if text.is_empty() => Vec::new(),
        None => panic!("{name}: a reply without its end: {text}"),
        Some(text) => text.split("\\r\\n").collect(),
    };
    let fits = |wanted: &String, line: &&str| match wanted.strip_suffix("...") {
        Some(start) => line.starts_with(start),
        None => line == wanted,
    };
    let same = lines.len() == wanted.len() && wanted.iter().zip(&lines).all(|(w, l)| fits(w, l));
    assert!(same, "{name}\n  wanted {wanted:#?}\n  got    {lines:#?}");
}

/// Replays a server script, `piece` octets at a time.
pub fn replay(script: &Script, piece: usize) {
    let mut driver = Driver::new(script.settings());
    for exchange in &script.exchanges {
        for octets in exchange.client.chunks(piece) {
            if !driver.closed {
                driver.feed(octets);
            }
        }
        if exchange.eof {
            driver.eof();
        }
        let at = format!("{} after {:?} (pieces of {piece})", script.name, exchange.client.escape_ascii().to_string());
        compare(&at, &exchange.server, &driver.output());
        assert_eq!(driver.closed, exchange.close, "{at}: closed");
    }
    if !script.events.is_empty() {
        assert_eq!(driver.log, script.events, "{} (pieces of {piece})", script.name);
    }
}
