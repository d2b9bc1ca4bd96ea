//! What must hold of a dialogue with a client that says anything, in pieces of any size.
//!
//! The first line of the input sets the session up (`settings`), the rest is what the client says; `<TLS>` in it is where
//! the handshake would be. The driver's answers are drawn from the addresses and the text, so that they are the same
//! however the input is cut. Not here: the driver (`driver`). The order of commands and answers is RFC 5321 section 4.1.4.

mod driver;

use yizhan::smtp::server::{AuthMode, Profile, SessionPhase, SessionSettings};

use super::Dice;
use driver::{Driver, Heard};

/// Stands where the handshake is.
const TLS: &[u8] = b"<TLS>";

/// One dialogue: line by line, octet by octet, in pieces, and at once.
pub(crate) fn server_dialogue(input: &[u8]) {
    let end = input.iter().position(|&b| b == b'\n').unwrap_or(input.len());
    let settings = settings(&input[..end]);
    let said = input.get(end + 1..).unwrap_or_default();
    let lines = run(&settings, said, &mut by_line);
    assert_eq!(run(&settings, said, &mut |_| 1), lines, "octet by octet");
    let mut dice = Dice::new(input);
    for most in [7, 90, usize::MAX] {
        let heard = run(&settings, said, &mut |_| 1 + dice.below(most));
        // Where nothing may stand behind DATA, whoever sends more at once is refused (RFC 2920 section 3.1).
        let early = settings.profile == Profile::Strict && heard.holds(&settings.replies.early);
        assert!(early || heard == lines, "cut in pieces of at most {most}:\n{heard:?}\nline by line:\n{lines:?}");
    }
    as_if_never_said(&settings, said);
}

/// A session with what the letters say; any other octet says nothing.
fn settings(letters: &[u8]) -> SessionSettings {
    let mut settings = SessionSettings::relay("relay.test");
    for letter in letters {
        match letter {
            b's' => settings.profile = Profile::Strict,
            b'l' => settings.profile = Profile::Legacy,
            b'a' => settings.auth = AuthMode::AcceptAny,
            b'v' => settings.auth = AuthMode::Verify,
            b'k' => settings.auth_after_tls = true,
            b'r' => settings.auth_required = true,
            b't' => settings.starttls = true,
            b'm' => settings.max_message = 60,
            b'n' => settings.max_recipients = 2,
            b'e' => settings.max_errors = 3,
            b'j' => settings.max_junk = 3,
            b'g' => settings.max_messages = 2,
            _ => {}
        }
    }
    settings
}

fn by_line(rest: &[u8]) -> usize {
    rest.iter().position(|&b| b == b'\n').map_or(rest.len(), |at| at + 1)
}

/// The stretches of the dialogue between the handshakes.
fn stretches(said: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(said);
    std::iter::from_fn(move || {
        let now = rest.take()?;
        let at = now.windows(TLS.len()).position(|part| part == TLS);
        rest = at.map(|at| &now[at + TLS.len()..]);
        Some(&now[..at.unwrap_or(now.len())])
    })
}

/// The whole dialogue, in pieces whose length `step` finds.
fn run(settings: &SessionSettings, said: &[u8], step: &mut dyn FnMut(&[u8]) -> usize) -> Heard {
    let mut driver = Driver::new(settings, false);
    for mut rest in stretches(said) {
        while !rest.is_empty() && driver.listens() {
            let (piece, later) = rest.split_at(step(rest).clamp(1, rest.len()));
            answered(&mut driver, piece);
            rest = later;
        }
        if !driver.shake_hands() {
            break;
        }
    }
    driver.end()
}

/// Feeds one piece. If it is one whole line, it has one reply, but for a few that have none.
fn answered(driver: &mut Driver, piece: &[u8]) {
    let phase = driver.phase();
    let codes = driver.feed(piece);
    // How many octets behind a BDAT are no commands is said in it.
    driver.loose |= piece.windows(4).any(|word| word.eq_ignore_ascii_case(b"BDAT"));
    let loose = driver.loose || by_line(piece) < piece.len();
    driver.loose |= !piece.ends_with(b"\n");
    if loose {
        return;
    }
    // The last straw has two: what was wrong, and that it was the last.
    let closing = usize::from(driver.closed() && codes.last() == Some(&421));
    let blank = piece.iter().all(|b| b" \t\r\n".contains(b));
    let tls = phase == SessionPhase::Command && matches!(piece.first(), Some(0x16 | 0x80));
    let least = usize::from(
        piece.ends_with(b"\n") && !tls && phase != SessionPhase::Data && (phase == SessionPhase::Auth || !blank),
    );
    let fits = codes.len() >= least && codes.len() <= 1 + closing;
    assert!(fits, "{codes:?} to {}", piece.escape_ascii());
}

/// After STARTTLS nothing is left of what was said before it (RFC 3207 section 4.2): the dialogue is the same as with
/// somebody who came over TLS at once. What is counted against a client is kept, so nothing of it may be there.
fn as_if_never_said(settings: &SessionSettings, said: &[u8]) {
    let mut before = stretches(said);
    let (Some(plain), Some(behind)) = (before.next(), before.next()) else { return };
    let lines = |text: &[u8]| text.iter().filter(|&&b| b == b'\n').count();
    let blank = |line: &[u8]| line.iter().all(|b| b" \t\r".contains(b));
    let limits = settings.max_errors < 20 || settings.max_junk < 100 || settings.max_messages < 1000;
    if limits || lines(plain) + lines(behind) > 90 || plain.split(|&b| b == b'\n').rev().skip(1).any(blank) {
        return;
    }
    let mut driver = Driver::new(settings, false);
    driver.feed(plain);
    if driver.has_refused() || !driver.shake_hands() {
        return;
    }
    driver.forget();
    let mut fresh = Driver::new(settings, true);
    fresh.forget();
    for driver in [&mut driver, &mut fresh] {
        driver.feed(behind);
    }
    assert_eq!(driver.end(), fresh.end(), "what was said before TLS counts after it");
}
