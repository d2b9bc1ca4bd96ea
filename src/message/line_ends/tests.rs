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
        }
    }
}

#[test]
fn what_was_wrong_is_counted() {
    let stats = run(b"a\nb\r\nc\rdd\r\r\n\0\xff", 3).1;
    assert_eq!((stats.bare_lf, stats.bare_cr, stats.extra_cr, stats.end_added), (1, 1, 1, true));
    assert!(stats.line_ends_changed() && !run(b"a\r\nb", 9).1.line_ends_changed());
}
