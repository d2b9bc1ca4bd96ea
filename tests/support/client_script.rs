//! Replays the scripts with `# machine: client`: the script is the server, and what C says is what the machine must say.
//!
//! Directives: `tls: none|implicit|starttls`, `login: user secret PLAIN,LOGIN`, `pipelining: no`, `from: a@b`,
//! `to: c@d e@f`, `body: text` (with escapes), `size: n`, `eight-bit: yes`, `messages: n`. The driver starts a
//! transaction whenever it can, and says QUIT when it has none left.

#![allow(dead_code, missing_docs, unreachable_pub)]

use yizhan::mail::{Address, ReversePath};
use yizhan::secret::Secret;
use yizhan::smtp::Mechanism;
use yizhan::smtp::client::{
    ClientEvent, ClientLogin, ClientSession, ClientSettings, FailureKind, Lost, Outcome, RecipientOutcome, Tls,
    Transaction,
};

use super::transcript::{Script, unescape};

pub fn settings(script: &Script) -> ClientSettings {
    let login = script.get("login").map(|text| {
        let words: Vec<&str> = text.split(' ').collect();
        let mechanisms = words[2].split(',').map(|m| if m == "PLAIN" { Mechanism::Plain } else { Mechanism::Login });
        ClientLogin {
            user: words[0].to_owned(),
            secret: Secret::new(words[1]),
            mechanisms: mechanisms.collect(),
            server: None,
        }
    });
    let tls = match script.get("tls") {
        Some("starttls") => Some(Tls::StartTls),
        Some("implicit") => Some(Tls::Implicit),
        _ => None,
    };
    ClientSettings { ehlo: "relay.test".to_owned(), tls, login, pipelining: script.get("pipelining") != Some("no") }
}

pub fn transaction(script: &Script) -> Transaction {
    let to = script.get("to").unwrap_or("c@d").split(' ').map(|a| Address::parse(a).expect("address")).collect();
    let from = ReversePath::parse(script.get("from").unwrap_or("a@b")).expect("sender");
    let size = script.get("size").map_or(body(script).len() as u64, |n| n.parse().expect("number"));
    Transaction { from, to, size, eight_bit: script.get("eight-bit").is_some() }
}

fn body(script: &Script) -> Vec<u8> {
    unescape(script.get("body").unwrap_or("hi\\r\\n"))
}

/// How an outcome reads in a script.
pub fn outcome(outcome: &Outcome) -> String {
    let each = outcome.recipients.iter().map(|one| match one {
        RecipientOutcome::Accepted(reply) => format!("accepted {}", reply.code()),
        RecipientOutcome::Refused { phase, reply } => format!("refused {phase:?} {}", reply.code()),
        RecipientOutcome::Uncertain { lost } => format!("uncertain {lost:?}"),
        RecipientOutcome::NotTried { phase, lost } => format!("not tried {phase:?} {lost:?}"),
    });
    let each: Vec<String> = each.collect();
    format!("done {}{}", each.join(", "), if outcome.reusable { "; reusable" } else { "" })
}

struct Driver<'a> {
    script: &'a Script,
    client: ClientSession,
    log: Vec<String>,
    left: usize,
    /// More is on the line than was asked for.
    unasked: bool,
    /// Whether the server says what it says whatever it hears.
    overheard: bool,
    /// Whether the line is not used any more.
    over: bool,
}

