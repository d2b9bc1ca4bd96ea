//! Tests of stuffing and unstuffing: each is the mirror of the other, at every split.

use proptest::prelude::*;

use super::*;

fn stuff(text: &[u8], cut: usize) -> BytesMut {
    let (mut machine, mut out) = (Stuff::new(), BytesMut::new());
    machine.push(&text[..cut], &mut out);
    machine.push(&text[cut..], &mut out);
    machine.finish(&mut out);
    out
}

/// The text and what is left behind the end; `None` if there is no end.
fn unstuff(wire: &[u8], piece: usize, lf_end: bool) -> (Vec<u8>, Option<Vec<u8>>) {
    let (mut machine, mut input, mut text) = (Unstuff::new(lf_end), BytesMut::new(), Vec::new());
    let mut pieces = wire.chunks(piece.max(1));
    loop {
        match machine.next(&mut input) {
            Piece::Text(chunk) => {
                assert!(!chunk.is_empty());
                text.extend_from_slice(&chunk);
            }
            Piece::End => {
                let rest = [&input[..], &pieces.collect::<Vec<_>>().concat()].concat();
                return (text, Some(rest));
            }
            Piece::More => match pieces.next() {
                Some(piece) => input.extend_from_slice(piece),
                None => return (text, None),
            },
        }
    }
}

/// Texts made of the octets that matter.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(b"\r\n.\0a".to_vec()), 0..40)
}

/// Texts without bare CR or LF, closed.
fn legal() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(vec![&b"\r\n"[..], b".", b"..", b"a", b"\0", b"\r\n."]), 0..40)
        .prop_map(|parts| [parts.concat(), b"\r\n".to_vec()].concat())
}

proptest! {
    #[test]
    fn stuff_then_unstuff_is_identity(text in legal(), cut in 0usize..40, piece in 1usize..9) {
        let wire = stuff(&text, cut.min(text.len()));
        prop_assert_eq!(unstuff(&[&wire[..], b"QUIT"].concat(), piece, false), (text, Some(b"QUIT".to_vec())));
    }

    #[test]
    fn any_cut_gives_the_same_result(wire in hostile(), piece in 1usize..9, lf_end: bool) {
        let whole = unstuff(&wire, usize::MAX, lf_end);
        prop_assert_eq!(unstuff(&wire, piece, lf_end), whole);
    }

    #[test]
    fn the_end_is_where_a_search_for_it_finds_it(wire in hostile()) {
        let framed = [b"\r\n", &wire[..]].concat();
        let end = framed.windows(5).position(|w| w == b"\r\n.\r\n");
        let rest = end.map(|end| framed[end + 5..].to_vec());
        prop_assert_eq!(unstuff(&wire, usize::MAX, false).1, rest);
    }

    #[test]
    fn what_is_stuffed_has_one_end_and_no_bare_line_ends(text in hostile(), cut in 0usize..40) {
        let wire = stuff(&text, cut.min(text.len()));
        prop_assert_eq!(&wire, &stuff(&text, 0), "the cut makes no difference");
        let bare = String::from_utf8(wire.to_vec()).unwrap().replace("\r\n", "");
        prop_assert!(!bare.contains(['\r', '\n']));
        let (_, rest) = unstuff(&wire, usize::MAX, false);
        prop_assert_eq!(rest, Some(Vec::new()));
    }
}

#[test]
fn a_message_in_lf_keeps_its_dots_by_its_own_convention() {
    // The first line tells: LF, so a dot after LF was added by the sender.
    assert_eq!(unstuff(b"a\n..b\n\r\n.\r\n", 1, false), (b"a\n.b\n\r\n".to_vec(), Some(Vec::new())));
    // CRLF, so a dot after LF was not.
    assert_eq!(unstuff(b"a\r\nb\n..c\r\n.\r\n", 1, false).0, b"a\r\nb\n..c\r\n");
}

#[test]
fn lf_dot_lf_ends_only_where_it_is_allowed_and_usual() {
    assert_eq!(unstuff(b"a\n.\nb", 1, true), (b"a\n".to_vec(), Some(b"b".to_vec())));
    assert_eq!(unstuff(b"a\n.\nb", 1, false).1, None);
    assert_eq!(unstuff(b"a\r\n\n.\nb", 1, true).1, None);
    assert_eq!(unstuff(b".\nb", 1, true).1, None, "A-008");
}

#[test]
fn the_first_line_tells_also_when_data_itself_ended_in_lf() {
    let ends = |wire: &[u8]| {
        let (mut machine, mut input) = (Unstuff::after_bare_lf(true), BytesMut::from(wire));
        loop {
            match machine.next(&mut input) {
                Piece::Text(_) => {}
                Piece::End => return machine.ended_bare(),
                Piece::More => return false,
            }
        }
    };
    assert!(ends(b".\n") && ends(b"a\n.\n") && ends(b"\n.\n") && ends(b"..a\n.\n"));
    assert!(!ends(b"a\r\n.\n") && !ends(b"a\r\nb\n.\n") && !ends(b"..a\r\nb\n.\n"));
}

#[test]
fn text_is_not_copied() {
    let mut input = BytesMut::from(&b"one\r\n..two\r\n.\r\n"[..]);
    let start = input.as_ptr() as usize;
    let Piece::Text(first) = Unstuff::new(false).next(&mut input) else { panic!("text") };
    assert_eq!((first.as_ptr() as usize, &first[..]), (start, &b"one\r\n"[..]));
}
