//! What must hold of replies that anybody may have written: as octets from the wire, as text that is kept and shown, and
//! as the verdict of the catalogue.
//!
//! Not here: what a verdict does. Invariants held: what is kept of a reply is bounded and has no control characters; no
//! unknown reply makes mail disappear (RFC 5321 section 4.2).

use std::sync::LazyLock;

use bytes::BytesMut;
use yizhan::provider::{Action, Basis, Catalogue, Group, Phase, Verdict, reply_text};
use yizhan::smtp::reply::{READ_LINE, READ_TOTAL};
use yizhan::smtp::{Extensions, Reply, ReplyError, ReplyParser, Transcript};

use super::Dice;
use super::command::assert_printable;

/// One for all inputs: its patterns are compiled once.
static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(Catalogue::built_in);

/// The input as what a server says, and each reply in it as it is kept, written and judged.
pub(crate) fn reply_parser(input: &[u8]) {
    let mut dice = Dice::new(input);
    let whole = parse(input, &mut || usize::MAX);
    for most in [1, 5, 300] {
        let cut = parse(input, &mut || 1 + dice.below(most));
        assert_eq!(cut, whole, "cut in pieces of at most {most}");
    }
    for reply in &whole.0 {
        read(reply, &mut dice);
    }
    // What is no reply has a text all the same: an own row of the catalogue is tried on whatever a person types.
    let code = dice.below(1000) as u16;
    judged(code, &text_of(&input.split(|&b| b == b'\n').collect::<Vec<_>>()), &mut dice);
    long(input, &mut dice);
    written(200 + dice.below(400) as u16, &String::from_utf8_lossy(input));
}

/// The replies up to the first octets that are none.
fn parse(wire: &[u8], step: &mut dyn FnMut() -> usize) -> (Vec<Reply>, Option<ReplyError>) {
    let (mut parser, mut input, mut replies, mut rest) = (ReplyParser::new(), BytesMut::new(), Vec::new(), wire);
    loop {
        match parser.next(&mut input) {
            Ok(Some(reply)) => replies.push(reply),
            Err(error) => return (replies, Some(error)),
            Ok(None) => {
                assert!(input.len() <= READ_LINE, "{} octets are kept", input.len());
                if rest.is_empty() {
                    return (replies, None);
                }
                let (piece, later) = rest.split_at(step().min(rest.len()));
                input.extend_from_slice(piece);
                rest = later;
            }
        }
    }
}

/// A reply that came in.
fn read(reply: &Reply, dice: &mut Dice) {
    assert!((200..600).contains(&reply.code()) && reply.text().len() <= READ_TOTAL);
    assert_printable(&reply.to_string(), 4 + 5 * reply.text().len());
    let mut wire = BytesMut::new();
    reply.write(&mut wire);
    if reply.lines().all(|line| line.len() < READ_LINE - 6) {
        assert_eq!(parse(&wire, &mut || usize::MAX), (vec![reply.clone()], None), "written and read again");
    }
    if let Some((class, ..)) = reply.enhanced() {
        assert_eq!(u16::from(class), reply.code() / 100);
    }
    let found = Extensions::parse(reply);
    assert!(found.max_size.is_none_or(|limit| found.size && limit > 0));
    let mut transcript = Transcript::new(2);
    reply.lines().for_each(|line| transcript.server(line));
    assert!(transcript.lines().count() <= 2);
    transcript.lines().for_each(|line| assert_printable(line, 3 + 512));
    judged(reply.code(), &text_of(&reply.lines().collect::<Vec<_>>()), dice);
}

/// The one line that is kept of a reply.
fn text_of(lines: &[&[u8]]) -> String {
    let text = reply_text(lines);
    let octets: usize = lines.iter().map(|line| line.len() + 1).sum();
    assert!(text.len() <= 3 * octets, "{} octets of {octets}", text.len());
    assert!(!text.contains("  ") && text.trim() == text && !text.chars().any(char::is_control), "{text:?}");
    assert_eq!(reply_text([&text]), text, "once more changes nothing");
    text
}

/// The verdict of one provider's chapter in one phase.
fn judged(code: u16, text: &str, dice: &mut Dice) {
    for _ in 0..3 {
        let group = Group::ALL[dice.below(Group::ALL.len())];
        let phase = Phase::ALL[dice.below(Phase::ALL.len())];
        let verdict = CATALOGUE.classify(group, phase, code, text);
        let at = format!("{code} {text:?} from {group:?} in {phase:?}: {verdict:?}");
        for other in [text.to_ascii_uppercase(), text.to_ascii_lowercase()] {
            assert_eq!(CATALOGUE.classify(group, phase, code, &other), verdict, "upper and lower case: {at}");
        }
        if phase.matters() && (200..600).contains(&code) {
            assert!(CATALOGUE.entry(verdict.cause).is_some() || !verdict.is_known(), "{at}");
            guessed(&verdict, code, &at);
        }
        let log_in = verdict.for_log_in();
        let lost = matches!(log_in.action, Action::Ok | Action::Bounce | Action::BounceRecipient);
        assert!(!lost && log_in.cause == verdict.cause, "a refused log-in loses no mail: {at}");
        CATALOGUE.note_unknown("office", phase, code, text);
    }
}

/// What no row describes: nothing fails by its code alone, a rule on words fails nothing with a 4yz and pauses nothing.
fn guessed(verdict: &Verdict, code: u16, at: &str) {
    let failed = matches!(verdict.action, Action::Bounce | Action::BounceRecipient);
    match verdict.basis {
        Basis::Row => {}
        Basis::Words => {
            assert!(!failed || code >= 500, "a 4yz failed by its words: {at}");
            let paused = matches!(
                verdict.action,
                Action::Ok | Action::Pause | Action::Cool15ThenPause | Action::RetryHourThenPause
            );
            assert!(!paused, "words paused an account: {at}");
        }
        Basis::Digit => {
            assert!(!failed, "mail is lost by an unknown reply: {at}");
            assert!(verdict.action != Action::Ok || code < 300, "mail is lost by an unknown reply: {at}");
        }
    }
}

/// A reply that does not come to an end, made of the lines of the input: refused before it fills the memory.
fn long(input: &[u8], dice: &mut Dice) {
    if dice.below(16) > 0 {
        return;
    }
    let line = input.split(|&b| b == b'\n').next().unwrap_or_default();
    let line = [b"250-", &line[..line.len().min(READ_LINE - 6)], b"\r\n"].concat();
    let wire = line.repeat(READ_TOTAL / line.len() + 1);
    assert_eq!(parse(&wire, &mut || 4096), (Vec::new(), Some(ReplyError::TooLong)));
}

/// A reply that we write, whatever its text: legal (RFC 5321 sections 4.2 and 4.5.3.1.5), and read as the same.
fn written(code: u16, text: &str) {
    let reply = Reply::new(code, text);
    let mut wire = BytesMut::new();
    reply.write(&mut wire);
    super::assert_line_ends(&wire);
    let shown = std::str::from_utf8(&wire).expect("it is ASCII");
    shown.split("\r\n").for_each(|line| assert_printable(line, 512 - 2));
    if wire.len() <= READ_TOTAL {
        assert_eq!(parse(&wire, &mut || usize::MAX), (vec![reply], None), "{shown:?}");
    }
}
