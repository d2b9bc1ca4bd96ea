//! What must hold for message data on the wire, whatever they are and however they arrive.
//!
//! The rule of the end and of the dots is written here a second time, as it would be said of a text that is there as a
//! whole (RFC 5321 section 4.5.2), and every cut of the input must come to the same. Not here: what is in a message.

use bytes::BytesMut;
use yizhan::smtp::data::{Piece, Stuff, Unstuff};

use super::Dice;

/// What came out of the data.
#[derive(Debug, PartialEq, Eq)]
struct Framed {
    text: Vec<u8>,
    /// How many octets belong to the data, when their end was there.
    end: Option<usize>,
    ended_bare: bool,
}

/// The input as data from the wire, and as text on its way out.
pub(crate) fn data_framer(input: &[u8]) {
    for (lf_end, after_bare) in [(false, false), (true, false), (false, true), (true, true)] {
        let wanted = as_a_whole(input, lf_end, lf_end && after_bare);
        assert_eq!(unstuff(input, lf_end, after_bare, &mut || usize::MAX), wanted, "lf_end {lf_end} {after_bare}");
        let mut dice = Dice::new(input);
        for most in [1, 3, 40] {
            let cut = unstuff(input, lf_end, after_bare, &mut || 1 + dice.below(most));
            assert_eq!(cut, wanted, "lf_end {lf_end} {after_bare}, cut in pieces of at most {most}");
        }
        if !lf_end {
            assert_eq!(wanted.end, first_end(input), "CRLF dot CRLF is the end, and nothing else is");
        }
    }
    out_and_in(input);
}

/// The first CRLF dot CRLF; the start counts as the first CRLF.
fn first_end(wire: &[u8]) -> Option<usize> {
    let framed = [b"\r\n", wire].concat();
    framed.windows(5).position(|five| five == b"\r\n.\r\n").map(|at| at + 3)
}

/// The rule for data that are there as a whole.
fn as_a_whole(wire: &[u8], lf_end: bool, after_bare: bool) -> Framed {
    let (mut text, mut lf_lines) = (Vec::new(), None);
    // Whether this is the start of a line, and then whether a CRLF is in front of it.
    let mut start = Some(!after_bare);
    let mut at = 0;
    while at < wire.len() {
        if let Some(crlf) = start.take()
            && wire[at] == b'.'
            && (at == 0 || crlf || lf_lines == Some(true))
        {
            let rest = &wire[at + 1..];
            if crlf && rest.starts_with(b"\r\n") {
                return Framed { text, end: Some(at + 3), ended_bare: false };
            }
            if !crlf && lf_end && rest.starts_with(b"\n") {
                return Framed { text, end: Some(at + 2), ended_bare: true };
            }
            // A CR that may still become the end is kept back.
            at += if rest == b"\r" { 2 } else { 1 };
            continue;
        }
        text.push(wire[at]);
        if wire[at] == b'\n' {
            let crlf = at > 0 && wire[at - 1] == b'\r';
            lf_lines.get_or_insert(!crlf);
            start = Some(crlf);
        }
        at += 1;
    }
    Framed { text, end: None, ended_bare: false }
}

/// The machine, fed with pieces of these lengths.
fn unstuff(wire: &[u8], lf_end: bool, after_bare: bool, step: &mut dyn FnMut() -> usize) -> Framed {
    let mut machine = if after_bare { Unstuff::after_bare_lf(lf_end) } else { Unstuff::new(lf_end) };
    let (mut text, mut input, mut rest) = (Vec::new(), BytesMut::new(), wire);
    loop {
        match machine.next(&mut input) {
            Piece::Text(piece) => {
                assert!(!piece.is_empty());
                text.extend_from_slice(&piece);
            }
            Piece::End => {
                let end = wire.len() - rest.len() - input.len();
                return Framed { text, end: Some(end), ended_bare: machine.ended_bare() };
            }
            Piece::More => {
                assert!(input.is_empty(), "nothing is held back but what the state says");
                if rest.is_empty() {
                    return Framed { text, end: None, ended_bare: machine.ended_bare() };
                }
                let (piece, later) = rest.split_at(step().min(rest.len()));
                input.extend_from_slice(piece);
                rest = later;
            }
        }
    }
}

/// Text that is sent: legal whatever it was, with one end, and read back as its legal form.
fn out_and_in(text: &[u8]) {
    let whole = stuff(text, &mut || usize::MAX);
    let mut dice = Dice::new(text);
    for most in [1, 2, 9] {
        assert_eq!(stuff(text, &mut || 1 + dice.below(most)), whole, "cut in pieces of at most {most}");
    }
    super::assert_line_ends(&whole);
    assert_eq!(first_end(&whole), Some(whole.len()), "one end, at the end");
    let wanted = Framed { text: legal(text), end: Some(whole.len()), ended_bare: false };
    for lf_end in [false, true] {
        assert_eq!(unstuff(&whole, lf_end, false, &mut || usize::MAX), wanted, "sent and read again");
    }
}

fn stuff(mut text: &[u8], step: &mut dyn FnMut() -> usize) -> Vec<u8> {
    let (mut machine, mut out) = (Stuff::new(), BytesMut::new());
    while !text.is_empty() {
        let (piece, rest) = text.split_at(step().min(text.len()));
        machine.push(piece, &mut out);
        text = rest;
    }
    machine.finish(&mut out);
    out.to_vec()
}

/// Bare LF, bare CR and runs of CR become CRLF, and the last line is closed.
fn legal(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (at, &octet) in text.iter().enumerate() {
        match (octet, text.get(at + 1)) {
            (b'\r', Some(b'\r' | b'\n')) => {}
            (b'\r' | b'\n', _) => out.extend_from_slice(b"\r\n"),
            _ => out.push(octet),
        }
    }
    if !out.is_empty() && !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out
}
