//! What must hold of a dialogue with a server that says anything, in pieces of any size.
//!
//! The first line of the input sets the client and its driver up (`Plan`), the rest is what the server says, whatever it
//! hears; `<TLS>` in it is where the handshake would be. Not here: the driver (`driver`). What is promised stands above
//! `smtp::client`; that a verdict is the reply to the final dot, and nothing else, is RFC 5321 section 4.2.5.

mod driver;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use yizhan::mail::{Address, ReversePath};
use yizhan::secret::Secret;
use yizhan::smtp::Mechanism;
use yizhan::smtp::client::{ClientLogin, ClientSettings, Lost, Tls, Transaction};

use super::Dice;
use driver::{Driver, Heard};

/// Stands where the handshake is.
const TLS: &[u8] = b"<TLS>";
/// In the body and nowhere else.
const BODY: &[u8] = b"Subject: BODYMARK\r\n\r\n.BODYMARK\r\n..\r\n";
const SECRET: &str = "hunter2hunter2";

/// What the letters of the first line say; any other octet says nothing.
struct Plan {
    settings: ClientSettings,
    message: Transaction,
    messages: usize,
    /// Announce the next message behind the final dot.
    follow: bool,
    /// The body goes out in pieces, and the server is listened to between them.
    slowly: bool,
    /// In the end a line comes that does not end; else the connection is lost.
    flood: bool,
    lost: Lost,
    /// The server does not say the secret itself.
    quiet: bool,
}

/// One dialogue: at once and in pieces; with the output taken at once, and left where it is.
pub(crate) fn client_dialogue(input: &[u8]) {
    let end = input.iter().position(|&b| b == b'\n').unwrap_or(input.len());
    let mut plan = Plan::read(&input[..end]);
    let said = input.get(end + 1..).unwrap_or_default();
    // A letter in front of it may be the end of an escape.
    let like = |part: &[u8]| said.windows(part.len()).any(|octets| octets == part);
    plan.quiet = !like(&SECRET.as_bytes()[1..]) && !like(&STANDARD.encode(SECRET).as_bytes()[1..]);
    for flush in [false, true] {
        let whole = run(&plan, said, flush, &mut || usize::MAX);
        let mut dice = Dice::new(input);
        for most in [1, 9, 60] {
            let cut = run(&plan, said, flush, &mut || 1 + dice.below(most));
            // What stands behind the reply to STARTTLS is an attack only if it is there at once; and how much of the
            // output was taken, or of the body sent, depends on when the server was heard.
            let same = !flush && !plan.slowly && plan.settings.tls != Some(Tls::StartTls);
            assert!(!same || cut == whole, "cut in pieces of at most {most}:\n{cut:?}\nat once:\n{whole:?}");
        }
    }
}

/// As it is, or as it goes over the wire.
fn holds_secret(text: &str) -> bool {
    text.contains(SECRET) || text.contains(&STANDARD.encode(SECRET))
}

impl Plan {
    fn read(letters: &[u8]) -> Plan {
        let has = |letter: u8| letters.contains(&letter);
        let mechanisms = match (has(b'l'), has(b'p')) {
            (true, true) => vec![Mechanism::Login, Mechanism::Plain],
            (true, false) => vec![Mechanism::Login],
            (false, true) => vec![Mechanism::Plain],
            (false, false) => Vec::new(),
        };
        let login =
            ClientLogin { user: "office@qq.com".to_owned(), secret: Secret::new(SECRET), mechanisms, server: None };
        let tls = match (has(b's'), has(b'i')) {
            (true, _) => Some(Tls::StartTls),
            (false, true) => Some(Tls::Implicit),
            (false, false) => None,
        };
        let digit = letters.iter().find(|letter| (b'1'..=b'9').contains(letter)).map_or(1, |digit| digit - b'0');
        let to = (0..digit).map(|n| Address::parse(&format!("to{n}@example.com")).expect("it is an address"));
        let from = if has(b'n') { "" } else { "office@qq.com" };
        Plan {
            settings: ClientSettings {
                ehlo: "relay.test".to_owned(),
                tls,
                login: (has(b'l') || has(b'p')).then_some(login),
                pipelining: !has(b'o'),
            },
            message: Transaction {
                from: ReversePath::parse(from).expect("it is an address"),
                to: to.collect(),
                size: BODY.len() as u64,
                eight_bit: has(b'e'),
            },
            messages: if has(b'm') { 3 } else { 1 },
            follow: has(b'f'),
            slowly: has(b'd'),
            flood: has(b'x'),
            quiet: false,
            lost: match (has(b'T'), has(b'R')) {
                (true, _) => Lost::Timeout,
                (false, true) => Lost::Reset,
                (false, false) => Lost::Eof,
            },
        }
    }
}

/// The whole dialogue.
fn run(plan: &Plan, said: &[u8], flush: bool, step: &mut dyn FnMut() -> usize) -> Heard {
    let mut driver = Driver::new(plan, flush);
    let mut rest = Some(said);
    while let Some(now) = rest.take() {
        let at = now.windows(TLS.len()).position(|part| part == TLS);
        let mut stretch = &now[..at.unwrap_or(now.len())];
        while !stretch.is_empty() && driver.listens() {
            let (piece, later) = stretch.split_at(step().min(stretch.len()));
            driver.feed(piece, !later.is_empty());
            stretch = later;
        }
        if driver.shake_hands() {
            rest = at.map(|at| &now[at + TLS.len()..]);
        }
    }
    driver.end()
}