impl Driver<'_> {
    /// Runs until more octets are needed.
    fn run(&mut self) {
        while !self.over {
            let event = self.client.step();
            if !self.take(event) {
                return;
            }
        }
    }

    fn take(&mut self, event: ClientEvent) -> bool {
        match event {
            ClientEvent::More => return false,
            ClientEvent::Ready => {
                self.log.push("ready".to_owned());
                self.next();
            }
            ClientEvent::StartTls => {
                self.log.push("starttls".to_owned());
                self.client.tls_started();
            }
            ClientEvent::SendBody => {
                self.log.push("send".to_owned());
                let body = body(self.script);
                body.chunks(3).for_each(|piece| self.client.body(piece));
                if self.script.get("finish") != Some("no") {
                    self.client.finish();
                }
            }
            ClientEvent::Done(mut done) => {
                // Whoever reuses a connection looks first whether something was said on it unasked.
                done.reusable &= !self.unasked;
                self.log.push(outcome(&done));
                match (done.reusable, self.overheard) {
                    (true, _) => self.next(),
                    (false, false) => self.client.quit(),
                    // Whatever else is said, nobody listens to this line any more.
                    (false, true) => self.over = true,
                }
            }
            ClientEvent::Failed(failure) => {
                let kind = match &failure.kind {
                    FailureKind::Refused(reply) => format!("refused {}", reply.code()),
                    FailureKind::Lost(lost) => format!("lost {lost:?}"),
                    FailureKind::Protocol(_) => "protocol".to_owned(),
                    FailureKind::NoTls => "no tls".to_owned(),
                    FailureKind::NoMechanism => "no mechanism".to_owned(),
                };
                let counted = if failure.sent_credentials { ", credentials sent" } else { "" };
                self.log.push(format!("failed {:?} {kind}{counted}", failure.phase));
                return false;
            }
            ClientEvent::Closed => return false,
        }
        true
    }

    fn next(&mut self) {
        match self.left {
            0 => self.client.quit(),
            _ => {
                self.left -= 1;
                self.client.start(transaction(self.script));
            }
        }
    }
}

/// What the machine says and reports, when the server says `octets` whatever it hears.
pub fn overheard(script: &Script, octets: &[u8], piece: usize) -> (Vec<String>, String) {
    let client = ClientSession::new(settings(script));
    let mut driver = Driver { script, client, log: Vec::new(), left: 3, unasked: false, overheard: true, over: false };
    let mut pieces = octets.chunks(piece).peekable();
    while let Some(octets) = pieces.next() {
        if driver.over {
            break;
        }
        driver.client.input(octets);
        driver.unasked = pieces.peek().is_some();
        driver.run();
    }
    let said = driver.client.output().escape_ascii().to_string();
    if !driver.over {
        let event = driver.client.lost(Lost::Reset);
        driver.take(event);
    }
    (driver.log, said)
}

/// Replays a client script, `piece` octets at a time.
pub fn replay(script: &Script, piece: usize) {
    let left = script.get("messages").map_or(1, |n| n.parse().expect("number"));
    let mut driver = Driver {
        script,
        client: ClientSession::new(settings(script)),
        log: Vec::new(),
        left,
        unasked: false,
        overheard: false,
        over: false,
    };
    for (n, exchange) in script.exchanges.iter().enumerate() {
        for octets in exchange.server_octets.chunks(piece) {
            driver.client.input(octets);
            driver.run();
        }
        if script.get("unsent").is_none() {
            let said = driver.client.output().split().escape_ascii().to_string();
            let wanted = script.exchanges.get(n + 1).map_or(String::new(), |e| e.client.escape_ascii().to_string());
            assert_eq!(said, wanted, "{} exchange {n} (pieces of {piece}) {:?}", script.name, driver.log);
        }
        if exchange.close {
            let why = match script.get("lost") {
                Some("timeout") => Lost::Timeout,
                Some("reset") => Lost::Reset,
                _ => Lost::Eof,
            };
            let event = driver.client.lost(why);
            driver.take(event);
        }
    }
    assert_eq!(driver.log, script.events, "{} (pieces of {piece})\n{}", script.name, driver.client.transcript());
    if let Some(login) = script.get("login") {
        let secret = login.split(' ').nth(1).expect("secret");
        let text = driver.client.transcript().to_string();
        assert!(!text.contains(secret) && !text.contains("c2VjcmV0"), "a secret is in the transcript:\n{text}");
    }
}
