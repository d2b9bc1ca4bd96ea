//! Every file in `tests/transcripts/` is a test: replayed whole, octet by octet, and in pieces of seven; those in which
//! the server is ours also over TCP, whole and one octet a write.

use std::path::Path;

use proptest::prelude::*;

use crate::support::{client_script, tcp_script, transcript};

fn scripts() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/transcripts"))
}

#[test]
fn server_scripts() {
    let scripts = transcript::load(scripts(), "server");
    assert!(scripts.len() > 20, "the scripts are there");
    for script in &scripts {
        let pieces: &[usize] = if script.whole_only() { &[usize::MAX] } else { &[usize::MAX, 1, 7] };
        for &piece in pieces {
            transcript::replay(script, piece);
        }
    }
}

#[test]
fn client_scripts() {
    let scripts = transcript::load(scripts(), "client");
    assert!(scripts.len() > 15, "the scripts are there");
    for script in &scripts {
        for piece in [usize::MAX, 1, 7] {
            // A reply that is cut may leave room for what the other half would have forbidden.
            if piece == usize::MAX || !script.whole_only() {
                client_script::replay(script, piece);
            }
        }
    }
}

/// Over TCP: against the listener of the relay where it can be set up like the script, else against the machine with
/// its scripted driver behind a socket.
#[tokio::test(flavor = "multi_thread")]
async fn server_scripts_over_tcp() {
    let scripts = transcript::load(scripts(), "server");
    let door = tcp_script::Door::new();
    let mut listened = 0;
    for script in &scripts {
        let pieces: &[usize] = if script.whole_only() { &[usize::MAX] } else { &[usize::MAX, 1] };
        for &piece in pieces {
            if !tcp_script::for_listener(script) {
                let addr = tcp_script::Shell::open(script).await;
                tcp_script::replay(script, addr, piece, true).await;
                continue;
            }
            listened += 1;
            let name = format!("{} {piece}", script.name);
            let addr = door.open(script, &name);
            tcp_script::replay(script, addr, piece, false).await;
            assert_eq!(door.came_in(&name).await, tcp_script::messages(script), "{name}");
        }
    }
    assert!(listened > scripts.len(), "most scripts can be replayed against the listener: {listened}");
    door.close().await;
}

/// What clients and servers say, and pieces of it, in any order.
fn babble(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(words.to_vec()), 0..25).prop_map(|words| words.concat())
}

const CLIENT_WORDS: &[&str] = &[
    "EHLO x\r\n",
    "HELO x\n",
    "MAIL FROM:<a@b>\r\n",
    "MAIL FROM:<nodata@b>\r\n",
    "RCPT TO:<c@d>\r\n",
    "RCPT TO:<refused@d>\r\n",
    "DATA\r\n",
    "DATA\n",
    "\r\n.\r\n",
    ".\r\n",
    "\n.\n",
    ".",
    "\r",
    "\n",
    "\0",
    "Subject: x\r\n",
    "hello\r\n",
    "QUIT\r\n",
    "RSET\r\n",
    "NOOP\r\n",
    "AUTH LOGIN\r\n",
    "AUTH PLAIN\r\n",
    "dXNlcg==\r\n",
    "AHVzZXIAd3Jvbmc=\r\n",
    "*\r\n",
    "BDAT 7\r\n",
    "BDAT -1\r\n",
    "GET / HTTP/1.1\r\n",
    "\u{16}\u{3}",
];

const SERVER_WORDS: &[&str] = &[
    "220 x\r\n",
    "250 x\r\n",
    "250 x\r\n",
    "250 x\r\n",
    "250-x\r\n",
    "250-PIPELINING\r\n",
    "250-AUTH LOGIN PLAIN\r\n",
    "250 SIZE 1000\r\n",
    "334 x\r\n",
    "235 x\r\n",
    "354 x\r\n",
    "354 x\n",
    "421 x\r\n",
    "450 x\r\n",
    "550 x\r\n",
    "550-x\r\n",
    "25",
    "\0",
    "\r\n",
    "999 x\r\n",
];

proptest! {
    #[test]
    fn any_cut_gives_the_same_dialogue(said in babble(CLIENT_WORDS), piece in 1usize..9, legacy: bool) {
        let run = |piece: usize| {
            let mut settings = yizhan::smtp::server::SessionSettings::relay("relay.test");
            settings.auth = yizhan::smtp::server::AuthMode::Verify;
            if legacy {
                settings.profile = yizhan::smtp::server::Profile::Legacy;
            }
            let mut driver = transcript::Driver::new(settings);
            for octets in said.as_bytes().chunks(piece) {
                if !driver.closed {
                    driver.feed(octets);
                }
            }
            driver.eof();
            (driver.output().escape_ascii().to_string(), driver.log.clone(), driver.messages.clone(), driver.session.notes())
        };
        prop_assert_eq!(run(usize::MAX), run(piece), "{:?}", said);
    }

    #[test]
    fn any_server_is_survived_and_any_cut_is_the_same(said in babble(SERVER_WORDS), piece in 1usize..9, login: bool) {
        let text = if login { "# login: me secret LOGIN,PLAIN\n" } else { "# to: c@d e@f\n" };
        let script = transcript::Script::parse("babble", text);
        let octets = ["220 x\r\n250-x\r\n250-AUTH LOGIN\r\n250 PIPELINING\r\n", &said].concat();
        let whole = client_script::overheard(&script, octets.as_bytes(), usize::MAX);
        prop_assert_eq!(client_script::overheard(&script, octets.as_bytes(), piece), whole, "{:?}", said);
    }
}
