//! Line ends of every kind, at every split.

use super::*;

fn run(input: &[u8], step: usize) -> (Vec<u8>, BodyStats) {
    let (mut normaliser, mut out) = (Normaliser::new(), Vec::new());
    for chunk in input.chunks(step.max(1)) {
        normaliser.push(chunk, &mut out);
    }
    let stats = normaliser.finish(&mut out);
    (out, stats)
}

#[test]
fn every_line_end_becomes_crlf() {
    for (input, output) in [
        (&b""[..], &b""[..]),
        (b"a", b"a\r\n"),
        (b"a\r\n", b"a\r\n"),
        (b"a\n", b"a\r\n"),
        (b"a\r", b"a\r\n"),
        (b"a\rb", b"a\r\nb\r\n"),
        (b"a\r\rb", b"a\r\n\r\nb\r\n"),
        (b"a\r\r\nb\r\r\r\n", b"a\r\nb\r\n"),
        (b"\n\n", b"\r\n\r\n"),
        (b"\r\n\r\n", b"\r\n\r\n"),
        (b"\r\n.\r\n", b"\r\n.\r\n"),
        (b"a\n\r\nb", b"a\r\n\r\nb\r\n"),
        (b"a\0b\n", b"a\0b\r\n"),
    ] {
        for step in 1..=input.len().max(1) {
            let (out, stats) = run(input, step);
            assert_eq!(out, output, "{:?} by {step}", input.escape_ascii().to_string());
            assert_eq!(stats.octets, out.len() as u64);
            assert_eq!(stats.lines, out.iter().filter(|&&b| b == b'\n').count() as u64);
        }
    }
}

#[test]
fn what_was_wrong_is_counted() {
    let stats = run(b"a\nb\r\nc\rdd\r\r\n\0\xff", 3).1;
    assert_eq!((stats.bare_lf, stats.bare_cr, stats.extra_cr, stats.nuls), (1, 1, 1, 1));
    assert_eq!((stats.eight_bit, stats.utf8, stats.longest_line, stats.end_added), (1, false, 2, true));
    assert!(stats.line_ends_changed() && !run(b"a\r\nb", 9).1.line_ends_changed());
}

#[test]
fn utf8_is_told_from_gbk_at_every_split() {
    let utf8 = "驿站 relay 𝄞\r\n".as_bytes();
    for step in 1..=utf8.len() {
        assert!(run(utf8, step).1.utf8, "{step}");
        assert!(!run(&utf8[..utf8.len() - 3], step).1.utf8, "{step}");
        assert!(!run(b"\xe6\x8a\xa5 ok \xb1\xa8\xb8\xe6\r\n", step).1.utf8, "{step}");
    }
}
